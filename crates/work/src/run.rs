//! Who works: so many jobs at once in a process, their leases, and how each of them ends.

mod hand_out;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use steward_base::{Ctx, Error, ErrorKind, Parts, Principal, TenantId};
use steward_store::{Job, Lease, Mark, Stirred, Store, UnitOfWork};
use steward_web::Operation;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::hand_out::{Kinds, Line, Places, hand_out};
use crate::admission::AdmissionWatch;
use crate::backup::{BackUp, Backups, VerifyBackup};
use crate::chores::{EmptyRecycleBin, RotateDataKey, VerifyEvents};
use crate::consume::{Consumer, Known, Redeliver};
use crate::follow::{Followed, Follower};
use crate::job::{Failure, JobHandler, PLATFORM_JOBS, Policy, Running};
use crate::lags::Lags;
use crate::reconcile::{self, Reconcile, Reconciler, Reconcilers};
use crate::saga::{self, RunLongSaga, RunSaga, Saga, Sagas};
use crate::schedules::{self, Offer, Schedulable, Tick, Ticking};
use crate::turns::Turns;
use crate::{backoff, backup, operations};

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Jobs at once in this process.
    pub at_once: usize,
    /// How long a job stays with a process that vanished. It is renewed three times as often.
    pub lease: Duration,
    /// After how long without a commit a tenant's mark gives way to the time of its next job.
    pub idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { at_once: 64, lease: Duration::from_secs(30), idle: Duration::from_secs(60) }
    }
}

/// How often a tenant that is written to is swept.
const SWEEP: Duration = Duration::from_secs(300);
/// Why a job was given back.
const STOPPING: &str = "the server was stopped";
const CALLED_OFF: &str = "it was called off";

/// Whether work is done for a tenant now.
pub(crate) type Admits = Arc<dyn Fn(TenantId) -> BoxFuture<'static, Result<bool, Error>> + Send + Sync>;
type Run = Box<dyn Fn(Running, Value) -> BoxFuture<'static, Result<UnitOfWork, Failure>> + Send + Sync>;

struct Handler {
    policy: Policy,
    run: Run,
}

/// The background work that a process knows.
pub struct Work {
    store: Store,
    options: Options,
    handlers: HashMap<&'static str, Handler>,
    schedulable: Schedulable,
    reconcilers: Reconcilers,
    sagas: Sagas,
    consumers: Vec<Known>,
    followed: Arc<Followed>,
    backups: Option<Backups>,
    admits: Admits,
    /// The kind of the records in control by which it is decided.
    admits_by: Option<&'static str>,
}

impl Work {
    /// Nothing known yet but schedules, and what every tenant may put on them.
    pub fn new(store: Store, options: Options) -> Self {
        let (handlers, schedulable, reconcilers, sagas) = (HashMap::new(), Schedulable::default(), Reconcilers::default(), Sagas::new());
        let work = Self {
            store,
            options,
            handlers,
            schedulable,
            reconcilers,
            sagas,
            consumers: Vec::new(),
            followed: Arc::default(),
            backups: None,
            admits: everybody(),
            admits_by: None,
        };
        work.with(Tick).with(EmptyRecycleBin).with(RotateDataKey).with(VerifyEvents).consumer(Ticking)
    }

