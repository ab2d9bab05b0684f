//! Random units of work on every engine and in memory: each answers the same, and all end in the same state.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use steward_base::filter::matches;
use steward_base::{Ctx, TenantId};
use steward_store::{ListQuery, Order, Store};

use crate::model::{Memory, Slot, Step, unit_of, units};
use crate::support::{ctx, filter, members, postgres, sqlite};

#[test]
fn engines_and_memory_agree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    let (lite, postgres) = runtime.block_on(async { (sqlite().await, postgres().await) });
    let stores: Vec<Store> = [Some(&lite), postgres.as_ref()].into_iter().flatten().map(|bench| bench.store.clone()).collect();
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let done = runner.run(&units(), |units| {
        for store in &stores {
            runtime.block_on(play(store, &units))?;
        }
        Ok(())
    });
    runtime.block_on(async {
        for store in &stores {
            store.close().await;
        }
    });
    done.expect("they agree");
}

async fn play(store: &Store, units: &[Vec<Step>]) -> Result<(), TestCaseError> {
    let tenant = TenantId::new(store.clock(), store.random());
    let ctx = ctx(tenant);
    store.provision(tenant).await.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    let mut memory = Memory::default();
    for unit in units {
        let expected = memory.commit(unit);
        let got = store.commit(&ctx, unit_of(unit)).await.map(|done| done.position).map_err(|error| error.code());
        prop_assert_eq!(&got, &expected, "{:?}", unit);
    }
    compare(store, &ctx, &memory).await
}

async fn compare(store: &Store, ctx: &Ctx, memory: &Memory) -> Result<(), TestCaseError> {
    for (slot, entry) in &memory.records {
        let got = store.get(ctx, slot.kind(), slot.id()).await.expect("reads");
        let live = entry.live.as_ref().map(|body| (entry.version, body.clone()));
        prop_assert_eq!(got.map(|record| (record.version, members(&record))), live, "{:?}", slot);
    }
    for (text, order) in [(None, "id"), (Some("size >= 2"), "size"), (Some("team_id:* AND NOT size = 3"), "name"), (None, "inside_id")] {
        let filter = text.map(|text| filter(store, "thing", text));
        let query =
            ListQuery { kind: "thing".into(), filter: filter.clone(), order: vec![Order::ascending(order)], after: None, limit: 100 };
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
    prop_assert_eq!(store.verify_chain(ctx).await.map_err(|error| error.code()), Ok(memory.position));
    Ok(())
}
