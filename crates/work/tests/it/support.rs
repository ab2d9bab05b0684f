//! A store with one small kind, and handlers that tests steer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_auth::system;
use steward_base::{Clock, Ctx, Error, Random, TenantId};
use steward_store::{Backend, Job, JobDraft, JobQuery, JobState, Kind, Kinds, MasterKey, Model, Store, UnitOfWork};
use steward_work::{Failure, JobHandler, Options, Policy, Running, Work};
use tempfile::TempDir;

/// What jobs leave behind.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Trace {
    #[schemars(extend("indexed" = true))]
    pub(crate) number: i64,
}

impl Model for Trace {
    const KIND: &'static str = "trace";
    const PREFIX: &'static str = "trc";
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Number {
    pub(crate) number: i64,
}

/// A folder with a store in it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) folder: Arc<TempDir>,
}

pub(crate) async fn open(folder: &Path, clock: Clock) -> Store {
    let backend = Backend::Sqlite { dir: folder.to_owned() };
    let kinds = steward_work::kinds().into_iter().fold(Kinds::new().with(Kind::of::<Trace>()), Kinds::with);
    Store::open(steward_store::Options { backend, master: MasterKey::new([7; 32]) }, kinds, clock, Random::system()).await.expect("opens")
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(Clock::system()).await
    }

    /// With a clock of the test's own.
    pub(crate) async fn at(clock: Clock) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        Self { store: open(folder.path(), clock).await, folder }
    }

    /// The same folder after everything let go of it.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        Self { store: open(self.folder.path(), self.store.clock().clone()).await, folder: self.folder }
    }

    /// The platform in the operator's tenant, where the platform's own work is done.
    pub(crate) fn operator(&self) -> Ctx {
        system(TenantId::OPERATOR, "test")
    }

    pub(crate) async fn tenant(&self) -> Ctx {
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        self.store.provision(tenant).await.expect("provisions");
        system(tenant, "test")
    }

    /// Queues jobs `work` with these numbers in one commit.
    pub(crate) async fn queue(&self, ctx: &Ctx, numbers: std::ops::Range<i64>) -> Vec<Job> {
        let draft = |number| JobDraft::new("work", json!(Number { number }));
        let unit = numbers.fold(UnitOfWork::new(), |unit, number| unit.enqueue(self.store.mint_id(), draft(number)));
        self.store.commit(ctx, unit).await.expect("queues").jobs
    }

    pub(crate) async fn traces(&self, ctx: &Ctx) -> u64 {
        self.store.count(ctx, "trace", None).await.expect("counts")
    }

    pub(crate) async fn job(&self, ctx: &Ctx, job: &Job) -> Job {
        self.store.job(ctx, job.id).await.expect("reads").expect("is there")
    }

    pub(crate) async fn in_state(&self, ctx: &Ctx, state: JobState) -> usize {
        let query = JobQuery { state: Some(state), limit: 500, ..JobQuery::default() };
        self.store.jobs(ctx, query).await.expect("lists").len()
    }

    pub(crate) async fn reaches(&self, ctx: &Ctx, job: &Job, state: JobState) -> Job {
        until(async || self.job(ctx, job).await.state == state).await;
        self.job(ctx, job).await
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), met).await.expect("comes true in time");
}

/// Few places. No lease ends while its worker lives, however busy the machine is.
pub(crate) fn options() -> Options {
    Options { at_once: 8, ..Options::default() }
}

/// The same with short leases, for those who wait for one to be renewed or to end.
pub(crate) fn short_leases() -> Options {
    Options { lease: Duration::from_millis(600), ..options() }
}

/// Handles `work` with a function.
pub(crate) struct Handle<F>(pub(crate) F);

impl<F, R> JobHandler for Handle<F>
where
    F: Fn(Running, Number) -> R + Send + Sync + 'static,
    R: Future<Output = Result<UnitOfWork, Failure>> + Send,
{
    const KIND: &'static str = "work";
    type Payload = Number;

    fn run(&self, job: Running, payload: Number) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send {
        (self.0)(job, payload)
    }

    fn policy(&self) -> Policy {
        Policy {
            attempts: 3,
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_millis(50),
            longest_run: Duration::from_secs(20),
            ..Policy::default()
        }
    }
}

/// Leaves a trace of the job.
pub(crate) fn trace(store: &Store, number: i64) -> UnitOfWork {
    UnitOfWork::new().create(store.mint_id(), &Trace { number })
}

/// Handlers that leave a trace for each job.
pub(crate) fn tracing_work(store: &Store) -> Work {
    tracing_with(store, options())
}

pub(crate) fn tracing_with(store: &Store, options: Options) -> Work {
    let own = store.clone();
    let handle = move |_: Running, payload: Number| std::future::ready(Ok(trace(&own, payload.number)));
    Work::new(store.clone(), options).with(Handle(handle))
}

/// An error as an outside service gives it.
pub(crate) fn unavailable() -> Error {
    Error::new(steward_base::ErrorKind::Unavailable, "no_answer", "The other side does not answer.")
}
