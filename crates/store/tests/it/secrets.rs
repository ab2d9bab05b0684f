//! Secrets of records: sealed at rest, shown to nobody, revealed with a trace.

use serde_json::{Value, json};
use steward_base::{Clock, Random};
use steward_store::{Backend, Expect, Kind, Kinds, MasterKey, Options, Record, Sealed, Store, UnitOfWork};

use crate::support::{Bench, Thing, ctx, kinds, members, object, on_each, sqlite};

const CANARY: &str = "hunter2-canary-4711";

fn with_pin(pin: &str) -> Thing {
    Thing { pin: Some(Sealed::new(pin)), ..Thing::named("safe") }
}

async fn created(bench: &Bench, pin: &str) -> Record {
    let unit = UnitOfWork::new().create(bench.store.mint_id(), &with_pin(pin));
    bench.store.commit(&bench.ctx, unit).await.expect("creates").records.remove(0)
}

async fn pin(bench: &Bench, record: &Record) -> String {
    let secret = bench.store.reveal(&bench.ctx, "thing", record.id, "pin").await.expect("reveals").expect("has one");
    secret.expose().clone()
}

#[tokio::test]
async fn a_secret_is_sealed_and_revealed_with_a_trace() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let record = created(bench, CANARY).await;
        assert!(!record.body.text().contains(CANARY) && record.body.text().contains("$sealed"));
        let kind = store.kinds().get("thing").expect("a kind");
        assert_eq!(record.to_json(kind).expect("reads").get("pin"), None);
        let mut shown = Vec::new();
        record.clone().shown(kind).write(&mut shown).expect("writes");
        assert!(!String::from_utf8(shown).expect("is text").contains("sealed"));

        assert_eq!(pin(bench, &record).await, CANARY);
        let events = store.events(ctx, 0, 10).await.expect("events");
        assert_eq!(events[0].data["after"]["pin"], json!({ "$sealed": null }));
        let told = &events[1];
        assert_eq!(
            (told.event_type.as_str(), &told.subject, &told.data),
            ("thing.revealed", &record.id.wire("thg"), &object(json!({ "field": "pin" })))
        );
        assert_eq!((told.actor.as_str(), told.origin.as_ref().and_then(|origin| origin.ip.as_deref())), ("system:test", Some("192.0.2.1")));
        assert!(!events.iter().any(|event| serde_json::to_string(event).expect("writes").contains(CANARY)));

        let without = store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("open"))).await.expect("creates");
        assert!(store.reveal(ctx, "thing", without.records[0].id, "pin").await.expect("asks").is_none());
        assert_eq!(store.reveal(ctx, "thing", store.mint_id(), "pin").await.expect_err("is not there").code(), "not_found");
        assert_eq!(store.reveal(ctx, "thing", record.id, "name").await.expect_err("is no secret").code(), "internal");
        assert_eq!(store.head(ctx).await.expect("head"), 3, "what revealed nothing left no trace");
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_stays_is_no_change() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let record = created(bench, "same").await;
        let again = UnitOfWork::new().put_model(record.id, &with_pin("same"), Expect::Version(1));
        let same = store.commit(ctx, again).await.expect("commits").records.remove(0);
        assert_eq!((same.version, same.body.text()), (1, record.body.text()));

        // Read, changed elsewhere and written back: the secret goes along sealed.
        let renamed = store
            .update::<Thing>(ctx, record.id, |thing| {
                thing.name = "vault".into();
                Ok(())
            })
            .await
            .expect("changes");
        assert_eq!((renamed.version, &members(&renamed)["pin"]), (2, &members(&record)["pin"]));
        let changed = store.events(ctx, 1, 10).await.expect("events");
        assert_eq!(changed[0].data["after"], json!({ "name": "vault" }), "an unchanged secret is not told of");

        let kind = store.kinds().get("thing").expect("a kind");
        let patched = kind.patched_body(&renamed, &object(json!({ "size": 3 }))).expect("merges");
        let unit = UnitOfWork::new().put("thing", record.id, patched, Expect::Version(2));
        let patched = store.commit(ctx, unit).await.expect("commits").records.remove(0);
        assert_eq!(pin(bench, &patched).await, "same");

        let body = kind.patched_body(&patched, &object(json!({ "pin": "other" }))).expect("merges");
        let unit = UnitOfWork::new().put("thing", record.id, body, Expect::Version(3)).number("things", record.id, "size");
        let other = store.commit(ctx, unit).await.expect("commits").records.remove(0);
        assert_eq!((pin(bench, &other).await.as_str(), &members(&other)["size"]), ("other", &json!(1)));
        let body = kind.patched_body(&other, &object(json!({ "pin": null }))).expect("merges");
        let gone = store.commit(ctx, UnitOfWork::new().put("thing", record.id, body, Expect::Version(4))).await.expect("commits");
        assert_eq!(members(&gone.records[0]).get("pin"), None);
    })
    .await;
}