    /// Asks before jobs of a tenant are taken and its events are handed to consumers; of one for which the answer is no, both wait until its record of
    /// this kind changes, which control has under the tenant's id.
    #[must_use]
    pub fn only_for<R>(mut self, kind: &'static str, admits: impl Fn(TenantId) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<bool, Error>> + Send + 'static,
    {
        self.admits = Arc::new(move |tenant| admits(tenant).boxed());
        self.admits_by = Some(kind);
        self
    }

    /// Lets the installation make backups of itself.
    #[must_use]
    pub fn backups(self, backups: Backups) -> Self {
        let work = self.with(BackUp(backups.clone())).with(VerifyBackup(backups.clone()));
        Self { backups: Some(backups), ..work }
    }

    /// Adds a reconciler.
    #[must_use]
    pub fn reconciler(mut self, reconciler: impl Reconciler) -> Self {
        self.reconcilers.add(reconciler);
        self
    }

    /// Adds a consumer.
    ///
    /// # Panics
    /// When there is one of its name.
    #[must_use]
    pub fn consumer<C: Consumer>(mut self, consumer: C) -> Self {
        assert!(self.consumers.iter().all(|known| known.name != C::NAME), "two consumers are called {}", C::NAME);
        self.consumers.push(Known::of(consumer));
        self
    }

    /// Adds a saga.
    ///
    /// # Panics
    /// When there is one of its name.
    #[must_use]
    pub fn saga(mut self, saga: Saga) -> Self {
        let name = saga.name();
        assert!(self.sagas.insert(name, saga).is_none(), "two sagas are called {name}");
        self
    }

    /// What a person may do about all of it.
    pub fn operations(&self) -> Vec<Operation> {
        let consumers = self.consumers.iter().map(|known| known.name).collect();
        let lags = Lags { store: self.store.clone(), consumers, followed: self.followed.clone() };
        let mut all = operations::operations(&self.store);
        all.extend(schedules::operations(&self.store, &self.schedulable));
        all.extend(saga::operations(&self.store));
        all.extend(self.backups.iter().flat_map(backup::operations));
        all.push(lags.operation());
        all
    }

    /// Adds a kind of job.
    ///
    /// # Panics
    /// When the kind has a handler already: that is a defect in the program and shows at the first start.
    #[must_use]
    pub fn with<H: JobHandler>(mut self, handler: H) -> Self {
        let (policy, handler) = (handler.policy(), Arc::new(handler));
        let run: Run = Box::new(move |running, payload| {
            let handler = handler.clone();
            async move {
                let payload = serde_json::from_value(payload).map_err(|error| unreadable(&error))?;
                handler.run(running, payload).await
            }
            .boxed()
        });
        let before = self.handlers.insert(H::KIND, Handler { policy, run });
        assert!(before.is_none(), "two handlers for {}", H::KIND);
        if let Some(permission) = H::SCHEDULED_WITH {
            let permission = permission.parse().unwrap_or_else(|error| panic!("{}: {error}", H::KIND));
            let check = |payload: Value| serde_json::from_value::<H::Payload>(payload).map(drop).map_err(|error| error.to_string());
            self.schedulable.0.insert(H::KIND, Offer { permission, check });
        }
        self
    }

    /// Starts to work; returns once every tenant that has work waiting is known.
    pub async fn start(mut self) -> Result<Worker, Error> {
        let (reconcilers, sagas, consumers) =
            (std::mem::take(&mut self.reconcilers), std::mem::take(&mut self.sagas), std::mem::take(&mut self.consumers));
        let (reconciled, consumers): (Vec<_>, _) = (reconcilers.names().collect(), Arc::new(consumers));
        let sagas = Arc::new(sagas);
        let this =
            self.with(Reconcile(reconcilers)).with(RunSaga(sagas.clone())).with(RunLongSaga(sagas)).with(Redeliver(consumers.clone()));
        this.begin(&reconciled, consumers).await
    }

    async fn begin(self, reconciled: &[&str], consumers: Arc<Vec<Known>>) -> Result<Worker, Error> {
        let control = steward_auth::system(TenantId::OPERATOR, "start");
        if !reconciled.is_empty() {
            // Every start is a signal.
            let unit = reconciled.iter().fold(UnitOfWork::new(), |unit, name| reconcile::queue(&self.store, name, unit));
            self.store.commit(&control, unit).await?;
        }
        let stopping = CancellationToken::new();
        // Before the marks are read: what is told from now on is heard here, whoever else in this process listens.
        let (told, stirred) = (self.store.told().branch(), self.store.stirred().branch());
        let admission = self.admits_by.map(|kind| AdmissionWatch {
            store: self.store.clone(),
            control: control.clone(),
            kind,
            admits: self.admits.clone(),
            tell: [told.clone(), stirred.clone()],
            stopping: stopping.clone(),
        });
        let position = self.store.head(&control).await?;
        let follower = Follower {
            store: self.store.clone(),
            consumers,
            followed: self.followed.clone(),
            told,
            admits: self.admits.clone(),
            stopping: stopping.clone(),
        };
        let shared = Arc::new(Shared {
            kinds: Kinds::of(&self.handlers),
            places: Places::of(self.options.at_once),
            store: self.store,
            options: self.options,
            handlers: self.handlers,
            stirred,
            running: Mutex::default(),
            line: Mutex::default(),
            freed: Notify::new(),
            ended: Notify::new(),
            followed: self.followed,
            admits: self.admits,
            stopping,
            dropping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let mut turns = Turns::default();
        turns.now(TenantId::OPERATOR);
        let marked = shared.store.marked().await?;
        for (tenant, mark) in &marked {
            match mark {
                Mark::Dirty => turns.now(*tenant),
                Mark::Due(time) => turns.at(*tenant, *time),
            }
        }
        shared.tasks.spawn(Arc::new(follower).run(marked));
        if let Some(admission) = admission {
            shared.tasks.spawn(admission.run(position));
        }
        shared.tasks.spawn(hand_out(shared.clone(), turns));
        shared.tasks.spawn(renew(shared.clone()));
        shared.tasks.spawn(settle(shared.clone()));
        Ok(Worker(shared))
    }
}

/// A process at work.
pub struct Worker(Arc<Shared>);

impl Worker {
    /// How many jobs are in hand.
    pub fn in_hand(&self) -> usize {
        self.0.running.lock().len()
    }

    /// Takes no more, waits so long for what is in hand and gives the rest back.
    pub async fn stop(&self, patience: Duration) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(patience, self.0.tasks.wait()).await.is_err() {
            self.0.dropping.cancel();
            self.0.tasks.wait().await;
        }
    }
}

struct Shared {
    store: Store,
    options: Options,
    handlers: HashMap<&'static str, Handler>,
    kinds: Kinds,
    /// Where jobs changed.
    stirred: Arc<Stirred>,
    /// By lease: a job that was claimed anew must not be taken for the one before.
    running: Mutex<HashMap<(TenantId, Lease), Running>>,
    places: Places,
    line: Mutex<Line>,
    followed: Arc<Followed>,
    admits: Admits,
    /// A job ended: there is room for another.
    freed: Notify,
    /// The same, for whoever waits for the last one.
    ended: Notify,
    stopping: CancellationToken,
    dropping: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    /// Looks where work may be waiting: what another process was about to tell when it died, nobody tells.
    async fn look(&self, turns: &mut Turns) {
        match self.store.marked().await {
            Ok(marked) => marked.into_iter().for_each(|(tenant, mark)| match mark {
                Mark::Dirty => turns.now(tenant),
                Mark::Due(time) => turns.at(tenant, time),
            }),
            Err(error) => tracing::debug!(error.code = error.code(), "the marks cannot be read now"),
        }
    }

    fn begin(self: &Arc<Self>, tenant: TenantId, running: Running) {
        let key = (tenant, running.lease());
        let mut all = self.running.lock();
        // This very process had it and lost its lease.
        all.iter().filter(|((of, lease), _)| (*of, lease.job) == (tenant, key.1.job)).for_each(|(_, before)| before.cancelled.cancel());
        all.insert(key, running.clone());
        drop(all);
        let shared = self.clone();
        self.tasks.spawn(async move {
            shared.run(&running).await;
            shared.running.lock().remove(&key);
            shared.make_room(running.places);
            shared.ended.notify_one();
        });
    }

    /// Runs one job to its end, whatever that is.
    async fn run(&self, running: &Running) {
        let Some(handler) = self.handlers.get(running.job.kind.as_str()) else { return };
        if running.ctx.tenant() != TenantId::OPERATOR && PLATFORM_JOBS.contains(&running.job.kind.as_str()) {
            return self.end(running, self.failed(running, &handler.policy, &Failure::Never(platform_only()))).await;
        }
        if running.job.attempts > handler.policy.attempts {
            // The processes that had it before never got to say why.
            let why = running.job.last_error.clone().unwrap_or_else(|| "the process ended while it ran, every time".to_owned());
            return self.end(running, UnitOfWork::new().bury(running.lease(), why)).await;
        }
        // A defect in one handler must end neither the process nor the job without a word.
        let work = AssertUnwindSafe((handler.run)(running.clone(), running.job.payload.clone())).catch_unwind();
        let done = tokio::select! {
            done = work => done.unwrap_or_else(|_| Err(Failure::Again(Error::internal("the handler panicked")))),
            () = tokio::time::sleep(handler.policy.longest_run) => Err(Failure::Again(took_too_long())),
            () = running.cancelled() => return self.give_back(running, CALLED_OFF).await,
            () = self.dropping.cancelled() => return self.give_back(running, STOPPING).await,
        };
        let unit = match done {
            Ok(unit) => unit.complete(running.lease()),
            Err(failure) => self.failed(running, &handler.policy, &failure),
        };
        self.end(running, unit).await;
    }

    /// One that was called off ends by this; any other is queued again at once.
    async fn give_back(&self, running: &Running, why: &str) {
        self.end(running, UnitOfWork::new().give_back(running.lease(), why)).await;
    }

    fn failed(&self, running: &Running, policy: &Policy, failure: &Failure) -> UnitOfWork {
        let (Failure::Again(error) | Failure::Never(error)) = failure;
        let said = format!("{}: {}", error.code(), error.detail());
        tracing::warn!(job.id = %running.job.id.wire(steward_store::JOB_PREFIX), job.kind = running.job.kind, job.attempts = running.job.attempts,
            error.code = error.code(), error.causes = %error.causes(), "a job failed");
        if matches!(failure, Failure::Never(_)) || running.job.attempts >= policy.attempts {
            return UnitOfWork::new().bury(running.lease(), said);
        }
        let wait = backoff::wait(policy, running.job.attempts, self.store.random());
        UnitOfWork::new().retry(running.lease(), self.store.clock().now().plus(wait), said)
    }

    /// Commits the end of a job. An effect that is refused is a failure of the job like any other.
    async fn end(&self, running: &Running, unit: UnitOfWork) {
        let Err(error) = self.store.commit(&running.ctx, unit).await else { return };
        if error.code() == "lease_lost" {
            tracing::info!(job.id = %running.job.id.wire(steward_store::JOB_PREFIX), job.kind = running.job.kind, "a job's lease ended before the job did");
            return;
        }
        let policy = self.handlers.get(running.job.kind.as_str()).map_or_else(Policy::default, |handler| handler.policy);
        let unit = self.failed(running, &policy, &Failure::Again(error));
        // When this cannot be committed either, the lease ends by itself and somebody else tries.
        if let Err(error) = self.store.commit(&running.ctx, unit).await {
            tracing::warn!(job.id = %running.job.id.wire(steward_store::JOB_PREFIX), error.code = error.code(), "the end of a job cannot be stored");
        }
    }
}

fn everybody() -> Admits {
    Arc::new(|_| std::future::ready(Ok(true)).boxed())
}

fn platform_only() -> Error {
    let detail = "Jobs of this kind act on the whole installation: they are run in the operator's tenant only.";
    Error::new(ErrorKind::Forbidden, "platform_only", detail)
}

fn took_too_long() -> Error {
    Error::new(ErrorKind::Unavailable, "took_too_long", "The job took longer than its kind may.")
}

/// What serde says may quote the payload, which may be secret.
fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::Never(Error::internal(format!("the payload is not what the handler expects: {:?} error", error.classify())))
}

/// The platform in the job's tenant, with what the job remembers of its cause.
fn context(tenant: TenantId, job: &Job) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::from([]),
        reason: format!("job:{}", job.kind).into(),
        origin: None,
        trace_id: job.trace_id.as_deref().map(Into::into),
        request_id: job.request_id.as_deref().map(Into::into),
    })
}

