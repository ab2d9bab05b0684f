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

use super::{LOG_GROUP_ROWS, METRIC_GROUP_ROWS};
use crate::Signal;
use crate::columns::{ByHash, metric_schema, same};
use crate::rows::{Places, RowId, Words, words};

/// Bytes of text in one run: far below what Arrow's 32-bit offsets reach, and little enough to be read whole.
const RUN_BYTES: usize = 64 << 20;

/// The rows of all `batches` in segment order, in runs of at most one row group.
pub(crate) fn merge(signal: Signal, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    match signal {
        Signal::Logs => merge_logs(batches, RUN_BYTES),
        Signal::Metrics => merge_metrics(batches),
    }
}

pub(super) fn merge_logs(batches: &[RecordBatch], run_bytes: usize) -> Result<Vec<RecordBatch>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let places: Vec<Places<'_>> = batches.iter().map(Places::of).collect();
    let texts: Vec<Texts<'_>> = batches.iter().map(Texts::of).collect();
    let mut rest = Stretch::in_order(&places);
    let in_blocks = rest.windows(2).all(|pair| pair[0].last(&places) <= pair[1].first(&places));
    if !in_blocks {
        return interleave(batches, &places, &texts, run_bytes);
    }
    // Senders that write one after another leave whole stretches: then nothing has to be moved row by row.
    rest.reverse();
    let (mut runs, mut parts, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
    while let Some(stretch) = rest.pop() {
        let texts = &texts[stretch.source];
        let fits = |row: &usize| {
            bytes += texts.bytes(*row);
            bytes <= run_bytes
        };
        let room = (stretch.start..stretch.end).take(LOG_GROUP_ROWS - rows).take_while(fits).count();
        let taken = if rows == 0 { room.max(1) } else { room };
        if taken > 0 {
            parts.push(batches[stretch.source].slice(stretch.start, taken));
            rows += taken;
        }
        let start = stretch.start + taken;
        if start < stretch.end {
            rest.push(Stretch { start, ..stretch });
            runs.push(concat_batches(&first.schema(), &std::mem::take(&mut parts))?);
            (rows, bytes) = (0, 0);
        }
    }
    if !parts.is_empty() {
        runs.push(concat_batches(&first.schema(), &parts)?);
    }
    Ok(runs)
}

/// Rows of one batch that are in order as they stand.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    source: usize,
    start: usize,
    end: usize,
}

impl Stretch {
    /// The longest stretches of all batches, by their first rows.
    fn in_order(places: &[Places<'_>]) -> Vec<Self> {
        let mut all = Vec::with_capacity(places.len());
        for (source, place) in places.iter().enumerate() {
            let key = |row: usize| (place.time[row], place.id(row));
            let mut start = 0;
            for end in 1..=place.time.len() {
                if end == place.time.len() || key(end - 1) > key(end) {
                    all.push(Self { source, start, end });
                    start = end;
                }
            }
        }
        all.sort_unstable_by_key(|stretch| stretch.first(places));
        all
    }

    fn first(&self, places: &[Places<'_>]) -> (i64, RowId) {
        let place = &places[self.source];
        (place.time[self.start], place.id(self.start))
    }

    fn last(&self, places: &[Places<'_>]) -> (i64, RowId) {
        let place = &places[self.source];
        (place.time[self.end - 1], place.id(self.end - 1))
    }
}

/// Merges rows whose times are mixed, one by one.
fn interleave(
    batches: &[RecordBatch],
    places: &[Places<'_>],
    texts: &[Texts<'_>],
    run_bytes: usize,
) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut order = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (source, place) in places.iter().enumerate() {
        order.extend((0..place.time.len()).map(|row| (place.time[row], place.id(row), source, row)));
    }
    order.sort_unstable_by_key(|(time, id, ..)| (*time, *id));
    let order: Vec<(usize, usize)> = order.into_iter().map(|(.., source, row)| (source, row)).collect();
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    let mut runs = Vec::new();
    let mut rest = &order[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(source, row): &&(usize, usize)| {
            bytes += texts[*source].bytes(*row);
            bytes <= run_bytes
        };
        let (run, after) = rest.split_at(rest.iter().take(LOG_GROUP_ROWS).take_while(fits).count().max(1));
        runs.push(interleave_record_batch(&sources, run)?);
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
        if table.shares_codes() {
            table.number_codes();
            return table;
        }
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

    /// Whether all columns have the codes of one table of series, as they do until they are stored: then a code is a series.
    fn shares_codes(&self) -> bool {
        let [first, others @ ..] = &self.columns;
        others.iter().all(|column| std::ptr::eq(column.codes, first.codes) && column.texts_len() == first.texts_len())
    }

    fn number_codes(&mut self) {
        const UNSEEN: u32 = u32::MAX;
        let codes = self.columns[0].codes;
        let mut numbers = vec![UNSEEN; self.columns[0].texts_len()];
        for (row, code) in codes.iter().enumerate() {
            let number = &mut numbers[*code as usize];
            if *number == UNSEEN {
                *number = self.rows.len() as u32;
                self.rows.push(row);
            }
            self.of_row.push(*number);
        }
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
            && self
                .columns
                .iter()
                .all(|column| column.code(one) == column.code(other) || same(column.at(one).as_bytes(), column.at(other).as_bytes()))
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
            let found = known.find_or_insert(hash, new, |other| {
                texts.iter().zip(distinct[other as usize].0).all(|(text, known)| same(text.as_bytes(), known.as_bytes()))
            });
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
    let points = by_series(&points, ranked.len());
    let dictionaries: Vec<ArrayRef> = (0..SERIES_COLUMNS)
        .map(|column| Arc::new(StringArray::from_iter_values(ranked.iter().map(|(texts, _)| texts[column]))) as ArrayRef)
        .collect();
    points.chunks(METRIC_GROUP_ROWS).map(|points| gather(batches, points, &dictionaries, &ranked)).collect()
}

/// Puts points in order: laid out by series first, because those of one series mostly come in order.
fn by_series(points: &[Point], series: usize) -> Vec<Point> {
    let mut ends = vec![0usize; series + 1];
    points.iter().for_each(|point| ends[point.0 as usize + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let mut out = vec![(0, 0, 0, 0, 0, 0); points.len()];
    let mut next = ends.clone();
    for point in points {
        let at = &mut next[point.0 as usize];
        out[*at] = *point;
        *at += 1;
    }
    for pair in ends.windows(2) {
        let own = &mut out[pair[0]..pair[1]];
        if !own.is_sorted() {
            own.sort_unstable();
        }
    }
    out
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
