//! What the query operations share: filters limited to where the caller may read, and time ranges.

use std::time::Duration;

use steward_base::filter::{self, Expr, Registry};
use steward_base::{Error, Result, Timestamp};
use steward_web::Scope as Limit;

use crate::scopes::checked;

/// What a range is when neither end is named.
const USUAL: Duration = Duration::from_secs(3600);

/// The filter as text, checked, and limited to where the caller's permission holds.
pub(crate) fn wanted(text: Option<&str>, limit: Option<Limit>, registry: &Registry, now: Timestamp) -> Result<Option<Expr>> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let own = text.map(|text| filter::check(filter::parse(text)?, registry, now)).transpose()?;
    let limit = limit.map(|limit| checked(&limit, registry, now)).transpose()?;
    Ok(match (own, limit) {
        (Some(own), Some(limit)) => Some(limit.and(own)),
        (own, limit) => own.or(limit),
    })
}

/// A range with both ends: the hour up to now unless said. Fails when it ends before it begins.
pub(crate) fn range(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.minus(USUAL));
    if from > to {
        let detail = "The range ends before it begins.";
        return Err(Error::invalid(detail).with_field("/from", "after_to", "A time before `to` is expected."));
    }
    Ok((from, to))
}

/// The step asked for, or one of a usual width that cuts the range into at most `pieces`.
pub(crate) fn step(asked: Option<u32>, from: Timestamp, to: Timestamp, pieces: u64) -> Duration {
    const USUAL: [u64; 14] = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 10_800, 21_600, 86_400];
    let seconds = to.since(from).as_secs();
    let fitting =
        || USUAL.into_iter().find(|step| seconds / step <= pieces).unwrap_or_else(|| seconds.div_ceil(pieces).next_multiple_of(86_400));
    Duration::from_secs(asked.map_or_else(fitting, u64::from))
}
