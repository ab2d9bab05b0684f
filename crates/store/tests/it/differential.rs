//! Random units of work on every engine and in memory, with a restart among them: each answers the same, all end in the same state, and undoing the
//! last unit leads back to the state before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};
use steward_base::filter::matches;
use steward_base::{Ctx, Parts, Principal, Secret, TenantId};
use steward_store::{Among, Backend, FacetQuery, ListQuery, Order, Record, SearchQuery, Store};

use crate::model::{Memory, Slot, Step, unit_of, units};
use crate::support::{Served, ctx, filter, kinds, members, postgres_url, reopened};

#[test]
fn engines_and_memory_agree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    let dir = tempfile::tempdir().expect("a folder");
    let lite = Backend::Sqlite { dir: dir.path().join("here") };
    let behind = runtime.block_on(reopened(Backend::Sqlite { dir: dir.path().join("there") }, kinds()));
    let served = runtime.block_on(Served::start(behind));
    let far = served.backend();
    let postgres = postgres_url().map(|url| Backend::Postgres { url: Secret::new(url), connections: 8 });
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let done = runner.run(&(units(), 0..25usize), |(units, restart)| {
        for backend in [Some(&lite), Some(&far), postgres.as_ref()].into_iter().flatten() {
            runtime.block_on(play(backend, &units, restart))?;
        }
        Ok(())
    });
    done.expect("they agree");
    runtime.block_on(served.stop());
}

/// Commits the units, with a restart before one of them; compares everything; and takes back the last one.
async fn play(backend: &Backend, units: &[Vec<Step>], restart: usize) -> Result<(), TestCaseError> {
    let mut store = reopened(backend.clone(), kinds()).await;
    let tenant = TenantId::new(store.clock(), store.random());
    let ctx = ctx(tenant);
    store.provision(tenant).await.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    let mut memory = Memory::default();
    let mut before_last = Memory::default();
    let mut kept = BTreeMap::new();
    for (number, unit) in units.iter().enumerate() {
        if number == restart {
            store.close().await;
            store = reopened(backend.clone(), kinds()).await;
            // Generations count in one store, as what is kept is kept in one process.
            kept.clear();
        }
        before_last = memory.clone();
        let expected = memory.commit(unit);
        let in_request = during(tenant, number);
        let got = store.commit(&in_request, unit_of(unit)).await.map(|done| done.position).map_err(|error| error.code());
        prop_assert_eq!(&got, &expected, "{:?}", unit);
        compare_kept(&store, &ctx, &mut kept).await?;
    }
    compare(&store, &ctx, &memory).await?;
    let undone = store.undo(&ctx, &format!("unit {}", units.len() - 1), |_| Ok(())).await;
    match memory.position == before_last.position {
        true => prop_assert_eq!(undone.expect_err("nothing was done").code(), "not_found"),
        false => prop_assert!(undone.is_ok(), "{:?}", undone),
    }
    for slot in memory.records.keys() {
        let was = before_last.records.get(slot).and_then(|entry| entry.live.clone());
        let is = store.get(&ctx, slot.kind(), slot.id()).await.expect("reads");
        prop_assert_eq!(is.map(|record| members(&record)), was, "{:?}", slot);
    }
    store.close().await;
    Ok(())
}

fn during(tenant: TenantId, unit: usize) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::new([]),
        reason: "test".into(),
        origin: None,
        trace_id: None,
        request_id: Some(format!("unit {unit}").into()),
    })
}

/// What was read stays true for as long as the generation of its kind stays.
async fn compare_kept(store: &Store, ctx: &Ctx, kept: &mut BTreeMap<&str, (u64, Vec<Record>)>) -> Result<(), TestCaseError> {
    for kind in ["team", "thing"] {
        let Some(generation) = store.generation(ctx.tenant(), kind) else { continue };
        let page = store.list(ctx, ListQuery { kind: kind.into(), limit: 100, ..ListQuery::default() }).await.expect("lists");
        if let Some((_, records)) = kept.get(kind).filter(|(known, _)| *known == generation) {
            prop_assert_eq!(&page.records, records, "{}", kind);
        }
        kept.insert(kind, (generation, page.records));
    }
    Ok(())
}

async fn compare(store: &Store, ctx: &Ctx, memory: &Memory) -> Result<(), TestCaseError> {
    for (slot, entry) in &memory.records {
        let got = store.get(ctx, slot.kind(), slot.id()).await.expect("reads");
        let live = entry.live.as_ref().map(|body| (entry.version, body.clone()));
        prop_assert_eq!(got.map(|record| (record.version, members(&record))), live, "{:?}", slot);
    }
    for (text, order) in [(None, "id"), (Some("size >= 2"), "size"), (Some("team_id:* AND NOT size = 3"), "name"), (None, "inside_id")] {
        let filter = text.map(|text| filter(store, "thing", text));
        let query = ListQuery {
            kind: "thing".into(),
            filter: filter.clone(),
            order: vec![Order::ascending(order)],
            limit: 100,
            ..ListQuery::default()
        };
        let page = store.list(ctx, query).await.expect("lists");
        let mut got: Vec<_> = page.records.iter().map(|record| record.id).collect();
        got.sort();
        let things = memory.records.iter().filter(|(slot, _)| matches!(slot, Slot::Thing(_)));
        let passes = |body: &Value| filter.as_ref().is_none_or(|filter| matches(filter, body));
        let live = things.filter(|(_, entry)| entry.live.as_ref().is_some_and(|body| passes(&Value::Object(body.clone()))));
        let mut expected: Vec<_> = live.map(|(slot, _)| slot.id()).collect();
        expected.sort();
        prop_assert_eq!(got, expected, "{:?} by {}", text, order);
    }
    compare_bin(store, ctx, memory).await?;
    compare_facets(store, ctx, memory).await?;
    compare_search(store, ctx, memory).await?;
    prop_assert_eq!(store.verify_chain(ctx).await.map_err(|error| error.code()), Ok(memory.position));
    Ok(())
}

