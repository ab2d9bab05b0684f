//! Making a backup while everything is served.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use steward_auth::system;
use steward_base::{Error, ErrorKind, Result, TenantId, Timestamp, hex};
use steward_fabric::Scope;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_store::Store;
use tokio::sync::watch;

use super::leftovers::take_back;
use super::lock::{Lock, Purpose};
use super::{Copied, FORMAT, Installation, MANIFESTS, Manifest, PREFIX, Part, Progress, names, objects, packed, part_key, read, telemetry};

/// So many parts are read for one tenant when it is restored; then it is taken anew.
const MOST_PARTS: usize = 24;

/// So many backups are looked at for what is known of a tenant: some may be of one tenant only.
const LOOKED_AT: usize = 4;

/// A tenant to be copied.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which.
    pub tenant: TenantId,
    /// What control knows of it, for restoring it elsewhere.
    pub about: Value,
}

/// Copies tenants. What the latest backups have of them is built upon.
///
/// A tenant that is erased meanwhile is left out. Fails with `backup_busy` while backups are removed there.
pub async fn create(from: Installation<'_>, blob: &Blob, subjects: Vec<Subject>) -> Result<Manifest> {
    create_telling(from, blob, subjects, &watch::Sender::default()).await
}

/// The same for whoever wants to be told how far it is.
pub(super) async fn create_telling(
    from: Installation<'_>,
    blob: &Blob,
    subjects: Vec<Subject>,
    told: &watch::Sender<Progress>,
) -> Result<Manifest> {
    let name = from.store.mint_id().wire(PREFIX);
    let lock = Lock::take(blob, from.store.clock(), &name, Purpose::Making).await?;
    let made = lock.hold(Box::pin(make(from, blob, (name, subjects), &lock, told))).await;
    lock.release().await;
    made
}

async fn make(
    from: Installation<'_>,
    blob: &Blob,
    (name, subjects): (String, Vec<Subject>),
    lock: &Lock,
    told: &watch::Sender<Progress>,
) -> Result<Manifest> {
    take_back(blob, lock).await;
    let known = known(blob).await?;
    let began_at = from.store.clock().now();
    // What was acknowledged until now is in segments then.
    from.telemetry.flush().await?;
    let calm = calm(from.store, &subjects, began_at).await?;
    let of = subjects.len();
    let mut tenants = Vec::with_capacity(of);
    for (at, subject) in subjects.into_iter().enumerate() {
        told.send_replace(Progress { tenants: at, of });
        let (tenant, known) = (subject.tenant, known.get(&subject.tenant));
        let since = Since { known, calm: calm.get(&tenant).copied() };
        match copy(from, blob, &name, &subject, since).await {
            Ok(copied) => tenants.push(copied),
            Err(error) if error.kind() == ErrorKind::NotFound && tenant != TenantId::OPERATOR => {
                tracing::warn!(tenant.id = %tenant, "a tenant is gone and left out of the backup");
            }
            Err(error) => return Err(error),
        }
    }
    let manifest = Manifest { format: FORMAT, name, began_at, ended_at: from.store.clock().now(), tenants };
    let json = serde_json::to_vec(&manifest).map_err(Error::internal)?;
    let sum = hex(digest(&SHA256, &json).as_ref());
    let key = Key::new(Scope::Platform, MANIFESTS, &manifest.name)?;
    lock.check().await?;
    blob.put(&key, whole([sum.as_bytes(), b"\n", &json].concat()), Expect::default()).await?;
    Ok(manifest)
}

/// What the latest backups have of each tenant. One that cannot be read is not built upon.
async fn known(blob: &Blob) -> Result<HashMap<TenantId, Copied>> {
    let mut known = HashMap::new();
    for name in names(blob).await?.iter().rev().take(LOOKED_AT) {
        match read(blob, Some(name)).await {
            Ok(manifest) => {
                for copied in manifest.tenants {
                    known.entry(copied.tenant).or_insert(copied);
                }
            }
            Err(error) if matches!(error.code(), "backup_damaged" | "backup_newer" | "backup_missing") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

/// What is known of a tenant.
struct Since<'a> {
    /// By the latest backups.
    known: Option<&'a Copied>,
    /// By control.
    calm: Option<i64>,
}

/// The tenants that are calm, before anything of them is read; those that are not known as such yet are from now on.
async fn calm(store: &Store, subjects: &[Subject], now: Timestamp) -> Result<HashMap<TenantId, i64>> {
    let known = store.calm().await?;
    let others: Vec<TenantId> = subjects.iter().map(|subject| subject.tenant).filter(|tenant| !known.contains_key(tenant)).collect();
    store.note_calm(&others, now.micros()).await?;
    store.calm().await
}

async fn copy(from: Installation<'_>, blob: &Blob, name: &str, subject: &Subject, Since { known, calm }: Since<'_>) -> Result<Copied> {
    let (store, tenant, about) = (from.store, subject.tenant, subject.about.clone());
    // An object is named by a commit too; telemetry comes without any.
    if let Some(known) = known.filter(|known| calm.is_some() && known.calm == calm) {
        let telemetry = telemetry::copy(from.telemetry, blob, tenant, Some(&known.telemetry)).await?;
        return Ok(Copied { about, telemetry, ..known.clone() });
    }
    // Before the records that name them, and again behind those: an object is put before anybody names it, and deleted after.
    let objects = objects::copy(from.objects, blob, tenant, known.map_or(&[][..], |known| &known.objects)).await?;
    let ctx = system(tenant, "backup");
    let now = store.chain_head(&ctx).await?;
    let telemetry = telemetry::copy(from.telemetry, blob, tenant, known.map(|known| &known.telemetry)).await?;
    // Before anything is read: keys that are wrapped anew meanwhile make the next backup look again.
    let keys = Some(store.wrapped_keys(&ctx).await?);
    if let Some(known) = known.filter(|known| known.head == now && known.keys == keys) {
        return Ok(Copied { about, calm, objects, telemetry, ..known.clone() });
    }
    let mut parts = Vec::new();
    let mut after = None;
    // One that was erased and came anew, or restored from an older copy, does not go on from there.
    if let Some(known) = known.filter(|known| known.parts.len() < MOST_PARTS)
        && store.hash_at(&ctx, known.head.position).await?.as_deref() == Some(&known.head.hash)
    {
        parts.clone_from(&known.parts);
        after = Some(known.head.position);
    }
    let (part, head) = write(store, blob, name, tenant, after).await?;
    parts.push(part);
    let objects = objects::copy_more(from.objects, blob, tenant, objects).await?;
    Ok(Copied { tenant, about, head, keys, calm, parts, objects, telemetry })
}

async fn write(store: &Store, blob: &Blob, name: &str, tenant: TenantId, after: Option<i64>) -> Result<(Part, steward_store::Position)> {
    let dump = store.dump(tenant, after).await?;
    let end = dump.end();
    let stored = blob.put(&part_key(tenant, name)?, packed::pack(dump)?, Expect::default()).await?;
    let head = end.get().cloned().ok_or_else(|| Error::internal("a dump ended without saying where"))?;
    Ok((Part { backup: name.to_owned(), length: stored.length, sha256: hex(&stored.sha256) }, head))
}
