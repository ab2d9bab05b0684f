//! The variant inside this process: bounded, and its time is the injected clock's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use steward_base::{Clock, Result};

use super::key::{Key, Space, beginning};
use super::{Lease, When, full, not_a_number};
use crate::Scope;

/// What an entry costs beside its key and value.
const OVERHEAD: usize = 160;
/// How long the epoch of a lease that ended is remembered, against a clock that is set back.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How much is kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Values and counters together; as many leases again.
    pub entries: usize,
    /// Keys and values of these, with what keeping them costs.
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 64 << 20 }
    }
}

/// Values, counters and leases in this process.
#[derive(Clone, Debug)]
pub struct Memory {
    capacity: Capacity,
    clock: Clock,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<Vec<u8>, Entry>,
    /// The keys in the order in which they end.
    ends: BTreeMap<End, Vec<u8>>,
    bytes: usize,
    serial: u64,
    leases: HashMap<Vec<u8>, Holding>,
}

/// When an entry ends, and a number that tells apart those that end together.
type End = (Duration, u64);

#[derive(Debug)]
struct Entry {
    value: Bytes,
    end: End,
}

#[derive(Debug)]
struct Holding {
    holder: String,
    epoch: i64,
    until: Duration,
}

impl Memory {
    pub(super) fn new(capacity: Capacity, clock: Clock) -> Self {
        Self { capacity, clock, held: Arc::default() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        let mut held = self.held.lock();
        held.drop_ended(self.clock.monotonic());
        held.entries.get(&key.stored(Space::Values)).map(|entry| entry.value.clone())
    }

    pub(super) fn set(&self, key: &Key, value: Bytes, when: When<'_>, ttl: Duration) -> Result<bool> {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        held.drop_ended(now);
        let key = key.stored(Space::Values);
        let present = held.entries.get(&key).map(|entry| &entry.value);
        let holds = match when {
            When::Always => true,
            When::Absent => present.is_none(),
            When::Equals(expected) => present.is_some_and(|value| value == expected),
        };
        if holds {
            held.put(self.capacity, key, value, now + ttl)?;
        }
        Ok(holds)
    }

    pub(super) fn delete(&self, key: &Key) -> bool {
        let mut held = self.held.lock();
        held.drop_ended(self.clock.monotonic());
        held.remove(&key.stored(Space::Values)).is_some()
    }

    pub(super) fn increment(&self, key: &Key, by: i64, ttl: Duration) -> Result<i64> {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        held.drop_ended(now);
        let key = key.stored(Space::Values);
        let (before, end) = match held.entries.get(&key) {
            Some(entry) => (number(&entry.value).ok_or_else(not_a_number)?, entry.end.0),
            None => (0, now + ttl),
        };
        let sum = before.checked_add(by).ok_or_else(not_a_number)?;
        held.put(self.capacity, key, sum.to_string().into(), end)?;
        Ok(sum)
    }

    pub(super) fn acquire(&self, key: &Key, holder: &str, ttl: Duration) -> Result<Option<Lease>> {
        let now = self.clock.monotonic();
        let key = key.stored(Space::Leases);
        let mut held = self.held.lock();
        let earliest = self.clock.now().micros();
        let epoch = match held.leases.get(&key) {
            Some(lease) if lease.until > now && lease.holder != holder => return Ok(None),
            Some(lease) if lease.until > now => lease.epoch,
            Some(lease) => earliest.max(lease.epoch + 1),
            None => earliest,
        };
        if !held.leases.contains_key(&key) && held.leases.len() >= self.capacity.entries {
            held.leases.retain(|_, lease| lease.until + REMEMBERED > now);
            if held.leases.len() >= self.capacity.entries {
                return Err(full());
            }
        }
        let until = now + ttl;
        held.leases.insert(key, Holding { holder: holder.to_owned(), epoch, until });
        Ok(Some(Lease { epoch, until }))
    }

    pub(super) fn release(&self, key: &Key, holder: &str, lease: Lease) -> bool {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        match held.leases.get_mut(&key.stored(Space::Leases)) {
            Some(found) if found.until > now && found.holder == holder && found.epoch == lease.epoch => {
                found.until = now;
                true
            }
            _ => false,
        }
    }

    pub(super) fn erase(&self, scope: Scope) {
        let beginning = beginning(scope).into_bytes();
        let mut held = self.held.lock();
        let keys: Vec<Vec<u8>> = held.entries.keys().filter(|key| key.starts_with(&beginning)).cloned().collect();
        for key in keys {
            held.remove(&key);
        }
        held.leases.retain(|key, _| !key.starts_with(&beginning));
    }
}

impl Held {
    fn put(&mut self, capacity: Capacity, key: Vec<u8>, value: Bytes, ends: Duration) -> Result<()> {
        let cost = cost(&key, &value);
        if cost > capacity.bytes || capacity.entries == 0 {
            return Err(full());
        }
        self.remove(&key);
        while self.entries.len() >= capacity.entries || self.bytes + cost > capacity.bytes {
            self.drop_first();
        }
        self.serial += 1;
        let end = (ends, self.serial);
        self.bytes += cost;
        self.ends.insert(end, key.clone());
        self.entries.insert(key, Entry { value, end });
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.ends.remove(&entry.end);
        self.bytes -= cost(key, &entry.value);
        Some(entry)
    }

    fn drop_ended(&mut self, now: Duration) {
        while self.ends.first_key_value().is_some_and(|((end, _), _)| *end <= now) {
            self.drop_first();
        }
    }

    /// Drops what ends soonest.
    fn drop_first(&mut self) {
        if let Some((_, key)) = self.ends.pop_first()
            && let Some(entry) = self.entries.remove(&key)
        {
            self.bytes -= cost(&key, &entry.value);
        }
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    2 * key.len() + value.len() + OVERHEAD
}

/// A counter's text as Redis reads it: no plus sign, no leading zeros.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
