//! Personal data: sealed in events, told to readers, and gone for good once the record is erased.

use std::path::Path;

use serde_json::{Value, json};
use steward_base::{Clock, Ctx, Event, Random, RecordId, TenantId};
use steward_store::{Backend, EventDraft, Expect, Kind, Kinds, MasterKey, Options, Store, UnitOfWork};

use crate::support::{ctx, object, on_each, postgres_url, reopened};

/// A person with personal data wherever data can be, and what refers to one.
fn customers() -> Kinds {
    let text = |keywords: &[&str]| {
        let mut property = json!({ "type": "string" });
        keywords.iter().for_each(|keyword| property[*keyword] = json!(true));
        property
    };
    let address = json!({ "type": "object", "properties": { "city": text(&["personal", "indexed"]), "zip": text(&[]) } });
    let customer = json!({ "type": "object", "properties": {
        "email": text(&["personal", "indexed", "unique"]),
        "name": text(&["personal", "searchable", "indexed"]),
        "notes": text(&["personal"]),
        "address": address,
        "plan": text(&["indexed"]),
    } });
    let mut customer_id = text(&["indexed"]);
    customer_id["reference"] = json!("customer");
    customer_id["on_delete"] = json!("clear");
    let ticket = json!({ "type": "object", "properties": { "customer_id": customer_id, "caller": text(&["personal"]) } });
    let kind = |name, prefix, schema| Kind::from_schema(name, prefix, schema).expect("keeps the rules");
    Kinds::new().with(kind("customer", "cus", customer)).with(kind("ticket", "tic", ticket))
}

struct World {
    store: Store,
    ctx: Ctx,
    dir: Option<tempfile::TempDir>,
}

async fn world(backend: Backend, dir: Option<tempfile::TempDir>) -> World {
    let (clock, random) = (Clock::system(), Random::system());
    let tenant = TenantId::new(&clock, &random);
    let options = Options { backend, master: MasterKey::new([7; 32]) };
    let store = Store::open(options, customers(), clock, random).await.expect("opens");
    store.provision(tenant).await.expect("provisions");
    World { store, ctx: ctx(tenant), dir }
}

async fn on_both(test: impl AsyncFn(&World)) {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = world(Backend::Sqlite { dir: dir.path().to_owned() }, Some(dir)).await;
    test(&sqlite).await;
    sqlite.store.close().await;
    if let Some(url) = postgres_url() {
        let postgres = world(Backend::Postgres { url: steward_base::Secret::new(url), connections: 4 }, None).await;
        test(&postgres).await;
        postgres.store.close().await;
    }
}

fn customer(name: &str) -> Value {
    json!({ "email": format!("{name}@example.org"), "name": name, "notes": format!("calls {name}"), "address": { "city": format!("{name}ville"), "zip": "1" }, "plan": "basic" })
}

impl World {
    async fn put(&self, id: RecordId, body: Value) {
        let unit = UnitOfWork::new().put("customer", id, object(body), Expect::Any);
        self.store.commit(&self.ctx, unit).await.expect("commits");
    }

    async fn events(&self) -> Vec<Event> {
        self.store.events(&self.ctx, 0, 1000).await.expect("events")
    }

    async fn opened(&self) -> Vec<Event> {
        self.store.opened(&self.ctx, self.events().await, |_| true).await.expect("opens")
    }
}

