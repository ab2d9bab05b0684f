//! Memory that nobody uses any more goes back to the system, also when nothing happens.

use std::hint::black_box;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often it is looked for.
const EACH: Duration = Duration::from_secs(2);
/// A block of its own: to let go of one makes the allocator look.
const BLOCK: usize = 4 << 20;

/// Until `stop`. The allocator keeps what was freed for a second, then gives it back as soon as somebody lets go of more: after a start or a burst
/// that may be never.
pub(crate) async fn give_back(stop: CancellationToken) {
    let mut tick = tokio::time::interval(EACH);
    loop {
        tokio::select! {
            _ = tick.tick() => drop(black_box(Vec::<u8>::with_capacity(BLOCK))),
            () = stop.cancelled() => return,
        }
    }
}
