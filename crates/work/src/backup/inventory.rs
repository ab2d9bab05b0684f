//! What is in the place: every backup as its manifest tells of it, whether it holds or not.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use steward_base::{RecordId, Result, TenantId, Timestamp};
use steward_fabric::blob::{Blob, Key, Meta};
use tokio::sync::MutexGuard;

use super::{MANIFESTS, Manifest, NEEDED, PREFIX, all, read};

/// A backup that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: RecordId,
    pub(super) told: Told,
}

/// What its manifest tells.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Whole(Summary),
    /// It cannot be read: the code of the error.
    Spoilt(String),
}

/// A backup in a few numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) began_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) tenants: usize,
    pub(super) bytes: u64,
    /// Whether it is of the whole installation.
    pub(super) everything: bool,
}

impl Summary {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            began_at: manifest.began_at,
            ended_at: manifest.ended_at,
            tenants: manifest.tenants.len(),
            bytes: manifest.length(),
            everything: manifest.tenant(TenantId::OPERATOR).is_some(),
        }
    }
}

/// When a manifest was written, and its bytes: as long as they are the same, so is what it tells.
type Stamp = (Timestamp, u64);

/// What manifests told. They are long, and are written once.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    told: Mutex<HashMap<RecordId, (Stamp, Told)>>,
    /// Whoever holds this may have one in memory.
    reading: tokio::sync::Mutex<()>,
}

impl Inventory {
    /// The manifests that are there, latest first. What others put there is none of ours.
    pub(super) async fn manifests(&self, blob: &Blob) -> Result<Vec<(RecordId, Meta)>> {
        let ours = |meta: Meta| RecordId::parse(PREFIX, meta.key.name()).map(|id| (id, meta));
        let mut manifests: Vec<(RecordId, Meta)> = all(blob, MANIFESTS).await?.into_iter().filter_map(ours).collect();
        manifests.reverse();
        let there: HashSet<RecordId> = manifests.iter().map(|(id, _)| *id).collect();
        self.told.lock().retain(|id, _| there.contains(id));
        Ok(manifests)
    }

    /// What one of them tells; `None` when it was removed meanwhile.
    pub(super) async fn look(&self, blob: &Blob, (id, meta): &(RecordId, Meta)) -> Result<Option<Found>> {
        let stamp = (meta.modified, meta.length);
        if let Some(told) = self.known(*id, stamp) {
            return Ok(Some(Found { id: *id, told }));
        }
        let _alone = self.alone().await;
        // Whoever had it before may have looked at the same one.
        let told = match self.known(*id, stamp) {
            Some(told) => told,
            None => match read(blob, Some(meta.key.name())).await {
                Ok(manifest) => Told::Whole(Summary::of(&manifest)),
                Err(error) if error.code() == "backup_missing" => return Ok(None),
                Err(error) if is_spoilt(error.code()) => Told::Spoilt(error.code().to_owned()),
                Err(error) => return Err(error),
            },
        };
        self.told.lock().insert(*id, (stamp, told.clone()));
        Ok(Some(Found { id: *id, told }))
    }

    fn known(&self, id: RecordId, stamp: Stamp) -> Option<Told> {
        self.told.lock().get(&id).filter(|(of, _)| *of == stamp).map(|(_, told)| told.clone())
    }

    /// For as long as this is held, nobody else who looks has a manifest in memory: one of many tenants is long. Whoever has it must not look.
    pub(super) async fn alone(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().await
    }
}

/// Whether this says that a backup is no good, rather than that its place is not.
pub(super) fn is_spoilt(code: &str) -> bool {
    matches!(code, "backup_damaged" | "backup_missing" | "backup_newer") || code.starts_with("dump_")
}

/// How many of the objects that a backup names are not there as it names them.
pub(super) async fn missing(blob: &Blob, manifest: &Manifest) -> Result<u64> {
    let mut there: HashMap<Key, u64> = HashMap::new();
    for class in NEEDED {
        there.extend(all(blob, class).await?.into_iter().map(|meta| (meta.key, meta.length)));
    }
    let mut missing = HashSet::new();
    for copied in &manifest.tenants {
        for need in copied.needs() {
            let (key, length) = need?;
            if there.get(&key) != Some(&length) {
                missing.insert(key);
            }
        }
    }
    Ok(missing.len() as u64)
}
