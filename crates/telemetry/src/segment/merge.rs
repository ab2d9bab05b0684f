//! Many batches become one sorted run.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, PrimitiveArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;

use super::GROUP_ROWS;
use crate::Signal;
use crate::columns::{ByHash, metric_schema};
use crate::rows::{Places, Words, words};

/// Bytes of text in one run: far below what Arrow's 32-bit offsets reach, and little enough to be read whole.
const RUN_BYTES: usize = 64 << 20;

/// The rows of all `batches` in segment order, in runs of at most [`GROUP_ROWS`].
pub(crate) fn merge(signal: Signal, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    match signal {
        Signal::Logs => merge_logs(batches, RUN_BYTES),
        Signal::Metrics => merge_metrics(batches),
    }
}

pub(super) fn merge_logs(batches: &[RecordBatch], run_bytes: usize) -> Result<Vec<RecordBatch>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let places: Vec<Places<'_>> = batches.iter().map(Places::of).collect();
    let mut order = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (source, place) in places.iter().enumerate() {
        order.extend((0..place.time.len()).map(|row| (place.time[row], place.id(row), source, row)));
    }
    // Rows of one sender arrive in order: then nothing has to be moved row by row.
    let in_order = order.is_sorted_by(|left, right| (left.0, left.1) <= (right.0, right.1));
    if !in_order {
        order.sort_unstable_by_key(|(time, id, ..)| (*time, *id));
    }
    let order: Vec<(usize, usize)> = order.into_iter().map(|(.., source, row)| (source, row)).collect();
    let texts: Vec<Texts<'_>> = batches.iter().map(Texts::of).collect();
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    let mut runs = Vec::new();
    let mut rest = &order[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(source, row): &&(usize, usize)| {
            bytes += texts[*source].bytes(*row);
            bytes <= run_bytes
        };
        let (run, after) = rest.split_at(rest.iter().take(GROUP_ROWS).take_while(fits).count().max(1));
        if in_order {
            let parts = run.chunk_by(|left, right| left.0 == right.0).map(|part| batches[part[0].0].slice(part[0].1, part.len()));
            runs.push(concat_batches(&first.schema(), &parts.collect::<Vec<_>>())?);
        } else {
            runs.push(interleave_record_batch(&sources, run)?);
        }
        rest = after;
    }
    Ok(runs)
}

/// The texts of log rows that no dictionary holds.
struct Texts<'a> {
    messages: &'a [i32],
    attributes: &'a [i32],
    values: &'a [i32],
}

impl<'a> Texts<'a> {
    fn of(rows: &'a RecordBatch) -> Self {
        let attributes = rows["attributes"].as_map();
        let messages = rows["message"].as_string::<i32>().value_offsets();
        Self { messages, attributes: attributes.value_offsets(), values: attributes.values().as_string::<i32>().value_offsets() }
    }

    fn bytes(&self, row: usize) -> usize {
        let values = self.values[self.attributes[row + 1] as usize] - self.values[self.attributes[row] as usize];
        (self.messages[row + 1] - self.messages[row] + values) as usize
    }
}

/// The columns that make a series, in schema order.
const SERIES_COLUMNS: usize = 9;

/// The distinct series of a batch of points and which one each row belongs to.
#[derive(Debug)]
pub(crate) struct SeriesTable<'a> {
    columns: [Words<'a>; SERIES_COLUMNS],
    hashes: &'a [u64],
    /// Per row, its series.
    pub(crate) of_row: Vec<u32>,
    /// Per series, some row of it.
    pub(crate) rows: Vec<usize>,
}

impl<'a> SeriesTable<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        let columns = std::array::from_fn(|at| words(batch.column(at)));
        let hashes = batch["series"].as_primitive::<UInt64Type>().values();
        let mut table = Self { columns, hashes, of_row: Vec::with_capacity(batch.num_rows()), rows: Vec::new() };
        let mut known = ByHash::default();
        for row in 0..batch.num_rows() {
            let series = match table.of_row.last() {
                Some(&previous) if table.same_row(table.rows[previous as usize], row) => previous,
                _ => {
                    let new = table.rows.len() as u32;
                    let found = known.find_or_insert(hashes[row], new, |series| table.same_row(table.rows[series as usize], row));
                    if found == new {
                        table.rows.push(row);
                    }
                    found
                }
            };
            table.of_row.push(series);
        }
        table
    }

    /// The texts that make a series, in schema order.
    pub(crate) fn texts(&self, series: u32) -> [&'a str; SERIES_COLUMNS] {
        let row = self.rows[series as usize];
        self.columns.map(|column| column.at(row))
    }

    pub(crate) fn hash(&self, series: u32) -> u64 {
        self.hashes[self.rows[series as usize]]
    }

    fn same_row(&self, one: usize, other: usize) -> bool {
        // Equal codes mean equal texts; different codes may too, because a dictionary may hold a text twice.
        self.hashes[one] == self.hashes[other]
            && self.columns.iter().all(|column| column.code(one) == column.code(other) || column.at(one) == column.at(other))
    }
}

