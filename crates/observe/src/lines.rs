//! JSON lines: one object per line, straight into columns.

use std::borrow::Cow;
use std::fmt;

use http::Method;
use schemars::JsonSchema;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Error, ErrorKind, Result, Timestamp};
use steward_telemetry::{AttributeValue, LogBatch, LogFields, Severity};
use steward_web::{Call, Json, Operation, RateClass, Raw, Reply, operation as draft};

use crate::Observe;
use crate::access;
use crate::incoming::{PACKED_BYTES, bounded, decoding, delivery, unpack};
use crate::scopes::{Claims, Sender};

/// Lines named in an answer; the rest is only counted.
const NAMED: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
struct Stream {
    /// What the lines are, as in `nginx`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9][a-z0-9._-]*$"))]
    stream: String,
}

/// What became of the lines.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Outcome {
    /// Lines stored.
    accepted: u64,
    /// Lines refused.
    rejected: u64,
    /// The first lines that were refused.
    errors: Vec<LineError>,
}

/// Why a line was refused.
#[derive(Debug, Serialize, JsonSchema)]
struct LineError {
    /// Counted from 1.
    line: u64,
    /// Stable code.
    code: &'static str,
    /// What to do about it.
    detail: String,
}

pub(crate) fn operation(observe: &Observe) -> Operation {
    draft("ingest.lines", Method::POST, "/ingest/v1/{stream}")
        .needs("logs:write")
        .scoped()
        .summary("Store JSON lines as log rows")
        .description(
            "One object per line. `time` or `timestamp` (RFC 3339 or Unix time), `message`, `severity` or `level`, `service`, `trace_id` and \
             `span_id` have columns of their own; everything else becomes an attribute. Good lines are stored even when others are refused. \
             Success means that they are on disk and can be read. `Idempotency-Key` makes a repeated delivery harmless.",
        )
        .tag("logs")
        .rate(RateClass::Ingest)
        .media_types(&["application/x-ndjson", "application/jsonl", "application/json", "text/plain"])
        .encodings(&["gzip"])
        .body_limit(PACKED_BYTES)
        .body_schema(json!({ "description": "One JSON object per line." }))
        .error(http::StatusCode::UNPROCESSABLE_ENTITY, "invalid_lines")
        .error(http::StatusCode::FORBIDDEN, "device_unknown")
        .handle(observe.clone(), ingest)
}

async fn ingest(observe: Observe, call: Call<Stream, (), Raw>) -> Result<Reply<Json<Outcome>>> {
    let now = call.site.clock().now();
    let sender = Sender::of(&observe.store, &call.ctx, call.scope, now).await?;
    let stream = call.path.stream;
    if stream == access::STREAM {
        let detail = "Who read what is recorded there by the platform alone: send to another stream.";
        return Err(Error::invalid(format!("/stream: {detail}")).with_field("/stream", "reserved_name", detail));
    }
    let (delivery, part) = (delivery(&call.headers, &call.ctx, &stream)?, call.body.0);
    observe.telemetry.check_room(call.ctx.tenant(), part.bytes.len())?;
    let (batch, outcome) = decoding(move || read(&unpack(&part)?, &stream, &sender, now)).await?;
    if outcome.accepted == 0 && outcome.rejected > 0 {
        return Err(nothing_stored(&outcome));
    }
    observe.telemetry.append_logs(call.ctx.tenant(), delivery, batch).await?;
    Ok(Reply::json(outcome))
}

fn nothing_stored(outcome: &Outcome) -> Error {
    let detail = "No line could be stored; errors names the first ones by their number.";
    outcome.errors.iter().fold(Error::new(ErrorKind::Invalid, "invalid_lines", detail), |error, line| {
        error.with_field(format!("/{}", line.line), line.code, line.detail.clone())
    })
}

fn read(body: &[u8], stream: &str, sender: &Sender, now: Timestamp) -> Result<(LogBatch, Outcome)> {
    let (mut batch, mut outcome, mut severities) = (LogBatch::for_body(body.len()), Outcome::default(), Severities::default());
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        bounded(batch.bytes())?;
        match push(&mut batch, &mut severities, line, (stream, sender, now)) {
            Ok(()) => outcome.accepted += 1,
            Err((code, detail)) => {
                batch.discard();
                outcome.rejected += 1;
                if outcome.errors.len() < NAMED {
                    outcome.errors.push(LineError { line: number, code, detail });
                }
            }
        }
    }
    Ok((batch, outcome))
}

fn push(
    batch: &mut LogBatch,
    severities: &mut Severities,
    line: &[u8],
    (stream, sender, now): (&str, &Sender, Timestamp),
) -> Result<(), (&'static str, String)> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let parsed = json.deserialize_map(Line { batch, row: Row::default() }).and_then(|row| json.end().map(|()| row));
    let row = parsed.map_err(|error| ("malformed_line", format!("An object is expected: {error}.")))?;
    let time = match row.time {
        None => now,
        Some(text) => moment(&text).ok_or_else(|| ("invalid_time", "The time is neither RFC 3339 nor Unix time.".to_owned()))?,
    };
    let claims = sender
        .place(row.claims)
        .ok_or_else(|| ("permission_denied", "The permission to write does not hold where this line belongs.".to_owned()))?;
    batch.push(&LogFields {
        time,
        observed_time: now,
        severity: severities.of(&row.severity),
        severity_text: &row.severity,
        service: &row.service,
        message: &row.message,
        stream,
        scope: claims.scope(),
        trace_id: hex(&row.trace_id),
        span_id: hex(&row.span_id),
    });
    Ok(())
}

