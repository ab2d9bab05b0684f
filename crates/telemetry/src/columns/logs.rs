//! Log rows.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryArray, MapArray, PrimitiveArray, RecordBatch, StructArray,
    TimestampMicrosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use steward_base::Timestamp;

use super::codec::{Reader, Writer};
use super::text::{Texts, Words};
use super::{AttributeValue, Encoded, Scope, time_bounds};
use crate::Severity;

const KIND: u8 = 1;
const SECTIONS: u16 = 35;

/// Everything of one log row but its attributes.
#[derive(Clone, Copy, Debug)]
pub struct LogFields<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// When it was first seen by a collector.
    pub observed_time: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// The source's own word for it.
    pub severity_text: &'a str,
    /// `service.name`.
    pub service: &'a str,
    /// What it says.
    pub message: &'a str,
    /// The stream it was sent to.
    pub stream: &'a str,
    /// Where it belongs.
    pub scope: Scope<'a>,
    /// W3C trace id; zeros where there is none.
    pub trace_id: [u8; 16],
    /// W3C span id; zeros where there is none.
    pub span_id: [u8; 8],
}

impl Default for LogFields<'_> {
    fn default() -> Self {
        Self {
            time: Timestamp::default(),
            observed_time: Timestamp::default(),
            severity: Severity::INFO,
            severity_text: "",
            service: "",
            message: "",
            stream: "",
            scope: Scope::default(),
            trace_id: [0; 16],
            span_id: [0; 8],
        }
    }
}

/// Log rows in columns. For each row call [`LogBatch::attribute`] any number of times, then [`LogBatch::push`] or [`LogBatch::discard`].
#[derive(Debug)]
pub struct LogBatch {
    time: Vec<i64>,
    observed_time: Vec<i64>,
    severity: Vec<u8>,
    severity_text: Words,
    service: Words,
    message: Texts,
    stream: Words,
    organization_id: Words,
    device_id: Words,
    project_id: Words,
    service_id: Words,
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    attribute_offsets: Vec<i32>,
    attribute_keys: Words,
    attribute_values: Texts,
    attribute_types: Vec<u8>,
    scratch: String,
}

impl Default for LogBatch {
    fn default() -> Self {
        Self {
            time: Vec::new(),
            observed_time: Vec::new(),
            severity: Vec::new(),
            severity_text: Words::default(),
            service: Words::default(),
            message: Texts::default(),
            stream: Words::default(),
            organization_id: Words::default(),
            device_id: Words::default(),
            project_id: Words::default(),
            service_id: Words::default(),
            trace_id: Vec::new(),
            span_id: Vec::new(),
            attribute_offsets: vec![0],
            attribute_keys: Words::default(),
            attribute_values: Texts::default(),
            attribute_types: Vec::new(),
            scratch: String::new(),
        }
    }
}

impl LogBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for the rows of a body of so many bytes: growing costs more than what stays unused.
    pub fn for_body(bytes: usize) -> Self {
        let (mut batch, rows) = (Self::default(), bytes / 256);
        batch.time.reserve(rows);
        batch.observed_time.reserve(rows);
        batch.severity.reserve(rows);
        batch.trace_id.reserve(rows * 16);
        batch.span_id.reserve(rows * 8);
        batch.message.reserve(rows, bytes / 3);
        batch.attribute_offsets.reserve(rows);
        batch.attribute_keys.codes.reserve(rows * 4);
        batch.attribute_values.reserve(rows * 4, bytes / 4);
        batch.attribute_types.reserve(rows * 4);
        batch
    }

    /// Rows pushed so far.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether no row was pushed.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// About how many bytes the batch holds.
    pub fn bytes(&self) -> usize {
        self.message.bytes.len() + self.attribute_values.bytes.len() + self.attribute_types.len() * 9 + self.len() * 80
    }

    /// Adds an attribute to the row being built. A key given twice keeps both values; the first one found wins in queries.
    pub fn attribute(&mut self, key: &str, value: AttributeValue<'_>) {
        self.attribute_keys.push(key);
        let kind = match value {
            AttributeValue::Text(text) => {
                self.attribute_values.push(text);
                b's'
            }
            AttributeValue::Json(text) => {
                self.attribute_values.push(text);
                b'j'
            }
            AttributeValue::Int(number) => {
                self.attribute_values.push_int(number);
                b'i'
            }
            // JSON has no infinity and no NaN: they are kept as the text they print as.
            AttributeValue::Float(number) => {
                self.printed(format_args!("{number:?}"));
                if number.is_finite() { b'f' } else { b's' }
            }
            AttributeValue::Bool(truth) => {
                self.attribute_values.push(if truth { "true" } else { "false" });
                b'b'
            }
        };
        self.attribute_types.push(kind);
    }

    /// Ends the row being built.
    pub fn push(&mut self, row: &LogFields<'_>) {
        self.time.push(row.time.micros());
        self.observed_time.push(row.observed_time.micros());
        self.severity.push(row.severity.number());
        self.severity_text.push(row.severity_text);
        self.service.push(row.service);
        self.message.push(row.message);
        self.stream.push(row.stream);
        self.organization_id.push(row.scope.organization_id);
        self.device_id.push(row.scope.device_id);
        self.project_id.push(row.scope.project_id);
        self.service_id.push(row.scope.service_id);
        self.trace_id.extend_from_slice(&row.trace_id);
        self.span_id.extend_from_slice(&row.span_id);
        self.attribute_offsets.push(i32::try_from(self.attribute_types.len()).unwrap_or(i32::MAX));
    }

    /// Forgets the attributes of the row being built.
    pub fn discard(&mut self) {
        let keep = self.attribute_offsets.last().copied().unwrap_or(0) as usize;
        self.attribute_keys.codes.truncate(keep);
        self.attribute_values.truncate(keep);
        self.attribute_types.truncate(keep);
    }

    fn printed(&mut self, text: std::fmt::Arguments<'_>) {
        self.scratch.clear();
        // Writing to a String cannot fail.
        let _ = self.scratch.write_fmt(text);
        self.attribute_values.push(&self.scratch);
    }

    pub(crate) fn encode(mut self) -> Encoded {
        self.discard();
        let (min_time, max_time) = time_bounds(&self.time);
        let rows = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let capacity = self.bytes() + self.message.offsets.len() * 4 + self.attribute_values.offsets.len() * 8 + 4096;
        let mut out = Writer::new(KIND, SECTIONS, rows, capacity);
        out.put(&self.time);
        out.put(&self.observed_time);
        out.put(&self.severity);
        out.words(&self.severity_text);
        out.words(&self.service);
        out.texts(&self.message);
        out.words(&self.stream);
        out.words(&self.organization_id);
        out.words(&self.device_id);
        out.words(&self.project_id);
        out.words(&self.service_id);
        out.put(&self.trace_id);
        out.put(&self.span_id);
        out.put(&self.attribute_offsets);
        out.words(&self.attribute_keys);
        out.texts(&self.attribute_values);
        out.put(&self.attribute_types);
        Encoded { frame: out.finish(), rows, min_time, max_time }
    }
}

