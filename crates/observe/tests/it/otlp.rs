//! OTLP/HTTP.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::json;

use crate::world::{World, attribute, text};

const PROTOBUF: &str = "application/x-protobuf";
const SECOND: u64 = 1_000_000_000;

fn now() -> u64 {
    steward_base::Clock::system().now().micros() as u64 * 1000
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packs");
    encoder.finish().expect("packs")
}

fn logs_request(message: &str) -> ExportLogsServiceRequest {
    let nested = KeyValueList { values: vec![attribute("inner", Value::IntValue(7))] };
    let record = LogRecord {
        time_unix_nano: now(),
        severity_number: 17,
        severity_text: "ERR".to_owned(),
        body: Some(AnyValue { value: Some(text(message)) }),
        attributes: vec![attribute("http.status", Value::IntValue(502)), attribute("nested", Value::KvlistValue(nested))],
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..LogRecord::default()
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", text("shop")),
            attribute("host.name", text("web-1")),
            attribute("steward.device.id", text("dev_0000000000000000000000000c")),
            attribute("steward.project.id", text("prj_0000000000000000000000000c")),
        ],
        ..Resource::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }] }
}

#[tokio::test]
async fn packed_protobuf_logs_can_be_read_at_once() {
    let world = World::new().await;
    let body = gzip(&logs_request("upstream gone").encode_to_vec());
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let (status, media_type, answer) = world.raw("/otlp/v1/logs", &world.tenant.key, &headers, body).await;
    assert_eq!((status, media_type.as_str()), (200, PROTOBUF));
    assert_eq!(ExportLogsServiceResponse::decode(&*answer).expect("a response").partial_success, None);
    let rows = world.logs("?filter=severity%3Derror%20upstream").await;
    let row = &rows[0];
    assert_eq!(
        (row["message"].as_str(), row["service"].as_str(), row["severity"].as_str()),
        (Some("upstream gone"), Some("shop"), Some("error"))
    );
    assert_eq!(row["attributes"], json!({ "http.status": 502, "nested": { "inner": 7 }, "host.name": "web-1" }));
    assert_eq!((row["trace_id"].as_str(), row["span_id"].as_str()), (Some("01".repeat(16).as_str()), Some("02".repeat(8).as_str())));
    // A key may say where rows belong.
    assert_eq!(row["device_id"], "dev_0000000000000000000000000c");
    assert_eq!(row["project_id"], "prj_0000000000000000000000000c");
    let other = world.app.tenant("umbrella").await;
    let theirs = world.app.get("/api/v1/logs").key(&other.key).send().await.expect(200).json();
    assert_eq!(theirs["data"], json!([]));
}

#[tokio::test]
async fn a_devices_rows_are_its_own_whatever_they_claim() {
    let world = World::new().await;
    let (id, token) = world.device(Some("org_1")).await;
    let body = logs_request("from a device").encode_to_vec();
    let (status, ..) = world.raw("/otlp/v1/logs", &token, &[("content-type", PROTOBUF)], body).await;
    assert_eq!(status, 200);
    let row = &world.logs("").await[0];
    assert_eq!((row["device_id"].as_str(), row["organization_id"].as_str()), (Some(id.wire("dev").as_str()), Some("org_1")));
}

#[tokio::test]
async fn a_removed_device_is_refused() {
    let world = World::new().await;
    let (id, token) = world.device(None).await;
    let unit = steward_store::UnitOfWork::new().delete("device", id, steward_store::Expect::Any);
    world.app.parts.store.commit(&world.tenant.ctx, unit).await.expect("deleted");
    let (status, media_type, answer) = world.raw("/otlp/v1/logs", &token, &[("content-type", "application/json")], b"{}".to_vec()).await;
    assert!(matches!(status, 401 | 403), "{status}");
    assert_eq!(media_type, "application/json");
    assert!(serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON")["message"].is_string());
}

#[tokio::test]
async fn json_is_read_and_answered_as_json() {
    let world = World::new().await;
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "api" } }] },
        "scopeLogs": [{ "logRecords": [{ "timeUnixNano": now().to_string(), "severityText": "warn", "body": { "stringValue": "slow" },
            "traceId": "0102030405060708090a0b0c0d0e0f10" }] }],
    }] });
    let headers = [("content-type", "application/json; charset=utf-8")];
    let (status, media_type, answer) = world.raw("/otlp/v1/logs", &world.tenant.key, &headers, body.to_string().into_bytes()).await;
    assert_eq!((status, media_type.as_str(), &*answer), (200, "application/json", &b"{}"[..]));
    let row = &world.logs("?filter=service%3Dapi").await[0];
    assert_eq!((row["severity"].as_str(), row["trace_id"].as_str()), (Some("warn"), Some("0102030405060708090a0b0c0d0e0f10")));
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_answered_and_not_stored_again() {
    let world = World::new().await;
    let body = logs_request("once").encode_to_vec();
    for key in ["batch-1", "batch-1", "batch-2"] {
        let headers = [("content-type", PROTOBUF), ("idempotency-key", key)];
        assert_eq!(world.raw("/otlp/v1/logs", &world.tenant.key, &headers, body.clone()).await.0, 200);
    }
    assert_eq!(world.logs("").await.len(), 2);
}

