//! Reading a backup back.

use std::time::Duration;

use steward_auth::system;
use steward_base::{Result, TenantId};
use steward_fabric::blob::{Blob, Key};
use steward_store::Loading;

use super::{Copied, Installation, Manifest, damaged, missing, objects, packed, telemetry};

/// What reading a tenant back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last event.
    pub position: i64,
    /// How long it took.
    pub took: Duration,
}

/// Reads control back into an installation that has nothing yet, before any tenant. Fails with `tenant_exists` where there is something.
pub async fn restore_control(into: Installation<'_>, blob: &Blob, manifest: &Manifest) -> Result<Restored> {
    restore_tenant(into, blob, manifest, TenantId::OPERATOR).await
}

/// Reads one tenant back, where it is not. Nobody sees it before it is whole; what was read back of one that is not whole is taken away again.
///
/// Errors: `backup_missing` when it is not in the backup, `backup_damaged`, `tenant_exists`, `tenant_busy` and `dump_*`.
pub async fn restore_tenant(into: Installation<'_>, blob: &Blob, manifest: &Manifest, tenant: TenantId) -> Result<Restored> {
    let store = into.store;
    let began = store.clock().monotonic();
    let copied = manifest.tenant(tenant).ok_or_else(missing)?;
    let mut loading = store.load(tenant).await?;
    let mut fresh = Vec::new();
    let applied = match apply(into, blob, copied, (&mut loading, &mut fresh)).await {
        Ok(()) => store.publish(loading).await,
        Err(error) => {
            loading.discard().await;
            Err(error)
        }
    };
    if let Err(error) = applied {
        take_back(into, tenant, &fresh).await;
        return Err(error);
    }
    Ok(Restored { position: copied.head.position, took: store.clock().monotonic().saturating_sub(began) })
}

async fn apply(into: Installation<'_>, blob: &Blob, copied: &Copied, (loading, fresh): (&mut Loading, &mut Vec<Key>)) -> Result<()> {
    let mut end = None;
    for part in &copied.parts {
        end = Some(loading.apply(packed::unpack(blob, copied.tenant, part).await?).await?);
    }
    if end.as_ref() != Some(&copied.head) {
        return Err(damaged("the parts do not end where they should"));
    }
    // Before anybody sees the records that name them.
    objects::restore(blob, into.objects, (copied.tenant, &copied.objects), fresh).await?;
    telemetry::restore(blob, into.telemetry, copied.tenant, &copied.telemetry).await
}

/// Deletes the objects that were put for nothing, and the telemetry: a tenant that is not there has none. Why it was matters more than whether
/// that works.
async fn take_back(into: Installation<'_>, tenant: TenantId, fresh: &[Key]) {
    let done = async {
        // An answer may have been lost on its way from another process: then it is there.
        if into.store.head(&system(tenant, "restore")).await.is_ok() {
            return Ok(());
        }
        into.objects.delete_all(fresh).await?;
        into.telemetry.erase(tenant).await
    };
    if let Err(error) = done.await {
        tracing::warn!(tenant.id = %tenant, error.code = error.code(), error.causes = %error.causes(), "something of a restore that failed stays");
    }
}
