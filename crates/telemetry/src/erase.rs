//! Taking away all rows of a tenant: from memory, segments and the log.
//!
//! The log is everyone's, so it is begun anew and the others' rows of the old files are stored first; then the files go. What was appended
//! meanwhile goes with the next try: whoever erases a tenant refuses its senders before.

use std::sync::Arc;
use std::time::Duration;

use steward_base::{Error, ErrorKind, Result, TenantId};

use crate::Telemetry;
use crate::engine::{Core, blocking};
use crate::manifest::Delta;

/// How often it begins again for rows that came meanwhile.
const TRIES: usize = 5;
/// How long queries under way get to end.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

impl Telemetry {
    /// Removes every row of a tenant, on disk too; resolves when neither the log nor an object holds any. It may be repeated.
    ///
    /// Fails with `telemetry_in_use` while rows still arrive or are read, and as [`Telemetry::flush`] does.
    pub async fn erase(&self, tenant: TenantId) -> Result<()> {
        let core = Arc::clone(&self.core);
        blocking(move || core.erase(tenant)).await?;
        let waiting = async {
            loop {
                let core = Arc::clone(&self.core);
                if blocking(move || Ok(core.delete_retired_of(tenant))).await? {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| in_use())?
    }
}

impl Core {
    fn erase(&self, tenant: TenantId) -> Result<()> {
        let _working = self.working();
        for _ in 0..TRIES {
            self.begin_log_anew()?;
            let removed: Vec<String> =
                self.manifest.lock().segments().filter(|segment| segment.tenant == tenant).map(|segment| segment.id.clone()).collect();
            if !removed.is_empty() {
                self.manifest.lock().commit(Delta { removed, ..Delta::default() })?;
            }
            self.retired.lock().extend(self.tables.forget(tenant));
            if !self.holds(tenant) {
                return Ok(());
            }
        }
        Err(in_use())
    }

    /// Deletes what of the tenant nobody reads any more; answers whether that was all.
    fn delete_retired_of(&self, tenant: TenantId) -> bool {
        self.delete_retired();
        self.retired.lock().iter().all(|segment| segment.meta.tenant != tenant)
    }
}

pub(crate) fn in_use() -> Error {
    let detail = "Telemetry of this tenant still arrives or is being read: try again in a moment.";
    Error::new(ErrorKind::Unavailable, "telemetry_in_use", detail).with_retry_after(Duration::from_secs(5))
}
