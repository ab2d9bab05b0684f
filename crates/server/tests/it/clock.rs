//! The machine's clock jumping, forth and back, under the running server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::ledger::{assert_positions_are_gapless, pages};
use crate::support::{Served, bootstrapped, eventually};

const FOLDERS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"];

/// The library that puts a wall clock of the test's own under a process; the monotonic clock stays the machine's.
fn library() -> PathBuf {
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join("libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("the package faketime is installed; scripts/setup.sh test does it")
}

#[tokio::test]
async fn a_clock_that_jumps_loses_and_doubles_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let clock = data.path().join("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).expect("is written");
    set("+0");
    let variables = [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let served = Served::start_with(data.path(), &[], &variables);
    let mut names = Vec::new();
    for offset in ["+0", "+30d", "-30d", "+1", "-400d"] {
        set(offset);
        for number in 0..5 {
            let name = format!("{offset} {number}");
            let created = served.json(served.post(&key, "/api/v1/projects").json(&json!({ "name": name }))).await;
            let line = json!({ "message": name, "service": "clock" }).to_string();
            served.json(served.post(&key, "/ingest/v1/clock").header("content-type", "application/x-ndjson").body(line)).await;
            names.push((name, created["created_at"].as_str().expect("is text").to_owned()));
        }
    }
    let year = |at: usize| names[at].1[..4].parse::<i32>().expect("is a year");
    assert!(year(24) < year(14), "the clock really jumped: {names:?}");

    let records = pages(&served, &key, "/api/v1/projects?limit=7&order_by=created_at", "name").await;
    let path = "/api/v1/logs?limit=7&from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    let lines = pages(&served, &key, path, "message").await;
    for (name, _) in &names {
        assert_eq!((records.get(name), lines.get(name)), (Some(&1), Some(&1)), "{name}");
    }
    assert_positions_are_gapless(&served, &key).await;
    eventually("readiness", Duration::from_secs(10), async || {
        let ready = served.client.get(format!("{}/readyz", served.url)).send().await.expect("is answered");
        (ready.status() == 200).then_some(())
    })
    .await;
}
