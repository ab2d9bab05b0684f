//! Rows to Parquet.

use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::index::{Gather, SideIndex};
use super::{GROUP_ROWS, merge};
use crate::Signal;

/// A segment ready to be stored.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) parquet: Bytes,
    pub(crate) index: SideIndex,
    pub(crate) rows: u64,
    /// Bytes of the rows in memory.
    pub(crate) raw_bytes: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
}

/// Sorts and writes; `None` when there is no row.
pub(crate) fn write(signal: Signal, batches: &[RecordBatch]) -> Result<Option<Written>, ParquetError> {
    let runs = merge(signal, batches)?;
    let Some(first) = runs.first() else { return Ok(None) };
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties(signal)))?;
    let mut gather = Gather::default();
    let mut raw_bytes = 0;
    for run in &runs {
        for column in run.columns() {
            raw_bytes += column.to_data().get_slice_memory_size()? as u64;
        }
        gather.group(signal, run);
        writer.write(run)?;
        writer.flush()?;
    }
    let parquet = Bytes::from(writer.into_inner()?);
    let index = gather.finish();
    let rows = index.groups.iter().map(|group| group.rows).sum();
    let min_time = index.groups.iter().map(|group| group.min_time).min().unwrap_or(0);
    let max_time = index.groups.iter().map(|group| group.max_time).max().unwrap_or(0);
    Ok(Some(Written { parquet, index, rows, raw_bytes, min_time, max_time }))
}

fn properties(signal: Signal) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level")))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        // The side index prunes; statistics of every page would be computed for nobody.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_page_size_limit(256 * 1024);
    let (counted, plain): (&[&str], &[&str]) = match signal {
        Signal::Logs => (&["time", "observed_time", "batch", "ordinal"], &["message", "trace_id", "span_id"]),
        Signal::Metrics => (&["time", "start_time", "batch", "ordinal"], &["value", "series"]),
    };
    for name in counted {
        let path = ColumnPath::from(*name);
        properties = properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in plain {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(*name), false);
    }
    properties.build()
}
