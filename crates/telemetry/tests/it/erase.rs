//! Erasing a tenant: nothing of it is left in any file, and nobody else notices.

use std::fs;
use std::path::Path;

use steward_telemetry::{MetricBatch, MetricKind};
use tempfile::tempdir;

use crate::support::{batch, messages, open, options, points, tenant};

const CANARY: &str = "the canary sings at midnight";

/// Files below a folder that hold a text. Segments are packed: for these their names must be gone instead.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn nothing_is_left_of_an_erased_tenant() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let own = dir.path().join("objects").join(tenant(1).to_string());
    for round in 0..3 {
        telemetry.append_logs(tenant(1), None, batch([CANARY])).await.expect("stored");
        let mut metrics = MetricBatch::new();
        points(&mut metrics, "canary.songs", MetricKind::Gauge, &[], &[1.0]);
        telemetry.append_metrics(tenant(1), None, metrics).await.expect("stored");
        telemetry.append_logs(tenant(2), None, batch(["a neighbour"])).await.expect("stored");
        if round < 2 {
            telemetry.flush().await.expect("flushes");
        }
    }
    assert!(!holding(dir.path(), CANARY).is_empty() && files(&own) > 0, "it is there before");
    telemetry.erase(tenant(1)).await.expect("erases");
    assert_eq!((holding(dir.path(), CANARY), files(&own)), (Vec::new(), 0));
    assert_eq!(messages(&telemetry, tenant(2)).await, ["a neighbour"; 3]);
    assert!(messages(&telemetry, tenant(1)).await.is_empty());

    telemetry.erase(tenant(1)).await.expect("it may be repeated");
    telemetry.append_logs(tenant(2), None, batch(["later"])).await.expect("stored");
    telemetry.close().await.expect("closes");
    drop(telemetry);
    let telemetry = open(options(dir.path())).await;
    assert!(messages(&telemetry, tenant(1)).await.is_empty(), "nor after a restart");
    assert_eq!(messages(&telemetry, tenant(2)).await.len(), 4);
}
