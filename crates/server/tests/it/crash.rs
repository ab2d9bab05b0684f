//! kill -9 under load, with a ledger on the client's side: nothing acked is lost, nothing is doubled, no position is missing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::ledger::{Ledger, acked, agree, assert_positions_are_gapless, pages};
use crate::support::{Served, bootstrapped, client};

const WRITERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acked_is_lost_and_nothing_is_doubled() {
    // `make soak` asks for 100.
    let rounds: usize = option("STEWARD_TEST_CRASH_ROUNDS").unwrap_or(8);
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for round in 0..rounds {
        let served = Served::start(data.path(), &[]);
        let load: Vec<_> = (0..WRITERS)
            .flat_map(|writer| {
                let name = format!("{round}-{writer}");
                let (url, key, ledger) = (&served.url, &key, &ledger);
                [
                    tokio::spawn(write_records(url.clone(), key.clone(), name.clone(), ledger.clone())),
                    tokio::spawn(write_logs(url.clone(), key.clone(), name, ledger.clone())),
                ]
            })
            .collect();
        // Long enough for commits, checkpoints and flushes to be under way, and different in each round.
        tokio::time::sleep(Duration::from_millis(150 + 70 * (round as u64 % 7))).await;
        served.kill();
        for writer in load {
            writer.await.expect("a writer ends when its server is gone");
        }
    }
    let served = Served::start(data.path(), &[]);
    let ledger = std::mem::take(&mut *ledger.lock().expect("no writer panicked"));
    let records = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    let lines = pages(&served, &key, "/api/v1/logs?limit=500&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", "message").await;
    agree("records", &ledger.records, &records);
    agree("log lines", &ledger.logs, &lines);
    assert_positions_are_gapless(&served, &key).await;
    println!("{rounds} rounds, {} records and {} log batches acked", acked(&ledger.records), acked(&ledger.logs));
}

async fn write_records(url: String, key: String, writer: String, ledger: Arc<Mutex<Ledger>>) {
    let client = client();
    for number in 0.. {
        let name = format!("record {writer}-{number}");
        ledger.lock().expect("is whole").records.insert(name.clone(), false);
        let sent = client.post(format!("{url}/api/v1/projects")).bearer_auth(&key).json(&json!({ "name": name })).send().await;
        match sent {
            Ok(answer) if answer.status() == 201 => ledger.lock().expect("is whole").records.insert(name, true),
            Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(_) => return,
        };
    }
}

async fn write_logs(url: String, key: String, writer: String, ledger: Arc<Mutex<Ledger>>) {
    let client = client();
    for number in 0.. {
        let message = format!("line {writer}-{number}");
        ledger.lock().expect("is whole").logs.insert(message.clone(), false);
        let line = json!({ "message": message, "severity": "info", "service": "ledger" }).to_string();
        let request = client.post(format!("{url}/ingest/v1/ledger")).bearer_auth(&key).header("content-type", "application/x-ndjson");
        match request.body(line).send().await {
            Ok(answer) if answer.status().is_success() => ledger.lock().expect("is whole").logs.insert(message, true),
            Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(_) => return,
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "the long form of this test is asked for by a variable")]
fn option(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}
