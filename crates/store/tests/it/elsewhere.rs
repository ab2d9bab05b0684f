//! What other processes, or callers who have gone, do to a tenant of this one: each test has a database of its own.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use steward_base::{Clock, Error, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Layout, ListQuery, Place, Store, UnitOfWork};
use tokio_postgres::{Client, NoTls};

use crate::support::{Thing, ctx, kinds, postgres_url, reopened, shared, sqlite, until};

pub(crate) const BLOCKED: &str = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Database {
    /// None where tests run without PostgreSQL.
    pub(crate) async fn make() -> Option<Self> {
        let server = postgres_url()?;
        let name = format!("d{}", RecordId::new(&Clock::system(), &Random::system()).uuid().simple());
        connect(&server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("is made");
        let (server, database) = server.rsplit_once('/').expect("names a database");
        let options = database.split_once('?').map_or(String::new(), |(_, options)| format!("?{options}"));
        let url = format!("{server}/{name}{options}");
        Some(Self { client: connect(&url).await, url })
    }

    fn server(&self) -> Backend {
        Backend::Postgres { url: Secret::new(self.url.clone()), connections: 8 }
    }

    /// Tenants have schemas of their own at home, and share one in the other place.
    fn places(&self) -> Backend {
        let place = |name: &str, layout| Place { name: name.into(), backend: self.server(), layout };
        Backend::Places { places: vec![place("own", Layout::Dedicated), place("shared", Layout::Shared)], newcomers: "own".into() }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect(sql);
    }

    /// Waits until somebody waits for a lock.
    pub(crate) async fn blocked(&self) {
        // A transaction would be shown the same picture again and again.
        let watcher = connect(&self.url).await;
        until(async || !watcher.query(BLOCKED, &[]).await.expect("asks").is_empty()).await;
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// A tenant with one record.
async fn tenant(store: &Store) -> (TenantId, RecordId) {
    let (tenant, id) = (TenantId::new(store.clock(), store.random()), store.mint_id());
    store.provision(tenant).await.expect("provisions");
    store.commit(&ctx(tenant), UnitOfWork::new().create(id, &Thing::named("kept"))).await.expect("creates");
    (tenant, id)
}

async fn things(store: &Store, tenant: TenantId) -> Result<Vec<RecordId>, Error> {
    let page = store.list(&ctx(tenant), ListQuery { kind: "thing".into(), limit: 10, ..ListQuery::default() }).await?;
    Ok(page.records.into_iter().map(|record| record.id).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_made_though_whoever_asked_has_gone() {
    let Some(database) = Database::make().await else { return };
    let store = reopened(database.server(), kinds()).await;
    let tenant = TenantId::new(store.clock(), store.random());
    let lock = format!("hashtextextended('steward:{}', 0)", tenant.record().wire("t"));
    database.run(&format!("SELECT pg_advisory_lock({lock})")).await;
    tokio::select! {
        _ = store.provision(tenant) => panic!("somebody else has the lock"),
        () = database.blocked() => {}
    }
    database.run(&format!("SELECT pg_advisory_unlock({lock})")).await;
    until(async || store.head(&ctx(tenant)).await.is_ok()).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_in_the_middle_of_a_transaction_leaves_it_to_nobody() {
    let Some(database) = Database::make().await else { return };
    let store = reopened(shared(database.url.clone()), kinds()).await;
    let (tenant, id) = tenant(&store).await;
    database.run("BEGIN; SELECT * FROM tenants.tenant_head FOR UPDATE").await;
    tokio::select! {
        _ = store.erase(tenant) => panic!("somebody else has the head"),
        () = database.blocked() => {}
    }
    database.run("ROLLBACK").await;
    let other = store.mint_id();
    store.commit(&ctx(tenant), UnitOfWork::new().create(other, &Thing::named("later"))).await.expect("goes on");
    let found = things(&store, tenant).await.expect("lists");
    assert!(found.contains(&id) && found.contains(&other), "{found:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_another_process_erased_is_gone_here_too() {
    let Some(database) = Database::make().await else { return };
    for backend in [database.server(), shared(database.url.clone())] {
        let (eraser, store) = (reopened(backend.clone(), kinds()).await, reopened(backend, kinds()).await);
        for through in ["events", "get", "list", "count", "find", "head", "commit", "next_due"] {
            let (tenant, id) = tenant(&eraser).await;
            let its = ctx(tenant);
            assert!(store.get(&its, "thing", id).await.expect("reads").is_some());
            // As whoever streams events does.
            let following = tokio::spawn({
                let (store, its) = (store.clone(), its.clone());
                async move {
                    let mut changed = store.watch(its.tenant());
                    loop {
                        changed.borrow_and_update();
                        if let Err(error) = store.events(&its, 0, 10).await {
                            return error;
                        }
                        changed.changed().await.expect("goes on");
                    }
                }
            });
            eraser.erase(tenant).await.expect("is erased");
            let error = match through {
                "get" => store.get(&its, "thing", id).await.map(drop),
                "list" => things(&store, tenant).await.map(drop),
                "count" => store.count(&its, "thing", None).await.map(drop),
                "find" => store.find(&its, "team", "name", "none").await.map(drop),
                "head" => store.head(&its).await.map(drop),
                "commit" => store.commit(&its, UnitOfWork::new().create(id, &Thing::named("late"))).await.map(drop),
                "next_due" => store.next_due(tenant, &[]).await.map(drop),
                _ => Err(tokio::time::timeout(std::time::Duration::from_secs(60), following).await.expect("is told").expect("no panic")),
            };
            assert_eq!(error.expect_err(through).code(), "not_found", "{through}");
        }
        eraser.close().await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_has_just_loaded_is_not_cleared_away() {
    let Some(database) = Database::make().await else { return };
    let from = sqlite().await;
    from.store.commit(&from.ctx, UnitOfWork::new().create(from.store.mint_id(), &Thing::named("kept"))).await.expect("creates");
    let dump = from.store.dump(from.ctx.tenant(), None).await.expect("begins");
    let frames: Vec<Result<Bytes, Error>> = dump.collect().await;

    let store = reopened(shared(database.url.clone()), kinds()).await;
    tenant(&store).await;
    // Half loaded by somebody who is gone, and listed before the other.
    let gone = RecordId::new(store.clock(), store.random()).uuid();
    database.run(&format!("INSERT INTO tenants.loading VALUES ('{gone}'); INSERT INTO tenants.tally VALUES ('{gone}', 'x', 1)")).await;
    let mut loading = store.load(from.ctx.tenant()).await.expect("begins");
    loading.apply(stream::iter(frames)).await.expect("is told");
    database.run(&format!("BEGIN; SELECT * FROM tenants.tally WHERE tenant = '{gone}' FOR UPDATE")).await;
    let starting = tokio::spawn(reopened(shared(database.url.clone()), kinds()));
    database.blocked().await;
    store.publish(loading).await.expect("publishes");
    database.run("ROLLBACK").await;
    let started = starting.await.expect("no panic");
    for store in [&store, &started] {
        assert_eq!(things(store, from.ctx.tenant()).await.expect("is there").len(), 1);
        store.close().await;
    }
    let left = database.client.query("SELECT 1 FROM tenants.loading", &[]).await.expect("asks");
    assert!(left.is_empty(), "what was half loaded is gone");
    from.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_tenant_keeps_nothing_of_a_commit_that_was_under_way() {
    let Some(database) = Database::make().await else { return };
    let store = reopened(shared(database.url.clone()), kinds()).await;
    let (tenant, _) = tenant(&store).await;
    let uuid = tenant.record().uuid();
    database.run("BEGIN; SELECT * FROM tenants.tenant_head FOR UPDATE").await;
    let erasing = tokio::spawn({
        let store = store.clone();
        async move { store.erase(tenant).await }
    });
    database.blocked().await;
    database
        .run(&format!(
            "INSERT INTO tenants.tally VALUES ('{uuid}', 'late', 1); INSERT INTO tenants.inbox VALUES ('{uuid}', 'late', 'm', 1);
            INSERT INTO tenants.event VALUES ('{uuid}', 99, '{uuid}', '', ''); INSERT INTO tenants.record_search VALUES ('{uuid}', 'x', '', '{uuid}');
            COMMIT"
        ))
        .await;
    erasing.await.expect("no panic").expect("is erased");
    let rows = database
        .client
        .query("SELECT table_name::text FROM information_schema.columns WHERE table_schema = 'tenants' AND column_name = 'tenant'", &[]);
    for row in rows.await.expect("asks") {
        let table: &str = row.get(0);
        let left = database.client.query(&format!("SELECT 1 FROM tenants.{table} WHERE tenant = $1"), &[&uuid]).await.expect("asks");
        assert!(left.is_empty(), "{table}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_not_told_of_a_move_neither_loses_nor_keeps_the_tenant() {
    let Some(database) = Database::make().await else { return };
    let (mover, untold) = (reopened(database.places(), kinds()).await, reopened(database.places(), kinds()).await);
    let (tenant, id) = tenant(&mover).await;
    mover.relocate(tenant, "shared").await.expect("moves");
    assert_eq!(things(&untold, tenant).await.expect("finds it"), [id]);
    mover.relocate(tenant, "own").await.expect("moves back");
    untold.relocate(tenant, "own").await.expect("is there already");
    assert_eq!(things(&mover, tenant).await.expect("is whole"), [id]);
    assert_eq!(things(&untold, tenant).await.expect("is whole"), [id]);

    mover.relocate(tenant, "shared").await.expect("moves");
    assert_eq!(things(&untold, tenant).await.expect("finds it"), [id]);
    mover.relocate(tenant, "own").await.expect("moves back");
    // What is not in the shared schema any more is no empty tenant.
    assert_eq!(things(&untold, tenant).await.expect("finds it"), [id]);

    mover.relocate(tenant, "shared").await.expect("moves");
    untold.erase(tenant).await.expect("is erased");
    let left = database.client.query("SELECT 1 FROM tenants.record WHERE tenant = $1", &[&tenant.record().uuid()]).await.expect("asks");
    assert!(left.is_empty(), "it was elsewhere than this process thought");
    mover.close().await;
    untold.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_go_on_after_a_move_that_failed_though_the_head_comes_back_late() {
    let Some(database) = Database::make().await else { return };
    let store = reopened(database.places(), kinds()).await;
    let (other, _) = tenant(&store).await;
    store.relocate(other, "shared").await.expect("moves");
    let (tenant, _) = tenant(&store).await;
    let schema = tenant.record().wire("t");
    database
        .run(&format!(
            "CREATE SEQUENCE public.tries;
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM nextval('public.tries'); RAISE EXCEPTION 'not now'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON tenants.tenant_head FOR EACH ROW EXECUTE FUNCTION public.refuse();
            CREATE TRIGGER refuse BEFORE INSERT ON {schema}.tenant_head FOR EACH ROW EXECUTE FUNCTION public.refuse();"
        ))
        .await;
    let moving = tokio::spawn({
        let store = store.clone();
        async move { store.relocate(tenant, "shared").await }
    });
    // The copy was not published, and the head did not come back.
    until(async || database.client.query_one("SELECT last_value FROM public.tries", &[]).await.expect("asks").get::<_, i64>(0) >= 2).await;
    database.run(&format!("DROP TRIGGER refuse ON tenants.tenant_head; DROP TRIGGER refuse ON {schema}.tenant_head")).await;
    moving.await.expect("no panic").expect_err("could not be moved");
    assert_eq!(store.place(tenant).await.expect("is known").as_deref(), Some("own"));
    store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Thing::named("after"))).await.expect("goes on");
    store.close().await;
}
