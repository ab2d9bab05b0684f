//! Bytes that nobody meant.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use crate::world::World;

/// Whatever arrives, the answer is success or a refusal of the sender, never a defect of ours.
#[test]
fn no_body_makes_a_defect() {
    let runtime = Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::new());
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        Just(br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"},"timeUnixNano":"#.to_vec()),
        Just(br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asDouble":1}]}}]}]}]}"#.to_vec()),
        Just(br#"{"time":"2026-11-20T10:00:00Z","message":"a","b":{"c":[1,2,{"d":null}]}}"#.to_vec()),
        Just(b"\n".to_vec()),
        Just(vec![0x0a, 0x03, 0x12, 0x01, 0x00]),
    ];
    let bodies = proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    let kinds = prop::sample::select(vec![
        ("/otlp/v1/logs", "application/x-protobuf"),
        ("/otlp/v1/logs", "application/json"),
        ("/otlp/v1/metrics", "application/x-protobuf"),
        ("/otlp/v1/metrics", "application/json"),
        ("/ingest/v1/app", "application/x-ndjson"),
    ]);
    let mut runner = TestRunner::new(Config::with_cases(256));
    runner
        .run(&(kinds, bodies, any::<bool>()), |((path, media_type), body, packed)| {
            let mut headers = vec![("content-type", media_type)];
            if packed {
                headers.push(("content-encoding", "gzip"));
            }
            let (status, ..) = runtime.block_on(world.raw(path, &world.tenant.key, &headers, body));
            prop_assert!(status < 500, "{status}");
            Ok(())
        })
        .expect("no defect");
    let rows = runtime.block_on(world.logs(""));
    assert!(rows.iter().all(|row| row["id"].is_string()));
}
