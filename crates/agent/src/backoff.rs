//! How long to wait before another try.

use std::time::Duration;

use steward_base::Random;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// What a server may ask for at most: a mistaken Retry-After must not silence a device for a day.
const LONGEST_ASKED: Duration = Duration::from_secs(15 * 60);

/// Exponential growth with full jitter over its upper half, so that devices that failed together do not return together.
#[derive(Debug)]
pub(crate) struct Backoff {
    random: Random,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(random: Random) -> Self {
        Self::up_to(LONGEST, random)
    }

    /// Grows on to a wait of its own.
    pub(crate) fn up_to(longest: Duration, random: Random) -> Self {
        Self { random, longest, failures: 0 }
    }

    /// The wait after one more failure; never shorter than what the server asked for.
    pub(crate) fn after_failure(&mut self, asked: Option<Duration>) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
        let wait = Duration::from_millis(millis / 2 + self.random.below(millis / 2 + 1));
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}
