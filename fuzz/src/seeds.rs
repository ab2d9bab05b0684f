//! Writes what each target begins with into the folder that is named, one folder per target: a fuzzer that begins with nothing takes days
//! to find what a good input looks like.

use std::fs;
use std::path::Path;

use steward_auth::{Minted, MintedKind};
use steward_base::{Random, RecordId};
use steward_fuzz::folder::template;

/// Instrumented code announces itself to a fuzzer, which this program has none of.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(_start: *mut u8, _stop: *mut u8) {}

/// The same for the places of the counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_pcs_init(_start: *const usize, _stop: *const usize) {}

/// The same for calls through pointers.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_indir(_callee: usize) {}

fn main() {
    let folder = std::env::args().nth(1).expect("the folder to write into");
    let folder = Path::new(&folder);
    let minted = Minted::new(MintedKind::ApiKey, RecordId::from_bytes([1; 16]).into(), RecordId::from_bytes([2; 16]), &Random::seeded(7));
    write(folder, "minted", [minted.reveal().expose().as_bytes()]);
    write(folder, "cursor", [br#"{"n":"2026-11-20T10:30:00Z","a":"x"}"#.as_slice()]);
    let filters =
        [r#"status = "offline" AND tags:prod (severity = error OR n >= 4) -hostname:test t < now-1h"#, r#"a.b = null "two words""#];
    write(folder, "filter", filters.map(str::as_bytes));
    let lines = [
        r#"{"time":"2026-11-20T10:30:00Z","severity":"warn","service":"backup","message":"disk","free_bytes":1048576,"a":{"b":[1,2.5,null]}}"#,
        "{\"message\":\"one\"}\n\n{\"msg\":\"two\",\"timestamp\":1760000000}\n",
    ];
    write(folder, "lines", lines.map(str::as_bytes));
    let logs = r#"J{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"app"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1760000000000000000","severityNumber":9,"body":{"stringValue":"hello"},"attributes":[{"key":"n","value":{"intValue":"3"}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]}]}]}]}"#;
    let metrics = r#"j{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"By","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"1760000000000000000","asInt":"3"}]}}]}]}]}"#;
    // resource_logs { scope_logs { log_records { body: "hello" } } } and the same for a gauge, as protobuf.
    let packed_logs = b"P\x0a\x0d\x12\x0b\x12\x09\x2a\x07\x0a\x05hello";
    let packed_metrics = b"p\x0a\x15\x12\x13\x12\x11\x0a\x01m\x2a\x0c\x0a\x0a\x21\x00\x00\x00\x00\x00\x00\x00\x40\x19";
    write(folder, "otlp", [logs.as_bytes(), metrics.as_bytes(), packed_logs, packed_metrics]);
    let files: Vec<Vec<u8>> = template().iter().enumerate().map(|(at, (_, bytes))| [&[at as u8], bytes.as_slice()].concat()).collect();
    write(folder, "telemetry", files.iter().map(Vec::as_slice));
}

fn write<'a>(folder: &Path, target: &str, seeds: impl IntoIterator<Item = &'a [u8]>) {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("the seed can be written");
    }
}
