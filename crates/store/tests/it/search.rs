//! Full text: what is found, in which order, how it follows the records, and how it comes to kinds that had none.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Ctx, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Expect, Kind, Kinds, SearchCursor, SearchQuery, Store, UnitOfWork};

use crate::support::{Bench, Team, Thing, ctx, filter, object, on_each, postgres_url, reopened};

fn query(text: &str) -> SearchQuery {
    SearchQuery { text: text.into(), kinds: vec![("thing".into(), None), ("team".into(), None)], ..SearchQuery::default() }
}

async fn ids(bench: &Bench, query: SearchQuery) -> Vec<RecordId> {
    bench.store.search(&bench.ctx, query).await.expect("finds").records.iter().map(|record| record.id).collect()
}

/// Every page, and how many there were.
async fn all(store: &Store, ctx: &Ctx, query: SearchQuery) -> (Vec<RecordId>, usize) {
    let (mut found, mut pages, mut after): (_, _, Option<SearchCursor>) = (Vec::new(), 0, None);
    loop {
        let page = store.search(ctx, SearchQuery { after, ..query.clone() }).await.expect("finds");
        found.extend(page.records.iter().map(|record| record.id));
        (pages, after) = (pages + 1, page.next);
        if after.is_none() {
            return (found, pages);
        }
    }
}

#[tokio::test]
async fn words_lead_to_records_newest_first() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let made: Vec<RecordId> = (0..5).map(|_| store.mint_id()).collect();
        let thing = |name: &str| Thing {
            pin: Some(steward_store::Sealed::new("Geheimnis")),
            contact: Some("printer".into()),
            ..Thing::named(name)
        };
        let unit = UnitOfWork::new()
            .create(made[0], &thing("Printer on floor 3"))
            .create(made[1], &Team { name: "Printers".into() })
            .create(made[2], &thing("printing PRESS, Straße 7"))
            .create(made[3], &thing("東京都 server"))
            .create(made[4], &thing("db01.acme.com"));
        store.commit(ctx, unit).await.expect("creates");
        let mut newest_first = [made[0], made[1], made[2]];
        newest_first.sort_by(|one, other| other.cmp(one));
        assert_eq!(ids(bench, query("print")).await, newest_first);
        assert_eq!(ids(bench, query("PRINTER  floor-3")).await, [made[0]]);
        assert_eq!(ids(bench, query("strasse press")).await, [made[2]]);
        for text in ["京都", "京", "東京 serv", "東京都"] {
            assert_eq!(ids(bench, query(text)).await, [made[3]], "{text}");
        }
        assert_eq!(ids(bench, query("acme")).await, [made[4]]);
        for nothing in ["", " .,", "geheimnis", "rinter", "printer nothing"] {
            assert!(ids(bench, query(nothing)).await.is_empty(), "{nothing}");
        }
        // Each kind has its own filter.
        let narrow = SearchQuery { kinds: vec![("thing".into(), Some(filter(store, "thing", "name:floor")))], ..query("print") };
        assert_eq!(ids(bench, narrow).await, [made[0]]);
    })
    .await;
}

#[tokio::test]
async fn what_is_found_follows_the_records() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        let put = |name: &str, size: i64| UnitOfWork::new().put_model(id, &Thing { size: Some(size), ..Thing::named(name) }, Expect::Any);
        let found = async |text: &str| !ids(bench, query(text)).await.is_empty();
        store.commit(ctx, put("old lamp", 1)).await.expect("creates");
        store.commit(ctx, put("old lamp", 2)).await.expect("changes something else");
        assert!(found("old").await && found("lamp").await);
        store.commit(ctx, put("new lamp", 2)).await.expect("changes");
        assert!(!found("old").await && found("lamp").await && found("new").await);
        store.commit(ctx, UnitOfWork::new().delete("thing", id, Expect::Any)).await.expect("deletes");
        assert!(!found("lamp").await);
        store.commit(ctx, UnitOfWork::new().restore("thing", id, Expect::Any)).await.expect("restores");
        assert!(found("lamp new").await);
        // Of a text without end the beginning is known.
        let words: String = (0..60).map(|number| format!("w{number:04} ")).collect();
        store.commit(ctx, put(&words, 2)).await.expect("changes");
        assert!(found("w0000 w0059").await && !found("lamp").await);
    })
    .await;
}

