//! The client's side of the promise: what was sent, what was acknowledged, and what the server has afterwards.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::Served;

/// What was sent, and whether the server said that it has it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) records: HashMap<String, bool>,
    pub(crate) logs: HashMap<String, bool>,
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
