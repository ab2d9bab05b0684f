//! Failed sign-ins per address, in memory: guessing one password gets slower with each wrong one.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Error, ErrorKind, Result};

/// Wrong passwords that cost nothing.
const FREE: u32 = 5;
/// The longest wait, and how long a failure is remembered.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Addresses remembered; beyond it those whose wait is over go.
const REMEMBERED: usize = 100_000;

/// Counts failures. The account itself is never locked by them: the rightful owner waits at most 15 minutes.
pub(crate) struct Attempts {
    clock: Clock,
    failures: Mutex<HashMap<String, Failures>>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Duration,
}

impl Failures {
    fn wait(self) -> Duration {
        let doublings = self.count.saturating_sub(FREE).min(20);
        if doublings == 0 { Duration::ZERO } else { Duration::from_secs(1 << doublings).min(LONGEST) }
    }
}

impl Attempts {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, failures: Mutex::default() }
    }

    /// Fails with `too_many_attempts` while the address has to wait.
    pub(crate) fn check(&self, email: &str) -> Result<()> {
        let Some(failures) = self.failures.lock().get(email).copied() else { return Ok(()) };
        let since = self.clock.monotonic().saturating_sub(failures.last);
        let left = failures.wait().saturating_sub(since);
        if left.is_zero() {
            return Ok(());
        }
        let detail = format!("Too many wrong passwords for this address. Try again in {} s.", left.as_secs() + 1);
        Err(Error::new(ErrorKind::Limited, "too_many_attempts", detail).with_retry_after(left))
    }

    pub(crate) fn failed(&self, email: &str) {
        let now = self.clock.monotonic();
        let mut failures = self.failures.lock();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, failure| now.saturating_sub(failure.last) < failure.wait());
        }
        let entry = failures.entry(email.to_owned()).or_insert(Failures { count: 0, last: now });
        if now.saturating_sub(entry.last) > LONGEST {
            entry.count = 0;
        }
        *entry = Failures { count: entry.count + 1, last: now };
    }

    pub(crate) fn succeeded(&self, email: &str) {
        self.failures.lock().remove(email);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steward_base::Timestamp;

    #[test]
    fn the_wait_doubles_ends_and_is_forgotten_by_success() {
        let clock = Clock::manual(Timestamp::default());
        let attempts = Attempts::new(clock.clone());
        for _ in 0..FREE {
            attempts.failed("a");
            assert!(attempts.check("a").is_ok());
        }
        attempts.failed("a");
        let error = attempts.check("a").expect_err("has to wait");
        assert_eq!((error.code(), error.retry_after()), ("too_many_attempts", Some(Duration::from_secs(2))));
        assert!(attempts.check("b").is_ok(), "another address does not wait");
        clock.advance(Duration::from_secs(2));
        assert!(attempts.check("a").is_ok());
        attempts.failed("a");
        assert_eq!(attempts.check("a").expect_err("has to wait").retry_after(), Some(Duration::from_secs(4)));
        attempts.succeeded("a");
        assert!(attempts.check("a").is_ok());
    }
}