#[tokio::test]
async fn sealed_text_cannot_be_sent_or_moved() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (one, two) = (created(bench, "one").await, created(bench, "two").await);
        let kind = store.kinds().get("thing").expect("a kind");
        let stolen = json!({ "pin": members(&one)["pin"] });
        let refused = kind.patched_body(&two, &object(stolen.clone())).expect_err("is refused");
        assert_eq!((refused.fields()[0].pointer.as_str(), refused.fields()[0].code.as_ref()), ("/pin", "reserved_name"));
        let mut body = members(&two);
        body.insert("pin".into(), stolen["pin"].clone());
        let moved = UnitOfWork::new().put("thing", two.id, body, Expect::Any);
        assert_eq!(store.commit(ctx, moved).await.expect_err("is refused").fields()[0].code, "reserved_name");
        let unit = |body: Value| UnitOfWork::new().put("thing", two.id, object(body), Expect::Any);
        for (body, pointer, code) in [
            (json!({ "name": "x", "pin": { "$sealed": 1 } }), "/pin/$sealed", "type"),
            (json!({ "name": "x", "pin": { "$sealed": "x", "more": 1 } }), "/pin/more", "unknown_field"),
            (json!({ "name": "x", "pin": 1 }), "/pin", "type"),
            (json!({ "name": "x", "place": { "$sealed": "x" } }), "/place/$sealed", "reserved_name"),
        ] {
            let refused = store.commit(ctx, unit(body.clone())).await.expect_err("is refused");
            assert_eq!((refused.fields()[0].pointer.as_str(), refused.fields()[0].code.as_ref()), (pointer, code), "{body}");
        }
    })
    .await;
}

/// Each of many with a secret of its own.
fn keyring() -> Kinds {
    let key = json!({ "type": "object", "properties": { "label": { "type": "string" }, "code": { "type": "string", "secret": true } } });
    let schema = json!({ "type": "object", "properties": {
        "keys": { "type": "array", "items": key },
        "spare": { "type": "array", "items": { "type": "string", "minLength": 2 }, "secret": true },
        "digest": { "type": "string", "secret": "hashed" },
    } });
    Kinds::new().with(Kind::from_schema("keyring", "krg", schema).expect("keeps the rules"))
}

#[tokio::test]
async fn secrets_in_lists_are_sealed_each() {
    let dir = tempfile::tempdir().expect("a folder");
    let backend = Backend::Sqlite { dir: dir.path().to_owned() };
    let store = Store::open(Options { backend, master: MasterKey::new([7; 32]) }, keyring(), Clock::system(), Random::system())
        .await
        .expect("opens");
    let tenant = steward_base::TenantId::new(store.clock(), store.random());
    store.provision(tenant).await.expect("provisions");
    let (ctx, id) = (ctx(tenant), store.mint_id());
    let body = json!({ "keys": [{ "label": "a", "code": "code-a" }, { "label": "b", "code": "code-b" }], "spare": ["sp-1", "sp-2"], "digest": "d1" });
    let made =
        store.commit(&ctx, UnitOfWork::new().put("keyring", id, object(body), Expect::Absent)).await.expect("creates").records.remove(0);
    let text = made.body.text();
    assert!(!text.contains("code-") && !text.contains("sp-1") && text.contains("d1"), "{text}");
    assert_eq!(text.matches("$sealed").count(), 4);

    // The first goes, the second moves up: it is the same secret still.
    let mut body = members(&made);
    body["keys"].as_array_mut().expect("a list").remove(0);
    body["spare"] = json!(["sp-2", "sp-3"]);
    let moved =
        store.commit(&ctx, UnitOfWork::new().put("keyring", id, body, Expect::Version(1))).await.expect("commits").records.remove(0);
    assert_eq!(members(&moved)["keys"][0], members(&made)["keys"][1]);
    assert_eq!(members(&moved)["spare"][0], members(&made)["spare"][1], "what was there before is not sealed again");
    let refused = UnitOfWork::new().put("keyring", id, object(json!({ "spare": ["x"] })), Expect::Any);
    assert_eq!(store.commit(&ctx, refused).await.expect_err("too short").fields()[0].pointer, "/spare/0");
    let kind = store.kinds().get("keyring").expect("a kind");
    assert_eq!(moved.to_json(kind).expect("reads").get("digest"), None);
    store.close().await;
}

#[tokio::test]
async fn another_master_key_is_refused_and_files_hold_no_secret() {
    let bench = sqlite().await;
    // Control has a sealed record too, which the next start looks at.
    let control = ctx(steward_base::TenantId::OPERATOR);
    bench.store.commit(&control, UnitOfWork::new().create(bench.store.mint_id(), &with_pin(CANARY))).await.expect("creates");
    let record = created(&bench, CANARY).await;
    assert_eq!(pin(&bench, &record).await, CANARY);
    let backend = Backend::Sqlite { dir: bench.dir().to_owned() };
    bench.store.close().await;
    for entry in std::fs::read_dir(bench.dir().join("tenants")).expect("lists").chain(std::fs::read_dir(bench.dir()).expect("lists")) {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("reads");
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
        }
    }
    let open = |master| Store::open(Options { backend: backend.clone(), master }, kinds(), Clock::system(), Random::system());
    assert_eq!(open(MasterKey::new([8; 32])).await.err().expect("is refused").code(), "master_key_wrong");
    let store = open(MasterKey::new([7; 32])).await.expect("opens");
    let again = store.reveal(&bench.ctx, "thing", record.id, "pin").await.expect("reveals").expect("has one");
    assert_eq!(again.expose(), CANARY);
    store.close().await;
}

#[tokio::test]
async fn a_key_that_another_process_made_is_found() {
    on_each(async |bench| {
        // Two handles, each with keys of its own in memory.
        if bench.engine != "postgres" {
            return;
        }
        let url = crate::support::postgres_url().expect("was there a moment ago");
        let backend = Backend::Postgres { url: steward_base::Secret::new(url), connections: 4 };
        let other = crate::support::reopened(backend, kinds()).await;
        let mine = created(bench, "mine").await;
        let unit = UnitOfWork::new().create(other.mint_id(), &with_pin("theirs"));
        let theirs = other.commit(&bench.ctx, unit).await.expect("creates").records.remove(0);
        assert_eq!(pin(bench, &theirs).await, "theirs");
        let revealed = other.reveal(&bench.ctx, "thing", mine.id, "pin").await.expect("reveals").expect("has one");
        assert_eq!(revealed.expose(), "mine");
        other.close().await;
    })
    .await;
}