#[tokio::test]
async fn events_hold_personal_data_sealed_and_tell_it_to_readers() {
    on_both(async |world| {
        let (store, ctx) = (&world.store, &world.ctx);
        let (ann, bob) = (store.mint_id(), store.mint_id());
        world.put(ann, customer("ann")).await;
        let body = |name: &str, plan: &str| object(json!({ "name": name, "plan": plan }));
        // Two units about one new subject in one batch share its key.
        let one = store.commit(ctx, UnitOfWork::new().put("customer", bob, body("bob", "basic"), Expect::Any));
        let two = store.commit(ctx, UnitOfWork::new().put("customer", bob, body("bobby", "gold"), Expect::Any));
        let (one, two) = tokio::join!(one, two);
        one.expect("commits");
        two.expect("commits");
        let told =
            EventDraft::new("customer.invited", ann, json!({ "email": "ann@else.example", "by": "hand", "before": { "name": "Ann" } }));
        store.commit(ctx, UnitOfWork::new().event(told)).await.expect("commits");

        let raw = serde_json::to_string(&world.events().await).expect("writes");
        for clear in ["ann", "Ann", "bob", "ann@else.example", "annville"] {
            assert!(!raw.contains(&format!("\"{clear}")), "{clear} in {raw}");
        }
        assert!(raw.contains("\"plan\":\"basic\"") && raw.contains("\"by\":\"hand\""));

        let opened = world.opened().await;
        assert_eq!(opened[0].data["after"], customer("ann"));
        let names: Vec<_> = opened[1..3].iter().map(|event| event.data["after"]["name"].clone()).collect();
        assert_eq!(names, [json!("bob"), json!("bobby")]);
        assert_eq!(opened[2].data["before"], json!({ "name": "bob", "plan": "basic" }));
        assert_eq!(
            Value::Object(opened[3].data.clone()),
            json!({ "email": "ann@else.example", "by": "hand", "before": { "name": "Ann" } })
        );

        let about_bob = bob.wire("cus");
        let some = store.opened(ctx, world.events().await, |event| event.subject == about_bob).await.expect("opens");
        assert_eq!(some[0].data["after"]["email"], json!({ "$sealed": null }));
        assert_eq!((&some[0].data["after"]["plan"], &some[1].data["after"]["name"]), (&json!("basic"), &json!("bob")));
        assert_eq!(store.verify_chain(ctx).await.expect("holds"), 4);
    })
    .await;
}

#[tokio::test]
async fn erasing_leaves_history_and_nothing_of_the_person() {
    on_both(async |world| {
        let (store, ctx) = (&world.store, &world.ctx);
        let (ann, bob, ticket) = (store.mint_id(), store.mint_id(), store.mint_id());
        world.put(ann, customer("ann")).await;
        world.put(bob, customer("bob")).await;
        let body = object(json!({ "customer_id": ann.wire("cus"), "caller": "ann's mother" }));
        store.commit(ctx, UnitOfWork::new().put("ticket", ticket, body, Expect::Absent)).await.expect("creates");
        let done = store.erase_record(ctx, "customer", ann).await.expect("erases");
        assert_eq!(done.records.len(), 1);
        assert!(store.get(ctx, "customer", ann).await.expect("reads").is_none());
        assert!(store.find(ctx, "customer", "email", "ann@example.org").await.expect("finds").is_none());
        let events = world.opened().await;
        let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(types, ["customer.created", "customer.created", "ticket.created", "ticket.updated", "customer.erased"]);
        assert_eq!(events[0].data["after"]["email"], json!({ "$erased": true }));
        assert_eq!((&events[0].data["after"]["plan"], &events[1].data["after"]["name"]), (&json!("basic"), &json!("bob")));
        assert_eq!(events[2].data["after"]["caller"], json!("ann's mother"), "what is about the ticket stays with the ticket");
        assert!(events[4].data.is_empty() && events[4].subject == ann.wire("cus"));
        assert_eq!(store.verify_chain(ctx).await.expect("holds"), 5);

        // Again: nothing is left to do. The value is free, and the id may be used anew, under a new key.
        assert!(store.erase_record(ctx, "customer", ann).await.expect("does nothing").records.is_empty());
        world.put(store.mint_id(), customer("ann")).await;
        let restored = store.commit(ctx, UnitOfWork::new().restore("customer", ann, Expect::Any)).await;
        assert_eq!(restored.expect_err("is gone for good").code(), "not_found");
        world.put(ann, json!({ "name": "another" })).await;
        let events = world.opened().await;
        assert_eq!((&events[0].data["after"]["email"], &events[6].data["after"]["name"]), (&json!({ "$erased": true }), &json!("another")));

        // One in the bin goes too, and within one batch with what comes after it.
        store.commit(ctx, UnitOfWork::new().delete("customer", bob, Expect::Any)).await.expect("deletes");
        let erase = store.commit(ctx, UnitOfWork::new().erase("customer", bob));
        let again = store.commit(ctx, UnitOfWork::new().put("customer", bob, object(json!({ "name": "b2" })), Expect::Absent));
        let (erase, again) = tokio::join!(erase, again);
        erase.expect("erases");
        assert_eq!(again.expect("creates").records[0].version, 1);
        let events = world.opened().await;
        let last: Vec<_> = events.iter().rev().take(3).map(|event| (event.event_type.as_str(), event.data.get("after").cloned())).collect();
        assert_eq!(last[0], ("customer.created", Some(json!({ "name": "b2" }))));
        assert_eq!((last[1].0, last[2].0), ("customer.erased", "customer.deleted"));
        assert_eq!(events[1].data["after"]["name"], json!({ "$erased": true }));
    })
    .await;
}

