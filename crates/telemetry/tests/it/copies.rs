//! Segments that go from one engine to another: the same answers, rows of their own behind them, and nothing of what was given up.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use steward_base::TenantId;
use steward_telemetry::{
    Aggregate, AttributeValue, Copied, Histogram, HistogramQuery, LogRow, MetricBatch, MetricKind, NamesQuery, RowId, SeriesQuery,
    SeriesSet, Telemetry,
};
use tempfile::tempdir;

use crate::crash::reopen;
use crate::support::{batch, eventually, everything, logs, messages, open, options, points, row, tenant, time};

/// Takes everything in segments from one to the other.
pub(crate) async fn take(from: &Telemetry, to: &Telemetry, tenant: TenantId) {
    let (copies, highest) = copies(from, tenant).await;
    let mut arriving = to.arriving(tenant);
    for (copied, bytes) in copies {
        arriving.add(copied, bytes).await.expect("is stored");
    }
    arriving.publish(highest).await.expect("is published");
}

pub(crate) async fn copies(from: &Telemetry, tenant: TenantId) -> (Vec<(Copied, Bytes)>, u64) {
    let sealed = from.sealed(tenant);
    let mut copies = Vec::new();
    for id in sealed.ids() {
        copies.push(sealed.read(id).await.expect("is read"));
    }
    // As a backup keeps it.
    let kept = |copied: &Copied| serde_json::from_str(&serde_json::to_string(copied).expect("is text")).expect("is read");
    (copies.iter().map(|(copied, bytes)| (kept(copied), bytes.clone())).collect(), sealed.highest())
}

/// Log lines and points, in several segments.
async fn fill(telemetry: &Telemetry) {
    for round in 0..4 {
        let mut lines = steward_telemetry::LogBatch::new();
        for second in 0..300 {
            row(
                &mut lines,
                round * 300 + second,
                "shop",
                steward_telemetry::Severity::from_number(13),
                &format!("order {} of round {round}", second * 7919),
            );
        }
        telemetry.append_logs(tenant(1), None, lines).await.expect("stored");
        let mut metrics = MetricBatch::new();
        points(&mut metrics, "shop.orders", MetricKind::Gauge, &[("till", AttributeValue::Int(round))], &[1.0, round as f64, 3.5]);
        telemetry.append_metrics(tenant(1), None, metrics).await.expect("stored");
        telemetry.append_logs(tenant(2), None, batch(["a neighbour"])).await.expect("stored");
        if round < 3 {
            telemetry.flush().await.expect("flushes");
        }
    }
}

/// What people ask.
async fn answers(telemetry: &Telemetry) -> (Vec<LogRow>, Vec<LogRow>, Histogram, SeriesSet, usize) {
    let needle = steward_telemetry::LogQuery { filter: logs("message:7919"), limit: 100, ..Default::default() };
    let histogram = HistogramQuery { from: time(0), to: time(1_200), filter: None, step: Duration::from_secs(60) };
    let series = SeriesQuery {
        name: "shop.orders".to_owned(),
        filter: None,
        from: time(0),
        to: time(600),
        step: Duration::from_secs(10),
        aggregate: Aggregate::Max,
        group_by: vec!["till".to_owned()],
    };
    let names = NamesQuery { from: Some(time(0)), to: Some(time(600)), filter: None };
    (
        everything(telemetry, tenant(1)).await,
        telemetry.logs(tenant(1), needle).await.expect("answers").rows,
        telemetry.histogram(tenant(1), histogram).await.expect("answers"),
        telemetry.series(tenant(1), series).await.expect("answers"),
        telemetry.metric_names(tenant(1), names).await.expect("answers").len(),
    )
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// The names of the files below a folder, without what sort of file each is.
fn stems(dir: &Path) -> BTreeSet<String> {
    let below = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    below
        .flat_map(|path| {
            if path.is_dir() {
                stems(&path)
            } else {
                path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).into_iter().collect()
            }
        })
        .collect()
}

#[tokio::test]
async fn what_was_taken_elsewhere_answers_the_same() {
    let (dir, other) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    let (from, to) = (open(options(dir.path())).await, open(options(other.path())).await);
    fill(&from).await;
    let asked = answers(&from).await;
    assert!(asked.0.len() == 1_200 && !asked.1.is_empty() && asked.4 == 1);
    from.flush().await.expect("flushes");
    take(&from, &to, tenant(1)).await;
    assert_eq!(answers(&to).await, asked);
    assert!(messages(&to, tenant(2)).await.is_empty());
    take(&from, &to, tenant(1)).await;
    assert_eq!(answers(&to).await, asked, "again changes nothing");
    drop(to);
    let to = reopen(options(other.path())).await;
    to.maintain().await.expect("maintains");
    assert_eq!(answers(&to).await, asked, "nor does a restart");
}

