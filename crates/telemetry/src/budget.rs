//! Bytes of rows that are not in segments yet: counted when a batch is accepted, given back when its segment is published.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Error, ErrorKind, Result, TenantId};

#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    tenant: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    tenants: HashMap<TenantId, usize>,
}

impl Budget {
    pub(crate) fn new(total: usize, tenant: usize) -> Self {
        Self { total, tenant: tenant.min(total), used: Mutex::default() }
    }

    /// Counts `bytes` for `tenant`. Fails with `telemetry_budget` when there is no room now, `telemetry_batch_too_large` when there never is.
    pub(crate) fn take(&self, tenant: TenantId, bytes: usize) -> Result<()> {
        if bytes > self.tenant {
            let detail = format!("A batch may take {} bytes of memory. Send less at once.", self.tenant);
            return Err(Error::new(ErrorKind::TooLarge, "telemetry_batch_too_large", detail));
        }
        let mut used = self.used.lock();
        let own = used.tenants.get(&tenant).copied().unwrap_or(0);
        if used.total + bytes > self.total || own + bytes > self.tenant {
            let detail = "Telemetry arrives faster than it can be stored. Slow down and send this batch again.";
            return Err(Error::new(ErrorKind::Limited, "telemetry_budget", detail).with_retry_after(Duration::from_secs(1)));
        }
        used.total += bytes;
        *used.tenants.entry(tenant).or_default() += bytes;
        Ok(())
    }

    /// Counts `bytes` whatever the limit: what recovery found has been promised already.
    pub(crate) fn force(&self, tenant: TenantId, bytes: usize) {
        let mut used = self.used.lock();
        used.total += bytes;
        *used.tenants.entry(tenant).or_default() += bytes;
    }

    pub(crate) fn give_back(&self, tenant: TenantId, bytes: usize) {
        let mut used = self.used.lock();
        used.total = used.total.saturating_sub(bytes);
        let left = used.tenants.get(&tenant).copied().unwrap_or(0).saturating_sub(bytes);
        if left == 0 {
            used.tenants.remove(&tenant);
        } else {
            used.tenants.insert(tenant, left);
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.lock().total
    }

    /// Whether more than half is in use.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.total / 2
    }
}