#[tokio::test]
async fn what_refuses_deletion_refuses_erasure() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (team, thing) = (store.mint_id(), store.mint_id());
        let unit = UnitOfWork::new().put("team", team, object(json!({ "name": "x" })), Expect::Absent);
        let body = object(json!({ "name": "y", "team_id": team.wire("tea") }));
        store.commit(ctx, unit.put("thing", thing, body, Expect::Absent)).await.expect("creates");
        let refused = store.erase_record(ctx, "team", team).await.expect_err("is used");
        assert_eq!(refused.code(), "referenced");
        store.erase_record(ctx, "thing", thing).await.expect("erases");
        store.erase_record(ctx, "team", team).await.expect("erases");
        assert_eq!(store.count(ctx, "team", None).await.expect("counts"), 0);
    })
    .await;
}

const CANARY: &str = "zzcanaryzz";

/// Many records around one that is written, changed, deleted, restored and erased.
async fn erase_among_many(world: &World) -> Vec<RecordId> {
    let (store, ctx) = (&world.store, &world.ctx);
    let (mut others, mut erased) = (Vec::new(), Vec::new());
    for number in 0..400 {
        let id = store.mint_id();
        if number % 8 == 0 {
            world.put(id, customer(&format!("{CANARY}{number}"))).await;
            erased.push(id);
        } else {
            world.put(id, customer(&format!("somebody{number}"))).await;
            others.push(id);
        }
    }
    for (number, id) in erased.iter().enumerate() {
        let mut body = customer(&format!("{CANARY}again{number}"));
        body["notes"] = json!(format!("{CANARY} {}", "long ".repeat(number * 40)));
        world.put(*id, body).await;
        if number % 3 == 0 {
            store.commit(ctx, UnitOfWork::new().delete("customer", *id, Expect::Any)).await.expect("deletes");
            if number % 2 == 0 {
                store.commit(ctx, UnitOfWork::new().restore("customer", *id, Expect::Any)).await.expect("restores");
            }
        }
        world.put(others[number * 5], customer(&format!("changed{number}"))).await;
    }
    erased
}

#[tokio::test]
async fn no_byte_of_an_erased_person_is_left_in_the_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = world(Backend::Sqlite { dir: dir.path().to_owned() }, Some(dir)).await;
    let erased = erase_among_many(&world).await;
    let folder = world.dir.as_ref().expect("is on SQLite").path();
    assert!(!holding(folder).is_empty(), "the test would see it");
    let (last, most) = erased.split_last().expect("some");
    for id in most {
        world.store.commit(&world.ctx, UnitOfWork::new().erase("customer", *id)).await.expect("erases");
    }
    world.store.erase_record(&world.ctx, "customer", *last).await.expect("erases");
    assert_eq!(holding(folder), Vec::<String>::new());
    world.store.verify_chain(&world.ctx).await.expect("holds");
    world.store.close().await;
    assert_eq!(holding(folder), Vec::<String>::new(), "after closing");
}

