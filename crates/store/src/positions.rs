//! The last committed positions, for whoever waits for the next: they stay with the tenant wherever it is moved.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use steward_base::TenantId;
use tokio::sync::watch;

/// One sender per tenant, for as long as somebody has it.
#[derive(Default)]
pub(crate) struct Positions(Mutex<Known>);

#[derive(Default)]
struct Known {
    senders: HashMap<TenantId, Weak<watch::Sender<i64>>>,
    /// With so many it is looked for what is gone.
    tidy_at: usize,
}

/// Below this nobody looks for what is gone.
const FEW: usize = 1_024;

impl Positions {
    pub(crate) fn of(&self, tenant: TenantId) -> Arc<watch::Sender<i64>> {
        let mut known = self.0.lock();
        if let Some(sender) = known.senders.get(&tenant).and_then(Weak::upgrade) {
            return sender;
        }
        if known.senders.len() >= known.tidy_at.max(FEW) {
            known.senders.retain(|_, sender| sender.strong_count() > 0);
            known.tidy_at = known.senders.len() * 2;
        }
        let sender = Arc::new(watch::Sender::new(0));
        known.senders.insert(tenant, Arc::downgrade(&sender));
        sender
    }
}
