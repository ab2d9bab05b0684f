//! The last committed positions, for whoever waits for the next: they stay with the tenant wherever it is moved.
//!
//! A tenant that is erased and loaded again, from a backup or a file, lives anew: its positions begin where that copy ends, and say nothing of what
//! was known of them before. Each process counts the lives that it knows of.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use steward_base::TenantId;
use tokio::sync::watch;

/// One sender per tenant, for as long as somebody has it.
#[derive(Default)]
pub(crate) struct Positions {
    known: Mutex<Known>,
    /// Of the few tenants that live anew since this process began: the number of their life.
    lives: RwLock<HashMap<TenantId, u64>>,
}

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
        let mut known = self.known.lock();
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

    /// The number of a tenant's life, as far as this process knows.
    pub(crate) fn life(&self, tenant: TenantId) -> u64 {
        self.lives.read().get(&tenant).copied().unwrap_or(0)
    }

    /// What is known of a tenant's positions is over. To be said before anybody is woken.
    pub(crate) fn begin_life(&self, tenant: TenantId) {
        *self.lives.write().entry(tenant).or_default() += 1;
    }
}
