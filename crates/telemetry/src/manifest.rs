//! Which segments exist, and how far each tenant's log has become segments.
//!
//! A log of deltas, one object each, created only if its number is free, with a snapshot now and then. A delta that adds a segment also says
//! through which batch its tenant and signal are published: recovery replays what comes after, so a row is in the log or in a segment,
//! never in both and never in neither.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Result, TenantId};

use crate::columns::hash64;
use crate::objects::Objects;
use crate::{Key, Signal};

const FOLDER: &str = "manifest";
const SNAPSHOT_EVERY: u64 = 64;
/// How many times smaller logs are on disk than in memory.
const USUAL_PACKING: u64 = 10;

/// What is known of a segment without opening it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// `seg_…`
    pub(crate) id: String,
    pub(crate) tenant: TenantId,
    pub(crate) signal: Signal,
    /// When it was ingested, as in `2026-11-20`; segments of different days are never joined.
    pub(crate) day: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Bytes of the rows in memory; zero in segments of versions that did not say.
    #[serde(default)]
    pub(crate) raw_bytes: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    /// Bytes of the filters beside it; zero where there are none, as in segments of versions that wrote none.
    #[serde(default)]
    pub(crate) grams: u64,
}

impl SegmentMeta {
    /// Bytes of the rows in memory, guessed high where nobody counted them.
    pub(crate) fn raw_bytes(&self) -> u64 {
        if self.raw_bytes == 0 { self.bytes * USUAL_PACKING } else { self.raw_bytes }
    }

    pub(crate) fn key(&self) -> Key {
        Key { tenant: self.tenant, signal: self.signal }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}/{}/segment-{}.parquet", self.tenant, self.signal.name(), self.day, self.id)
    }

    pub(crate) fn grams_path(&self) -> String {
        format!("{}/{}/{}/segment-{}.grams", self.tenant, self.signal.name(), self.day, self.id)
    }

    pub(crate) fn index_path(&self) -> String {
        format!("{}/{}/{}/segment-{}.index", self.tenant, self.signal.name(), self.day, self.id)
    }
}

/// `through` is the last batch of the tenant's signal that is in segments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) tenant: TenantId,
    pub(crate) signal: Signal,
    pub(crate) through: u64,
}

/// One change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delta {
    pub(crate) version: u64,
    pub(crate) added: Vec<SegmentMeta>,
    pub(crate) removed: Vec<String>,
    pub(crate) published: Vec<Published>,
    /// Every batch before this one is in segments: the log may have lost them, because their files were removed.
    pub(crate) log_floor: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Snapshot {
    version: u64,
    segments: Vec<SegmentMeta>,
    published: Vec<Published>,
    log_floor: u64,
}

/// The manifest as of its last delta.
#[derive(Debug)]
pub(crate) struct Manifest {
    objects: Objects,
    version: u64,
    snapshot: u64,
    segments: BTreeMap<String, SegmentMeta>,
    published: BTreeMap<Key, u64>,
    log_floor: u64,
    /// The deltas whose puts failed since the last that worked: nobody knows which of them, if any, is there. As hashes, because an outage may be
    /// long; they only tell our own from another process's, and whoever writes here on purpose needs no collision.
    doubtful: Vec<u64>,
    /// Whether the last commit worked.
    settled: bool,
}

