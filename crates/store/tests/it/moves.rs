//! Tenants that are moved from place to place while they are used: nobody notices, and no copy counts beside the one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Ctx, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Bounds, Expect, JobDraft, Layout, ListQuery, MasterKey, Options, Place, Store, UnitOfWork};

use crate::support::{Team, Thing, ctx, everything, kinds, postgres_url};

const TENANT: [u8; 16] = [11; 16];
const FOLDER: &str = "STEWARD_TEST_MOVER";
const ROUNDS: usize = 5;
const SOON: Duration = Duration::from_secs(60);

/// A folder is home; another one, and a server in both layouts when there is one, are the others.
fn places(dir: &Path) -> (Backend, Vec<String>) {
    let place = |name: &str, backend, layout| Place { name: name.into(), backend, layout };
    let folder = |name: &str| place(name, Backend::Sqlite { dir: dir.join(name) }, Layout::Dedicated);
    let mut places = vec![folder("home"), folder("other")];
    if let Some(url) = postgres_url() {
        let server = || Backend::Postgres { url: Secret::new(url.clone()), connections: 8 };
        places.push(place("server", server(), Layout::Dedicated));
        places.push(place("shared", server(), Layout::Shared));
    }
    let names = places.iter().map(|place| place.name.clone()).collect();
    (Backend::Places { places, newcomers: "home".into() }, names)
}

async fn open(dir: &Path) -> (Store, Vec<String>) {
    let (backend, names) = places(dir);
    (store(backend).await, names)
}

async fn store(backend: Backend) -> Store {
    let options = Options { backend, master: MasterKey::new([7; 32]) };
    Store::open(options, kinds(), Clock::system(), Random::system()).await.expect("opens")
}

/// Waits until so many events were told after the last one seen.
async fn more(moved: &mut tokio::sync::watch::Receiver<i64>, events: i64) {
    let before = *moved.borrow_and_update();
    let waited = tokio::time::timeout(SOON, moved.wait_for(|position| *position > before + events)).await;
    waited.expect("somebody writes").expect("goes on");
}

/// Ids of events by position, as somebody who follows them saw them.
type Seen = Arc<Mutex<BTreeMap<i64, String>>>;