/// What has columns of its own.
#[derive(Debug, Default)]
struct Row<'de> {
    time: Option<Cow<'de, str>>,
    message: Cow<'de, str>,
    severity: Cow<'de, str>,
    service: Cow<'de, str>,
    trace_id: Cow<'de, str>,
    span_id: Cow<'de, str>,
    claims: Claims,
}

struct Line<'a, 'de> {
    batch: &'a mut LogBatch,
    row: Row<'de>,
}

impl<'de> Visitor<'de> for Line<'_, 'de> {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Row<'de>, A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            self.field(&key.0, map.next_value()?);
        }
        Ok(self.row)
    }
}

impl<'de> Line<'_, 'de> {
    fn field(&mut self, key: &str, value: Field<'de>) {
        let row = &mut self.row;
        match key {
            "time" | "timestamp" | "@timestamp" if row.time.is_none() => row.time = value.text(),
            "message" | "msg" if row.message.is_empty() => row.message = value.text().unwrap_or_default(),
            "severity" | "level" if row.severity.is_empty() => row.severity = value.text().unwrap_or_default(),
            "service" | "service.name" if row.service.is_empty() => row.service = value.text().unwrap_or_default(),
            "trace_id" => row.trace_id = value.text().unwrap_or_default(),
            "span_id" => row.span_id = value.text().unwrap_or_default(),
            _ => match &value {
                Field::Text(text) if row.claims.take(key, text) => {}
                Field::Text(text) => self.batch.attribute(key, AttributeValue::Text(text)),
                Field::Int(int) => self.batch.attribute(key, AttributeValue::Int(*int)),
                Field::Float(float) => self.batch.attribute(key, AttributeValue::Float(*float)),
                Field::Bool(truth) => self.batch.attribute(key, AttributeValue::Bool(*truth)),
                Field::Nested(text) => self.batch.attribute(key, AttributeValue::Json(text)),
                Field::Null => {}
            },
        }
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(FieldVisitor)? {
            Field::Text(text) => Ok(Key(text)),
            other => Ok(Key(other.text().unwrap_or_default())),
        }
    }
}

/// A value, borrowed where it has no escapes.
#[derive(Debug)]
enum Field<'de> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'de, str>),
    Nested(String),
}

impl<'de> Field<'de> {
    fn text(self) -> Option<Cow<'de, str>> {
        match self {
            Field::Null => None,
            Field::Text(text) => Some(text),
            Field::Bool(truth) => Some(truth.to_string().into()),
            Field::Int(int) => Some(int.to_string().into()),
            Field::Float(float) => Some(float.to_string().into()),
            Field::Nested(text) => Some(text.into()),
        }
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Field<'de>, E> {
        Ok(Field::Bool(truth))
    }
    fn visit_i64<E>(self, int: i64) -> Result<Field<'de>, E> {
        Ok(Field::Int(int))
    }
    fn visit_u64<E>(self, int: u64) -> Result<Field<'de>, E> {
        Ok(i64::try_from(int).map_or(Field::Float(int as f64), Field::Int))
    }
    fn visit_f64<E>(self, float: f64) -> Result<Field<'de>, E> {
        Ok(Field::Float(float))
    }
    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(text.to_owned().into()))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(text.into()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<'de>, A::Error> {
        Value::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|value| Field::Nested(value.to_string()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field<'de>, A::Error> {
        Value::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(|value| Field::Nested(value.to_string()))
    }
}

/// RFC 3339, or Unix time in seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let per_micro = match number.abs() {
        size if size < 1e11 => 1e6,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        _ => 1e-3,
    };
    Some(Timestamp::from_micros((number * per_micro) as i64))
}

/// The severities of the words that lines use: a source has a handful, and each would be read anew on every line.
#[derive(Debug, Default)]
struct Severities(Vec<(String, Severity)>);

impl Severities {
    const KEPT: usize = 8;

    fn of(&mut self, text: &str) -> Severity {
        if let Some((_, known)) = self.0.iter().find(|(known, _)| known == text) {
            return *known;
        }
        let found = severity(text);
        if self.0.len() < Self::KEPT {
            self.0.push((text.to_owned(), found));
        }
        found
    }
}

/// A name, or the number that syslog and some libraries write.
fn severity(text: &str) -> Severity {
    match text.parse::<i32>() {
        // Bunyan and pino count in tens from 10.
        Ok(number @ 10..=60) if number % 10 == 0 => Severity::from_number(number / 10 * 4 - 3),
        Ok(number) => Severity::from_number(number),
        Err(_) => text.parse().unwrap_or(Severity::INFO),
    }
}

/// Zeros for what is no hexadecimal text of this length.
fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    if text.len() != N * 2 || !text.is_ascii() {
        return out;
    }
    for (byte, at) in out.iter_mut().zip((0..).step_by(2)) {
        match u8::from_str_radix(&text[at..at + 2], 16) {
            Ok(value) => *byte = value,
            Err(_) => return [0; N],
        }
    }
    out
}
