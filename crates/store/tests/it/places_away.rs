//! A place that cannot be read while the installation is under load: tenants elsewhere notice nothing, those in it are refused with one error and
//! are not taken for gone, and all is well when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::{Clock, Ctx, Error, ErrorKind, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Layout, ListQuery, MasterKey, Options, Place, Store, UnitOfWork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::elsewhere::{Database, connect};
use crate::outage::{Ledger, Server, answered_again, write};
use crate::support::{Thing, ctx, everything, kinds, reopened, until};

fn spread(home: Backend, beside: Backend) -> Backend {
    let place = |name: &str, backend| Place { name: name.into(), backend, layout: Layout::Dedicated };
    Backend::Places { places: vec![place("home", home), place("beside", beside)], newcomers: "beside".into() }
}

/// Tenants with one record each, in the place for newcomers.
async fn tenants(store: &Store, count: usize) -> Vec<(Ctx, RecordId)> {
    let mut made = Vec::new();
    for _ in 0..count {
        let (its, id) = (ctx(TenantId::new(store.clock(), store.random())), store.mint_id());
        store.provision(its.tenant()).await.expect("provisions");
        store.commit(&its, UnitOfWork::new().create(id, &Thing::named("kept"))).await.expect("creates");
        made.push((its, id));
    }
    made
}

/// What each way into a tenant is answered.
async fn ways_in(store: &Store, its: &Ctx, id: RecordId) -> Vec<(&'static str, Option<Error>)> {
    let list = ListQuery { kind: "thing".into(), limit: 10, ..ListQuery::default() };
    vec![
        ("get", store.get(its, "thing", id).await.err()),
        ("list", store.list(its, list).await.err()),
        ("count", store.count(its, "thing", None).await.err()),
        ("events", store.events(its, 0, 10).await.err()),
        ("head", store.head(its).await.err()),
        ("position", store.position(its.tenant(), Duration::ZERO).await.err()),
        ("next_due", store.next_due(its.tenant(), &["work".to_owned()]).await.err()),
        ("commit", store.commit(its, UnitOfWork::new().create(store.mint_id(), &Thing::named("refused"))).await.err()),
        ("erase", store.erase(its.tenant()).await.err()),
    ]
}

/// That nothing of a tenant is told, and that it is not taken for gone.
async fn assert_away(store: &Store, its: &Ctx, id: RecordId, code: &str) {
    for (way, error) in ways_in(store, its, id).await {
        let error = error.unwrap_or_else(|| panic!("{way}: the place is away"));
        assert_eq!((error.kind(), error.code(), error.retry_after().is_some()), (ErrorKind::Unavailable, code, true), "{way}: {error:?}");
    }
}

/// Writes into a tenant, as somebody who keeps a ledger.
fn begin(store: &Store, its: &Ctx, ledger: &Arc<Ledger>, tasks: &mut tokio::task::JoinSet<()>) {
    for _ in 0..4 {
        tasks.spawn(write(store.clone(), its.clone(), ledger.clone()));
    }
}

