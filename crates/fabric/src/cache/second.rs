//! The second level: what processes share in the key-value store.
//!
//! Two things keep an old value from coming back after an invalidation. One entry: its place is taken by a mark, and a load writes only over what
//! it found when it began. A tenant: every entry carries the tenant's stamp of when the load began, and an invalidation changes the stamp.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use steward_base::{Clock, Error, Random, TenantId};

use super::MAX_SHARED_TTL;
use super::entry::NameRef;
use crate::Class;
use crate::kv::{Key, Kv, When};

const ENTRIES: Class = Class::new("cache");
const STAMPS: Class = Class::new("cache-stamp");
/// A load that took longer keeps its value to itself: the mark of an invalidation may have ended meanwhile.
const LONGEST_LOAD: Duration = Duration::from_secs(60);
const MARKED_FOR: Duration = Duration::from_secs(120);
/// The first byte of what is stored.
const MARK: u8 = 0;
const ENTRY: u8 = 1;
/// Of an entry: the byte above, stamp, time of loading, version.
const HEADER: usize = 1 + STAMP + 8 + 8;
const STAMP: usize = 16;
/// Longer keys stay in this process.
const MAX_KEY: usize = 400;

/// How values become bytes that another process, perhaps of another version, reads.
#[derive(Debug)]
pub struct Codec<V> {
    /// The bytes of a value.
    pub encode: fn(&V) -> Vec<u8>,
    /// The value of bytes; `None` when they are not understood, and then it is loaded.
    pub decode: fn(&[u8]) -> Option<V>,
}

impl<V> Clone for Codec<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Codec<V> {}

#[derive(Debug)]
pub(super) struct Second {
    kv: Kv,
    clock: Clock,
    random: Random,
    /// An invalidation did not get through: until then, by the monotonic clock, anything there may be untrue.
    distrusted: Mutex<Duration>,
}

/// What is on the second level under a name.
pub(super) enum Found {
    Value {
        /// As encoded.
        value: Bytes,
        version: i64,
        /// How long ago it was loaded.
        age: Duration,
    },
    /// Nothing of use; a load that begins now may write.
    Gap(Gap),
    /// It cannot be asked.
    Away,
}

/// The right to write a value where nothing of use was found.
pub(super) struct Gap {
    key: Key,
    found: Option<Bytes>,
    stamp: [u8; STAMP],
    began: Duration,
}

impl Second {
    pub(super) fn new(kv: Kv, clock: Clock, random: Random) -> Self {
        Self { kv, clock, random, distrusted: Mutex::default() }
    }

    pub(super) async fn find(&self, name: &NameRef<'_>) -> Found {
        let (Some(key), Some(stamp)) = (entry_key(name), stamp_key(name.tenant)) else { return Found::Away };
        let began = self.clock.monotonic();
        if began < *self.distrusted.lock() {
            return Found::Away;
        }
        let (found, stamp) = match tokio::join!(self.kv.get(&key), self.kv.get(&stamp)) {
            (Ok(found), Ok(stamp)) => (found, stamp),
            (Err(error), _) | (_, Err(error)) => {
                told(&error);
                return Found::Away;
            }
        };
        let stamp = stamp.and_then(|stamp| stamp[..].try_into().ok()).unwrap_or_default();
        match found.as_ref().and_then(|found| self.read(found, stamp)) {
            Some(value) => value,
            None => Found::Gap(Gap { key, found, stamp, began }),
        }
    }

    /// Shares a value, unless something was invalidated since the gap was found.
    pub(super) async fn fill(&self, gap: Gap, value: &[u8], version: i64, ttl: Duration) {
        if self.clock.monotonic() > gap.began + LONGEST_LOAD {
            return;
        }
        let mut bytes = Vec::with_capacity(HEADER + value.len());
        bytes.push(ENTRY);
        bytes.extend_from_slice(&gap.stamp);
        bytes.extend_from_slice(&self.clock.now().micros().to_be_bytes());
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(value);
        let when = gap.found.as_deref().map_or(When::Absent, When::Equals);
        if let Err(error) = self.kv.set(&gap.key, bytes.into(), when, ttl).await {
            told(&error);
        }
    }

    pub(super) async fn invalidate(&self, name: &NameRef<'_>) {
        let Some(key) = entry_key(name) else { return };
        let mut mark = vec![MARK];
        mark.extend_from_slice(&self.random.bytes::<STAMP>());
        self.written(self.kv.set(&key, mark.into(), When::Always, MARKED_FOR).await);
    }

    pub(super) async fn invalidate_tenant(&self, tenant: TenantId) {
        let Some(key) = stamp_key(tenant) else { return };
        let stamp = Bytes::copy_from_slice(&self.random.bytes::<STAMP>());
        // It outlives every entry that carries the one before.
        let ttl = MAX_SHARED_TTL + LONGEST_LOAD * 2;
        self.written(self.kv.set(&key, stamp, When::Always, ttl).await);
    }

    fn written(&self, outcome: Result<bool, Error>) {
        if let Err(error) = outcome {
            told(&error);
            *self.distrusted.lock() = self.clock.monotonic() + MAX_SHARED_TTL;
        }
    }

    fn read(&self, found: &Bytes, stamp: [u8; STAMP]) -> Option<Found> {
        let (header, _) = found.split_at_checked(HEADER)?;
        let (kind, header) = header.split_first()?;
        let (stamped, header) = header.split_at_checked(STAMP)?;
        let (loaded, version) = header.split_at_checked(8)?;
        if *kind != ENTRY || stamped != stamp {
            return None;
        }
        let age = self.clock.now().micros().saturating_sub(i64::from_be_bytes(loaded.try_into().ok()?));
        let version = i64::from_be_bytes(version.try_into().ok()?);
        Some(Found::Value { value: found.slice(HEADER..), version, age: Duration::from_micros(age.max(0) as u64) })
    }
}

/// The class has no slash, so no two names meet.
fn entry_key(name: &NameRef<'_>) -> Option<Key> {
    if name.key.len() > MAX_KEY {
        return None;
    }
    Key::new(name.tenant, ENTRIES, format!("{}/{}", name.class, name.key)).ok()
}

fn stamp_key(tenant: TenantId) -> Option<Key> {
    Key::new(tenant, STAMPS, "stamp").ok()
}

/// Without the second level things are loaded more often, no more.
fn told(error: &Error) {
    tracing::debug!(%error, causes = error.causes(), "the second level of the cache is away");
}
