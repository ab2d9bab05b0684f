//! Column builders that protocol decoders write into, and the payload both the write-ahead log and the memtable keep.
//!
//! Invariants: a builder's vectors already have Arrow's layout, so a payload is decoded by slicing it, not by copying; no column has nulls, an
//! empty text or an all-zero id says "absent"; decoding never panics whatever the bytes are.

mod codec;
mod hash;
mod logs;
mod metrics;
mod text;

pub use logs::{LogBatch, LogFields};
pub use metrics::{MetricBatch, MetricKind, SeriesFields, SeriesIndex};

pub(crate) use codec::PAYLOAD_AT;
pub(crate) use hash::{ByHash, hash64};
pub(crate) use logs::decode_logs;
pub(crate) use metrics::{decode_metrics, metric_schema};
pub(crate) use text::same;

/// Where a row belongs: wire ids, empty where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `org_…`
    pub organization_id: &'a str,
    /// `dev_…`
    pub device_id: &'a str,
    /// `prj_…`
    pub project_id: &'a str,
    /// `svc_…`
    pub service_id: &'a str,
}

/// The value of one attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttributeValue<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list or an object, as JSON text.
    Json(&'a str),
}

/// An encoded batch on its way to the write-ahead log.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// `PAYLOAD_AT` free bytes for the frame header, then the payload.
    pub(crate) frame: Vec<u8>,
    pub(crate) rows: u32,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
}

fn time_bounds(times: &[i64]) -> (i64, i64) {
    times.iter().fold((i64::MAX, i64::MIN), |(low, high), &time| (low.min(time), high.max(time)))
}

#[cfg(test)]
mod tests;
