//! A circuit breaker: who keeps failing is left alone for a while, then tried by one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::Clock;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// How long it stays open at first; each failed try doubles it.
const FIRST_REST: Duration = Duration::from_millis(500);
/// How long it stays open at most, and so how late a recovery is noticed.
const LONGEST_REST: Duration = Duration::from_secs(8);

/// Counts failures in a row. Closed, every call passes; open, none does; after a rest one call passes and decides.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    clock: Clock,
    state: Arc<Mutex<State>>,
    openings: Arc<AtomicU64>,
}

/// How the way to a networked part stands, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Whether calls are refused at once, but for one now and then that tries.
    pub open: bool,
    /// How often it opened since the start.
    pub openings: u64,
}

/// The call is refused for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest(pub(crate) Duration);

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
        rest: Duration,
    },
    /// One call is out to see.
    Probing,
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::new(Mutex::new(State::Closed { failures: 0 })), openings: Arc::default() }
    }

    /// Runs `call` unless the circuit is open. `failed` says which results blame the other side: a refusal of what was asked does not.
    pub(crate) async fn run<T>(&self, call: impl Future<Output = T>, failed: impl FnOnce(&T) -> bool) -> Result<T, Rest> {
        let mut pass = self.admit()?;
        let outcome = call.await;
        pass.report(failed(&outcome));
        Ok(outcome)
    }

    /// Whether calls are being refused or tried one by one.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.state.lock(), State::Closed { .. })
    }

    /// As metrics show it.
    pub(crate) fn circuit(&self) -> Circuit {
        Circuit { open: self.is_open(), openings: self.openings.load(Ordering::Relaxed) }
    }

    fn admit(&self) -> Result<Pass<'_>, Rest> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Ok(Pass { breaker: self, probe: None, reported: false }),
            State::Open { until, rest } if now >= until => {
                *state = State::Probing;
                Ok(Pass { breaker: self, probe: Some(rest), reported: false })
            }
            State::Open { until, .. } => Err(Rest(until - now)),
            State::Probing => Err(Rest(FIRST_REST)),
        }
    }

    fn open(&self, rest: Duration) -> State {
        State::Open { until: self.clock.monotonic() + rest, rest }
    }
}

/// A call under way. A probe that is dropped unfinished leaves the circuit open but due, so that the next call tries.
struct Pass<'a> {
    breaker: &'a Breaker,
    probe: Option<Duration>,
    reported: bool,
}

impl Pass<'_> {
    fn report(&mut self, failed: bool) {
        self.reported = true;
        let mut state = self.breaker.state.lock();
        match (&mut *state, self.probe) {
            (State::Probing, Some(rest)) if failed => *state = self.breaker.open((rest * 2).min(LONGEST_REST)),
            (State::Closed { failures }, None) if failed => {
                *failures += 1;
                if *failures >= FAILURES {
                    self.breaker.openings.fetch_add(1, Ordering::Relaxed);
                    *state = self.breaker.open(FIRST_REST);
                }
            }
            // A call that began before the circuit opened proves as much as a probe.
            _ if !failed => *state = State::Closed { failures: 0 },
            _ => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let (false, Some(rest)) = (self.reported, self.probe) {
            let mut state = self.breaker.state.lock();
            if matches!(*state, State::Probing) {
                *state = State::Open { until: self.breaker.clock.monotonic(), rest };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;
    use steward_base::Timestamp;

    use super::*;

    /// Runs a call that fails or does not, and says whether it passed.
    fn call(breaker: &Breaker, fails: bool) -> Result<bool, Rest> {
        breaker.run(ready(fails), |outcome| *outcome).now_or_never().expect("does not wait")
    }

    fn opened() -> (Breaker, Clock) {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let breaker = Breaker::new(clock.clone());
        for _ in 0..FAILURES {
            assert!(!breaker.is_open());
            call(&breaker, true).expect("passes");
        }
        assert_eq!(breaker.circuit(), Circuit { open: true, openings: 1 });
        (breaker, clock)
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let (breaker, _) = opened();
        assert_eq!(call(&breaker, false), Err(Rest(FIRST_REST)));
        let breaker = Breaker::new(Clock::manual(Timestamp::from_micros(0)));
        for turn in 0..100 {
            call(&breaker, turn % FAILURES != 0).expect("passes");
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn after_a_rest_one_call_decides() {
        let (breaker, clock) = opened();
        clock.advance(FIRST_REST);
        let mut probe = Box::pin(breaker.run(pending::<bool>(), |outcome| *outcome));
        assert!(probe.as_mut().now_or_never().is_none());
        assert!(call(&breaker, false).is_err(), "only one is out");
        drop(probe);
        // One that was given up decides nothing; the next one does.
        call(&breaker, true).expect("passes");
        assert_eq!(call(&breaker, false), Err(Rest(FIRST_REST * 2)));
        clock.advance(FIRST_REST * 2);
        call(&breaker, false).expect("passes");
        assert_eq!(breaker.circuit(), Circuit { open: false, openings: 1 });
    }

    #[test]
    fn the_rest_is_bounded() {
        let (breaker, clock) = opened();
        for _ in 0..20 {
            clock.advance(LONGEST_REST);
            call(&breaker, true).expect("is due");
        }
        assert_eq!(call(&breaker, false), Err(Rest(LONGEST_REST)));
    }
}
