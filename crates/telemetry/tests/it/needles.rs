//! Looking for a text that few segments have: the filters beside them are used, and never trusted when they are gone.

use std::fs;
use std::path::{Path, PathBuf};

use steward_telemetry::{AttributeValue, HistogramQuery, LogBatch, LogFields, LogQuery, Telemetry};
use tempfile::tempdir;

use crate::support::{logs, open, options, tenant, time};

fn filters(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(filters(&path));
        } else if path.extension().is_some_and(|extension| extension == "grams") {
            found.push(path);
        }
    }
    found
}

/// Sixteen digits that no other number has many of.
fn fingerprint(number: u8) -> String {
    format!("{:016x}", u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A row of its own in each of some segments.
async fn segments(telemetry: &Telemetry, count: u8) {
    for number in 0..count {
        let mut batch = LogBatch::new();
        let request = format!("req-{number:02}-4f7a");
        batch.attribute("request.id", AttributeValue::Text(&request));
        batch.attribute("tags", AttributeValue::Json(r#"["retried","second-attempt"]"#));
        let message = format!("Payment {number:02} was REFUSED by provider-{number:02}, fingerprint {}", fingerprint(number));
        batch.push(&LogFields { time: time(i64::from(number)), message: &message, trace_id: [number + 1; 16], ..LogFields::default() });
        telemetry.append_logs(tenant(1), None, batch).await.expect("stored");
        telemetry.flush().await.expect("flushes");
    }
}

const NEEDLES: [(&str, usize); 12] = [
    ("\"was refused\"", 6),
    ("efused by Provider-0", 6),
    ("provider-03", 1),
    ("vider-03", 1),
    ("provider-99", 0),
    ("req-02-4f7a", 1),
    ("message:\"payment 04 was\"", 1),
    ("attributes.request.id = REQ-05-4F7A", 1),
    ("attributes.request.id = req-05-4f7", 0),
    ("attributes.tags = second-attempt", 6),
    ("trace_id = \"03030303030303030303030303030303\"", 1),
    ("provider-01 OR req-02-4f7a -\"payment 02\"", 1),
];

async fn agree(telemetry: &Telemetry) {
    for (filter, count) in NEEDLES {
        let found = telemetry.logs(tenant(1), LogQuery { filter: logs(filter), limit: 100, ..LogQuery::default() }).await.expect("answers");
        assert_eq!(found.rows.len(), count, "{filter}");
        let query = HistogramQuery { from: time(0), to: time(60), filter: logs(filter), step: std::time::Duration::from_secs(60) };
        let counted = telemetry.histogram(tenant(1), query).await.expect("answers");
        assert_eq!(counted.buckets.iter().flat_map(|bucket| bucket.counts).sum::<u64>() as usize, count, "{filter}");
    }
}

#[tokio::test]
async fn a_needle_is_found_wherever_it_stands_in_a_text() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    segments(&telemetry, 6).await;
    assert_eq!(filters(dir.path()).len(), 6);
    agree(&telemetry).await;
}

/// A row group whose filter says no is not read: what is there no more cannot fail a query that does not want it.
#[tokio::test]
async fn only_segments_that_may_have_it_are_read() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    segments(&telemetry, 6).await;
    let wanted = |filter: &str| LogQuery { filter: logs(filter), limit: 100, ..LogQuery::default() };
    assert_eq!(telemetry.logs(tenant(1), wanted(&fingerprint(3))).await.expect("answers").rows.len(), 1);
    for path in filters(dir.path()) {
        let rows = path.with_extension("parquet");
        let bytes = fs::read(&rows).expect("reads");
        if !bytes.windows(16).any(|window| window == fingerprint(3).as_bytes()) {
            fs::write(&rows, b"gone").expect("writes");
        }
    }
    assert_eq!(telemetry.logs(tenant(1), wanted(&fingerprint(3))).await.expect("reads one segment only").rows.len(), 1);
    assert!(telemetry.logs(tenant(1), wanted("provider")).await.is_err(), "too common to leave any out");
}

#[tokio::test]
async fn filters_that_are_damaged_or_gone_cost_time_and_no_rows() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    segments(&telemetry, 6).await;
    for (number, path) in filters(dir.path()).into_iter().enumerate() {
        let mut bytes = fs::read(&path).expect("reads");
        match number % 3 {
            0 => fs::remove_file(&path).expect("removes"),
            1 => fs::write(&path, &bytes[..bytes.len() / 2]).expect("writes"),
            _ => {
                bytes[20..].fill(0);
                fs::write(&path, &bytes).expect("writes");
            }
        }
    }
    // They are read when the first query asks for them.
    agree(&telemetry).await;
}
