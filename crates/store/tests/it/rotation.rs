//! Changing keys while there is data under the old ones, also when it stops halfway.

use serde_json::json;
use steward_base::{Clock, Ctx, Random, Secret, TenantId};
use steward_store::{Backend, Expect, MasterKey, Options, Record, Resealed, Sealed, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds, members, object, on_each, postgres_url, reopened};

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
        assert_eq!(store.rotate_data_key(&crate::support::ctx(other)).await.expect("has none"), Resealed::default());
        let records = filled(store, ctx.tenant()).await;
        store.commit(ctx, UnitOfWork::new().delete("thing", records[11].id, Expect::Any)).await.expect("deletes");
        let before = store.head(ctx).await.expect("head");
        assert_eq!(store.rotate_data_key(ctx).await.expect("rotates"), Resealed { records: 11, left: Vec::new() });
        assert_eq!(store.reseal_secrets(ctx).await.expect("has done so"), Resealed::default());
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

#[tokio::test]
async fn whoever_read_a_record_before_its_secrets_were_sealed_anew_may_write_it_after() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let records = filled(store, ctx.tenant()).await;
        store.rotate_data_key(ctx).await.expect("rotates");
        let changed = |record: &Record, name: &str| {
            let mut body = members(record);
            body.insert("name".into(), name.into());
            UnitOfWork::new().put("thing", record.id, body, Expect::Version(record.version))
        };
        let written = store.commit(ctx, changed(&records[0], "y")).await.expect("the version is the same").records.remove(0);
        assert_eq!(written.version, 2);
        let now = store.get(ctx, "thing", records[1].id).await.expect("reads").expect("is there");
        assert_eq!(members(&written)["name"], json!("y"));
        assert_ne!(members(&written)["pin"], members(&records[0])["pin"], "it is sealed as it was stored");
        let foreign = UnitOfWork::new().put("thing", now.id, members(&records[0]), Expect::Any);
        assert_eq!(store.commit(ctx, foreign).await.expect_err("that pin is another record's").fields()[0].code, "reserved_name");
        assert_eq!(store.reseal_secrets(ctx).await.expect("has nothing to do"), Resealed::default());
        check(store, ctx, &records).await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sealed_under_an_old_key_by_a_process_that_does_not_know_the_new_one() {
    let Some(url) = postgres_url() else { return };
    let backend = Backend::Postgres { url: Secret::new(url), connections: 4 };
    let (one, other) = (reopened(backend.clone(), kinds()).await, reopened(backend, kinds()).await);
    let tenant = TenantId::new(one.clock(), one.random());
    let ctx = ctx(tenant);
    // Both have the first key at hand.
    let mut records = filled(&one, tenant).await;
    for number in 12..14 {
        let thing = Thing { pin: Some(Sealed::new(format!("pin {number}"))), ..Thing::named("x") };
        let store = if number == 12 { &other } else { &one };
        records.extend(store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &thing)).await.expect("creates").records);
    }
    assert_eq!(one.rotate_data_key(&ctx).await.expect("rotates").records, 14);
    let thing = Thing { pin: Some(Sealed::new("pin 14")), ..Thing::named("x") };
    records.extend(other.commit(&ctx, UnitOfWork::new().create(other.mint_id(), &thing)).await.expect("creates").records);
    let body = with_pin(&records[3], "pin 3");
    let same = other.commit(&ctx, UnitOfWork::new().put("thing", records[3].id, body, Expect::Version(1))).await.expect("commits");
    assert_eq!(same.records[0].version, 1, "the same secret is no change");
    assert_eq!(one.reseal_secrets(&ctx).await.expect("looks"), Resealed::default(), "nothing is left under the old key");
    for store in [&one, &other] {
        for (number, record) in records.iter().enumerate() {
            let pin = store.reveal(&ctx, "thing", record.id, "pin").await.expect("reveals").expect("has one");
            assert_eq!(*pin.expose(), format!("pin {number}"));
        }
    }
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_record_that_is_damaged_keeps_no_other_under_the_old_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let backend = Backend::Sqlite { dir: dir.path().to_owned() };
    let store = open(&backend, MasterKey::new([7; 32])).await;
    let tenant = TenantId::new(store.clock(), store.random());
    let (records, ctx) = (filled(&store, tenant).await, ctx(tenant));
    store.close().await;
    let file = rusqlite::Connection::open(dir.path().join("tenants").join(format!("{tenant}.db"))).expect("opens");
    for (damaged, body) in [(&records[4], "no JSON"), (&records[5], records[6].body.text())] {
        let changed = file.execute("UPDATE record SET body = ?1 WHERE id = ?2", rusqlite::params![body, &damaged.id.bytes()[..]]);
        assert_eq!(changed.expect("changes"), 1);
    }
    drop(file);

    let store = open(&backend, MasterKey::new([7; 32])).await;
    let left = vec![records[4].id.wire("thg"), records[5].id.wire("thg")];
    let mut done = store.rotate_data_key(&ctx).await.expect("finishes");
    done.left.sort();
    let mut wanted = left.clone();
    wanted.sort();
    assert_eq!(done, Resealed { records: 10, left: wanted });
    assert_eq!(store.reseal_secrets(&ctx).await.expect("looks").records, 0);
    for number in [0, 3, 6, 11] {
        let pin = store.reveal(&ctx, "thing", records[number].id, "pin").await.expect("reveals").expect("has one");
        assert_eq!(*pin.expose(), format!("pin {number}"));
    }
    store.close().await;
}