pub(super) fn words_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn entry_fields() -> Fields {
    Fields::from(vec![Field::new("key", words_type(), false), Field::new("value", DataType::Utf8, false)])
}

fn entries() -> Arc<Field> {
    Arc::new(Field::new("key_value", DataType::Struct(entry_fields()), false))
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let words = |name: &str| Field::new(name, words_type(), false);
    Arc::new(Schema::new(vec![
        Field::new("time", time_type(), false),
        Field::new("observed_time", time_type(), false),
        Field::new("severity", DataType::UInt8, false),
        words("severity_text"),
        words("service"),
        Field::new("message", DataType::Utf8, false),
        words("stream"),
        words("organization_id"),
        words("device_id"),
        words("project_id"),
        words("service_id"),
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("attributes", DataType::Map(entries(), false), false),
        Field::new("attribute_types", DataType::Binary, false),
        Field::new("batch", DataType::UInt64, false),
        Field::new("ordinal", DataType::UInt32, false),
    ]))
});

/// The columns of log rows, in memory and in a segment.
pub(super) fn log_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The rows of the payload that batch `batch` wrote.
pub(crate) fn decode_logs(payload: Bytes, batch: u64) -> Result<RecordBatch, ArrowError> {
    let mut from = Reader::new(payload, KIND)?;
    let rows = from.rows;
    let time = times(from.column()?);
    let observed_time = times(from.column()?);
    let severity: ArrayRef = Arc::new(UInt8Array::new(from.column()?, None));
    let severity_text = words(&mut from)?;
    let service = words(&mut from)?;
    let message = from.texts()?;
    let stream = words(&mut from)?;
    let organization_id = words(&mut from)?;
    let device_id = words(&mut from)?;
    let project_id = words(&mut from)?;
    let service_id = words(&mut from)?;
    let trace_id: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new(16, from.bytes()?, None)?);
    let span_id: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new(8, from.bytes()?, None)?);
    let offsets = from.offsets()?;
    let keys = words(&mut from)?;
    let values = from.texts()?;
    let types = BinaryArray::try_new(offsets.clone(), from.bytes()?, None)?;
    let pairs = StructArray::try_new(entry_fields(), vec![keys, values], None)?;
    let attributes: ArrayRef = Arc::new(MapArray::try_new(entries(), offsets, pairs, None, false)?);
    RecordBatch::try_new(
        log_schema(),
        vec![
            time,
            observed_time,
            severity,
            severity_text,
            service,
            message,
            stream,
            organization_id,
            device_id,
            project_id,
            service_id,
            trace_id,
            span_id,
            attributes,
            Arc::new(types),
            Arc::new(UInt64Array::from_value(batch, rows)),
            Arc::new(UInt32Array::from_iter_values(0..rows as u32)),
        ],
    )
}

fn times(values: arrow_buffer::ScalarBuffer<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::new(values, None).with_timezone("UTC"))
}

fn words(from: &mut Reader) -> Result<ArrayRef, ArrowError> {
    let values = from.texts()?;
    let codes = PrimitiveArray::<Int32Type>::new(from.values()?, None);
    Ok(Arc::new(DictionaryArray::try_new(codes, values)?))
}
