//! Metric points: a table of series, and points that name their series by its place in it.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, PrimitiveArray, RecordBatch, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use steward_base::Timestamp;

use super::codec::{Reader, Writer};
use super::logs::{time_type, words_type};
use super::text::{Texts, same};
use super::{AttributeValue, ByHash, Encoded, Scope, hash64, time_bounds};

const KIND: u8 = 2;
const SECTIONS: u16 = 23;

/// How the points of a series relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value as it stands.
    Gauge,
    /// A running total that only grows, until it starts again.
    Counter,
    /// A running total that may shrink.
    Sum,
    /// What was added since the previous point.
    Delta,
}

impl MetricKind {
    /// As it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Sum => "sum",
            MetricKind::Delta => "delta",
        }
    }

    /// The kind with this name; a gauge when a later version wrote another.
    pub fn from_name(name: &str) -> Self {
        match name {
            "counter" => MetricKind::Counter,
            "sum" => MetricKind::Sum,
            "delta" => MetricKind::Delta,
            _ => MetricKind::Gauge,
        }
    }
}

/// What makes a series, besides its attributes.
#[derive(Clone, Copy, Debug)]
pub struct SeriesFields<'a> {
    /// The metric's name, as in `system.cpu.utilization`.
    pub name: &'a str,
    /// UCUM, as in `By`.
    pub unit: &'a str,
    /// How its points relate to each other.
    pub kind: MetricKind,
    /// `service.name`.
    pub service: &'a str,
    /// Where it belongs.
    pub scope: Scope<'a>,
}

/// A series' place in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesIndex(i32);

/// Metric points in columns: [`MetricBatch::series`] once per series, [`MetricBatch::point`] per point.
#[derive(Debug, Default)]
pub struct MetricBatch {
    /// name, unit, kind, service, organization_id, device_id, project_id, service_id, attributes.
    texts: [Texts; 9],
    hashes: Vec<u64>,
    /// The hash of the last series' texts without its attributes: the next one mostly differs in those only.
    fixed_hash: u64,
    index: ByHash,
    codes: Vec<i32>,
    time: Vec<i64>,
    start_time: Vec<i64>,
    value: Vec<f64>,
    order: Vec<usize>,
}

