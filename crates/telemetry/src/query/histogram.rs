//! Log rows counted by time and level.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt8Type;
use steward_base::filter::Expr;
use steward_base::{Result, Timestamp};

use super::scan::Scan;
use super::{Predicate, Steps, compile};
use crate::rows::Places;
use crate::segment::{MINUTE, Segment};
use crate::{Severity, Signal};

/// What to count.
#[derive(Clone, Debug)]
pub struct HistogramQuery {
    /// From this time on.
    pub from: Timestamp,
    /// Up to and without this time.
    pub to: Timestamp,
    /// Checked against [`super::log_registry`].
    pub filter: Option<Expr>,
    /// The width of a bucket; buckets are aligned to the epoch.
    pub step: Duration,
}

/// Rows of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramBucket {
    /// When the step begins.
    pub time: Timestamp,
    /// Rows per level, in the order of [`Severity::LEVELS`].
    pub counts: [u64; 6],
}

/// Buckets that have rows, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The buckets.
    pub buckets: Vec<HistogramBucket>,
}

type Counts = BTreeMap<i64, [u64; 6]>;

pub(super) fn run(scan: &Scan, query: &HistogramQuery) -> Result<Histogram> {
    let steps = Steps::new(query.from, query.to, query.step)?;
    let predicate = compile(Signal::Logs, query.filter.as_ref())?;
    let mut counts = Counts::new();
    let counted =
        if predicate.is_everything() && steps.step % MINUTE == 0 { count_indexed(scan, &steps, &mut counts)? } else { Vec::new() };
    count_rows(scan, &steps, &predicate, &counted, &mut counts)?;
    let buckets = counts.into_iter().map(|(time, counts)| HistogramBucket { time: Timestamp::from_micros(time), counts });
    Ok(Histogram { buckets: buckets.collect() })
}

/// Adds what the side indexes know: segments that lie in the range whole. Returns their ids.
fn count_indexed(scan: &Scan, steps: &Steps, counts: &mut Counts) -> Result<Vec<String>> {
    let mut counted = Vec::new();
    let whole = |segment: &&std::sync::Arc<Segment>| steps.contains(segment.meta.min_time) && steps.contains(segment.meta.max_time);
    for segment in scan.snapshot.segments.iter().filter(whole) {
        let index = scan.core.reader.index(segment)?;
        let Some(minutes) = &index.minutes else { continue };
        for (minute, levels) in minutes {
            let bucket = counts.entry(steps.bucket(minute * MINUTE)).or_default();
            bucket.iter_mut().zip(levels).for_each(|(sum, count)| *sum += count);
        }
        counted.push(segment.meta.id.clone());
    }
    Ok(counted)
}

fn count_rows(scan: &Scan, steps: &Steps, predicate: &Predicate, counted: &[String], counts: &mut Counts) -> Result<()> {
    let mut columns = predicate.columns();
    columns.extend(["time", "severity", "batch", "ordinal"]);
    let columns: Vec<&str> = columns.into_iter().collect();
    let (from, to) = (steps.from.max(predicate.times.0), steps.to.min(predicate.times.1.saturating_add(1)));
    for part in scan.parts(from, to)?.iter().filter(|part| part.segment().is_none_or(|id| !counted.iter().any(|done| done == id))) {
        if !scan.may_pass(part, predicate) {
            continue;
        }
        let rows = scan.read(part, &columns)?;
        let times = Places::of(&rows).time;
        let levels = rows["severity"].as_primitive::<UInt8Type>().values();
        let mut mask: Vec<bool> = times.iter().map(|time| steps.contains(*time)).collect();
        predicate.narrow(&rows, &mut mask);
        let mut current = (i64::MIN, [0u64; 6]);
        for row in (0..mask.len()).filter(|row| mask[*row]) {
            let bucket = steps.bucket(times[row]);
            if bucket != current.0 {
                add(counts, current);
                current = (bucket, [0; 6]);
            }
            current.1[Severity::from_number(i32::from(levels[row])).level()] += 1;
        }
        add(counts, current);
    }
    Ok(())
}

fn add(counts: &mut Counts, (bucket, levels): (i64, [u64; 6])) {
    if levels.iter().any(|count| *count > 0) {
        counts.entry(bucket).or_default().iter_mut().zip(levels).for_each(|(sum, count)| *sum += count);
    }
}
