//! Removing backups that nobody keeps, and what they alone needed.

use std::collections::{BTreeMap, HashSet};

use steward_base::{Clock, Error, ErrorKind, Random, RecordId, Result, TenantId, Timestamp};
use steward_fabric::Scope;
use steward_fabric::blob::{Blob, Key, MAX_PAGE};

use super::leftovers::take_back;
use super::lock::{Lock, Purpose};
use super::{Keep, MANIFESTS, Manifest, NEEDED, all, names, read};

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// It is only told what would be.
    Rehearsed,
    /// It is.
    Real,
}

/// What became of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// When it was begun.
    pub began_at: Timestamp,
    /// Its tenants.
    pub tenants: usize,
    /// The rules that keep it; it goes when there is none.
    pub rules: Vec<&'static str>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Every backup, oldest first.
    pub backups: Vec<Choice>,
    /// Objects that no backup needs any more.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Pruned {
    /// The names of those that no rule keeps.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.backups.iter().filter(|choice| choice.rules.is_empty()).map(|choice| choice.name.as_str())
    }
}

/// Removes the backups that no rule keeps, then whatever no backup needs. The rules hold for the backups of the whole installation, and apart from
/// those for the ones of each tenant alone.
///
/// Manifests go first: what is interrupted leaves objects that nobody needs, and the next one removes them.
///
/// Errors: `backup_keeps_nothing`, `backup_busy`; and `backup_damaged` or `backup_newer` when one cannot be read, because nobody knows what it
/// needs then: nothing is removed.
pub async fn prune(blob: &Blob, keep: &Keep, pruning: Pruning, (clock, random): (&Clock, &Random)) -> Result<Pruned> {
    keep.check()?;
    if pruning == Pruning::Rehearsed {
        let backups = choose(blob, keep).await?;
        let needless = needless(blob, &needed(blob, &backups).await?).await?;
        return Ok(told(backups, &needless));
    }
    // What it is called where others look.
    let name = RecordId::new(clock, random).wire("run");
    let lock = Lock::take(blob, clock, &name, Purpose::Pruning).await?;
    let pruned = lock.hold(Box::pin(remove(blob, keep, &lock))).await;
    lock.release().await;
    pruned
}

async fn remove(blob: &Blob, keep: &Keep, lock: &Lock) -> Result<Pruned> {
    take_back(blob, lock).await;
    let backups = choose(blob, keep).await?;
    let needed = needed(blob, &backups).await?;
    let going = backups.iter().filter(|choice| choice.rules.is_empty());
    let manifests: Vec<Key> = going.map(|choice| Key::new(Scope::Platform, MANIFESTS, &choice.name)).collect::<Result<_>>()?;
    lock.check().await?;
    // Durably, before anything that they need.
    blob.delete_all(&manifests).await?;
    let needless = needless(blob, &needed).await?;
    for some in needless.chunks(MAX_PAGE) {
        lock.check().await?;
        let keys: Vec<Key> = some.iter().map(|(key, _)| key.clone()).collect();
        blob.delete_all(&keys).await?;
    }
    Ok(told(backups, &needless))
}

/// Every backup, oldest first, with the rules that keep it.
async fn choose(blob: &Blob, keep: &Keep) -> Result<Vec<Choice>> {
    let mut backups = Vec::new();
    let mut alike: BTreeMap<Vec<TenantId>, Vec<usize>> = BTreeMap::new();
    for name in names(blob).await? {
        let manifest = read(blob, Some(&name)).await.map_err(|error| unknown(&name, error))?;
        alike.entry(of(&manifest)).or_default().push(backups.len());
        backups.push(Choice { name, began_at: manifest.began_at, tenants: manifest.tenants.len(), rules: Vec::new() });
    }
    for mut group in alike.into_values() {
        group.sort_by_key(|at| std::cmp::Reverse(backups[*at].began_at));
        let times: Vec<Timestamp> = group.iter().map(|at| backups[*at].began_at).collect();
        for (at, rules) in group.into_iter().zip(keep.rules(&times)) {
            backups[at].rules = rules;
        }
    }
    Ok(backups)
}

/// What a backup is of: nobody in particular when it is of the whole installation.
fn of(manifest: &Manifest) -> Vec<TenantId> {
    if manifest.tenant(TenantId::OPERATOR).is_some() {
        return Vec::new();
    }
    let mut tenants: Vec<TenantId> = manifest.tenants.iter().map(|copied| copied.tenant).collect();
    tenants.sort_unstable();
    tenants
}

async fn needed(blob: &Blob, backups: &[Choice]) -> Result<HashSet<Key>> {
    let mut needed = HashSet::new();
    for kept in backups.iter().filter(|choice| !choice.rules.is_empty()) {
        for copied in &read(blob, Some(&kept.name)).await?.tenants {
            for need in copied.needs() {
                needed.insert(need?.0);
            }
        }
    }
    Ok(needed)
}

/// What is there and not needed, with its length.
async fn needless(blob: &Blob, needed: &HashSet<Key>) -> Result<Vec<(Key, u64)>> {
    let mut needless = Vec::new();
    for class in NEEDED {
        let there = all(blob, class).await?;
        needless.extend(there.into_iter().filter(|meta| !needed.contains(&meta.key)).map(|meta| (meta.key, meta.length)));
    }
    Ok(needless)
}

fn told(backups: Vec<Choice>, needless: &[(Key, u64)]) -> Pruned {
    Pruned { backups, objects: needless.len() as u64, bytes: needless.iter().map(|(_, length)| length).sum() }
}

fn unknown(name: &str, error: Error) -> Error {
    if !matches!(error.code(), "backup_damaged" | "backup_newer") {
        return error;
    }
    let detail = format!(
        "{name} cannot be read, so that nobody knows what it needs, and nothing is removed: {} If you do not want it, delete \
         platform/backups/{name}.",
        error.detail()
    );
    Error::new(ErrorKind::Invalid, error.code(), detail)
}