/// Keeps the leases of what is in hand.
async fn renew(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(shared.options.lease / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let stopping = shared.stopping.is_cancelled();
        if stopping && shared.running.lock().is_empty() {
            return;
        }
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.stopping.cancelled(), if !stopping => continue,
            () = shared.ended.notified(), if stopping => continue,
        }
        let held: Vec<Running> = shared.running.lock().values().cloned().collect();
        futures_util::future::join_all(held.iter().map(|running| keep(running, shared.options.lease / 3))).await;
    }
}

async fn keep(running: &Running, patience: Duration) {
    let renewal = running.commit(UnitOfWork::new(), None);
    match tokio::time::timeout(patience, renewal).await {
        Ok(Err(error)) if error.code() == "lease_lost" => running.cancelled.cancel(),
        Ok(Err(error)) => tracing::warn!(error.code = error.code(), "a lease cannot be renewed now"),
        Ok(Ok(())) | Err(_) => {}
    }
}

/// Lets control forget tenants that are idle, and sweeps those that are not.
async fn settle(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(shared.options.idle / 2);
    let mut swept: HashMap<TenantId, Duration> = HashMap::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.stopping.cancelled() => return,
        }
        let now = shared.store.clock().monotonic();
        swept.retain(|_, at| now.saturating_sub(*at) < SWEEP);
        for tenant in shared.store.in_use().into_iter().chain([TenantId::OPERATOR]) {
            if shared.stopping.is_cancelled() {
                return;
            }
            if let Entry::Vacant(entry) = swept.entry(tenant) {
                entry.insert(now);
                if let Err(error) = shared.store.sweep(&steward_auth::system(tenant, "sweep")).await {
                    tracing::warn!(tenant.id = %tenant, error.code = error.code(), "a tenant cannot be swept now");
                }
            }
        }
        if let Err(error) = shared.store.settle(shared.options.idle, |tenant| shared.followed.seen(tenant)).await {
            tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "marks of idle tenants cannot be written now");
        }
    }
}
