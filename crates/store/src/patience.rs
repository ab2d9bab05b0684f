//! Waiting by the injected clock.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use steward_base::Clock;

/// The longest sleep: a clock that was set forward is noticed by then.
const LOOK: Duration = Duration::from_secs(1);

/// Ends when so much time has gone by. Every poll looks at the clock, so that whoever polls this first does nothing more behind that time.
pub async fn passed(clock: &Clock, duration: Duration) {
    let end = clock.monotonic().saturating_add(duration);
    loop {
        let left = end.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return;
        }
        let mut sleep = pin!(tokio::time::sleep(left.min(LOOK)));
        poll_fn(|context| if clock.monotonic() >= end { Poll::Ready(()) } else { sleep.as_mut().poll(context) }).await;
    }
}