/// The recycle bin holds what was deleted, as it was; and every record's history tells how it came there.
async fn compare_bin(store: &Store, ctx: &Ctx, memory: &Memory) -> Result<(), TestCaseError> {
    for kind in ["team", "thing"] {
        let query = ListQuery { kind: kind.into(), among: Among::Deleted, limit: 3, ..ListQuery::default() };
        let mut got = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(ctx, ListQuery { after, ..query.clone() }).await.expect("lists");
            got.extend(page.records);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        prop_assert!(got.is_sorted_by_key(|record| std::cmp::Reverse(record.deleted_at)), "newest deletion first");
        let mut got: Vec<_> = got.iter().map(|record| (record.id, record.version, members(record))).collect();
        got.sort_by_key(|(id, ..)| *id);
        let deleted = memory.records.iter().filter(|(slot, _)| slot.kind() == kind);
        let deleted: Vec<_> =
            deleted.filter_map(|(slot, entry)| entry.deleted.clone().map(|body| (slot.id(), entry.version, body))).collect();
        prop_assert_eq!(got, deleted, "{}", kind);
    }
    for (slot, verbs) in &memory.history {
        let events = store.history(ctx, slot.kind(), slot.id(), None, 100).await.expect("reads");
        let got: Vec<_> = events.iter().rev().map(|event| event.event_type.split_once('.').expect("has a verb").1).collect();
        prop_assert_eq!(&got, verbs, "{:?}", slot);
    }
    Ok(())
}

async fn compare_facets(store: &Store, ctx: &Ctx, memory: &Memory) -> Result<(), TestCaseError> {
    for text in [None, Some("size >= 2"), Some("size = 3 OR team_id:*")] {
        let filter = text.map(|text| filter(store, "thing", text));
        let fields = ["size", "team_id"].map(str::to_owned);
        let query = FacetQuery { kind: "thing".into(), filter: filter.clone(), fields: fields.to_vec(), values: 0 };
        let got = store.facets(ctx, query).await.expect("counts");
        prop_assert!(!got.approximate);
        let passes = |body: &Map<String, Value>| filter.as_ref().is_none_or(|filter| matches(filter, &Value::Object(body.clone())));
        let things = memory.records.iter().filter(|(slot, _)| matches!(slot, Slot::Thing(_)));
        let live: Vec<_> = things.filter_map(|(_, entry)| entry.live.as_ref()).filter(|body| passes(body)).collect();
        for (facet, field) in got.fields.iter().zip(&fields) {
            prop_assert_eq!(&facet.field, field);
            let (mut told, mut missing) = (0, live.len() as u64);
            for known in &facet.values {
                let many = live.iter().filter(|body| body.get(field) == Some(&known.value)).count() as u64;
                prop_assert_eq!(known.count, many, "{:?} {} {}", text, field, known.value);
                (told, missing) = (told + 1, missing - many);
            }
            prop_assert_eq!((facet.missing, facet.others), (missing, 0), "{:?} {} after {} values", text, field, told);
            prop_assert!(facet.values.is_sorted_by_key(|known| std::cmp::Reverse(known.count)));
        }
    }
    Ok(())
}

async fn compare_search(store: &Store, ctx: &Ctx, memory: &Memory) -> Result<(), TestCaseError> {
    for text in ["thing", "re", "la bl", "GRÜ", "lampe gr", "red things", ""] {
        for narrow in [None, Some("size < 3")] {
            let narrow = narrow.map(|text| filter(store, "thing", text));
            let kinds = vec![("thing".to_owned(), narrow.clone()), ("team".to_owned(), None)];
            let query = SearchQuery { text: text.into(), kinds, limit: 3, after: None };
            let mut got = Vec::new();
            let mut after = None;
            loop {
                let page = store.search(ctx, SearchQuery { after, ..query.clone() }).await.expect("finds");
                got.extend(page.records.into_iter().map(|record| (record.kind.to_string(), record.id)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            let found = |slot: &Slot, body: &Map<String, Value>| {
                let name = body["name"].as_str().expect("has a name").to_lowercase();
                let known = |word: &String| name.split(' ').any(|known| known.starts_with(&**word));
                let passes = slot.kind() == "team" || narrow.as_ref().is_none_or(|narrow| matches(narrow, &Value::Object(body.clone())));
                !words.is_empty() && words.iter().all(known) && passes
            };
            let live = memory.records.iter().filter(|(slot, entry)| entry.live.as_ref().is_some_and(|body| found(slot, body)));
            let mut expected: Vec<_> = live.map(|(slot, _)| (slot.kind().to_owned(), slot.id())).collect();
            expected.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            prop_assert_eq!(got, expected, "{:?}", text);
        }
    }
    Ok(())
}
