//! Copies of tenants, kept as objects in a folder or a bucket, and read back.
//!
//! A backup is a manifest and the parts that it names: per tenant a whole dump and the increments since, each compressed and with its
//! checksum, and the tenant's objects and segments of telemetry, each copied once. The manifest is written last, so that an interrupted backup is none. A tenant whose
//! events did not go on is not read again; one that did adds an increment, until there are so many that a whole dump is taken anew. Numbers and
//! jobs that changed without an event are taken with the next one. One that control knows to be calm since then is not even looked at.
//!
//! Backups are removed by their age, manifests first and then what no other one names ([`prune`]). In a bucket, whoever removes is alone.
//!
//! The command line makes them, and the installation itself ([`Backups`]): by jobs in the operator's tenant, at the place that the settings name.
//!
//! The master key is never part of it: secrets are of use only where that key is. Everything of a backup is the platform's, so that a tenant
//! which is erased from a bucket stays in the backups that are kept there, and these stay whole.

mod create;
mod inventory;
mod jobs;
mod keep;
mod leftovers;
mod lock;
mod objects;
mod operations;
mod own;
mod packed;
mod place;
mod prune;
mod restore;
mod telemetry;
mod verify;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_base::{Error, ErrorKind, Result, TenantId, Timestamp, hex};
use steward_fabric::blob::{Blob, Key, MAX_PAGE, Meta};
use steward_fabric::{Class, Scope};
use steward_store::{Position, Store};
use steward_telemetry::Telemetry;

pub use create::{Subject, create};
pub(crate) use jobs::{BackUp, VerifyBackup};
pub use keep::Keep;
pub use objects::Object;
pub(crate) use operations::operations;
pub use own::{Backup, Backups};
pub use packed::pack;
pub use place::{Place, folder};
pub use prune::{Choice, Pruned, Pruning, prune};
pub use restore::{Restored, restore_control, restore_tenant};
pub use telemetry::{Rows, Segment};
pub use verify::{Verified, verify};

/// Backups are called after the id that is made for them.
const PREFIX: &str = "bak";

/// What this version writes.
const FORMAT: u32 = 4;
/// What it reads: the forms before say nothing of objects, or of telemetry.
const READ: std::ops::RangeInclusive<u64> = 2..=FORMAT as u64;
const MANIFESTS: Class = Class::new("backups");
const PARTS: Class = Class::new("backup-parts");
/// What manifests name.
const NEEDED: [Class; 3] = [PARTS, objects::OBJECTS, telemetry::SEGMENTS];
/// A manifest of 10,000 tenants with full chains has some 100 MB.
const MAX_MANIFEST: usize = 512 << 20;

/// What a backup holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Its name: later ones sort behind.
    pub name: String,
    /// When it was begun: everything that was acknowledged before is in it.
    pub began_at: Timestamp,
    /// When it was complete.
    pub ended_at: Timestamp,
    /// Its tenants, the operator's first when it is of the whole installation.
    pub tenants: Vec<Copied>,
}

/// One tenant in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// Which.
    pub tenant: TenantId,
    /// What control knows of it.
    pub about: Value,
    /// Where it ends.
    pub head: Position,
    /// A digest of the keys in it as they are wrapped; older backups do not say.
    #[serde(default)]
    keys: Option<String>,
    /// What control had noted of it before it was looked at; as long as that stands, nothing was committed into it.
    #[serde(default)]
    calm: Option<i64>,
    /// The whole dump, then increments in their order.
    pub parts: Vec<Part>,
    /// Its objects; older backups have none.
    #[serde(default)]
    pub objects: Vec<Object>,
    /// Its logs and metrics; older backups have none.
    #[serde(default)]
    pub telemetry: Rows,
}

/// An installation: what backups are made of, and what is restored into.
#[derive(Clone, Copy)]
pub struct Installation<'a> {
    /// Its records.
    pub store: &'a Store,
    /// Its objects.
    pub objects: &'a Blob,
    /// Its logs and metrics.
    pub telemetry: &'a Telemetry,
}