#[tokio::test]
async fn what_comes_behind_it_has_ids_of_its_own_and_survives() {
    let (dir, other) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    let from = open(options(dir.path())).await;
    for number in 0..50 {
        from.append_logs(tenant(1), None, batch([format!("before {number}").as_str()])).await.expect("stored");
    }
    from.flush().await.expect("flushes");
    // Its own batches are few, and some wait in the log.
    let to = open(options(other.path())).await;
    to.append_logs(tenant(2), None, batch(["waits"])).await.expect("stored");
    let taken = tokio::spawn({
        let (from, to) = (from.clone(), to.clone());
        async move { take(&from, &to, tenant(1)).await }
    });
    let mut sent = 0;
    while !taken.is_finished() || sent < 20 {
        to.append_logs(tenant(2), None, batch([format!("meanwhile {sent}").as_str()])).await.expect("stored");
        sent += 1;
    }
    taken.await.expect("no panic");
    for number in 0..20 {
        to.append_logs(tenant(1), None, batch([format!("after {number}").as_str()])).await.expect("stored");
    }
    drop(to);
    let to = reopen(options(other.path())).await;
    assert!(to.health().damage.is_empty(), "{:?}", to.health().damage);
    let rows = everything(&to, tenant(1)).await;
    let ids: BTreeSet<RowId> = rows.iter().map(|row| row.id).collect();
    assert_eq!((rows.len(), ids.len()), (70, 70));
    let last_before = rows.iter().filter(|row| row.message.starts_with("before")).map(|row| row.id).max();
    assert!(rows.iter().filter(|row| row.message.starts_with("after")).all(|row| Some(row.id) > last_before));
    assert_eq!(messages(&to, tenant(2)).await.len(), sent + 1);
}

#[tokio::test]
async fn what_is_given_up_or_no_segment_leaves_nothing() {
    let (dir, other) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    let (from, to) = (open(options(dir.path())).await, open(options(other.path())).await);
    fill(&from).await;
    from.flush().await.expect("flushes");
    let (copies, highest) = copies(&from, tenant(1)).await;
    let own = other.path().join("objects").join(tenant(1).to_string());
    let mut arriving = to.arriving(tenant(1));
    for (copied, bytes) in copies.clone() {
        arriving.add(copied, bytes).await.expect("is stored");
    }
    let (copied, bytes) = copies[0].clone();
    let cut = arriving.add(copied.clone(), bytes.slice(1..)).await.expect_err("is cut");
    let other_tenants = to.arriving(tenant(2)).add(copied, bytes).await.expect_err("is another's");
    assert_eq!((cut.code(), other_tenants.code()), ("telemetry_segment", "telemetry_segment"));
    assert!(files(&own) > 0 && messages(&to, tenant(1)).await.is_empty(), "nobody sees it yet");
    drop(arriving);
    eventually(|| files(&own) == 0).await;
    take(&from, &to, tenant(1)).await;
    assert_eq!(messages(&to, tenant(1)).await.len(), 1_200);
    to.erase(tenant(1)).await.expect("erases");
    take(&from, &to, tenant(1)).await;
    assert_eq!(messages(&to, tenant(1)).await.len(), 1_200, "erased, and back");
    assert!(highest > 0);
}

#[tokio::test]
async fn segments_that_are_joined_meanwhile_are_read_to_their_end() {
    let dir = tempdir().expect("a folder");
    let small = steward_telemetry::Options { compact_segments: 2, ..options(dir.path()) };
    let telemetry = open(small).await;
    for text in ["one", "two"] {
        telemetry.append_logs(tenant(1), None, batch([text])).await.expect("stored");
        telemetry.flush().await.expect("flushes");
    }
    let sealed = telemetry.sealed(tenant(1));
    let ids: Vec<String> = sealed.ids().map(str::to_owned).collect();
    assert_eq!(ids.len(), 2);
    telemetry.maintain().await.expect("joins");
    let after = telemetry.sealed(tenant(1));
    assert_eq!(after.ids().count(), 1, "they are joined");
    for id in &ids {
        sealed.read(id).await.expect("is still there");
    }
    drop((sealed, after));
    telemetry.maintain().await.expect("deletes");
    let left = stems(&dir.path().join("objects").join(tenant(1).to_string()));
    assert!(left.len() == 1 && ids.iter().all(|id| !left.iter().any(|stem| stem.contains(id))), "{left:?}");
}
