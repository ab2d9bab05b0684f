//! Stores to test on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::filter::Expr;
use steward_base::{Clock, Ctx, Origin, Parts, Principal, Random, RecordId, Secret, TenantId, Timestamp};
use steward_store::{Backend, Kind, Kinds, Layout, LinkKey, ListQuery, MasterKey, Model, Options, Record, Sealed, Store, serve_port};
use tokio_util::sync::CancellationToken;

/// A group of things; a thing may not outlive it unnoticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Team {
    #[schemars(length(min = 1, max = 200), extend("indexed" = true, "unique" = true, "searchable" = true))]
    pub(crate) name: String,
}

impl Model for Team {
    const KIND: &'static str = "team";
    const PREFIX: &'static str = "tea";
}

/// Something with a field of every sort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Thing {
    #[schemars(length(min = 1, max = 400), extend("indexed" = true, "searchable" = true))]
    pub(crate) name: String,
    #[schemars(extend("unique" = true))]
    pub(crate) serial: Option<String>,
    #[schemars(extend("indexed" = true))]
    pub(crate) size: Option<i64>,
    #[schemars(extend("indexed" = true))]
    pub(crate) weight: Option<f64>,
    #[schemars(extend("indexed" = true))]
    pub(crate) active: Option<bool>,
    #[schemars(extend("indexed" = true))]
    pub(crate) seen: Option<Timestamp>,
    #[serde(default)]
    #[schemars(extend("indexed" = true))]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) place: Place,
    #[schemars(extend("reference" = "team"))]
    pub(crate) team_id: Option<String>,
    #[schemars(extend("reference" = "team", "on_delete" = "clear"))]
    pub(crate) helper_id: Option<String>,
    #[schemars(extend("reference" = "thing", "on_delete" = "cascade"))]
    pub(crate) inside_id: Option<String>,
    #[schemars(extend("readOnly" = true))]
    pub(crate) status: Option<String>,
    pub(crate) pin: Option<Sealed>,
    #[schemars(extend("personal" = true))]
    pub(crate) contact: Option<String>,
}

/// Where a thing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Place {
    #[schemars(extend("indexed" = true))]
    pub(crate) room: Option<String>,
    pub(crate) shelf: Option<i64>,
}

impl Model for Thing {
    const KIND: &'static str = "thing";
    const PREFIX: &'static str = "thg";
}

impl Thing {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

pub(crate) fn kinds() -> Kinds {
    Kinds::new().with(Kind::of::<Team>()).with(Kind::of::<Thing>())
}

/// A store with a tenant of its own.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) ctx: Ctx,
    pub(crate) engine: &'static str,
    dir: Option<tempfile::TempDir>,
    /// What a remote store asks.
    pub(crate) served: Option<Served>,
}

/// A store whose port is served over loopback, as by a process of its own.
pub(crate) struct Served {
    pub(crate) store: Store,
    pub(crate) url: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Serves on a free port.
    pub(crate) async fn start(store: Store) -> Self {
        Self::start_on(store, "127.0.0.1:0").await
    }

    pub(crate) async fn start_on(store: Store, address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_port(store.clone(), link_key(), listener, stop.clone()));
        Self { store, url, stop, task }
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::Remote { url: self.url.clone(), key: link_key() }
    }

    /// Ends the serving and the store.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("does not panic");
        self.store.close().await;
    }
}

/// The key that all processes of the tests have.
pub(crate) fn link_key() -> LinkKey {
    LinkKey::derived(&MasterKey::new([7; 32]))
}

impl Bench {
    /// Lets go of everything.
    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(served) = self.served {
            served.stop().await;
        }
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.as_ref().expect("is on SQLite").path()
    }
}

pub(crate) fn ctx(tenant: TenantId) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::new([]),
        reason: "test".into(),
        origin: Some(Arc::new(Origin { ip: Some("192.0.2.1".into()), user_agent: None })),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        request_id: Some("req-1".into()),
    })
}

