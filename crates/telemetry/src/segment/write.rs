//! Rows to Parquet.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::dictionary::{self, Chunk, Encoder, Lists};
use super::grams::{self, Building};
use super::index::{Gather, SideIndex};
use super::merge;
use crate::Signal;
use crate::rows::words;

/// A segment ready to be stored.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) parquet: Bytes,
    pub(crate) index: SideIndex,
    /// The filters of the row groups as an object; metrics have none.
    pub(crate) grams: Option<Vec<u8>>,
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
    let (mut file, factory) = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties(signal)))?.into_serialized_writer()?;
    let mut gather = Gather::default();
    let (mut building, mut filters) = (Building::new(), Vec::new());
    let mut raw_bytes = 0;
    let mut encoder = Encoder::new()?;
    for (number, run) in runs.iter().enumerate() {
        for column in run.columns() {
            raw_bytes += column.to_data().get_slice_memory_size()? as u64;
        }
        gather.group(signal, run);
        if signal == Signal::Logs {
            building.logs(run);
            filters.push(building.finish());
        }
        write_group(&mut file, factory.create_column_writers(number)?, &mut encoder, run)?;
    }
    let parquet = Bytes::from(file.into_inner()?);
    let grams = (signal == Signal::Logs).then(|| grams::to_object(&filters));
    let index = gather.finish();
    let rows = index.groups.iter().map(|group| group.rows).sum();
    let min_time = index.groups.iter().map(|group| group.min_time).min().unwrap_or(0);
    let max_time = index.groups.iter().map(|group| group.max_time).max().unwrap_or(0);
    Ok(Some(Written { parquet, index, grams, rows, raw_bytes, min_time, max_time }))
}

/// Writes one row group: dictionary columns from the codes they have, all others through Parquet's writer.
fn write_group(
    file: &mut SerializedFileWriter<Vec<u8>>,
    writers: Vec<ArrowColumnWriter>,
    encoder: &mut Encoder,
    run: &RecordBatch,
) -> Result<(), ParquetError> {
    let leaves = file.schema_descr().columns().to_vec();
    let mut writers = writers.into_iter().zip(leaves);
    let mut next = || writers.next().ok_or_else(|| ParquetError::General("a column has no writer".to_owned()));
    let mut group = file.next_row_group()?;
    let schema = run.schema();
    for (field, column) in schema.fields().iter().zip(run.columns()) {
        let codes = match field.data_type() {
            DataType::Dictionary(..) => Some((words(column), None)),
            DataType::Map(..) => {
                let map = column.as_map();
                Some((words(map.keys()), Some(Lists { offsets: map.value_offsets() })))
            }
            _ => None,
        };
        let mut plain = if matches!(field.data_type(), DataType::Dictionary(..)) { Vec::new() } else { compute_leaves(field, column)? };
        if let Some((words, lists)) = codes {
            let (_, leaf) = next()?;
            let Chunk { bytes, close } = encoder.encode(leaf, run.num_rows(), words, lists)?;
            group.append_column(&bytes, close)?;
            // A map's first leaf is its keys.
            plain.drain(..plain.len().min(1));
        }
        for values in plain {
            let (mut writer, _) = next()?;
            writer.write(&values)?;
            writer.close()?.append_to_row_group(&mut group)?;
        }
    }
    group.close()?;
    Ok(())
}

fn properties(signal: Signal) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(dictionary::LEVEL).expect("it is a zstd level")))
        // The side index prunes; statistics of every page would be computed for nobody.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_dictionary_page_size_limit(256 * 1024);
    let (counted, plain, coded): (&[&str], &[&str], &[&str]) = match signal {
        Signal::Logs => {
            (&["time", "observed_time", "batch", "ordinal"], &["message", "trace_id", "span_id"], &["severity", "attribute_types"])
        }
        Signal::Metrics => (&["time", "start_time", "batch", "ordinal"], &["value", "series"], &[]),
    };
    for name in counted {
        let path = ColumnPath::from(*name);
        properties = properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in plain {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(*name), false);
    }
    // Packed to few bits already: a compressor would cost its memory for each row group and gain next to nothing.
    for name in counted.iter().chain(coded) {
        properties = properties.set_column_compression(ColumnPath::from(*name), Compression::UNCOMPRESSED);
    }
    properties.build()
}
