//! OTLP requests, encoded and packed once, before they go to the spool.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use prost::Message;
use steward_base::{RecordId, Timestamp};

use crate::VERSION;
use crate::logs::Line;
use crate::machine::Machine;
use crate::spool::{Batch, Signal};

/// The prefix of batch ids.
pub(crate) const BATCH: &str = "bat";
/// The scope attribute that stays with a batch through every attempt to send it.
const BATCH_ATTRIBUTE: &str = "steward.batch.id";

pub(crate) fn attribute(key: &str, value: impl Into<Scalar>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value.into().0), ..KeyValue::default() }
}

/// An attribute's value.
pub(crate) struct Scalar(AnyValue);

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) })
    }
}

impl From<i64> for Scalar {
    fn from(int: i64) -> Self {
        Self(AnyValue { value: Some(any_value::Value::IntValue(int)) })
    }
}

impl From<f64> for Scalar {
    fn from(float: f64) -> Self {
        Self(AnyValue { value: Some(any_value::Value::DoubleValue(float)) })
    }
}

impl From<bool> for Scalar {
    fn from(truth: bool) -> Self {
        Self(AnyValue { value: Some(any_value::Value::BoolValue(truth)) })
    }
}

pub(crate) fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.micros()).unwrap_or(0).saturating_mul(1000)
}

/// One request with these lines, one resource for each service.
pub(crate) fn logs(machine: &Machine, id: RecordId, lines: Vec<Line>) -> Batch {
    let rows = lines.len() as u32;
    let mut services: BTreeMap<String, Vec<LogRecord>> = BTreeMap::new();
    for mut line in lines {
        services.entry(std::mem::take(&mut line.service)).or_default().push(record(line));
    }
    let resource_logs = services.into_iter().map(|(service, log_records)| ResourceLogs {
        resource: Some(machine.resource(Some(&service))),
        scope_logs: vec![ScopeLogs { scope: Some(scope(id)), log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    });
    let request = ExportLogsServiceRequest { resource_logs: resource_logs.collect() };
    Batch { signal: Signal::Logs, id, rows, payload: packed(&request) }
}

/// One request with these metrics.
pub(crate) fn metrics(machine: &Machine, id: RecordId, metrics: Vec<Metric>) -> Batch {
    let rows = metrics.len() as u32;
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(machine.resource(None)),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope(id)), metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    Batch { signal: Signal::Metrics, id, rows, payload: packed(&request) }
}

fn record(line: Line) -> LogRecord {
    LogRecord {
        time_unix_nano: nanos(line.time),
        observed_time_unix_nano: nanos(line.observed),
        severity_number: line.severity.number(),
        severity_text: line.severity.text().to_owned(),
        body: Some(Scalar::from(line.message.as_str()).0),
        attributes: line.attributes,
        ..LogRecord::default()
    }
}

fn scope(id: RecordId) -> InstrumentationScope {
    InstrumentationScope {
        name: "steward-agent".to_owned(),
        version: VERSION.to_owned(),
        attributes: vec![attribute(BATCH_ATTRIBUTE, id.wire(BATCH).as_str())],
        ..InstrumentationScope::default()
    }
}

fn packed(message: &impl Message) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&message.encode_to_vec()).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}
