//! Bodies of ingest requests: log lines, log records and metric points like those of web services.

use std::fmt::Write as _;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

/// Lines, records or points of one request.
pub(crate) const ROWS_PER_REQUEST: u64 = 2_000;
const START_NANOS: u64 = 1_763_600_000_000_000_000;

fn numbers(batch: u64) -> std::ops::Range<u64> {
    batch * ROWS_PER_REQUEST..(batch + 1) * ROWS_PER_REQUEST
}

/// About 250 bytes a line.
pub(crate) fn log_lines(batch: u64) -> Bytes {
    const LEVELS: [&str; 5] = ["debug", "info", "info", "warn", "error"];
    let mut lines = String::new();
    for number in numbers(batch) {
        let level = LEVELS[usize::try_from(number % 5).unwrap_or_default()];
        writeln!(
            lines,
            r#"{{"severity":"{level}","service":"checkout-{}","message":"GET /api/orders/{} answered {} after {} ms","http.request.method":"GET","http.response.status_code":{},"url.path":"/api/orders/{}","client.address":"10.0.{}.{}"}}"#,
            number % 20,
            number * 7919 % 100_000,
            200 + number % 4,
            number % 997,
            200 + number % 4,
            number * 7919 % 100_000,
            number % 250,
            number % 199,
        )
        .expect("writing to a string cannot fail");
    }
    Bytes::from(lines)
}

/// The same as OTLP log records.
pub(crate) fn log_records(batch: u64) -> Bytes {
    let record = |number: u64| LogRecord {
        time_unix_nano: START_NANOS + number * 1_000_000,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: text(format!("GET /api/orders/{} answered {} after {} ms", number * 7919 % 100_000, 200 + number % 4, number % 997)),
        attributes: vec![
            pair("http.request.method", text("GET".to_owned())),
            pair(
                "http.response.status_code",
                Some(AnyValue { value: Some(Value::IntValue(i64::try_from(200 + number % 4).unwrap_or(200))) }),
            ),
            pair("url.path", text(format!("/api/orders/{}", number * 7919 % 100_000))),
            pair("client.address", text(format!("10.0.{}.{}", number % 250, number % 199))),
        ],
        trace_id: (u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)).to_be_bytes().to_vec(),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: numbers(batch).map(record).collect(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec().into()
}

/// A point of each of so many series, with about 200 bytes of labels.
pub(crate) fn metric_points(batch: u64) -> Bytes {
    let point = |number: u64| NumberDataPoint {
        time_unix_nano: START_NANOS + batch * 10_000_000_000,
        attributes: vec![
            pair("host.name", text(format!("host-{number}.rack-{}.dc-{}.example.net", number % 100, number % 7))),
            pair("system.device", text(format!("/dev/disk/by-id/volume-{}", number % 13))),
            pair("disk.io.direction", text("read".to_owned())),
            pair("service.namespace", text("steward-production-europe".to_owned())),
        ],
        value: Some(Number::AsInt(i64::try_from(number * batch).unwrap_or_default())),
        ..NumberDataPoint::default()
    };
    let data = Data::Gauge(Gauge { data_points: (0..ROWS_PER_REQUEST).map(point).collect() });
    let metric = Metric { name: "system.disk.pending_operations".to_owned(), unit: "1".to_owned(), data: Some(data), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into()
}

fn resource() -> Resource {
    Resource { attributes: vec![pair("service.name", text("checkout".to_owned()))], ..Resource::default() }
}

fn text(text: String) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Value::StringValue(text)) })
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
