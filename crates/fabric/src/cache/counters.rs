//! How well the cache does, as plain numbers for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Class;

/// What happened in a class since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Which class.
    pub class: Class,
    /// Found in this process.
    pub hits: u64,
    /// Found on the second level.
    pub second_hits: u64,
    /// Answered by a load that somebody else had begun.
    pub joined: u64,
    /// Loaded from where it comes from.
    pub loads: u64,
    /// Of these, those that failed.
    pub failures: u64,
    /// Forgotten one by one.
    pub invalidations: u64,
    /// How many bytes its entries take now.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    hits: AtomicU64,
    second_hits: AtomicU64,
    joined: AtomicU64,
    loads: AtomicU64,
    failures: AtomicU64,
    invalidations: AtomicU64,
}

impl Tally {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn second_hit(&self) {
        self.second_hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn loading(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn invalidated(&self) {
        self.invalidations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counters(&self, class: Class, bytes: u64) -> Counters {
        Counters {
            class,
            hits: self.hits.load(Ordering::Relaxed),
            second_hits: self.second_hits.load(Ordering::Relaxed),
            joined: self.joined.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            invalidations: self.invalidations.load(Ordering::Relaxed),
            bytes,
        }
    }
}
