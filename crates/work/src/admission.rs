//! Has every process look again at a tenant of which it said that no work is done for it: a tenant that is let in does not wait until somebody
//! comes by.

use std::sync::Arc;

use steward_base::{Ctx, TenantId};
use steward_store::{Stirred, Store};
use tokio_util::sync::CancellationToken;

/// Events read at once.
const STRIDE: usize = 500;

/// Follows the operator's events of one type, whose subjects are tenants.
pub(crate) struct AdmissionWatch {
    pub(crate) store: Store,
    pub(crate) control: Ctx,
    pub(crate) event_type: &'static str,
    /// Where events are looked for, and where jobs are.
    pub(crate) tell: [Arc<Stirred>; 2],
    pub(crate) stopping: CancellationToken,
}

impl AdmissionWatch {
    /// The life of the task, after the operator's event at this position. What it cannot read now it reads after the next one; those who look by
    /// themselves come by before that.
    pub(crate) async fn run(self, mut position: i64) {
        let mut changed = self.store.watch(TenantId::OPERATOR);
        loop {
            changed.mark_unchanged();
            while let Some(last) = self.look(position).await {
                position = last;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                open = changed.changed() => if open.is_err() { return },
            }
        }
    }

    /// Answers the position of the last event that it looked at; `None` when there are no more now.
    async fn look(&self, after: i64) -> Option<i64> {
        match self.store.events_of(&self.control, after, STRIDE, |event_type| event_type == self.event_type).await {
            Ok((events, last)) => {
                for tenant in events.iter().filter_map(steward_base::Event::subject_record) {
                    self.tell.iter().for_each(|told| told.add(tenant.into()));
                }
                (last > after).then_some(last)
            }
            Err(error) => {
                tracing::debug!(error.code = error.code(), "it cannot be read which tenants are let in");
                None
            }
        }
    }
}
