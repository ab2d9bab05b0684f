//! Which events a request left: what it takes to undo one without looking for it.
//!
//! One row per unit of work that came with the id of a request, not one per event. A row says the hour, a short hash of the id, and from which
//! event to which. The hour comes first, so that commits write where they wrote a moment ago and what is older than a day goes as one piece.
//! Two ids may share a hash: whoever reads the events tells them apart.

use std::time::Duration;

use aws_lc_rs::digest;
use steward_base::Timestamp;

use crate::rows::EventRow;

/// How far back a request may lie.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// So many rows are removed at once: each is small and they lie side by side.
pub(crate) const SWEPT: i64 = 50_000;
const HOUR: i64 = 3_600_000_000;

/// The events of one unit, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) hour: i64,
    pub(crate) request: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Span {
    /// Nothing when the unit came with no request, or left no event.
    pub(crate) fn of(request_id: Option<&str>, now: Timestamp, events: &[EventRow]) -> Option<Self> {
        let (first, last) = (events.first()?.position, events.last()?.position);
        Some(Self { hour: hour(now), request: named(request_id?), first, last })
    }

    /// Takes in the event after it; answers whether it is one of the same request.
    pub(crate) fn grow(&mut self, next: Self) -> bool {
        let same = self.last + 1 == next.first && (self.hour, self.request) == (next.hour, next.request);
        if same {
            self.last = next.last;
        }
        same
    }
}

/// A request's id as it is kept.
pub(crate) fn named(request_id: &str) -> i64 {
    let hash = digest::digest(&digest::SHA256, request_id.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    i64::from_be_bytes(first)
}

pub(crate) fn hour(time: Timestamp) -> i64 {
    time.micros().div_euclid(HOUR)
}

/// The hours of the last day.
pub(crate) fn hours(now: Timestamp) -> Vec<i64> {
    (hour(now.minus(DAY))..=hour(now)).collect()
}