/// Where a point goes: rank of its series, time, arrival; and where it comes from.
type Point = (u32, i64, u64, u32, u32, u32);

fn merge_metrics(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let tables: Vec<SeriesTable<'_>> = batches.iter().map(SeriesTable::of).collect();
    let (mut known, mut distinct) = (ByHash::default(), Vec::<([&str; SERIES_COLUMNS], u64)>::new());
    let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(tables.len());
    for table in &tables {
        let number = |series: u32| {
            let (texts, hash, new) = (table.texts(series), table.hash(series), distinct.len() as u32);
            let found = known.find_or_insert(hash, new, |other| distinct[other as usize].0 == texts);
            if found == new {
                distinct.push((texts, hash));
            }
            found
        };
        numbers.push((0..table.rows.len() as u32).map(number).collect());
    }
    let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
    order.sort_unstable_by_key(|number| &distinct[*number as usize]);
    let mut ranks = vec![0u32; order.len()];
    for (number, rank) in order.iter().zip(0..) {
        ranks[*number as usize] = rank;
    }
    let ranked: Vec<([&str; SERIES_COLUMNS], u64)> = order.iter().map(|number| distinct[*number as usize]).collect();
    let mut points: Vec<Point> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (source, ((batch, table), numbers)) in batches.iter().zip(&tables).zip(&numbers).enumerate() {
        let places = Places::of(batch);
        points.extend(table.of_row.iter().enumerate().map(|(row, series)| {
            let rank = ranks[numbers[*series as usize] as usize];
            (rank, places.time[row], places.batch[row], places.ordinal[row], source as u32, row as u32)
        }));
    }
    points.sort_unstable();
    let dictionaries: Vec<ArrayRef> = (0..SERIES_COLUMNS)
        .map(|column| Arc::new(StringArray::from_iter_values(ranked.iter().map(|(texts, _)| texts[column]))) as ArrayRef)
        .collect();
    points.chunks(GROUP_ROWS).map(|points| gather(batches, points, &dictionaries, &ranked)).collect()
}

fn gather(
    batches: &[RecordBatch],
    points: &[Point],
    dictionaries: &[ArrayRef],
    ranked: &[([&str; SERIES_COLUMNS], u64)],
) -> Result<RecordBatch, ArrowError> {
    let starts: Vec<&[i64]> =
        batches.iter().map(|batch| &**batch["start_time"].as_primitive::<TimestampMicrosecondType>().values()).collect();
    let values: Vec<&[f64]> = batches.iter().map(|batch| &**batch["value"].as_primitive::<Float64Type>().values()).collect();
    let codes = PrimitiveArray::<Int32Type>::from_iter_values(points.iter().map(|point| point.0 as i32));
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(SERIES_COLUMNS + 6);
    for dictionary in dictionaries {
        columns.push(Arc::new(DictionaryArray::try_new(codes.clone(), Arc::clone(dictionary))?));
    }
    let from = |point: &Point| (point.4 as usize, point.5 as usize);
    let start = points.iter().map(from).map(|(source, row)| starts[source][row]);
    let value = points.iter().map(from).map(|(source, row)| values[source][row]);
    columns.push(Arc::new(UInt64Array::from_iter_values(points.iter().map(|point| ranked[point.0 as usize].1))));
    columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(points.iter().map(|point| point.1)).with_timezone("UTC")));
    columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(start).with_timezone("UTC")));
    columns.push(Arc::new(Float64Array::from_iter_values(value)));
    columns.push(Arc::new(UInt64Array::from_iter_values(points.iter().map(|point| point.2))));
    columns.push(Arc::new(UInt32Array::from_iter_values(points.iter().map(|point| point.3))));
    RecordBatch::try_new(metric_schema(), columns)
}
