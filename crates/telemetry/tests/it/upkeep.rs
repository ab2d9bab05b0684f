//! Flushing, joining, cutting the log.

use std::fs;
use std::path::Path;

use steward_telemetry::{HistogramQuery, LogQuery, Severity};
use tempfile::tempdir;

use crate::support::{batch, messages, open, options, row, tenant, time};

fn files(dir: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), extension));
        } else if entry.path().extension().is_some_and(|found| found == extension) {
            found.push(entry.path().strip_prefix(dir).expect("inside").to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn segments_lie_by_tenant_signal_and_day_and_small_ones_are_joined() {
    let dir = tempdir().expect("a folder");
    let mut options = options(dir.path());
    options.compact_segments = 4;
    let telemetry = open(options).await;
    let mut sent = Vec::new();
    for number in 0..4 {
        let text = format!("row {number}");
        telemetry.append_logs(tenant(1), None, batch([text.as_str()])).await.expect("stored");
        sent.push(text);
        telemetry.flush().await.expect("flushes");
    }
    telemetry.maintain().await.expect("maintains");
    telemetry.maintain().await.expect("maintains");
    let segments = files(&dir.path().join("objects").join(tenant(1).to_string()).join("logs"), "parquet");
    assert_eq!(segments.len(), 1, "{segments:?}");
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    assert_eq!(found, sent);
}

#[tokio::test]
async fn logs_that_pack_well_are_joined_no_further_than_memory_allows() {
    let dir = tempdir().expect("a folder");
    let mut options = options(dir.path());
    options.compact_segments = 3;
    options.compact_raw_bytes = 250_000;
    let telemetry = open(options).await;
    let text = "x".repeat(1000);
    for _ in 0..6 {
        telemetry.append_logs(tenant(1), None, batch(std::iter::repeat_n(text.as_str(), 60))).await.expect("stored");
        telemetry.flush().await.expect("flushes");
    }
    for _ in 0..4 {
        telemetry.maintain().await.expect("maintains");
    }
    // Three times some seventy thousand bytes fit; packed, all six are next to nothing.
    let segments = files(&dir.path().join("objects").join(tenant(1).to_string()).join("logs"), "parquet");
    assert_eq!(segments.len(), 2, "{segments:?}");
    assert_eq!(messages(&telemetry, tenant(1)).await.len(), 360);
}

#[tokio::test]
async fn the_log_is_cut_once_it_is_in_segments() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let text = "x".repeat(2000);
    for _ in 0..20 {
        telemetry.append_logs(tenant(1), None, batch(std::iter::repeat_n(text.as_str(), 10))).await.expect("stored");
    }
    assert!(files(&dir.path().join("wal"), "wal").len() > 4);
    telemetry.flush().await.expect("flushes");
    assert_eq!(files(&dir.path().join("wal"), "wal").len(), 1);
    assert_eq!(telemetry.health().memory_bytes, 0);
}

#[tokio::test]
async fn a_quiet_tenant_does_not_keep_the_log_for_ever() {
    let dir = tempdir().expect("a folder");
    let mut options = options(dir.path());
    options.wal_bytes = 200_000;
    let telemetry = open(options).await;
    telemetry.append_logs(tenant(9), None, batch(["quiet"])).await.expect("stored");
    let text = "x".repeat(2000);
    for _ in 0..40 {
        telemetry.append_logs(tenant(1), None, batch(std::iter::repeat_n(text.as_str(), 10))).await.expect("stored");
    }
    for _ in 0..20 {
        telemetry.maintain().await.expect("maintains");
    }
    assert!(telemetry.health().wal_bytes <= 200_000, "{}", telemetry.health().wal_bytes);
    assert_eq!(messages(&telemetry, tenant(9)).await, ["quiet"]);
}

#[tokio::test]
async fn one_row_batches_are_joined_in_memory() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    for number in 0..400 {
        telemetry.append_logs(tenant(1), None, batch([format!("row {number}").as_str()])).await.expect("stored");
    }
    telemetry.maintain().await.expect("maintains");
    let after = telemetry.health().memory_bytes;
    // Each came as an entry of its own of more than a kilobyte.
    assert!(after < 400 * 400, "{after}");
    assert_eq!(messages(&telemetry, tenant(1)).await.len(), 400);
    telemetry.flush().await.expect("flushes");
    assert_eq!(telemetry.health().memory_bytes, 0);
    assert_eq!(messages(&telemetry, tenant(1)).await.len(), 400);
}

#[tokio::test]
async fn counts_from_the_side_index_are_those_of_the_rows() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut rows = steward_telemetry::LogBatch::new();
    for second in 0..3600 {
        row(&mut rows, second, "app", Severity::from_number((second % 24 + 1) as i32), "text");
    }
    telemetry.append_logs(tenant(1), None, rows).await.expect("stored");
    for step in [60, 300, 45] {
        for (from, to) in [(-100, 4000), (30, 3333)] {
            let query = HistogramQuery { from: time(from), to: time(to), filter: None, step: std::time::Duration::from_secs(step) };
            let fresh = telemetry.histogram(tenant(1), query.clone()).await.expect("answers");
            telemetry.flush().await.expect("flushes");
            let stored = telemetry.histogram(tenant(1), query.clone()).await.expect("answers");
            assert_eq!(fresh, stored);
            let total: u64 = stored.buckets.iter().flat_map(|bucket| bucket.counts).sum();
            assert_eq!(total, (to.min(3600) - from.max(0)) as u64);
        }
    }
    let page = telemetry.logs(tenant(1), LogQuery { limit: 1, ..LogQuery::default() }).await.expect("answers");
    assert_eq!(page.rows[0].time, time(3599));
}

#[tokio::test]
async fn what_a_stopped_process_left_behind_is_swept() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    telemetry.append_logs(tenant(1), None, batch(["kept"])).await.expect("stored");
    telemetry.close().await.expect("closes");
    drop(telemetry);
    let segments = dir.path().join("objects").join(tenant(1).to_string()).join("logs");
    let day = fs::read_dir(&segments).expect("a day").next().expect("a day").expect("a day").path();
    let orphans =
        ["segment-seg_0000000000000000000000000c.parquet", "segment-seg_0000000000000000000000000g.parquet#1"].map(|name| day.join(name));
    for orphan in &orphans {
        fs::write(orphan, b"half").expect("writes");
    }
    let telemetry = loop {
        // The former engine may still be letting go of the folder.
        if let Ok(telemetry) =
            steward_telemetry::Telemetry::open(options(dir.path()), steward_base::Clock::system(), steward_base::Random::seeded(7)).await
        {
            break telemetry;
        }
    };
    crate::support::eventually(|| orphans.iter().all(|orphan| !orphan.exists())).await;
    assert_eq!(messages(&telemetry, tenant(1)).await, ["kept"]);
}