/// The files below a folder that hold the canary, with how often.
fn holding(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path));
            continue;
        }
        let bytes = std::fs::read(&path).expect("reads");
        let times = bytes.windows(CANARY.len()).filter(|window| *window == CANARY.as_bytes()).count();
        if times > 0 {
            found.push(format!("{}: {times}", path.display()));
        }
    }
    found
}

#[tokio::test]
async fn no_row_of_an_erased_person_is_left_in_the_database() {
    let Some(url) = postgres_url() else { return };
    let world = world(Backend::Postgres { url: steward_base::Secret::new(url.clone()), connections: 4 }, None).await;
    let erased = erase_among_many(&world).await;
    assert!(!rows_holding(&url, &world.ctx).await.is_empty(), "the test would see it");
    for id in erased {
        world.store.erase_record(&world.ctx, "customer", id).await.expect("erases");
    }
    assert_eq!(rows_holding(&url, &world.ctx).await, Vec::<String>::new());
    world.store.verify_chain(&world.ctx).await.expect("holds");
    world.store.close().await;
}

/// The tables with a row whose text, or bytes, hold the canary.
async fn rows_holding(url: &str, ctx: &Ctx) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connects");
    let connection = tokio::spawn(connection);
    let (schema, tenant) = (ctx.tenant().record().wire("t"), ctx.tenant().record().uuid().to_string());
    client.query("SELECT set_config('steward.tenant', $1, false)", &[&tenant]).await.expect("is the tenant");
    let tables = client.query("SELECT tablename::text FROM pg_tables WHERE schemaname = $1", &[&schema]).await.expect("lists");
    assert!(tables.len() > 8, "the schema is found");
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    for table in tables {
        let table: &str = table.get(0);
        let sql = format!("SELECT count(*) FROM {schema}.\"{table}\" t WHERE t::text LIKE '%{CANARY}%' OR t::text LIKE '%{hex}%'");
        let times: i64 = client.query_one(&sql, &[]).await.expect("looks").get(0);
        if times > 0 {
            found.push(format!("{table}: {times}"));
        }
    }
    drop(client);
    connection.await.expect("ends").expect("without an error");
    found
}

#[tokio::test]
async fn keys_of_subjects_are_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let backend = Backend::Sqlite { dir: dir.path().to_owned() };
    let world = world(backend.clone(), Some(dir)).await;
    let ann = world.store.mint_id();
    world.put(ann, customer("ann")).await;
    world.store.close().await;
    let store = reopened(backend, customers()).await;
    let world = World { store, ..world };
    world.put(ann, customer("anna")).await;
    let opened = world.opened().await;
    assert_eq!((&opened[0].data["after"]["name"], &opened[1].data["after"]["name"]), (&json!("ann"), &json!("anna")));
    world.store.close().await;
}

#[tokio::test]
async fn erasing_a_record_leaves_the_personal_data_of_one_of_another_kind_with_its_id() {
    on_both(async |world| {
        let (store, ctx) = (&world.store, &world.ctx);
        let id = store.mint_id();
        world.put(id, customer("ann")).await;
        let ticket = UnitOfWork::new().put("ticket", id, object(json!({ "caller": "bob" })), Expect::Any);
        store.commit(ctx, ticket).await.expect("commits");
        store.erase_record(ctx, "ticket", id).await.expect("erases");
        let opened = world.opened().await;
        assert_eq!(opened[0].data["after"]["name"], "ann", "{:?}", opened[0]);
        assert_eq!(opened[1].data["after"]["caller"], json!({ "$erased": true }));
        store.erase_record(ctx, "customer", id).await.expect("erases");
        assert_eq!(world.opened().await[0].data["after"]["name"], json!({ "$erased": true }));
    })
    .await;
}
