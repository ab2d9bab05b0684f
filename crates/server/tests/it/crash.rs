//! kill -9 under load, with a ledger on the client's side: nothing acked is lost, nothing is doubled, no position is missing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{Served, bootstrapped};

const WRITERS: usize = 4;

/// What was sent, and whether the server said that it has it.
#[derive(Default)]
struct Ledger {
    records: HashMap<String, bool>,
    logs: HashMap<String, bool>,
}

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
    let ledger = ledger.lock().expect("no writer panicked");
    let records = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    let lines = pages(&served, &key, "/api/v1/logs?limit=500&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", "message").await;
    agree("records", &ledger.records, &records);
    agree("log lines", &ledger.logs, &lines);
    assert_positions_are_gapless(&served, &key).await;
    println!("{rounds} rounds, {} records and {} log batches acked", acked(&ledger.records), acked(&ledger.logs));
}

async fn write_records(url: String, key: String, writer: String, ledger: Arc<Mutex<Ledger>>) {
    let client = Client::new();
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
    let client = Client::new();
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

/// How often each value of `field` is there, over all pages.
async fn pages(served: &Served, key: &str, path: &str, field: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let mut cursor: Option<String> = None;
    loop {
        let more = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = served.json(served.get(key, &format!("{path}{more}"))).await;
        for row in page["data"].as_array().expect("is a list") {
            *found.entry(row[field].as_str().expect("is text").to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

/// acked ⊆ recovered ⊆ sent, each once.
fn agree(what: &str, sent: &HashMap<String, bool>, recovered: &HashMap<String, usize>) {
    let lost: Vec<_> = sent.iter().filter(|(name, acked)| **acked && !recovered.contains_key(*name)).collect();
    assert!(lost.is_empty(), "{} acked {what} are lost, such as {:?}", lost.len(), lost.first());
    let doubled: Vec<_> = recovered.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{} {what} are doubled, such as {:?}", doubled.len(), doubled.first());
    let unsent: Vec<_> = recovered.keys().filter(|name| !sent.contains_key(*name)).collect();
    assert!(unsent.is_empty(), "{} {what} were never sent, such as {:?}", unsent.len(), unsent.first());
    assert!(acked(sent) > 0, "the load must have written {what}");
}

fn acked(sent: &HashMap<String, bool>) -> usize {
    sent.values().filter(|acked| **acked).count()
}

async fn assert_positions_are_gapless(served: &Served, key: &str) {
    let mut last = 0;
    loop {
        let page = served.json(served.get(key, &format!("/api/v1/events?limit=500&after={last}"))).await;
        let events: &Vec<Value> = page["data"].as_array().expect("is a list");
        for event in events {
            assert_eq!(event["position"], last + 1, "a position is missing or repeated");
            last += 1;
        }
        if events.is_empty() {
            assert!(last > 0, "the load must have left events");
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the long form of this test is asked for by a variable")]
fn option(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}
