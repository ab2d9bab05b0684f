//! Kinds that change between two starts.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Expect, Kind, Kinds, ListQuery, Order, Store, Unclaimed, UnitOfWork};

use crate::support::{ctx, filter, members, object, postgres_url, reopened};

fn kinds(indexed: bool, unique: bool) -> Kinds {
    let schema = json!({ "type": "object", "properties": {
        "name": { "type": "string", "unique": unique },
        "size": { "type": "integer", "indexed": indexed },
    } });
    Kinds::new().with(Kind::from_schema("box", "box", schema).expect("is a kind"))
}

async fn sizes(store: &Store, tenant: TenantId) -> Result<Vec<i64>, &'static str> {
    let query = ListQuery { kind: "box".into(), order: vec![Order::descending("size")], ..ListQuery::default() };
    let page = store.list(&ctx(tenant), query).await.map_err(|error| error.code())?;
    Ok(page.records.iter().filter_map(|record| members(record)["size"].as_i64()).collect())
}

async fn gains_and_loses_keys(backend: Backend) {
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let store = reopened(backend.clone(), kinds(false, false)).await;
    store.provision(tenant).await.expect("provisions");
    let body = |number: i64| object(json!({ "name": format!("box {number}"), "size": number }));
    for number in [2, 3, 1] {
        let unit = UnitOfWork::new().put("box", store.mint_id(), body(number), Expect::Absent);
        store.commit(&ctx(tenant), unit).await.expect("creates");
    }
    assert_eq!(sizes(&store, tenant).await, Err("order_unsupported"));
    store.close().await;

    let store = reopened(backend.clone(), kinds(true, true)).await;
    assert_eq!(sizes(&store, tenant).await, Ok(vec![3, 2, 1]), "what was there before is in the new index");
    assert_eq!(store.count(&ctx(tenant), "box", Some(filter(&store, "box", "size > 1"))).await.expect("counts"), 2);
    let taken = UnitOfWork::new().put("box", store.mint_id(), body(2), Expect::Absent);
    assert_eq!(store.commit(&ctx(tenant), taken).await.expect_err("is taken").code(), "unique_taken");
    store.close().await;

    // Without the index, then with it again: what happened in between is in it.
    let store = reopened(backend.clone(), kinds(false, false)).await;
    let between = UnitOfWork::new().put("box", store.mint_id(), body(9), Expect::Absent);
    store.commit(&ctx(tenant), between).await.expect("creates");
    store.close().await;
    let store = reopened(backend, kinds(true, true)).await;
    assert_eq!(sizes(&store, tenant).await, Ok(vec![9, 3, 2, 1]));
    assert!(store.find(&ctx(tenant), "box", "name", "BOX 9").await.expect("finds").is_some());
    store.close().await;
}

/// Runs a test that opens a store again and again, on every engine there is.
async fn on_each_backend(test: impl AsyncFn(Backend)) {
    let dir = tempfile::tempdir().expect("a folder");
    test(Backend::Sqlite { dir: dir.path().to_owned() }).await;
    if let Some(url) = postgres_url() {
        test(Backend::Postgres { url: Secret::new(url), connections: 4 }).await;
    }
}

/// A tenant with these boxes, stored while no field of them is indexed or unique.
async fn stored(backend: &Backend, boxes: &[Value]) -> (TenantId, Vec<RecordId>) {
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let store = reopened(backend.clone(), kinds(false, false)).await;
    store.provision(tenant).await.expect("provisions");
    let mut ids: Vec<RecordId> = boxes.iter().map(|_| store.mint_id()).collect();
    // Two of one microsecond are in no order of their own.
    ids.sort_unstable();
    for (some, ids) in boxes.chunks(500).zip(ids.chunks(500)) {
        let put = |unit: UnitOfWork, (id, body): (&RecordId, &Value)| unit.put("box", *id, object(body.clone()), Expect::Absent);
        let unit = ids.iter().zip(some).fold(UnitOfWork::new(), put);
        store.commit(&ctx(tenant), unit).await.expect("creates");
    }
    store.close().await;
    (tenant, ids)
}