/// How far it is with a backup that is made or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Progress {
    /// Tenants that are done.
    tenants: usize,
    /// Of so many.
    of: usize,
}

/// An object of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The backup that wrote it.
    pub backup: String,
    /// Bytes of the object.
    pub length: u64,
    /// Of the object, as hexadecimal digits.
    pub sha256: String,
}

impl Copied {
    /// Everything that it needs, with its length.
    fn needs(&self) -> impl Iterator<Item = Result<(Key, u64)>> {
        let with = |key: Result<Key>, length| key.map(|key| (key, length));
        let parts = self.parts.iter().map(move |part| with(part_key(self.tenant, &part.backup), part.length));
        let objects = self.objects.iter().map(move |object| with(object.key(self.tenant), object.length));
        let segments = self.telemetry.segments.iter().map(move |segment| with(segment.key(self.tenant), segment.length));
        parts.chain(objects).chain(segments)
    }

    /// Bytes of everything that it needs.
    fn length(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.length);
        let objects = self.objects.iter().map(|object| object.length);
        let segments = self.telemetry.segments.iter().map(|segment| segment.length);
        parts.chain(objects).chain(segments).sum()
    }
}

impl Manifest {
    /// The tenant in it.
    pub fn tenant(&self, tenant: TenantId) -> Option<&Copied> {
        self.tenants.iter().find(|copied| copied.tenant == tenant)
    }

    /// Bytes of everything that it names.
    pub fn length(&self) -> u64 {
        self.tenants.iter().map(Copied::length).sum()
    }
}

/// The names of the backups there are, oldest first.
pub async fn names(blob: &Blob) -> Result<Vec<String>> {
    Ok(all(blob, MANIFESTS).await?.iter().map(|object| object.key.name().to_owned()).collect())
}

/// What there is of a class, by name.
async fn all(blob: &Blob, class: Class) -> Result<Vec<Meta>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = blob.list(Scope::Platform, class, after.as_deref(), MAX_PAGE).await?;
        all.extend(page.objects);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// A backup by its name, or the latest one.
///
/// Errors: `backup_missing`, `backup_damaged`, `backup_newer`.
pub async fn read(blob: &Blob, name: Option<&str>) -> Result<Manifest> {
    let last = match name {
        Some(_) => None,
        None => names(blob).await?.pop(),
    };
    let name = name.or(last.as_deref()).ok_or_else(missing)?;
    let object = blob.get(&Key::new(Scope::Platform, MANIFESTS, name)?, None).await?.ok_or_else(missing)?;
    let bytes = object.bytes(MAX_MANIFEST).await?;
    // Checksum, new line, manifest.
    let (sum, json) = bytes.split_at_checked(65).ok_or_else(|| damaged("the manifest is cut"))?;
    if hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json).as_ref()).as_bytes() != &sum[..64] {
        return Err(damaged("the checksum of the manifest does not hold"));
    }
    let told: Value = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
    if told.get("format").and_then(Value::as_u64).is_none_or(|format| !READ.contains(&format)) {
        let detail = "This backup was written by another version of Steward: read it with that version.";
        return Err(Error::new(ErrorKind::Invalid, "backup_newer", detail));
    }
    serde_json::from_value(told).map_err(|error| damaged(error.to_string()))
}

fn part_key(tenant: TenantId, backup: &str) -> Result<Key> {
    Key::new(Scope::Platform, PARTS, &format!("{tenant}.{backup}"))
}

fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "backup_missing", "There is no such backup there: an interrupted one is none.")
}

fn gone(what: impl std::fmt::Display) -> Error {
    let detail = format!("The backup names {what}, and it is not there any more: use another one.");
    Error::new(ErrorKind::NotFound, "backup_missing", detail)
}

fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "backup_damaged", format!("This backup is damaged, use another one: {why}."))
}