#[tokio::test]
async fn pages_join_over_kinds() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let mut unit = UnitOfWork::new();
        for number in 0..40 {
            // Some under one id, to be told apart by kind.
            let id = store.mint_id();
            if number % 3 != 0 {
                unit = unit.create(id, &Thing { size: Some(number), ..Thing::named(&format!("lamp {number}")) });
            }
            if number % 4 != 1 {
                unit = unit.create(id, &Team { name: format!("Lamps {number}") });
            }
        }
        store.commit(ctx, unit).await.expect("creates");
        let (whole, pages) = all(store, ctx, SearchQuery { limit: 500, ..query("lamp") }).await;
        assert_eq!((whole.len(), pages), (26 + 30, 1));
        assert!(whole.is_sorted_by(|one, other| one >= other));
        for limit in [1, 2, 3, 7, 55, 56] {
            assert_eq!(all(store, ctx, SearchQuery { limit, ..query("lamp") }).await.0, whole, "{limit}");
        }
    })
    .await;
}

#[tokio::test]
async fn words_that_most_records_have_are_found_by_walking() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let mut both = Vec::new();
        for round in 0..22 {
            let mut unit = UnitOfWork::new();
            for number in 0..1_000 {
                let id = store.mint_id();
                let name = if round == 0 && number < 2 {
                    both.push(id);
                    "common usual"
                } else if round < 21 {
                    "common"
                } else {
                    "usual"
                };
                unit = unit.create(id, &Thing::named(name));
            }
            store.commit(ctx, unit).await.expect("creates");
        }
        both.sort_by(|one, other| other.cmp(one));
        assert_eq!(all(store, ctx, query("common usual")).await, (both.clone(), 1), "the rarer one leads");
        let things = |text: &str| SearchQuery { kinds: vec![("thing".into(), None)], ..query(text) };
        let first = store.search(ctx, things("comm")).await.expect("finds");
        assert_eq!((first.records.len(), first.next.is_some()), (50, true));
        let narrow = SearchQuery { kinds: vec![("thing".into(), Some(filter(store, "thing", "name:usual")))], ..things("common") };
        let (found, pages) = all(store, ctx, narrow).await;
        assert_eq!((found, pages), (both, 2), "a page looks at twenty thousand rows");
    })
    .await;
}

fn kinds(name: bool, note: bool) -> Kinds {
    let schema = json!({ "type": "object", "properties": {
        "name": { "type": "string", "searchable": name },
        "note": { "type": "string", "searchable": note },
    } });
    Kinds::new().with(Kind::from_schema("box", "box", schema).expect("is a kind"))
}

async fn boxes(store: &Store, tenant: TenantId, text: &str) -> Result<usize, &'static str> {
    let query = SearchQuery { text: text.into(), kinds: vec![("box".into(), None)], limit: 500, after: None };
    store.search(&ctx(tenant), query).await.map(|page| page.records.len()).map_err(|error| error.code())
}

async fn built(store: &Store, tenant: TenantId, text: &str) -> usize {
    let asked = async {
        loop {
            match boxes(store, tenant, text).await {
                Ok(found) => return found,
                Err(code) => assert_eq!(code, "index_building"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("is built in time")
}

async fn follows_the_kinds(backend: Backend) {
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let put = |number: usize, note: &str| -> UnitOfWork {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&(number as u64).to_be_bytes());
        let body: Value = json!({ "name": format!("crate {number}"), "note": note });
        UnitOfWork::new().put("box", RecordId::from_bytes(id), object(body), Expect::Any)
    };
    let store = reopened(backend.clone(), kinds(false, false)).await;
    store.provision(tenant).await.expect("provisions");
    for number in 0..450 {
        store.commit(&ctx(tenant), put(number, "heavy")).await.expect("creates");
    }
    assert_eq!(boxes(&store, tenant, "crate").await, Ok(0), "nothing is searchable");
    store.close().await;

    let store = reopened(backend.clone(), kinds(true, false)).await;
    // What is changed while it is built is found as it is afterwards.
    store.commit(&ctx(tenant), put(400, "light")).await.expect("changes");
    store.commit(&ctx(tenant), put(450, "heavy")).await.expect("creates");
    assert_eq!(built(&store, tenant, "crate").await, 451);
    assert_eq!((boxes(&store, tenant, "heavy").await, boxes(&store, tenant, "450").await), (Ok(0), Ok(1)));
    store.close().await;

    let store = reopened(backend.clone(), kinds(false, true)).await;
    assert_eq!(built(&store, tenant, "heavy").await, 450);
    assert_eq!((boxes(&store, tenant, "light").await, boxes(&store, tenant, "crate").await), (Ok(1), Ok(0)));
    store.close().await;

    let store = reopened(backend, kinds(true, true)).await;
    assert_eq!(built(&store, tenant, "crate heavy").await, 450);
    store.close().await;
}

#[tokio::test]
async fn search_rows_follow_the_kinds() {
    let dir = tempfile::tempdir().expect("a folder");
    follows_the_kinds(Backend::Sqlite { dir: dir.path().to_owned() }).await;
    if let Some(url) = postgres_url() {
        follows_the_kinds(Backend::Postgres { url: Secret::new(url), connections: 4 }).await;
    }
}
