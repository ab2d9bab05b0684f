//! Whether this process hears of what others change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use steward_base::Clock;

/// How long after its last sign of life the event feed counts as fresh.
pub const FRESH_FOR: Duration = Duration::from_secs(2);

/// Whether what is cached may be trusted: always in the only process, else while the event feed is fresh.
#[derive(Clone, Debug)]
pub struct Freshness(Option<Feed>);

#[derive(Clone, Debug)]
struct Feed {
    clock: Clock,
    /// Microseconds of the monotonic clock, plus one; zero before the first sign.
    seen: Arc<AtomicU64>,
}

impl Freshness {
    /// For the only process that writes: its own commits invalidate.
    pub fn only_process() -> Self {
        Self(None)
    }

    /// For one process of several: stale until the first [`Freshness::seen`].
    pub fn of_feed(clock: Clock) -> Self {
        Self(Some(Feed { clock, seen: Arc::default() }))
    }

    /// The feed was read to its end, and all that it told was invalidated: the caller says so at each event and each heartbeat.
    pub fn seen(&self) {
        if let Some(feed) = &self.0 {
            feed.seen.store(feed.clock.monotonic().as_micros() as u64 + 1, Ordering::Release);
        }
    }

    /// Whether what is cached may be trusted.
    pub fn is_fresh(&self) -> bool {
        let Some(feed) = &self.0 else { return true };
        match feed.seen.load(Ordering::Acquire) {
            0 => false,
            seen => feed.clock.monotonic() < Duration::from_micros(seen - 1) + FRESH_FOR,
        }
    }
}
