//! Changing keys while there is data under the old ones, also when it stops halfway.

use serde_json::json;
use steward_base::{Clock, Ctx, Random, Secret, TenantId};
use steward_store::{Backend, Expect, MasterKey, Options, Record, Sealed, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds, members, object, on_each, postgres_url};

async fn open(backend: &Backend, master: MasterKey) -> Store {
    Store::open(Options { backend: backend.clone(), master }, kinds(), Clock::system(), Random::system()).await.expect("opens")
}

/// A tenant with personal data of many, and secrets of some.
async fn filled(store: &Store, tenant: TenantId) -> Vec<Record> {
    store.provision(tenant).await.expect("provisions");
    let mut records = Vec::new();
    for number in 0..12 {
        let thing =
            Thing { pin: Some(Sealed::new(format!("pin {number}"))), contact: Some(format!("contact {number}")), ..Thing::named("x") };
        let committed = store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &thing)).await.expect("creates");
        records.extend(committed.records);
    }
    records
}

async fn check(store: &Store, ctx: &Ctx, records: &[Record]) {
    for (number, record) in records.iter().enumerate() {
        let pin = store.reveal(ctx, "thing", record.id, "pin").await.expect("reveals").expect("has one");
        assert_eq!(*pin.expose(), format!("pin {number}"));
    }
    let events = store.events(ctx, 0, 12).await.expect("events");
    let opened = store.opened(ctx, events, |_| true).await.expect("opens");
    assert_eq!(opened[5].data["after"]["contact"], json!("contact 5"));
}

async fn rotate_halfway(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, random) = (folder.path().join("master.key"), Random::system());
    let master = MasterKey::load_or_create(&file, &random).expect("is made");
    let old = std::fs::read_to_string(&file).expect("is there");
    let store = open(&backend, master.clone()).await;
    let tenants = [TenantId::new(store.clock(), &random), TenantId::new(store.clock(), &random)];
    let (one, two) = (filled(&store, tenants[0]).await, filled(&store, tenants[1]).await);

    // One tenant is done, and then the process is gone.
    master.rotate(&file, &random).expect("rotates");
    assert_eq!(store.rewrap_keys(&ctx(tenants[0])).await.expect("wraps"), 13, "one for the secrets and one for each record");
    store.close().await;

    let store = open(&backend, MasterKey::load_or_create(&file, &random).expect("reads both")).await;
    check(&store, &ctx(tenants[0]), &one).await;
    check(&store, &ctx(tenants[1]), &two).await;
    assert_eq!(store.rewrap_keys(&ctx(tenants[0])).await.expect("has done so"), 0);
    assert_eq!(store.rewrap_keys(&ctx(tenants[1])).await.expect("wraps"), 13);
    store.close().await;

    // Now the old one is needed no more.
    let text = std::fs::read_to_string(&file).expect("is there");
    let new = text.lines().next().expect("the current one");
    assert!(text.trim_end().ends_with(old.trim_end()) && new != old.trim_end());
    let store = open(&backend, MasterKey::parse(new, "the test").expect("is a key")).await;
    check(&store, &ctx(tenants[1]), &two).await;
    store.close().await;
}

#[tokio::test]
async fn a_rotation_that_stopped_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    rotate_halfway(Backend::Sqlite { dir: dir.path().to_owned() }).await;
    if let Some(url) = postgres_url() {
        rotate_halfway(Backend::Postgres { url: Secret::new(url), connections: 4 }).await;
    }
}

#[tokio::test]
async fn secrets_are_sealed_anew_without_being_changed() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let other = TenantId::new(store.clock(), store.random());
        store.provision(other).await.expect("provisions");
        assert_eq!(store.rotate_data_key(&crate::support::ctx(other)).await.expect("has none"), 0);
        let records = filled(store, ctx.tenant()).await;
        store.commit(ctx, UnitOfWork::new().delete("thing", records[11].id, Expect::Any)).await.expect("deletes");
        let before = store.head(ctx).await.expect("head");
        assert_eq!(store.rotate_data_key(ctx).await.expect("rotates"), 11);
        assert_eq!(store.reseal_secrets(ctx).await.expect("has done so"), 0);
        assert_eq!(store.head(ctx).await.expect("head"), before, "it is no change, so there is no event");
        let again = store.get(ctx, "thing", records[0].id).await.expect("reads").expect("is there");
        assert_eq!((again.version, again.updated_at), (1, records[0].updated_at));
        assert_ne!(members(&again)["pin"], members(&records[0])["pin"]);
        // What is in the bin opens with the key from before.
        store.commit(ctx, UnitOfWork::new().restore("thing", records[11].id, Expect::Any)).await.expect("restores");
        check(store, ctx, &records).await;
        let same = UnitOfWork::new().put("thing", records[0].id, with_pin(&again, "pin 0"), Expect::Version(1));
        assert_eq!(store.commit(ctx, same).await.expect("commits").records[0].version, 1, "the same secret is no change");
        store.verify_chain(ctx).await.expect("holds");
    })
    .await;
}

fn with_pin(record: &Record, pin: &str) -> serde_json::Map<String, serde_json::Value> {
    let mut body = members(record);
    body.extend(object(json!({ "pin": pin })));
    body
}