async fn built(store: &Store, tenant: TenantId) -> Vec<i64> {
    let asked = async {
        loop {
            match sizes(store, tenant).await {
                Ok(sizes) => return sizes,
                Err(code) => assert_eq!(code, "index_building"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("is built in time")
}

async fn is_built_behind_the_requests(backend: Backend) {
    let boxes: Vec<Value> = (0..1_500).map(|number| json!({ "name": format!("box {number}"), "size": number % 700 })).collect();
    let (tenant, ids) = stored(&backend, &boxes).await;
    let (store, ctx) = (reopened(backend.clone(), kinds(true, true)).await, ctx(tenant));
    // Whatever is built already: nothing is missing, neither what was there before nor what comes meanwhile.
    let large = || Some(filter(&store, "box", "size >= 690"));
    assert_eq!(store.count(&ctx, "box", large()).await.expect("counts"), 20);
    let changed = object(json!({ "name": "box 1499", "size": 9_000 }));
    store.commit(&ctx, UnitOfWork::new().put("box", ids[1_499], changed, Expect::Any)).await.expect("changes");
    store.commit(&ctx, UnitOfWork::new().delete("box", ids[1_399], Expect::Any)).await.expect("deletes");
    assert_eq!(store.count(&ctx, "box", large()).await.expect("counts"), 20, "one more and one less");

    assert_eq!(built(&store, tenant).await[..3], [9_000, 699, 698]);
    assert_eq!(store.count(&ctx, "box", large()).await.expect("counts"), 20);
    let taken = UnitOfWork::new().put("box", store.mint_id(), object(json!({ "name": "Box 1300" })), Expect::Absent);
    assert_eq!(store.commit(&ctx, taken).await.expect_err("is taken").code(), "unique_taken");
    assert!(store.unclaimed(&ctx).await.expect("reads").is_empty());
    store.close().await;
}

async fn keeps_what_shares_a_value(backend: Backend) {
    let boxes = ["one", "Twin", "twin", "two"].map(|name| json!({ "name": name, "size": 1 }));
    let (tenant, ids) = stored(&backend, &boxes).await;
    let (store, ctx) = (reopened(backend.clone(), kinds(false, true)).await, ctx(tenant));
    let twin = || Unclaimed { kind: "box".into(), field: "name".into(), id: ids[2], holder: Some(ids[1]) };
    assert_eq!(store.unclaimed(&ctx).await.expect("reads"), [twin()]);
    let put = |id, name: &str, size: i64| UnitOfWork::new().put("box", id, object(json!({ "name": name, "size": size })), Expect::Any);

    // It is read and changed as ever; nobody else gets the value.
    store.commit(&ctx, put(ids[2], "twin", 2)).await.expect("changes something else");
    assert_eq!(store.commit(&ctx, put(store.mint_id(), "TWIN", 1)).await.expect_err("is taken").code(), "unique_taken");
    assert_eq!(store.find(&ctx, "box", "name", "twin").await.expect("finds").map(|found| found.id), Some(ids[1]));
    assert_eq!(store.unclaimed(&ctx).await.expect("reads"), [twin()]);

    // With a value of its own it is as all others, and what it had still belongs to the first.
    store.commit(&ctx, put(ids[2], "three", 2)).await.expect("changes its name");
    assert_eq!(store.unclaimed(&ctx).await.expect("reads"), []);
    assert_eq!(store.find(&ctx, "box", "name", "three").await.expect("finds").map(|found| found.id), Some(ids[2]));
    assert_eq!(store.commit(&ctx, put(ids[2], "twin", 2)).await.expect_err("is taken").code(), "unique_taken");
    store.close().await;
}

async fn follows_a_changed_type(backend: Backend) {
    let (tenant, _) = stored(&backend, &[3, 20, 100].map(|size| json!({ "name": format!("box {size}"), "size": size }))).await;
    let with_type = |type_: &str| {
        let schema =
            json!({ "type": "object", "properties": { "name": { "type": "string" }, "size": { "type": type_, "indexed": true } } });
        Kinds::new().with(Kind::from_schema("box", "box", schema).expect("is a kind"))
    };
    for (type_, text) in [("integer", "size > 19"), ("number", "size > 19.5"), ("integer", "size > 19")] {
        let store = reopened(backend.clone(), with_type(type_)).await;
        assert_eq!(built(&store, tenant).await, [100, 20, 3], "{type_}");
        assert_eq!(store.count(&ctx(tenant), "box", Some(filter(&store, "box", text))).await.expect("counts"), 2, "{type_}");
        store.close().await;
    }
}

#[tokio::test]
async fn indexes_follow_the_kinds() {
    on_each_backend(gains_and_loses_keys).await;
}

#[tokio::test]
async fn new_keys_are_built_behind_the_requests() {
    on_each_backend(is_built_behind_the_requests).await;
}

#[tokio::test]
async fn records_that_share_a_value_stay_when_it_becomes_unique() {
    on_each_backend(keeps_what_shares_a_value).await;
}

#[tokio::test]
async fn an_index_follows_the_type_of_its_field() {
    on_each_backend(follows_a_changed_type).await;
}
