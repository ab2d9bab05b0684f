//! Short-lived values, counters and leases: in memory for one process, in Redis for several.
//!
//! Invariants: every entry ends by itself; nothing here is the truth, so losing all of it costs time and never data; a lease's epoch only
//! ever rises, also when the server forgot everything.
//!
//! When the memory is full, what ends soonest makes room, leases never. Give Redis `maxmemory-policy noeviction` (then writes are refused
//! with `kv_full`) or `volatile-ttl` (then it behaves as the memory does, but may drop leases too).

mod key;
mod memory;
mod redis;

use std::time::Duration;

use bytes::Bytes;
use steward_base::{Clock, Error, ErrorKind, Result};

pub use key::Key;
pub use memory::{Capacity, Memory};
pub use redis::{Redis, Server};

use crate::Scope;

/// The longest value, in bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// The longest time to live.
pub const MAX_TTL: Duration = Duration::from_secs(90 * 24 * 3600);
/// The longest name of a lease's holder, in bytes.
pub const MAX_HOLDER: usize = 200;

/// The key-value store.
///
/// Every method fails with `kv_unavailable` when Redis cannot be reached; whether a write then happened is unknown.
#[derive(Clone, Debug)]
pub enum Kv {
    /// Inside this process.
    Memory(Memory),
    /// In a Redis or Valkey server, 7 or newer.
    Redis(Redis),
}

/// When a value may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When<'a> {
    /// Whatever is there.
    Always,
    /// Nothing is there.
    Absent,
    /// Exactly this is there.
    Equals(&'a [u8]),
}

/// A lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token: higher than that of any earlier holder. Whoever is written to refuses a lower one than it has seen.
    pub epoch: i64,
    /// When it ends by this process's [`Clock::monotonic`], counted from before it was asked for: stop by then.
    pub until: Duration,
}

impl Kv {
    /// One inside this process.
    pub fn memory(capacity: Capacity, clock: Clock) -> Self {
        Self::Memory(Memory::new(capacity, clock))
    }

    /// One in a Redis server. Connects at the first call, so a server that is down delays no start. Fails with `kv_url`.
    pub fn redis(server: &Server, clock: Clock) -> Result<Self> {
        Redis::new(server, clock).map(Self::Redis)
    }

    /// The value under `key`; a counter's is its decimal text.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self {
            Self::Memory(memory) => Ok(memory.get(key)),
            Self::Redis(redis) => redis.get(key).await,
        }
    }

    /// Sets a value for `ttl`, and says whether `when` held.
    pub async fn set(&self, key: &Key, value: Bytes, when: When<'_>, ttl: Duration) -> Result<bool> {
        if value.len() > MAX_VALUE {
            let detail = format!("A value of {} bytes is too long: {MAX_VALUE} fit.", value.len());
            return Err(Error::new(ErrorKind::TooLarge, "kv_value_too_large", detail));
        }
        check(ttl)?;
        match self {
            Self::Memory(memory) => memory.set(key, value, when, ttl),
            Self::Redis(redis) => redis.set(key, &value, when, ttl).await,
        }
    }

    /// Deletes a value or a counter, and says whether there was one.
    pub async fn delete(&self, key: &Key) -> Result<bool> {
        match self {
            Self::Memory(memory) => Ok(memory.delete(key)),
            Self::Redis(redis) => redis.delete(key).await,
        }
    }

    /// Adds to a counter, which starts at zero and ends `ttl` after it started, and returns the sum.
    ///
    /// Fails with `kv_not_a_number` when another value is there or the sum does not fit.
    pub async fn increment(&self, key: &Key, by: i64, ttl: Duration) -> Result<i64> {
        check(ttl)?;
        match self {
            Self::Memory(memory) => memory.increment(key, by, ttl),
            Self::Redis(redis) => redis.increment(key, by, ttl).await,
        }
    }

    /// Takes a lease, or prolongs it when `holder` has it already; `None` while somebody else has it.
    ///
    /// Leases have names of their own: a value under the same key is another thing.
    pub async fn acquire(&self, key: &Key, holder: &str, ttl: Duration) -> Result<Option<Lease>> {
        check(ttl)?;
        if holder.is_empty() || holder.len() > MAX_HOLDER {
            return Err(Error::new(ErrorKind::Invalid, "kv_holder", format!("A holder has a name of 1 to {MAX_HOLDER} bytes.")));
        }
        match self {
            Self::Memory(memory) => memory.acquire(key, holder, ttl),
            Self::Redis(redis) => redis.acquire(key, holder, ttl).await,
        }
    }

    /// Gives a lease back, and says whether `holder` still had it.
    pub async fn release(&self, key: &Key, holder: &str, lease: Lease) -> Result<bool> {
        match self {
            Self::Memory(memory) => Ok(memory.release(key, holder, lease)),
            Self::Redis(redis) => redis.release(key, holder, lease).await,
        }
    }

    /// Deletes everything of a scope, leases too; what is written meanwhile may stay.
    pub async fn erase(&self, scope: Scope) -> Result<()> {
        match self {
            Self::Memory(memory) => {
                memory.erase(scope);
                Ok(())
            }
            Self::Redis(redis) => redis.erase(scope).await,
        }
    }

    /// Fails while it cannot be used.
    pub async fn health(&self) -> Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(redis) => redis.health().await,
        }
    }
}

fn check(ttl: Duration) -> Result<()> {
    if ttl < Duration::from_millis(1) || ttl > MAX_TTL {
        let detail = "A time to live is between a millisecond and ninety days.";
        return Err(Error::new(ErrorKind::Invalid, "kv_ttl", detail));
    }
    Ok(())
}

fn not_a_number() -> Error {
    Error::new(ErrorKind::Invalid, "kv_not_a_number", "What is stored there is no counter, or the sum does not fit in 64 bits.")
}

fn full() -> Error {
    let detail = "The key-value store is full: give it more memory, or wait until entries end.";
    Error::new(ErrorKind::Unavailable, "kv_full", detail).with_retry_after(Duration::from_secs(5))
}
