//! Kinds that change between two starts.

use serde_json::json;
use steward_base::{Clock, Random, Secret, TenantId};
use steward_store::{Backend, Kind, Kinds, ListQuery, Order, Store, UnitOfWork};

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
        let unit = UnitOfWork::new().put("box", store.mint_id(), body(number), steward_store::Expect::Absent);
        store.commit(&ctx(tenant), unit).await.expect("creates");
    }
    assert_eq!(sizes(&store, tenant).await, Err("order_unsupported"));
    store.close().await;

    let store = reopened(backend.clone(), kinds(true, true)).await;
    assert_eq!(sizes(&store, tenant).await, Ok(vec![3, 2, 1]), "what was there before is in the new index");
    assert_eq!(store.count(&ctx(tenant), "box", Some(filter(&store, "box", "size > 1"))).await.expect("counts"), 2);
    let taken = UnitOfWork::new().put("box", store.mint_id(), body(2), steward_store::Expect::Absent);
    assert_eq!(store.commit(&ctx(tenant), taken).await.expect_err("is taken").code(), "unique_taken");
    store.close().await;

    // Without the index, then with it again: what happened in between is in it.
    let store = reopened(backend.clone(), kinds(false, false)).await;
    let between = UnitOfWork::new().put("box", store.mint_id(), body(9), steward_store::Expect::Absent);
    store.commit(&ctx(tenant), between).await.expect("creates");
    store.close().await;
    let store = reopened(backend, kinds(true, true)).await;
    assert_eq!(sizes(&store, tenant).await, Ok(vec![9, 3, 2, 1]));
    assert!(store.find(&ctx(tenant), "box", "name", "BOX 9").await.expect("finds").is_some());
    store.close().await;
}

#[tokio::test]
async fn indexes_follow_the_kinds() {
    let dir = tempfile::tempdir().expect("a folder");
    gains_and_loses_keys(Backend::Sqlite { dir: dir.path().to_owned() }).await;
    if let Some(url) = postgres_url() {
        gains_and_loses_keys(Backend::Postgres { url: Secret::new(url), connections: 4 }).await;
    }
}
