//! Ingest over HTTP on this machine: `cargo run --release -p steward-observe --example over_http [megabytes]`.
//!
//! Client and server share the process, so figures per CPU-second count both: the server alone does better. Every request is answered after its
//! rows are on disk and readable.

use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use steward_base::{Clock, Random};
use steward_observe::Observe;
use steward_telemetry::{Options, Telemetry};
use steward_testkit::{Setup, TestApp};

const ROWS: usize = 5_000;
const START: u64 = 1_763_600_000_000_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let megabytes: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let folder = tempfile::tempdir().expect("a folder");
    let telemetry = Telemetry::open(Options::new(folder.path()), Clock::system(), Random::system()).await.expect("opens");
    let engine = telemetry.clone();
    let app = TestApp::start(Setup::default(), move |parts| Observe::new(parts.store.clone(), engine).operations()).await;
    let key = app.tenant("bench").await.key;
    let lines = lines();
    measure(&app, &telemetry, &key, "/ingest/v1/bench", "application/x-ndjson", &lines, megabytes).await;
    let request = otlp();
    measure(&app, &telemetry, &key, "/otlp/v1/logs", "application/x-protobuf", &request, megabytes).await;
    app.stop().await;
    telemetry.close().await.expect("closes");
}

async fn measure(app: &TestApp, telemetry: &Telemetry, key: &str, path: &str, media_type: &str, body: &[u8], megabytes: usize) {
    let requests = (megabytes * 1_000_000).div_ceil(body.len());
    let clock = Clock::system();
    let (wall, cpu) = (clock.monotonic(), cpu_seconds());
    for _ in 0..requests {
        loop {
            let answer = app.post(path).key(key).body(media_type, body.to_vec()).send().await;
            match answer.status {
                200 => break,
                429 => tokio::time::sleep(Duration::from_millis(100)).await,
                status => panic!("{status}: {}", answer.text),
            }
        }
    }
    telemetry.flush().await.expect("flushes");
    let (wall, cpu) = ((clock.monotonic() - wall).as_secs_f64(), cpu_seconds() - cpu);
    let (sent, rows) = ((requests * body.len()) as f64 / 1e6, (requests * ROWS) as f64);
    println!(
        "{path}: {:.0} MB/s and {:.0} rows/s wall, {:.0} MB and {:.0} rows per CPU-second",
        sent / wall,
        rows / wall,
        sent / cpu,
        rows / cpu
    );
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

fn words(row: usize) -> (usize, usize, String) {
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40, mixed >> 20 & 0xfffff, format!("{:016x}{:016x}", mixed, mixed.wrapping_mul(31)))
}

fn lines() -> Vec<u8> {
    let mut out = String::new();
    for row in 0..ROWS {
        let (a, b, trace) = words(row);
        out.push_str(&format!(
            r#"{{"time":"2025-11-20T00:00:{:02}.{:06}Z","level":"{}","service":"service-{}","message":"request {b} for user {} finished after {} retries on node {}, cache hit","trace_id":"{trace}","host":"host-{}.example.net","method":"GET","path":"/api/v1/items/{}/details","status":{},"duration_ms":{}.5}}"#,
            row / 1000 % 60,
            row % 1000 * 1000,
            ["info", "warn", "error"][a % 3],
            a % 20,
            a % 50_000,
            a % 4,
            b % 64,
            b % 40,
            a % 2_000,
            [200, 404, 500][b % 3],
            a % 900,
        ));
        out.push('\n');
    }
    out.into_bytes()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn otlp() -> Vec<u8> {
    let record = |row: usize| {
        let (a, b, _) = words(row);
        LogRecord {
            time_unix_nano: START + row as u64 * 1_000_000,
            severity_number: 9,
            severity_text: "info".to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(format!(
                    "request {b} for user {} finished after {} retries on node {}, cache hit",
                    a % 50_000,
                    a % 4,
                    b % 64
                ))),
            }),
            attributes: vec![
                attribute("http.method", Value::StringValue("GET".to_owned())),
                attribute("http.path", Value::StringValue(format!("/api/v1/items/{}/details", a % 2_000))),
                attribute("http.status", Value::IntValue(200)),
                attribute("duration_ms", Value::DoubleValue((a % 900) as f64 + 0.5)),
            ],
            trace_id: (row as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_9e37_79b9_7f4a_7c15).to_be_bytes().to_vec(),
            span_id: vec![7; 8],
            ..LogRecord::default()
        }
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", Value::StringValue("service-1".to_owned())),
            attribute("host.name", Value::StringValue("host-1.example.net".to_owned())),
        ],
        ..Resource::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: (0..ROWS).map(record).collect(), ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }] }
        .encode_to_vec()
}
