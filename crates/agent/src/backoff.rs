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
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, failures: 0 }
    }

    /// The wait after one more failure; never shorter than what the server asked for.
    pub(crate) fn after_failure(&mut self, asked: Option<Duration>) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
        let wait = Duration::from_millis(millis / 2 + self.random.below(millis / 2 + 1));
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}