async fn assert_agrees(store: &Store, its: &Ctx, ledger: &Ledger, before: usize) {
    let found = everything(store, its).await;
    let (acked, refused) = (ledger.acked.lock().clone(), ledger.refused.lock().clone());
    assert!(acked.is_subset(&found), "{:?} were answered and are gone", acked.difference(&found));
    assert!(refused.is_disjoint(&found), "{:?} were refused and are there", refused.intersection(&found));
    assert!(found.len() <= before + acked.len() + ledger.unknown.lock().len());
    assert_eq!(store.verify_chain(its).await.expect("holds"), found.len() as i64, "one event per record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_that_is_away_is_missed_by_its_tenants_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let (beside, aside) = (dir.path().join("beside"), dir.path().join("aside"));
    let backend = spread(Backend::Sqlite { dir: dir.path().join("home") }, Backend::Sqlite { dir: beside.clone() });
    let store = reopened(backend.clone(), kinds()).await;
    let there = tenants(&store, 3).await;
    let here = tenants(&store, 1).await.remove(0);
    store.relocate(here.0.tenant(), "home").await.expect("moves");
    store.close().await;

    // No file of theirs is open.
    let store = reopened(backend.clone(), kinds()).await;
    let (ledger, mut tasks) = (Arc::new(Ledger::default()), tokio::task::JoinSet::new());
    begin(&store, &here.0, &ledger, &mut tasks);
    answered_again(&ledger, 50).await;
    std::fs::rename(&beside, &aside).expect("is away");
    for _ in 0..2 {
        for (its, id) in &there {
            assert_away(&store, its, *id, "storage_failed").await;
            let made_anew = store.provision(its.tenant()).await.expect_err("nobody makes it anew");
            let told = store.dump(its.tenant(), None).await.expect_err("cannot be told");
            assert_eq!((made_anew.code(), told.code()), ("storage_failed", "storage_failed"));
        }
        answered_again(&ledger, 50).await;
    }
    store.health().await.expect("home is well");
    let ill = store.health_elsewhere().await.expect_err("the place is not");
    assert!(ill.code() == "storage_failed" && ill.detail().contains("beside"), "{ill}");
    assert!(!beside.exists(), "nobody made the folder anew");

    std::fs::rename(&aside, &beside).expect("is back");
    store.health_elsewhere().await.expect("is well");
    for (its, id) in &there {
        assert!(store.get(its, "thing", *id).await.expect("reads").is_some());
        store.commit(its, UnitOfWork::new().create(store.mint_id(), &Thing::named("after"))).await.expect("goes on");
        assert_eq!(store.verify_chain(its).await.expect("holds"), 2);
    }
    ledger.stop.store(true, Ordering::Relaxed);
    while tasks.join_next().await.transpose().expect("no panic").is_some() {}
    assert!(ledger.refused.lock().is_empty() && ledger.unknown.lock().is_empty(), "nobody at home noticed");
    assert_agrees(&store, &here.0, &ledger, 1).await;
    store.close().await;

    // Nor does a start make it anew, as it does with one that nobody is in yet.
    std::fs::rename(&beside, &aside).expect("is away");
    let options = || Options { backend: backend.clone(), master: MasterKey::new([7; 32]) };
    let refused =
        Store::open(options(), kinds(), Clock::system(), Random::system()).await.map(drop).expect_err("its tenants are not there");
    assert_eq!((refused.code(), beside.exists()), ("place_away", false));
    std::fs::rename(&aside, &beside).expect("is back");
    let store = Store::open(options(), kinds(), Clock::system(), Random::system()).await.expect("opens");
    assert!(store.get(&there[0].0, "thing", there[0].1).await.expect("reads").is_some());
    store.close().await;
}

/// One of two databases, or the one beside a folder, goes away under load and comes back.
async fn a_database_goes_away(home: Backend) {
    let Some(server) = Server::start() else { return };
    let server = Arc::new(server);
    let control = async |what: &'static str| {
        let server = server.clone();
        tokio::task::spawn_blocking(move || server.control(what, "fast")).await.expect("is told");
    };
    let beside = Backend::Postgres { url: Secret::new(server.url()), connections: 6 };
    let store = reopened(spread(home, beside), kinds()).await;
    let there = tenants(&store, 2).await;
    let here = tenants(&store, 8).await;
    for (its, _) in &here {
        store.relocate(its.tenant(), "home").await.expect("moves");
    }
    let (near, far) = (Arc::new(Ledger::default()), Arc::new(Ledger::default()));
    let mut tasks = tokio::task::JoinSet::new();
    begin(&store, &here[0].0, &near, &mut tasks);
    begin(&store, &there[0].0, &far, &mut tasks);
    answered_again(&near, 50).await;
    answered_again(&far, 50).await;

    control("stop").await;
    for _ in 0..2 {
        let (its, id) = &there[1];
        assert_away(&store, its, *id, "database_unavailable").await;
        answered_again(&near, 50).await;
    }
    store.health().await.expect("home is well");
    assert_eq!(store.health_elsewhere().await.expect_err("the place is not").code(), "database_unavailable");
    if !store.is_shared() {
        // What cannot be looked at keeps nobody's mark from being settled.
        store.settle(Duration::ZERO, |_| i64::MAX).await.expect_err("says that it could not look at all");
        let marked: Vec<TenantId> = store.marked().await.expect("reads").into_iter().map(|(tenant, _)| tenant).collect();
        for (its, _) in &here[1..] {
            assert!(!marked.contains(&its.tenant()), "it is at home and idle");
        }
        assert!(there.iter().all(|(its, _)| marked.contains(&its.tenant())), "of these nobody knows");
    }

    control("start").await;
    answered_again(&far, 50).await;
    near.stop.store(true, Ordering::Relaxed);
    far.stop.store(true, Ordering::Relaxed);
    while tasks.join_next().await.transpose().expect("no panic").is_some() {}
    store.health_elsewhere().await.expect("is well");
    assert!(near.refused.lock().is_empty() && near.unknown.lock().is_empty(), "nobody at home noticed");
    assert_agrees(&store, &here[0].0, &near, 1).await;
    assert_agrees(&store, &there[0].0, &far, 1).await;
    assert_eq!(everything(&store, &there[1].0).await.len(), 1, "what was refused did not happen, erasing it neither");
    if !store.is_shared() {
        store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
        assert!(store.marked().await.expect("reads").iter().all(|(tenant, _)| there.iter().all(|(its, _)| its.tenant() != *tenant)));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_away_is_missed_by_its_tenants_only() {
    let dir = tempfile::tempdir().expect("a folder");
    a_database_goes_away(Backend::Sqlite { dir: dir.path().join("home") }).await;
    if let Some(database) = Database::make().await {
        a_database_goes_away(Backend::Postgres { url: Secret::new(database.url.clone()), connections: 8 }).await;
    }
}

/// The number by which control notes the place that is called home.
const HOME: i64 = 5_665_880_555_079_628_604;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_does_not_wait_for_a_database_that_only_some_need() {
    let (Some(database), Some(server)) = (Database::make().await, Server::start()) else { return };
    let server = Arc::new(server);
    let control = async |what: &'static str| {
        let server = server.clone();
        tokio::task::spawn_blocking(move || server.control(what, "fast")).await.expect("is told");
    };
    let beside = Backend::Postgres { url: Secret::new(server.url()), connections: 6 };
    let backend = spread(Backend::Postgres { url: Secret::new(database.url.clone()), connections: 8 }, beside);
    let store = reopened(backend.clone(), kinds()).await;
    let there = tenants(&store, 2).await;
    let here = tenants(&store, 1).await.remove(0);
    store.relocate(here.0.tenant(), "home").await.expect("moves");
    store.close().await;
    // What a crash in the middle of a move home leaves of one: its head is away, and control knows of a copy.
    let tenant = there[0].0.tenant();
    let schema = tenant.record().wire("t");
    connect(&server.url()).await.batch_execute(&format!("DELETE FROM {schema}.tenant_head")).await.expect("is taken away");
    let operator = TenantId::OPERATOR.record().uuid();
    database.run(&format!("INSERT INTO control.tally VALUES ('{operator}', 'stray:{tenant}', {HOME})")).await;

    control("stop").await;
    let store = reopened(backend, kinds()).await;
    store.commit(&here.0, UnitOfWork::new().create(store.mint_id(), &Thing::named("here"))).await.expect("is served");
    assert_eq!(everything(&store, &here.0).await.len(), 2);
    for (its, id) in &there {
        for (way, error) in ways_in(&store, its, *id).await.into_iter().filter(|(way, _)| *way != "erase") {
            assert_eq!(error.map(|error| error.code()), Some("database_unavailable"), "{way}");
        }
    }
    assert_eq!(store.health_elsewhere().await.expect_err("is away").code(), "database_unavailable");

    control("start").await;
    for (its, id) in &there {
        until(async || store.get(its, "thing", *id).await.is_ok_and(|found| found.is_some())).await;
        // Of one, once what the move left behind is removed.
        until(async || store.commit(its, UnitOfWork::new().create(store.mint_id(), &Thing::named("after"))).await.is_ok()).await;
        assert_eq!(store.verify_chain(its).await.expect("holds"), 2);
    }
    store.health_elsewhere().await.expect("is well");
    store.close().await;
}

/// A way to a server on which nothing arrives while it hangs.
struct Way {
    port: u16,
    hangs: watch::Sender<bool>,
    /// How often somebody said something meanwhile.
    unheard: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let (hangs, unheard) = (watch::Sender::new(false), Arc::new(AtomicUsize::new(0)));
        let (hanging, counted) = (hangs.clone(), unheard.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut hanging, counted) = (hanging.subscribe(), counted.clone());
                let (mut back, mut forth) = TcpStream::connect(&server).await.expect("connects").into_split();
                let (mut from, mut to) = client.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
                tokio::spawn(async move {
                    let mut bytes = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        counted.fetch_add(usize::from(*hanging.borrow()), Ordering::SeqCst);
                        if hanging.wait_for(|hangs| !hangs).await.is_err() || forth.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, hangs, unheard }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_hangs_holds_up_nobody_who_shares_a_lane_with_its_tenants() {
    let Some(database) = Database::make().await else { return };
    let (before, rest) = database.url.rsplit_once('@').expect("names a user");
    let (server, name) = rest.split_once('/').expect("names a database");
    let way = Way::to(server.to_owned()).await;
    let url = format!("{before}@127.0.0.1:{}/{name}", way.port);
    let dir = tempfile::tempdir().expect("a folder");
    let beside = Backend::Postgres { url: Secret::new(url), connections: 4 };
    let store = reopened(spread(Backend::Sqlite { dir: dir.path().join("home") }, beside), kinds()).await;
    let (its, _) = tenants(&store, 1).await.remove(0);
    // Whichever lane that one is in, this one is in it too. Nothing is committed into it yet, so that it must be marked.
    let mut bytes = its.tenant().bytes();
    bytes[0] ^= 1;
    let here = ctx(RecordId::from_bytes(bytes).into());
    store.provision(here.tenant()).await.expect("provisions");
    store.relocate(here.tenant(), "home").await.expect("moves");

    way.hangs.send_replace(true);
    let settling = tokio::spawn({
        let store = store.clone();
        async move { store.settle(Duration::ZERO, |_| i64::MAX).await }
    });
    until(async || way.unheard.load(Ordering::SeqCst) > 0).await;
    let written = store.commit(&here, UnitOfWork::new().create(store.mint_id(), &Thing::named("here")));
    let written = tokio::time::timeout(Duration::from_secs(10), written).await;
    assert!(matches!(written, Ok(Ok(_))), "{written:?}");
    way.hangs.send_replace(false);
    settling.await.expect("no panic").expect("settles in the end");
    assert!(store.marked().await.expect("reads").iter().all(|(tenant, _)| *tenant != its.tenant()));
    store.close().await;
}