impl Manifest {
    /// Reads the newest snapshot and every delta after it.
    pub(crate) fn load(objects: Objects) -> Result<Self> {
        let mut manifest = Self {
            objects,
            version: 0,
            snapshot: 0,
            segments: BTreeMap::new(),
            published: BTreeMap::new(),
            log_floor: 1,
            doubtful: Vec::new(),
            settled: true,
        };
        let paths = manifest.objects.list(Some(FOLDER))?;
        if let Some(version) = paths.iter().filter_map(|path| number(path, "snapshot")).max() {
            let Snapshot { segments, published, log_floor, .. } = manifest.parse(&path(version, "snapshot"))?;
            manifest.apply(Delta { version, added: segments, removed: Vec::new(), published, log_floor });
            manifest.snapshot = version;
        }
        let mut deltas: Vec<u64> =
            paths.iter().filter_map(|path| number(path, "delta")).filter(|version| *version > manifest.version).collect();
        deltas.sort_unstable();
        for version in deltas {
            if version != manifest.version + 1 {
                return Err(damaged(format!("delta {} is missing", manifest.version + 1)));
            }
            let delta = manifest.parse(&path(version, "delta"))?;
            manifest.apply(delta);
        }
        Ok(manifest)
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &SegmentMeta> {
        self.segments.values()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.segments.contains_key(id)
    }

    /// Whether a batch is in segments.
    pub(crate) fn has(&self, key: Key, batch: u64) -> bool {
        batch < self.log_floor || batch <= self.published.get(&key).copied().unwrap_or(0)
    }

    /// Every batch before this one is in segments.
    pub(crate) fn log_floor(&self) -> u64 {
        self.log_floor
    }

    /// The last batch of anyone that is in segments.
    pub(crate) fn highest(&self) -> u64 {
        self.published.values().copied().max().unwrap_or(0).max(self.log_floor - 1)
    }

    /// Whether the last change could be made.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Makes a change durable, then effective. Its version is filled in here.
    pub(crate) fn commit(&mut self, mut delta: Delta) -> Result<()> {
        delta.version = self.version + 1;
        self.settled = false;
        self.put(&delta)?;
        self.settled = true;
        self.apply(delta);
        if self.version - self.snapshot >= SNAPSHOT_EVERY {
            // The deltas already hold everything: a failed snapshot is tried again at the next delta.
            if let Err(error) = self.write_snapshot() {
                tracing::warn!(error = %error, "writing the telemetry manifest's snapshot failed");
            }
        }
        Ok(())
    }

    fn put(&mut self, delta: &Delta) -> Result<()> {
        let bytes = serde_json::to_vec(delta).map_err(Error::internal)?;
        let name = path(delta.version, "delta");
        let mut created = self.try_create(&name, &bytes)?;
        // One of our own earlier tries, whose put had failed only as far as we know: its rows are still in memory, so it is taken back.
        if !created && self.doubtful.contains(&hash64(0, &self.objects.read(&name)?)) {
            self.objects.delete(&name)?;
            created = self.try_create(&name, &bytes)?;
        }
        if !created {
            let detail = "Another process writes to this telemetry folder. Stop it and start again.";
            return Err(Error::new(ErrorKind::Unavailable, "telemetry_shared", detail));
        }
        self.doubtful.clear();
        Ok(())
    }

    /// Creates an object; while it is unknown whether it did, its contents are doubtful.
    fn try_create(&mut self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.objects.create(name, bytes.to_vec()).inspect_err(|_| self.doubtful.push(hash64(0, bytes)))
    }

    fn write_snapshot(&mut self) -> Result<()> {
        let published = self.published.iter().map(|(key, through)| Published { tenant: key.tenant, signal: key.signal, through: *through });
        let segments = self.segments.values().cloned().collect();
        let snapshot = Snapshot { version: self.version, segments, published: published.collect(), log_floor: self.log_floor };
        let bytes = serde_json::to_vec(&snapshot).map_err(Error::internal)?;
        self.objects.create(&path(self.version, "snapshot"), bytes)?;
        self.snapshot = self.version;
        for path in self.objects.list(Some(FOLDER))? {
            let old_delta = number(&path, "delta").is_some_and(|version| version <= self.snapshot);
            let old_snapshot = number(&path, "snapshot").is_some_and(|version| version < self.snapshot);
            if old_delta || old_snapshot {
                self.objects.delete(&path)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, delta: Delta) {
        self.version = delta.version;
        for id in &delta.removed {
            self.segments.remove(id);
        }
        self.segments.extend(delta.added.into_iter().map(|meta| (meta.id.clone(), meta)));
        for Published { tenant, signal, through } in delta.published {
            let known = self.published.entry(Key { tenant, signal }).or_default();
            *known = through.max(*known);
        }
        self.log_floor = self.log_floor.max(delta.log_floor);
        // What the floor says already need not be said per tenant; the highest stays, because batch numbers go on after it.
        let highest = self.highest();
        self.published.retain(|_, through| *through >= self.log_floor || *through == highest);
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.objects.read(path)?;
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("{path}: {error}")))
    }
}

/// The segment id in an object's path.
pub(crate) fn segment_id(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?.strip_prefix("segment-")?;
    name.split_once('.').map(|(id, _)| id.to_owned())
}

fn path(version: u64, kind: &str) -> String {
    format!("{FOLDER}/{version:020}.{kind}")
}

fn number(path: &str, kind: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()
}

fn damaged(source: String) -> Error {
    let detail = "The telemetry manifest is damaged. Restore the folder `manifest` from a backup.";
    Error::new(ErrorKind::Unavailable, "telemetry_manifest", detail).with_source(source)
}