/// Where PostgreSQL is, when the caller started one.
#[expect(clippy::disallowed_methods, reason = "tests are told by the script that runs them")]
pub(crate) fn postgres_url() -> Option<String> {
    let url = std::env::var("STEWARD_TEST_POSTGRES").ok();
    if url.is_none() {
        eprintln!("STEWARD_TEST_POSTGRES is not set: this ran on SQLite only");
    }
    url
}

pub(crate) async fn bench_on(backend: Backend, engine: &'static str, dir: Option<tempfile::TempDir>) -> Bench {
    bench_at(Clock::system(), backend, engine, dir).await
}

/// With a clock of the test's own.
pub(crate) async fn bench_at(clock: Clock, backend: Backend, engine: &'static str, dir: Option<tempfile::TempDir>) -> Bench {
    let random = Random::system();
    let tenant = TenantId::new(&clock, &random);
    let store = Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds(), clock, random).await.expect("opens");
    store.provision(tenant).await.expect("provisions");
    Bench { store, ctx: ctx(tenant), engine, dir, served: None }
}

/// Another store over the same data, as a second process has it.
pub(crate) async fn reopened(backend: Backend, kinds: Kinds) -> Store {
    Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds, Clock::system(), Random::system()).await.expect("opens")
}

pub(crate) async fn sqlite() -> Bench {
    let dir = tempfile::tempdir().expect("a folder");
    bench_on(Backend::Sqlite { dir: dir.path().to_owned() }, "sqlite", Some(dir)).await
}

pub(crate) async fn postgres() -> Option<Bench> {
    Some(bench_on(postgres_backend()?, "postgres", None).await)
}

pub(crate) fn postgres_backend() -> Option<Backend> {
    Some(Backend::Postgres { url: Secret::new(postgres_url()?), connections: 8 })
}

/// A server on which tenants share one schema.
pub(crate) fn shared(url: String) -> Backend {
    let backend = Backend::Postgres { url: Secret::new(url), connections: 8 };
    Backend::Places {
        places: vec![steward_store::Place { name: "shared".into(), backend, layout: Layout::Shared }],
        newcomers: "shared".into(),
    }
}

async fn on_shared() -> Option<Bench> {
    Some(bench_on(shared(postgres_url()?), "shared", None).await)
}

/// A store that asks one on SQLite over HTTP.
pub(crate) async fn remote() -> Bench {
    let dir = tempfile::tempdir().expect("a folder");
    let behind = reopened(Backend::Sqlite { dir: dir.path().to_owned() }, kinds()).await;
    let served = Served::start(behind).await;
    let bench = bench_on(served.backend(), "remote", Some(dir)).await;
    Bench { served: Some(served), ..bench }
}

/// Runs a test on every engine, where the data is in this process.
pub(crate) async fn on_each_engine(test: impl AsyncFn(&Bench)) {
    for bench in [Some(sqlite().await), postgres().await, on_shared().await].into_iter().flatten() {
        test(&bench).await;
        bench.close().await;
    }
}

/// Runs a test on every adapter there is.
pub(crate) async fn on_each(test: impl AsyncFn(&Bench)) {
    for bench in [Some(sqlite().await), Some(remote().await), postgres().await, on_shared().await].into_iter().flatten() {
        test(&bench).await;
        bench.close().await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("comes true");
}

/// A filter as a handler would pass it.
pub(crate) fn filter(store: &Store, kind: &str, text: &str) -> Expr {
    let expr = steward_base::filter::parse(text).expect("parses");
    let kind = store.kinds().get(kind).expect("a kind");
    steward_base::filter::check(expr, kind.filter_registry(), store.clock().now()).expect("checks")
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

/// The body of a record, read.
pub(crate) fn members(record: &Record) -> Map<String, Value> {
    record.body.object().expect("is an object")
}

/// The things of a tenant, live ones.
pub(crate) async fn everything(store: &Store, ctx: &Ctx) -> BTreeSet<RecordId> {
    let mut found = BTreeSet::new();
    let mut query = ListQuery { kind: "thing".into(), limit: 500, ..ListQuery::default() };
    loop {
        let page = store.list(ctx, query.clone()).await.expect("lists");
        found.extend(page.records.into_iter().map(|record| record.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}
