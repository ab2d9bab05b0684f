//! A kind that changes: what earlier versions stored is read as the present version has it, found by its present values, and written so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Direction, Expect, FacetQuery, Kind, Kinds, ListQuery, Model, Order, Store, UnitOfWork, Upgrade};

use crate::support::{ctx, filter, object, postgres_url, reopened};

/// As it was first: one name, an on-off switch.
#[derive(Serialize, Deserialize, JsonSchema)]
struct First {
    #[schemars(extend("indexed" = true, "searchable" = true))]
    name: String,
    #[schemars(extend("indexed" = true))]
    on: bool,
    #[schemars(extend("unique" = true))]
    code: String,
}

impl Model for First {
    const KIND: &'static str = "gadget";
    const PREFIX: &'static str = "gad";
}

/// The switch became a state of three, the name a title; the code lost its dash.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Third {
    #[schemars(extend("indexed" = true, "searchable" = true))]
    title: String,
    #[schemars(extend("indexed" = true))]
    state: String,
    #[schemars(extend("unique" = true))]
    code: String,
}

impl Model for Third {
    const KIND: &'static str = "gadget";
    const PREFIX: &'static str = "gad";
    const UPGRADES: &'static [Upgrade] =
        &[Upgrade { touches: &["name", "title", "code"], change: to_second }, Upgrade { touches: &["on", "state"], change: to_third }];
}

fn to_second(body: &mut Map<String, Value>) {
    if let Some(name) = body.remove("name") {
        body.insert("title".into(), name);
    }
    if let Some(Value::String(code)) = body.get_mut("code") {
        *code = code.replace('-', "");
    }
}

fn to_third(body: &mut Map<String, Value>) {
    let on = body.remove("on") == Some(Value::Bool(true));
    body.insert("state".into(), if on { "on" } else { "off" }.into());
}

async fn open<M: Model>(backend: &Backend) -> Store {
    reopened(backend.clone(), Kinds::new().with(Kind::of::<M>())).await
}

fn backends(dir: &std::path::Path) -> Vec<Backend> {
    let postgres = postgres_url().map(|url| Backend::Postgres { url: Secret::new(url), connections: 4 });
    [Backend::Sqlite { dir: dir.to_owned() }].into_iter().chain(postgres).collect()
}

fn list(store: &Store, text: &str) -> ListQuery {
    let order = vec![Order { field: "title".into(), direction: Direction::Descending }];
    ListQuery { kind: "gadget".into(), filter: Some(filter(store, "gadget", text)), order, ..ListQuery::default() }
}

#[tokio::test]
async fn what_an_earlier_version_stored_is_read_found_and_written_as_the_present_one_has_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for backend in backends(dir.path()) {
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        let ctx = ctx(tenant);
        let store = open::<First>(&backend).await;
        store.provision(tenant).await.expect("provisions");
        let ids: Vec<RecordId> = (0..450).map(|_| store.mint_id()).collect();
        for (chunk, part) in ids.chunks(150).enumerate() {
            let each = |(at, id): (usize, &RecordId)| {
                let number = chunk * 150 + at;
                (*id, First { name: format!("thing {number:03}"), on: number % 3 == 0, code: format!("c-{number}") })
            };
            let unit = part.iter().enumerate().map(each).fold(UnitOfWork::new(), |unit, (id, first)| unit.create(id, &first));
            store.commit(&ctx, unit).await.expect("creates");
        }
        store.commit(&ctx, UnitOfWork::new().delete("gadget", ids[449], Expect::Any)).await.expect("deletes");
        store.close().await;

        let store = open::<Third>(&backend).await;
        store.list(&ctx, ListQuery { kind: "gadget".into(), limit: 1, ..ListQuery::default() }).await.expect("opens it");
        let built = async {
            while store.list(&ctx, list(&store, "state = \"on\"")).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), built).await.expect("the keys are built anew");
        let record = store.get(&ctx, "gadget", ids[3]).await.expect("reads").expect("is there");
        let third = Third { title: "thing 003".into(), state: "on".into(), code: "c3".into() };
        assert_eq!((record.decode::<Third>().expect("decodes"), record.version), (third, 1), "reading writes nothing");
        let page = store.list(&ctx, list(&store, "state = \"on\"")).await.expect("lists");
        assert_eq!(page.records[0].decode::<Third>().expect("decodes").title, "thing 447");
        assert_eq!(store.count(&ctx, "gadget", Some(filter(&store, "gadget", "state = \"on\""))).await.expect("counts"), 150);
        assert_eq!(store.find(&ctx, "gadget", "code", "c7").await.expect("finds").map(|record| record.id), Some(ids[7]));
        assert!(store.find(&ctx, "gadget", "code", "c-7").await.expect("finds").is_none(), "the old key is gone");
        let facets = FacetQuery { kind: "gadget".into(), filter: None, fields: vec!["state".into()], values: 0 };
        let facets = store.facets(&ctx, facets).await.expect("counts");
        assert_eq!(facets.fields[0].values.iter().map(|value| value.count).collect::<Vec<_>>(), [299, 150]);

        // The same body writes nothing; another one is written in the present version and leaves its old keys.
        let same = store.commit(&ctx, UnitOfWork::new().put_model(ids[3], &record.decode::<Third>().expect("decodes"), Expect::Version(1)));
        assert_eq!(same.await.expect("commits").records[0].version, 1);
        let changed = store.update::<Third>(&ctx, ids[3], |third| {
            third.state = "broken".into();
            Ok(())
        });
        assert_eq!(changed.await.expect("updates").version, 2);
        assert_eq!(store.count(&ctx, "gadget", Some(filter(&store, "gadget", "state = \"on\""))).await.expect("counts"), 149);
        let told = store.history(&ctx, "gadget", ids[3], None, 10).await.expect("reads");
        assert_eq!(
            told.iter().map(|event| (event.version, event.data.contains_key("before"))).collect::<Vec<_>>(),
            [(3, true), (1, false)]
        );
        assert_eq!(told[0].data["before"], json!({ "state": "on" }), "what the upgrade changed is nobody's doing");

        let back = store.commit(&ctx, UnitOfWork::new().restore("gadget", ids[449], Expect::Any)).await.expect("restores");
        assert_eq!(back.records[0].decode::<Third>().expect("decodes").state, "off");
        assert_eq!(store.find(&ctx, "gadget", "code", "c449").await.expect("finds").map(|record| record.id), Some(ids[449]));
        store.close().await;
    }
}

#[tokio::test]
async fn a_body_of_a_later_version_is_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    for backend in backends(dir.path()) {
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        let store = open::<Third>(&backend).await;
        store.provision(tenant).await.expect("provisions");
        let id = store.mint_id();
        let later = Third { title: "later".into(), state: "on".into(), code: "x".into() };
        store.commit(&ctx(tenant), UnitOfWork::new().create(id, &later)).await.expect("creates");
        store.close().await;
        let store = open::<First>(&backend).await;
        let record = store.get(&ctx(tenant), "gadget", id).await.expect("reads").expect("is there");
        assert_eq!(record.body.object().expect("reads"), object(json!({ "code": "x", "state": "on", "title": "later" })));
        store.close().await;
        let store = open::<Third>(&backend).await;
        let record = store.get(&ctx(tenant), "gadget", id).await.expect("reads").expect("is there");
        assert_eq!(record.decode::<Third>().expect("decodes"), later, "no step is taken twice");
        store.close().await;
    }
}
