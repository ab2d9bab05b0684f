//! The client's side of the promise: what was sent, what was acknowledged, and what the server has afterwards.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Served, client, eventually};

/// What was sent, and whether the server said that it has it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) records: HashMap<String, bool>,
    pub(crate) logs: HashMap<String, bool>,
}

/// Writers of records that go on until they are told to stop, whatever the server may be excused for refusing meanwhile.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins. `excuses` are the codes with which a write may be refused.
    pub(crate) fn begin(served: &Served, key: &str, excuses: &'static [&'static str]) -> Self {
        let (ledger, stop) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let writer = |writer: usize| {
            let (url, key, ledger, stop) = (served.url.clone(), key.to_owned(), ledger.clone(), stop.clone());
            tokio::spawn(async move {
                let client = client();
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let name = format!("record {writer}-{number}");
                    ledger.lock().expect("is whole").records.insert(name.clone(), false);
                    let request = client.post(format!("{url}/api/v1/projects")).bearer_auth(&key).json(&json!({ "name": name }));
                    let answer = request.send().await.expect("the process itself goes on");
                    if answer.status() == 201 {
                        ledger.lock().expect("is whole").records.insert(name, true);
                        continue;
                    }
                    let (status, problem) = (answer.status(), answer.json::<Value>().await.expect("is a problem"));
                    assert!(status == 503 && excuses.contains(&problem["code"].as_str().expect("has a code")), "{status}: {problem}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        };
        let writers = (0..4).map(writer).collect();
        Self { ledger, stop, writers }
    }

    /// Waits until some more writes were acknowledged.
    pub(crate) async fn goes_on(&self, when: &str) {
        let many = || acked(&self.ledger.lock().expect("is whole").records);
        let before = many();
        eventually(&format!("writes {when}"), Duration::from_secs(60), async || (many() > before + 20).then_some(())).await;
    }

    /// What is acknowledged by now.
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        let ledger = self.ledger.lock().expect("is whole");
        ledger.records.iter().filter(|(_, acked)| **acked).map(|(name, _)| name.clone()).collect()
    }

    /// Ends, and answers what was sent.
    pub(crate) async fn end(self) -> HashMap<String, bool> {
        self.stop.store(true, Ordering::SeqCst);
        for writer in self.writers {
            writer.await.expect("a writer meets only refusals that say why");
        }
        std::mem::take(&mut self.ledger.lock().expect("is whole").records)
    }
}

/// How often each value of `field` is there, over all pages.
pub(crate) async fn pages(served: &Served, key: &str, path: &str, field: &str) -> HashMap<String, usize> {
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
pub(crate) fn agree(what: &str, sent: &HashMap<String, bool>, recovered: &HashMap<String, usize>) {
    let lost: Vec<_> = sent.iter().filter(|(name, acked)| **acked && !recovered.contains_key(*name)).collect();
    assert!(lost.is_empty(), "{} acked {what} are lost, such as {:?}", lost.len(), lost.first());
    let doubled: Vec<_> = recovered.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{} {what} are doubled, such as {:?}", doubled.len(), doubled.first());
    let unsent: Vec<_> = recovered.keys().filter(|name| !sent.contains_key(*name)).collect();
    assert!(unsent.is_empty(), "{} {what} were never sent, such as {:?}", unsent.len(), unsent.first());
    assert!(acked(sent) > 0, "the load must have written {what}");
}

pub(crate) fn acked(sent: &HashMap<String, bool>) -> usize {
    sent.values().filter(|acked| **acked).count()
}

pub(crate) async fn assert_positions_are_gapless(served: &Served, key: &str) {
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
