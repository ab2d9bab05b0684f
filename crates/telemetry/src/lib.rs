//! The telemetry engine: append-only logs and metrics of many tenants.
//!
//! A batch travels: column builder → write-ahead log, one fdatasync for everyone waiting → memtable and live tail → acknowledged → Parquet
//! segment, published by the manifest → joined with other small segments.
//!
//! Invariants: what was acknowledged survives kill -9 and a power cut, once; rows are readable when they are acknowledged; a query sees a row
//! in the memtable or in a segment, never in both; every key carries the tenant; memory is bounded, and senders wait for it a while before they are
//! refused (`telemetry_budget`). Deliberately absent so far: retention, deletion, traces, SQL.

mod budget;
mod columns;
mod copies;
mod disk;
mod engine;
mod erase;
mod flush;
mod manifest;
mod memtable;
mod objects;
mod options;
mod query;
mod rows;
mod segment;
mod severity;
mod tail;
mod wal;

use serde::{Deserialize, Serialize};
use steward_base::TenantId;

pub use columns::{AttributeValue, LogBatch, LogFields, MetricBatch, MetricKind, Scope, SeriesFields, SeriesIndex};
pub use copies::{Arriving, Copied, Sealed};
pub use disk::{Disk, DiskFile, Folder};
pub use engine::{Health, Telemetry};
pub use options::Options;
pub use query::{
    Aggregate, Histogram, HistogramBucket, HistogramQuery, LogCursor, LogPage, LogQuery, LogRow, MetricName, NamesQuery, Order, Series,
    SeriesQuery, SeriesSet, log_registry, metric_registry,
};
pub use rows::RowId;
pub use severity::Severity;
pub use tail::{Tail, TailBatch};

/// A sort of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Log rows.
    Logs,
    /// Metric points.
    Metrics,
}

impl Signal {
    const fn number(self) -> u8 {
        match self {
            Signal::Logs => 1,
            Signal::Metrics => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Signal::Logs),
            2 => Some(Signal::Metrics),
            _ => None,
        }
    }

    /// As paths have it.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }
}

/// What is stored together and apart from everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) tenant: TenantId,
    pub(crate) signal: Signal,
}

/// The promise that a batch is on disk and readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The batch's sequence number: the first half of its rows' ids. Zero for an empty batch.
    pub batch: u64,
    /// Rows stored.
    pub rows: u32,
    /// Whether an earlier attempt of the same delivery had stored them.
    pub repeated: bool,
}

/// What a sender calls a batch, the same in every attempt to deliver it: the attempt after a lost answer stores nothing twice. Remembered for
/// the last [`Delivery::REMEMBERED`] deliveries, and over a restart as long as the write-ahead log has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery(pub [u8; 16]);

impl Delivery {
    /// How many deliveries are remembered.
    pub const REMEMBERED: usize = 65_536;
}
