//! Which tenants have something to look at, jobs that changed or new events: a set, so that a thousand changes are one wake-up and none is lost.

use std::collections::HashSet;

use parking_lot::Mutex;
use steward_base::TenantId;
use tokio::sync::Notify;

/// The tenants to look at.
#[derive(Debug, Default)]
pub struct Stirred {
    tenants: Mutex<HashSet<TenantId>>,
    added: Notify,
}

impl Stirred {
    pub(crate) fn add(&self, tenant: TenantId) {
        if self.tenants.lock().insert(tenant) {
            self.added.notify_one();
        }
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
