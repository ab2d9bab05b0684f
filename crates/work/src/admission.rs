//! Has every process look again at the tenants that are let in. Of one for which no work is done nobody looks after the jobs and the events: whoever
//! lets it in changes its record in the operator's tenant, and that is told.

use std::sync::Arc;
use std::time::Duration;

use steward_base::{Ctx, Error, Event, TenantId};
use steward_store::{Stirred, Store};
use tokio_util::sync::CancellationToken;

use crate::run::Admits;

/// Events read at once.
const STRIDE: usize = 500;
/// How long control is left alone that cannot be read.
const TROUBLE: Duration = Duration::from_secs(5);

/// Follows the operator's events about tenants.
pub(crate) struct AdmissionWatch {
    pub(crate) store: Store,
    pub(crate) control: Ctx,
    /// The kind of the records in control that have the tenants' ids.
    pub(crate) kind: &'static str,
    pub(crate) admits: Admits,
    /// Where events are looked for, and where jobs are.
    pub(crate) tell: [Arc<Stirred>; 2],
    pub(crate) stopping: CancellationToken,
}

impl AdmissionWatch {
    /// The life of the task, after the operator's event at this position.
    pub(crate) async fn run(self, mut position: i64) {
        let mut changed = self.store.watch(TenantId::OPERATOR);
        loop {
            changed.mark_unchanged();
            let looked = self.look(&mut position).await;
            if let Err(error) = &looked {
                tracing::warn!(error.code = error.code(), "it cannot be read which tenants are let in; trying again");
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                open = changed.changed() => if open.is_err() { return },
                () = tokio::time::sleep(TROUBLE), if looked.is_err() => {}
            }
        }
    }

    /// Reads to the end.
    async fn look(&self, position: &mut i64) -> Result<(), Error> {
        let is_about = |event_type: &str| event_type.split('.').next() == Some(self.kind);
        loop {
            let (events, last) = self.store.events_of(&self.control, *position, STRIDE, is_about).await?;
            for tenant in events.iter().filter_map(Event::subject_record).map(TenantId::from) {
                if (self.admits)(tenant).await? {
                    self.tell.iter().for_each(|told| told.add(tenant));
                }
            }
            // Positions have no gap, so fewer than asked for are the last.
            if last - std::mem::replace(position, last) < STRIDE as i64 {
                return Ok(());
            }
        }
    }
}
