//! Native scans over the memtable and the segments.
//!
//! A scan prunes segments by the manifest, row groups by the side index and by what texts they cannot hold, reads only the columns the filter needs, and fetches whole rows for
//! what it answers with. The meaning of a filter is that of `base::filter`, whatever way it is evaluated here.

mod fields;
mod find;
mod histogram;
mod logs;
mod names;
mod predicate;
mod prune;
mod scan;
mod series;

use std::time::Duration;

use steward_base::filter::Expr;
use steward_base::{Error, Result, TenantId, Timestamp};

pub use fields::{log_registry, metric_registry};
pub use histogram::{Histogram, HistogramBucket, HistogramQuery};
pub use logs::{LogCursor, LogPage, LogQuery, LogRow, Order};
pub use names::{MetricName, NamesQuery};
pub use series::{Aggregate, Series, SeriesQuery, SeriesSet};

pub(crate) use logs::row_of;
pub(crate) use predicate::Predicate;

use crate::engine::blocking;
use crate::{Key, Signal, Telemetry};

/// Buckets one answer may have.
const MAX_BUCKETS: i64 = 11_000;

impl Telemetry {
    /// Log rows by time range and filter, newest or oldest first.
    pub async fn logs(&self, tenant: TenantId, query: LogQuery) -> Result<LogPage> {
        let scan = self.scan(Key { tenant, signal: Signal::Logs });
        blocking(move || logs::run(&scan, &query)).await
    }

    /// Log rows counted per step and level.
    pub async fn histogram(&self, tenant: TenantId, query: HistogramQuery) -> Result<Histogram> {
        let scan = self.scan(Key { tenant, signal: Signal::Logs });
        blocking(move || histogram::run(&scan, &query)).await
    }

    /// The metrics that have points, by name.
    pub async fn metric_names(&self, tenant: TenantId, query: NamesQuery) -> Result<Vec<MetricName>> {
        let scan = self.scan(Key { tenant, signal: Signal::Metrics });
        blocking(move || names::run(&scan, &query)).await
    }

    /// One metric over time.
    pub async fn series(&self, tenant: TenantId, query: SeriesQuery) -> Result<SeriesSet> {
        let scan = self.scan(Key { tenant, signal: Signal::Metrics });
        blocking(move || series::run(&scan, &query)).await
    }

    fn scan(&self, key: Key) -> scan::Scan {
        scan::Scan { snapshot: self.core.tables.snapshot(key), core: std::sync::Arc::clone(&self.core) }
    }
}

/// Time in equal steps, aligned to the epoch so that two queries share their buckets.
#[derive(Clone, Copy, Debug)]
struct Steps {
    from: i64,
    to: i64,
    step: i64,
}

impl Steps {
    /// Fails with `invalid` when there is no step or there are too many.
    fn new(from: Timestamp, to: Timestamp, step: Duration) -> Result<Self> {
        let micros = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        if micros < 1000 {
            return Err(Error::invalid("The step is too short.").with_field(
                "/step",
                "too_short",
                "A step of at least a millisecond is expected.",
            ));
        }
        let steps = Self { from: from.micros(), to: to.micros().max(from.micros()), step: micros };
        if (steps.to - steps.from) / steps.step > MAX_BUCKETS {
            let detail = format!("At most {MAX_BUCKETS} steps fit between from and to.");
            return Err(Error::invalid("The step is too short for this time range.").with_field("/step", "too_many_steps", detail));
        }
        Ok(steps)
    }

    fn contains(&self, time: i64) -> bool {
        time >= self.from && time < self.to
    }

    /// The start of the bucket that holds `time`.
    fn bucket(&self, time: i64) -> i64 {
        time.div_euclid(self.step) * self.step
    }
}

fn compile(signal: Signal, filter: Option<&Expr>) -> Result<Predicate> {
    Predicate::compile(signal, filter)
}