impl MetricBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Points so far.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// About how many bytes the batch holds.
    pub fn bytes(&self) -> usize {
        self.texts.iter().map(|texts| texts.bytes.len() + texts.offsets.len() * 4).sum::<usize>() + self.len() * 28
    }

    /// The place of this series, added when it is new. The order of `attributes` does not matter; of a key given twice the first value counts.
    pub fn series(&mut self, fields: &SeriesFields<'_>, attributes: &[(&str, AttributeValue<'_>)]) -> SeriesIndex {
        let fixed = [
            fields.name,
            fields.unit,
            fields.kind.name(),
            fields.service,
            fields.scope.organization_id,
            fields.scope.device_id,
            fields.scope.project_id,
            fields.scope.service_id,
        ];
        let new = self.hashes.len();
        let as_last = |last: usize| fixed.iter().zip(&self.texts).all(|(text, texts)| same(text.as_bytes(), texts.get(last)));
        let fixed_hash = match new.checked_sub(1) {
            Some(last) if as_last(last) => self.fixed_hash,
            _ => fixed.iter().fold(0, |state, text| hash64(state, text.as_bytes())),
        };
        for (texts, text) in self.texts.iter_mut().zip(fixed) {
            texts.push(text);
        }
        self.push_attributes(attributes);
        let [.., json] = &self.texts;
        let hash = hash64(fixed_hash, json.get(new));
        let texts = &self.texts;
        let is = |at: u32| texts.iter().all(|texts| same(texts.get(at as usize), texts.get(new)));
        let found = self.index.find_or_insert(hash, new as u32, is) as usize;
        if found == new {
            self.hashes.push(hash);
            self.fixed_hash = fixed_hash;
        } else {
            self.texts.iter_mut().for_each(|texts| texts.truncate(new));
        }
        SeriesIndex(found as i32)
    }

    /// Adds a point; `start` is when its running total began, zero where unknown.
    pub fn point(&mut self, series: SeriesIndex, time: Timestamp, start: Timestamp, value: f64) {
        self.codes.push(series.0);
        self.time.push(time.micros());
        self.start_time.push(start.micros());
        self.value.push(value);
    }

    /// Writes a JSON object with sorted keys: equal attributes must give equal bytes.
    fn push_attributes(&mut self, attributes: &[(&str, AttributeValue<'_>)]) {
        self.order.clear();
        self.order.extend(0..attributes.len());
        self.order.sort_by(|&left, &right| attributes[left].0.cmp(attributes[right].0));
        let [.., texts] = &mut self.texts;
        texts.bytes.push(b'{');
        let mut previous = None;
        for &at in &self.order {
            let (key, value) = attributes[at];
            if previous == Some(key) {
                continue;
            }
            if previous.is_some() {
                texts.bytes.push(b',');
            }
            previous = Some(key);
            push_text(&mut texts.bytes, key);
            texts.bytes.push(b':');
            push_value(&mut texts.bytes, value);
        }
        texts.bytes.push(b'}');
        texts.close();
    }

    pub(crate) fn encode(self) -> Encoded {
        let (min_time, max_time) = time_bounds(&self.time);
        let rows = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut out = Writer::new(KIND, SECTIONS, rows, self.bytes() + self.hashes.len() * 8);
        self.texts.iter().for_each(|texts| out.texts(texts));
        out.put(&self.hashes);
        out.put(&self.codes);
        out.put(&self.time);
        out.put(&self.start_time);
        out.put(&self.value);
        Encoded { frame: out.finish(), rows, min_time, max_time }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Without stopping at the first: the compiler then looks at many bytes at once.
    let escaped = text.bytes().fold(false, |any, byte| any | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !escaped {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string is written to memory");
    }
}

fn push_value(out: &mut Vec<u8>, value: AttributeValue<'_>) {
    // Writing to memory cannot fail.
    let _ = match value {
        AttributeValue::Text(text) => {
            push_text(out, text);
            Ok(())
        }
        AttributeValue::Int(number) => std::io::Write::write_fmt(out, format_args!("{number}")),
        AttributeValue::Float(number) if number.is_finite() => std::io::Write::write_fmt(out, format_args!("{number:?}")),
        AttributeValue::Float(number) => {
            let mut text = String::new();
            let _ = write!(text, "{number:?}");
            push_text(out, &text);
            Ok(())
        }
        AttributeValue::Bool(truth) => std::io::Write::write_fmt(out, format_args!("{truth}")),
        AttributeValue::Json(text) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    };
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let words = |name: &str| Field::new(name, words_type(), false);
    Arc::new(Schema::new(vec![
        words("name"),
        words("unit"),
        words("kind"),
        words("service"),
        words("organization_id"),
        words("device_id"),
        words("project_id"),
        words("service_id"),
        words("attributes"),
        Field::new("series", DataType::UInt64, false),
        Field::new("time", time_type(), false),
        Field::new("start_time", time_type(), false),
        Field::new("value", DataType::Float64, false),
        Field::new("batch", DataType::UInt64, false),
        Field::new("ordinal", DataType::UInt32, false),
    ]))
});

/// The columns of metric points, in memory and in a segment. The first nine make the series; `attributes` is a JSON object with sorted keys.
pub(crate) fn metric_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The points of the payload that batch `batch` wrote.
pub(crate) fn decode_metrics(payload: Bytes, batch: u64) -> Result<RecordBatch, ArrowError> {
    let mut from = Reader::new(payload, KIND)?;
    let rows = from.rows;
    let tables = (0..9).map(|_| from.texts()).collect::<Result<Vec<_>, _>>()?;
    let hashes = from.values::<u64>()?;
    let codes = PrimitiveArray::<Int32Type>::new(from.column()?, None);
    if codes.values().iter().any(|&code| code < 0 || code as usize >= hashes.len()) {
        return Err(ArrowError::ParseError("telemetry payload: a point of no series".to_owned()));
    }
    let mut columns = Vec::with_capacity(15);
    for table in tables {
        columns.push(Arc::new(DictionaryArray::try_new(codes.clone(), table)?) as ArrayRef);
    }
    let series = codes.values().iter().map(|&code| hashes[code as usize]);
    columns.push(Arc::new(UInt64Array::from_iter_values(series)));
    for _ in 0..2 {
        columns.push(Arc::new(TimestampMicrosecondArray::new(from.column()?, None).with_timezone("UTC")));
    }
    columns.push(Arc::new(Float64Array::new(from.column()?, None)));
    columns.push(Arc::new(UInt64Array::from_value(batch, rows)));
    columns.push(Arc::new(UInt32Array::from_iter_values(0..rows as u32)));
    RecordBatch::try_new(metric_schema(), columns)
}
