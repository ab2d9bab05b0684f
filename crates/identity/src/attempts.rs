//! Failed sign-ins per address, in memory: guessing one password gets slower with each wrong one.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Error, ErrorKind, Result};

/// Wrong passwords from one place that cost nothing.
const FREE: u32 = 5;
/// Wrong passwords from all places together that cost nothing: a guesser with many addresses is slowed as well, and one stranger cannot
/// keep the rightful owner out.
const FREE_EVERYWHERE: u32 = 100;
/// The longest wait, and how long a failure is remembered.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Entries remembered; beyond it those whose wait is over go.
const REMEMBERED: usize = 200_000;

/// Counts failures per address and place, and per address.
pub(crate) struct Attempts {
    clock: Clock,
    failures: Mutex<HashMap<Key, Failures>>,
}

/// E-mail address, and the client's address or `None` for all of them together.
type Key = (String, Option<String>);

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Duration,
}

impl Failures {
    fn wait(self, free: u32) -> Duration {
        let doublings = self.count.saturating_sub(free).min(20);
        if doublings == 0 { Duration::ZERO } else { Duration::from_secs(1 << doublings).min(LONGEST) }
    }
}

impl Attempts {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, failures: Mutex::default() }
    }

    /// Counts an attempt as failed until [`Attempts::succeeded`] says otherwise; fails with `too_many_attempts` while one has to wait.
    pub(crate) fn begin(&self, email: &str, ip: Option<&str>) -> Result<()> {
        let now = self.clock.monotonic();
        let mut failures = self.failures.lock();
        let keys = keys(email, ip);
        for (key, free) in &keys {
            let Some(known) = failures.get(key) else { continue };
            let left = known.wait(*free).saturating_sub(now.saturating_sub(known.last));
            if !left.is_zero() {
                let detail = format!("Too many wrong passwords for this address. Try again in {} s.", left.as_secs() + 1);
                return Err(Error::new(ErrorKind::Limited, "too_many_attempts", detail).with_retry_after(left));
            }
        }
        if failures.len() >= REMEMBERED {
            failures.retain(|_, known| now.saturating_sub(known.last) < LONGEST);
        }
        for (key, _) in keys {
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if now.saturating_sub(entry.last) > LONGEST {
                entry.count = 0;
            }
            *entry = Failures { count: entry.count + 1, last: now };
        }
        Ok(())
    }

    /// The attempt that was begun was no guess.
    pub(crate) fn succeeded(&self, email: &str, ip: Option<&str>) {
        let mut failures = self.failures.lock();
        for (key, _) in keys(email, ip) {
            failures.remove(&key);
        }
    }
}

fn keys(email: &str, ip: Option<&str>) -> [(Key, u32); 2] {
    let place = ip.unwrap_or("unknown").to_owned();
    [((email.to_owned(), Some(place)), FREE), ((email.to_owned(), None), FREE_EVERYWHERE)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use steward_base::Timestamp;

    #[test]
    fn the_wait_doubles_ends_and_is_forgotten_by_success() {
        let clock = Clock::manual(Timestamp::default());
        let attempts = Attempts::new(clock.clone());
        let begin = || attempts.begin("a", Some("192.0.2.1"));
        for _ in 0..=FREE {
            begin().expect("costs nothing yet");
        }
        let error = begin().expect_err("has to wait");
        assert_eq!((error.code(), error.retry_after()), ("too_many_attempts", Some(Duration::from_secs(2))));
        attempts.begin("b", Some("192.0.2.1")).expect("another address does not wait");
        attempts.begin("a", Some("192.0.2.2")).expect("the owner at another place does not wait");
        clock.advance(Duration::from_secs(2));
        begin().expect("the wait is over");
        assert_eq!(begin().expect_err("has to wait").retry_after(), Some(Duration::from_secs(4)));
        attempts.succeeded("a", Some("192.0.2.1"));
        begin().expect("success clears the record");
    }

    #[test]
    fn a_guesser_with_many_places_is_slowed_too() {
        let attempts = Attempts::new(Clock::manual(Timestamp::default()));
        let refused = (0..200).filter(|place| attempts.begin("a", Some(&place.to_string())).is_err()).count();
        assert_eq!(refused, 200 - (FREE_EVERYWHERE as usize + 1));
    }
}
