//! Removing a tenant's file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use steward_base::{Error, ErrorKind, TenantId};

use super::failure::{Failure, system};
use super::namespace::{Namespace, Open};
use super::writer::remove;
use super::{Shared, blocking};
use crate::durable;

/// How often it looks whether somebody still reads.
const LOOK: Duration = Duration::from_millis(2);
/// How long it waits for whoever reads.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps everybody from opening the file.
struct Aside<'a> {
    shared: &'a Shared,
    tenant: TenantId,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.shared.aside.lock().remove(&self.tenant);
    }
}

/// An open file on its way out. Unless it is closed it stays as it was, so that whoever tries again waits for its readers too.
struct Leaving<'a> {
    shared: &'a Shared,
    namespace: Arc<Namespace>,
    open: Option<Arc<Open>>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            self.namespace.stay(open);
            self.shared.namespaces.write().insert(self.namespace.tenant, self.namespace.clone());
        }
    }
}

pub(super) async fn run(shared: &Arc<Shared>, tenant: TenantId) -> Result<(), Error> {
    if !shared.aside.lock().insert(tenant) {
        return Err(busy());
    }
    let _aside = Aside { shared, tenant };
    namespace(shared, tenant).await
}

/// Closes and removes a file that is set aside.
pub(super) async fn namespace(shared: &Arc<Shared>, tenant: TenantId) -> Result<(), Error> {
    let namespace = shared.namespaces.write().remove(&tenant);
    if let Some((namespace, open)) = namespace.and_then(|namespace| namespace.leave().map(|open| (namespace, open))) {
        closed(Leaving { shared, namespace, open: Some(open) }).await?;
    }
    let path = shared.path(tenant);
    shared.surroundings.generations.forget(tenant);
    blocking(move || {
        // What is out of reach is not removed.
        super::has_file(&path).map_err(system)?;
        // SQLite's own files first: without the file itself they mean nothing.
        for ending in ["-wal", "-shm", ""] {
            let mut name = path.clone().into_os_string();
            name.push(ending);
            remove(&PathBuf::from(name))?;
        }
        durable::sync_name(&path).map_err(system)
    })
    .await
}

/// Closes the file once nobody has it. A connection that is closed later would remove the log of whatever is at its path by then.
async fn closed(mut leaving: Leaving<'_>) -> Result<(), Error> {
    let clock = &leaving.shared.surroundings.clock;
    let deadline = clock.monotonic() + PATIENCE;
    while let Some(open) = leaving.open.take() {
        match Arc::try_unwrap(open) {
            Ok(last) => {
                return blocking(move || {
                    drop(last);
                    Ok(())
                })
                .await;
            }
            Err(used) => leaving.open = Some(used),
        }
        if clock.monotonic() > deadline {
            return Err(busy());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Copies the log of control into its file and begins it anew: what was deleted is overwritten in the file already.
pub(super) fn empty_log(shared: &Arc<Shared>) -> Result<(), Error> {
    let namespace = shared.namespace(TenantId::OPERATOR)?;
    let truncated =
        shared.open(&namespace).and_then(|open| Ok(open.writer()?.wal_checkpoint_v2(Some("main"), CheckpointMode::TRUNCATE)?));
    truncated.map(|_| ()).map_err(|failure: Failure| failure.into_error(&shared.dir))
}

fn busy() -> Error {
    let detail = "Somebody reads this tenant for long, or it is being loaded: try again when that has ended.";
    Error::new(ErrorKind::Conflict, "tenant_busy", detail)
}
