//! Immutable Parquet files, and the small index beside each.
//!
//! Invariants: log rows are sorted by (time, batch, ordinal), points by (series, time, batch, ordinal); a segment never changes; the index is
//! derived from the rows alone.

mod index;
mod merge;
mod read;
mod write;

pub(crate) use index::{MINUTE, SideIndex};
pub(crate) use merge::{SeriesTable, merge};
pub(crate) use read::{Segment, SegmentReader};
pub(crate) use write::{Written, write};

/// Rows per row group: what a scan reads and prunes by.
pub(crate) const GROUP_ROWS: usize = 65_536;

#[cfg(test)]
mod tests;
