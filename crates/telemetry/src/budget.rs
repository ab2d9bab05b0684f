//! Bytes of rows that are not in segments yet: counted when a batch is accepted, given back when its segment is published.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Error, ErrorKind, Result, TenantId};
use tokio::sync::Notify;

/// Of the whole budget, what may be held by batches that wait for room: they are in memory too.
const WAITING: usize = 4;

#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    tenant: usize,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    /// Bytes of batches that wait.
    waiting: usize,
    tenants: HashMap<TenantId, usize>,
}

impl Budget {
    pub(crate) fn new(total: usize, tenant: usize) -> Self {
        Self { total, tenant: tenant.min(total), used: Mutex::default(), freed: Notify::new() }
    }

    /// As [`Budget::take`], but waits up to `patience` for room, as long as not too much waits already. `full` is told that room is wanted.
    pub(crate) async fn acquire(&self, tenant: TenantId, bytes: usize, patience: Duration, full: impl Fn()) -> Result<()> {
        let refused = match self.take(tenant, bytes) {
            Err(refused) if refused.kind() == ErrorKind::Limited => refused,
            other => return other,
        };
        full();
        let Some(_waiting) = Waiting::begin(self, bytes).filter(|_| !patience.is_zero()) else { return Err(refused) };
        let room = async {
            loop {
                // Registered before looking, so that what is given back in between is not missed.
                let freed = self.freed.notified();
                match self.take(tenant, bytes) {
                    Err(refused) if refused.kind() == ErrorKind::Limited => freed.await,
                    other => return other,
                }
                full();
            }
        };
        tokio::time::timeout(patience, room).await.unwrap_or(Err(refused))
    }

    /// Fails as [`Budget::acquire`] would at once, and counts nothing: what will be refused need not be decoded.
    pub(crate) fn check(&self, tenant: TenantId, bytes: usize) -> Result<()> {
        let full = {
            let used = self.used.lock();
            let own = used.tenants.get(&tenant).copied().unwrap_or(0);
            (used.total + bytes > self.total || own + bytes > self.tenant) && used.waiting + bytes > self.total / WAITING
        };
        if full { Err(refused()) } else { Ok(()) }
    }

    /// The most bytes of one tenant.
    pub(crate) fn tenant(&self) -> usize {
        self.tenant
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
            return Err(refused());
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
        drop(used);
        self.freed.notify_waiters();
    }

    pub(crate) fn used(&self) -> usize {
        self.used.lock().total
    }

    /// Whether more than half is in use.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.total / 2
    }
}

fn refused() -> Error {
    let detail = "Telemetry arrives faster than it can be stored. Slow down and send this batch again.";
    Error::new(ErrorKind::Limited, "telemetry_budget", detail).with_retry_after(Duration::from_secs(1))
}

/// A batch that waits; dropping it ends that, also when its sender goes away.
struct Waiting<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl<'a> Waiting<'a> {
    fn begin(budget: &'a Budget, bytes: usize) -> Option<Self> {
        let mut used = budget.used.lock();
        if used.waiting + bytes > budget.total / WAITING {
            return None;
        }
        used.waiting += bytes;
        Some(Self { budget, bytes })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.used.lock().waiting -= self.bytes;
    }
}
