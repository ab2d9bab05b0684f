//! Which tenants have something to look at, jobs that changed or new events: a set, so that a thousand changes are one wake-up and none is lost.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use steward_base::TenantId;
use tokio::sync::Notify;

/// The tenants to look at.
#[derive(Debug, Default)]
pub struct Stirred {
    tenants: Mutex<HashSet<TenantId>>,
    added: Notify,
    branches: RwLock<Vec<Weak<Stirred>>>,
}

impl Stirred {
    /// Has whoever waits look at a tenant.
    pub fn add(&self, tenant: TenantId) {
        if self.tenants.lock().insert(tenant) {
            self.added.notify_one();
        }
        for branch in self.branches.read().iter().filter_map(Weak::upgrade) {
            branch.add(tenant);
        }
    }

    /// A set of its own for another reader, told the same from now on.
    pub fn branch(&self) -> Arc<Stirred> {
        let branch = Arc::new(Stirred::default());
        let mut branches = self.branches.write();
        branches.retain(|known| known.strong_count() > 0);
        branches.push(Arc::downgrade(&branch));
        branch
    }

    /// Waits until there are some and takes them.
    pub async fn next(&self) -> Vec<TenantId> {
        loop {
            let taken: Vec<TenantId> = self.tenants.lock().drain().collect();
            if !taken.is_empty() {
                return taken;
            }
            self.added.notified().await;
        }
    }
}
