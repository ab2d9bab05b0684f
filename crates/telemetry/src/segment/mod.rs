//! Immutable Parquet files, and beside each a small index and the filters that say what texts its row groups cannot hold.
//!
//! Invariants: log rows are sorted by (time, batch, ordinal), points by (series, time, batch, ordinal); a segment never changes; the index is
//! and the filters beside it are derived from the rows alone, and rows are read when the filters are damaged or missing.

mod dictionary;
mod grams;
mod index;
mod merge;
mod read;
mod write;

pub(crate) use grams::{Grams, Wanted};
pub(crate) use index::{MINUTE, SideIndex};
pub(crate) use merge::{SeriesTable, merge};
pub(crate) use read::{Segment, SegmentReader};
pub(crate) use write::{Written, write};

/// Log rows per row group: what a scan reads and prunes by, so what looking for one row costs.
pub(crate) const LOG_GROUP_ROWS: usize = 16_384;
/// Points per row group. They are found by name; larger groups tell a series' labels less often.
pub(crate) const METRIC_GROUP_ROWS: usize = 65_536;

#[cfg(test)]
mod tests;