/// Follows the events until the last one is seen after `ends`.
async fn follow(store: Store, ctx: Ctx, seen: Seen, ends: Arc<AtomicBool>) {
    let mut changed = store.watch(ctx.tenant());
    let mut position = 0;
    loop {
        let over = ends.load(Ordering::Acquire);
        let events = store.events(&ctx, position, 1_000).await.expect("events");
        for event in &events {
            assert_eq!(event.position, position + 1, "nothing is missed, repeated or told in another order");
            position = event.position;
            seen.lock().insert(position, event.id.clone());
        }
        if events.is_empty() {
            if over {
                return;
            }
            // The end is no event.
            let _ = tokio::time::timeout(Duration::from_millis(200), changed.wait_for(|known| *known > position)).await;
            assert!(changed.has_changed().is_ok(), "whoever waits for events goes on waiting");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tenant_that_is_moved_under_load_loses_nothing_and_keeps_its_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, names) = open(dir.path()).await;
    let its = ctx(TenantId::new(store.clock(), store.random()));
    let tenant = its.tenant();
    store.provision(tenant).await.expect("provisions");
    let (fixed, ends, seen) = (store.mint_id(), Arc::new(AtomicBool::new(false)), Seen::default());
    store.commit(&its, UnitOfWork::new().create(fixed, &Team { name: "fixed".into() })).await.expect("creates");
    let acked = Arc::new(Mutex::new(BTreeSet::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..4 {
        let (store, its, ends, acked) = (store.clone(), its.clone(), ends.clone(), acked.clone());
        tasks.spawn(async move {
            let mut number = 0;
            while !ends.load(Ordering::Acquire) {
                let id = store.mint_id();
                let thing = Thing { serial: Some(format!("{lane}-{number}")), ..Thing::named("written") };
                let unit = UnitOfWork::new().create(id, &thing).add("written", 1, Bounds::NATURAL).number("numbers", id, "size");
                let unit =
                    if number % 5 == 0 { unit.enqueue(store.mint_id(), JobDraft::new("count", serde_json::json!({}))) } else { unit };
                store.commit(&its, unit).await.expect("commits");
                acked.lock().insert(id);
                number += 1;
            }
        });
    }
    for _ in 0..2 {
        let (store, its, ends) = (store.clone(), its.clone(), ends.clone());
        tasks.spawn(async move {
            while !ends.load(Ordering::Acquire) {
                assert!(store.get(&its, "team", fixed).await.expect("reads").is_some());
                let page = store.list(&its, ListQuery { kind: "thing".into(), limit: 5, ..ListQuery::default() }).await;
                page.expect("lists");
                tokio::task::yield_now().await;
            }
        });
    }
    let over = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(store.clone(), its.clone(), seen.clone(), over.clone()));
    // To each place and back home.
    let mut moved = store.watch(tenant);
    for name in names.iter().skip(1).chain(["home".to_owned()].iter()) {
        more(&mut moved, 50).await;
        let done = store.relocate(tenant, name).await.expect(name);
        assert_eq!(store.place(tenant).await.expect("is known").as_deref(), Some(name.as_str()));
        println!("to {name}: commits waited {:?} of {:?}, at {}", done.held, done.took, done.position);
    }
    more(&mut moved, 50).await;
    ends.store(true, Ordering::Release);
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    over.store(true, Ordering::Release);
    following.await.expect("no panic");
    let written = acked.lock().clone();
    assert_eq!(everything(&store, &its).await, written);
    assert_eq!(store.counter(&its, "written").await.expect("counts"), written.len() as i64);
    let head = store.verify_chain(&its).await.expect("holds");
    let events = all_events(&store, &its).await;
    assert_eq!(head, events.len() as i64);
    assert_eq!(*seen.lock(), events, "who followed saw what there is");
    // One copy, and that is home.
    assert!(!dir.path().join("other/tenants").join(format!("{tenant}.db")).exists());
    store.close().await;
    let (again, _) = open(dir.path()).await;
    assert_eq!(everything(&again, &its).await, written);
    again.close().await;
}

async fn all_events(store: &Store, ctx: &Ctx) -> BTreeMap<i64, String> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(0, |(position, _)| *position);
        let events = store.events(ctx, after, 1_000).await.expect("events");
        if events.is_empty() {
            return found;
        }
        found.extend(events.into_iter().map(|event| (event.position, event.id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_known_by_name_and_new_tenants_go_where_they_should() {
    let dir = tempfile::tempdir().expect("a folder");
    let (backend, names) = places(dir.path());
    let Backend::Places { places, .. } = backend else { panic!("has places") };
    let elsewhere = Backend::Places { places: places.clone(), newcomers: "other".into() };
    let store = store(elsewhere.clone()).await;
    let tenants: Vec<TenantId> = (0..2).map(|_| TenantId::new(store.clock(), store.random())).collect();
    for tenant in &tenants {
        store.provision(*tenant).await.expect("provisions");
        store.provision(*tenant).await.expect("is there already");
        assert_eq!(store.place(*tenant).await.expect("is known").as_deref(), Some("other"));
        store.commit(&ctx(*tenant), UnitOfWork::new().create(store.mint_id(), &Team { name: "x".into() })).await.expect("creates");
    }
    let code = async |tenant: TenantId, place: &str| store.relocate(tenant, place).await.expect_err("is refused").code();
    assert_eq!(code(tenants[0], "nowhere").await, "place_unknown");
    assert_eq!(code(TenantId::OPERATOR, "other").await, "tenant_fixed");
    assert_eq!(code(TenantId::new(store.clock(), store.random()), "other").await, "not_found");
    let last = names.last().expect("there are some");
    store.relocate(tenants[1], last).await.expect("moves");
    store.relocate(tenants[1], last).await.expect("is there already");
    store.close().await;
    // Another place for new ones changes nothing for those that are there.
    let store = self::store(Backend::Places { places: places.clone(), newcomers: "home".into() }).await;
    let now = [store.place(tenants[0]).await.expect("is known"), store.place(tenants[1]).await.expect("is known")];
    assert_eq!(now, [Some("other".to_owned()), Some(last.clone())]);
    for tenant in &tenants {
        assert_eq!(store.count(&ctx(*tenant), "team", None).await.expect("counts"), 1);
        store.provision(*tenant).await.expect("is there already");
    }
    store.close().await;
    // A place that is not configured is missed by its tenants and by nobody else.
    let store = self::store(Backend::Places { places: places[..1].to_vec(), newcomers: "home".into() }).await;
    assert_eq!(store.head(&ctx(tenants[0])).await.expect_err("is elsewhere").code(), "place_missing");
    store.health().await.expect("is healthy");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_finds_a_tenant_that_was_moved() {
    let Some(url) = postgres_url() else { return };
    let place = |name: &str, layout| {
        let backend = Backend::Postgres { url: Secret::new(url.clone()), connections: 8 };
        Place { name: name.into(), backend, layout }
    };
    let places = || vec![place("own", Layout::Dedicated), place("shared", Layout::Shared)];
    let opened = || store(Backend::Places { places: places(), newcomers: "own".into() });
    let (mover, writer) = (opened().await, opened().await);
    let its = ctx(TenantId::new(mover.clock(), mover.random()));
    mover.provision(its.tenant()).await.expect("provisions");
    let (ends, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
    let writing = {
        let (store, its, ends, acked) = (writer.clone(), its.clone(), ends.clone(), acked.clone());
        tokio::spawn(async move {
            while !ends.load(Ordering::Acquire) {
                let id = store.mint_id();
                match store.commit(&its, UnitOfWork::new().create(id, &Thing::named("x"))).await {
                    Ok(_) => {
                        acked.lock().insert(id);
                    }
                    Err(error) => assert_eq!(error.code(), "tenant_moved", "{error:?}"),
                }
            }
        })
    };
    let mut moved = mover.watch(its.tenant());
    for name in ["shared", "own", "shared"] {
        more(&mut moved, 20).await;
        mover.relocate(its.tenant(), name).await.expect("moves");
    }
    more(&mut moved, 20).await;
    ends.store(true, Ordering::Release);
    writing.await.expect("no panic");
    let written = acked.lock().clone();
    for store in [&mover, &writer] {
        assert_eq!(everything(store, &its).await, written);
        assert_eq!(store.verify_chain(&its).await.expect("holds"), written.len() as i64);
        store.close().await;
    }
}

/// Not a test of its own: the other one starts it as a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the victim of the test below"]
#[expect(clippy::disallowed_methods, reason = "the folder comes from the process that started this one")]
async fn victim() {
    let dir = std::env::var(FOLDER).expect("a folder");
    let (store, names) = open(dir.as_ref()).await;
    let its = ctx(RecordId::from_bytes(TENANT).into());
    store.provision(its.tenant()).await.expect("provisions");
    let say = |word: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word}").and_then(|()| out.flush()).expect("is read");
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, its) = (store.clone(), its.clone());
        tasks.spawn(async move {
            loop {
                let id = store.mint_id();
                store.commit(&its, UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("commits");
                say(&format!("acked {}", id.wire("thg")));
            }
        });
    }
    tasks.spawn(async move {
        loop {
            for name in &names {
                store.relocate(its.tenant(), name).await.expect("moves");
                say(&format!("moved {name}"));
            }
        }
    });
    tasks.join_next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_during_a_move_leaves_one_copy_that_has_everything() {
    let dir = tempfile::tempdir().expect("a folder");
    let its = ctx(RecordId::from_bytes(TENANT).into());
    let mut acked = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("is a file"))
            .args(["--exact", "moves::victim", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let (mut moves, mut after) = (round % 3, 11 + 17 * round);
        for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
            let line = line.expect("reads");
            if let Some(id) = line.strip_prefix("acked ").and_then(|id| RecordId::parse("thg", id)) {
                acked.insert(id);
                after = after.saturating_sub(usize::from(moves == 0));
            }
            if line.starts_with("moved") {
                moves = moves.saturating_sub(1);
            }
            if after == 0 {
                // The lines that were written before the end are still read.
                child.kill().expect("is killed");
            }
        }
        child.wait().expect("is gone");
        let (store, _) = open(dir.path()).await;
        let found = everything(&store, &its).await;
        assert!(acked.is_subset(&found), "round {round}: {:?} were answered and are gone", acked.difference(&found));
        assert_eq!(store.verify_chain(&its).await.expect("holds"), found.len() as i64, "one event per record");
        let id = store.mint_id();
        store
            .commit(&its, UnitOfWork::new().create(id, &Thing::named("after")).delete("thing", store.mint_id(), Expect::Any))
            .await
            .expect("goes on");
        acked.insert(id);
        assert_eq!(copies(dir.path(), its.tenant()).await, 1, "round {round}, at {:?}", store.place(its.tenant()).await);
        store.close().await;
    }
    if let (Some(_), (store, _)) = (postgres_url(), open(dir.path()).await) {
        store.erase(its.tenant()).await.expect("is erased");
        store.close().await;
    }
}

/// In how many places the tenant is.
async fn copies(dir: &Path, tenant: TenantId) -> usize {
    let mut found = ["home", "other"].iter().filter(|name| dir.join(name).join("tenants").join(format!("{tenant}.db")).exists()).count();
    if let Some(url) = postgres_url() {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
        tokio::spawn(connection);
        let schema = tenant.record().wire("t");
        found += client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await.expect("asks").len();
        let shared = client.query("SELECT 1 FROM pg_namespace WHERE nspname = 'tenants'", &[]).await.expect("asks").len();
        if shared > 0 {
            let rows = client.query("SELECT DISTINCT tenant FROM tenants.record WHERE tenant = $1", &[&tenant.record().uuid()]).await;
            found += rows.expect("asks").len();
        }
    }
    found
}