#[tokio::test]
async fn errors_are_a_status_in_the_requests_own_form() {
    let world = World::new().await;
    let key = &world.tenant.key;
    let (status, media_type, answer) = world.raw("/otlp/v1/logs", key, &[("content-type", PROTOBUF)], vec![0xff; 40]).await;
    assert_eq!((status, media_type.as_str()), (400, PROTOBUF));
    // Field 1 of google.rpc.Status is the code: 3, INVALID_ARGUMENT.
    assert_eq!(answer[..2], [8, 3]);
    let refused = async |path: &str, key: &str, headers: &[(&str, &str)], body: &[u8]| {
        let (status, media_type, answer) = world.raw(path, key, headers, body.to_vec()).await;
        assert_eq!(media_type, "application/json");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        let message = answer["message"].as_str().expect("a message").to_owned();
        (status, message.split(':').next().expect("a code").to_owned())
    };
    let json = ("content-type", "application/json");
    for path in ["/otlp/v1/logs", "/otlp/v1/metrics"] {
        assert_eq!(refused(path, key, &[json], b"{\"resourceLogs\":").await.0, 400);
        assert_eq!(refused(path, key, &[json, ("content-encoding", "gzip")], b"no gzip").await, (400, "malformed_gzip".to_owned()));
        assert_eq!(refused(path, key, &[json, ("content-encoding", "br")], b"{}").await, (415, "unsupported_encoding".to_owned()));
        assert_eq!(refused(path, "stw_0000", &[json], b"{}").await, (401, "invalid_credential".to_owned()));
        let bomb = gzip(&vec![b' '; 65 << 20]);
        assert_eq!(refused(path, key, &[json, ("content-encoding", "gzip")], &bomb).await, (413, "body_too_large".to_owned()));
    }
    let reader = world.app.key(world.tenant.id, &["logs:read"]).await;
    assert_eq!(refused("/otlp/v1/logs", &reader, &[json], b"{}").await, (403, "permission_denied".to_owned()));
}

fn metrics_request(metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }] }.encode_to_vec()
}

fn number(at: u64, value: f64, direction: &str) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: at,
        attributes: vec![attribute("direction", text(direction))],
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

#[tokio::test]
async fn metrics_become_series() {
    let world = World::new().await;
    let end = now();
    let counter = (0..=6).map(|at| number(end - (6 - at) * 10 * SECOND, at as f64 * 1000.0, "receive")).collect();
    let histogram = HistogramDataPoint {
        time_unix_nano: end,
        count: 6,
        sum: Some(30.0),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![1.0, 5.0],
        ..HistogramDataPoint::default()
    };
    let body = metrics_request(vec![
        Metric {
            name: "system.network.io".to_owned(),
            unit: "By".to_owned(),
            data: Some(Data::Sum(Sum { data_points: counter, aggregation_temporality: 2, is_monotonic: true })),
            ..Metric::default()
        },
        Metric {
            name: "load".to_owned(),
            data: Some(Data::Gauge(Gauge { data_points: vec![number(end, 1.5, "none"), number(end, f64::NAN, "none")] })),
            ..Metric::default()
        },
        Metric {
            name: "latency".to_owned(),
            data: Some(Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 })),
            ..Metric::default()
        },
    ]);
    let (_, token) = world.device(None).await;
    let (status, _, answer) = world.raw("/otlp/v1/metrics", &token, &[("content-type", PROTOBUF)], body).await;
    assert_eq!(status, 200);
    let partial = ExportMetricsServiceResponse::decode(&*answer).expect("a response").partial_success.expect("one point is refused");
    assert_eq!(partial.rejected_data_points, 1);

    let get = async |path: &str| world.app.get(path).key(&world.tenant.key).send().await.expect(200).json();
    let names = get("/api/v1/metrics").await;
    let names: Vec<&str> = names["data"].as_array().expect("a list").iter().filter_map(|metric| metric["name"].as_str()).collect();
    assert_eq!(names, ["latency.bucket", "latency.count", "latency.sum", "load", "system.network.io"]);
    let rate = get("/api/v1/metrics/series?name=system.network.io&aggregate=rate&group_by=direction&step=3600").await;
    assert_eq!((rate["unit"].as_str(), rate["step_seconds"].as_u64()), (Some("By"), Some(3600)));
    assert_eq!(rate["series"][0]["labels"], json!({ "direction": "receive" }));
    let value = rate["series"][0]["points"][0][1].as_f64().expect("a number");
    assert!((value - 100.0).abs() < 1.0, "{rate}");
    let buckets = get("/api/v1/metrics/series?name=latency.bucket&aggregate=last&group_by=le&step=3600").await;
    let shown: Vec<(String, f64)> = buckets["series"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|series| (series["labels"]["le"].as_str().expect("a bound").to_owned(), series["points"][0][1].as_f64().expect("a number")))
        .collect();
    assert_eq!(shown, [("+Inf".to_owned(), 6.0), ("1".to_owned(), 1.0), ("5".to_owned(), 3.0)]);
}
