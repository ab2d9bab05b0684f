//! The PostgreSQL engine: one schema per namespace, a combiner per namespace and process, the head row as the lock between processes.

mod attempts;
mod bell;
mod connect;
mod dialect;
mod failure;
mod held;
mod jobs;
mod keys;
mod lives;
mod migrate;
mod namespace;
mod read;
mod reader;
mod ready;
mod remove;
mod search;
mod spans;
mod tables;
mod write;
mod writer;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Client;
use futures_util::FutureExt;
use parking_lot::RwLock;
use steward_base::{AttemptKey, Error, ErrorKind, RecordId, Secret, TenantId};
use tokio::sync::{OnceCell, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::Remembered;
use crate::building::{Building, Role};
use crate::engine::{Surroundings, closed};
use crate::job::{Job, JobQuery};
use crate::keys::{KeyRow, Which};
use crate::list::{Counted, Find, Range, Scan, Scanned};
use crate::places::Layout;
use crate::plan::Planner;
use crate::prepare::Prepared;
use crate::rows::{EventRow, IndexField, Row};
use crate::unit::Committed;
use bell::Bell;
use connect::Connections;
use dialect::Statements;
use failure::{Failure, outcome_unknown, unavailable};
use lives::{News, Sight};
use migrate::Missing;
use namespace::{Namespace, Pending};
pub(crate) use reader::Reader;
pub(crate) use remove::Guard;
use write::Outcome;
pub(crate) use writer::Writer;

/// How long the server is asked what became of a batch.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// How long the server may take for a batch: what remains of the time above is for asking.
const ATTEMPT: Duration = Duration::from_secs(15);
/// How long a failed build of keys waits.
const BUILD_AGAIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) struct Postgres(Arc<Shared>);

struct Shared {
    connections: Connections,
    /// The server was found to be as it must be: before that nobody relies on it.
    checked: OnceCell<()>,
    surroundings: Surroundings,
    namespaces: RwLock<HashMap<TenantId, Arc<Namespace>>>,
    layout: Layout,
    /// Of the schema that tenants share.
    sharing: Arc<Statements>,
    bell: Bell,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Postgres {
    pub(crate) async fn open(url: &Secret<String>, connections: usize, layout: Layout, surroundings: Surroundings) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            connections: connect::connections(url, connections)?,
            checked: OnceCell::new(),
            surroundings,
            namespaces: RwLock::default(),
            layout,
            sharing: Arc::new(Statements::of(namespace::SHARED)),
            bell: Bell::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(bell::run(Arc::downgrade(&shared)));
        Ok(Self(shared))
    }

    /// Fails when the server is not as it must be, or is away; then it is looked at again by whoever comes to it first.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.0.check().await.map_err(Failure::into_error)
    }

    pub(crate) async fn provision(&self, tenant: TenantId) -> Result<(), Error> {
        let namespace = self.0.namespace(tenant);
        self.0.ready(&namespace, Missing::Create).await.map(drop).map_err(Failure::into_error)
    }

    pub(crate) async fn get(&self, tenant: TenantId, kind: usize, id: RecordId) -> Result<Option<Row>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::record(client, namespace, kinds.at(kind), id).await).await
    }

    pub(crate) async fn find(&self, tenant: TenantId, kind: usize, field: usize, key: Vec<u8>) -> Result<Option<(RecordId, Row)>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::find(client, namespace, kinds.at(kind), field, &key).await).await
    }

    pub(crate) async fn count(
        &self,
        tenant: TenantId,
        kind: usize,
        field: IndexField,
        range: Range,
        most: Option<i64>,
    ) -> Result<i64, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::count(client, namespace, kinds.at(kind), field, &range, most).await).await
    }

    pub(crate) async fn building(&self, tenant: TenantId) -> Result<Arc<Building>, Error> {
        let namespace = self.0.existing(tenant).await?;
        Ok(namespace.ready.get().cloned().unwrap_or_default())
    }

    pub(crate) async fn unclaimed(&self, tenant: TenantId) -> Result<Vec<(usize, usize, RecordId)>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::unclaimed(client, namespace, kinds).await).await
    }

    pub(crate) async fn scan(&self, tenant: TenantId, scan: Scan) -> Result<Scanned, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::scan(client, namespace, kinds, &scan).await).await
    }

    pub(crate) async fn events(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        self.read(tenant, async |client, namespace| read::events(client, namespace, after, limit).await).await
    }

    pub(crate) async fn history(&self, tenant: TenantId, subject: RecordId, before: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        self.read(tenant, async |client, namespace| read::history(client, namespace, subject, before, limit).await).await
    }

    pub(crate) async fn spans(&self, tenant: TenantId, request: i64, hours: Vec<i64>) -> Result<Vec<(i64, i64)>, Error> {
        self.read(tenant, async |client, namespace| spans::spans(client, namespace, request, &hours).await).await
    }

    pub(crate) async fn values(&self, tenant: TenantId, kind: usize, field: IndexField, most: usize) -> Result<Vec<Counted>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::values(client, namespace, kinds.at(kind), field, most).await).await
    }

    pub(crate) async fn count_found(&self, tenant: TenantId, kind: usize, start: Box<str>, most: i64) -> Result<i64, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::count_found(client, namespace, kinds.at(kind), &start, most).await).await
    }

    pub(crate) async fn found(&self, tenant: TenantId, find: Find) -> Result<Vec<RecordId>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::found(client, namespace, kinds, &find).await).await
    }

    pub(crate) async fn some(&self, tenant: TenantId, kind: usize, ids: Vec<RecordId>) -> Result<Vec<(RecordId, Row)>, Error> {
        let kinds = &self.0.surroundings.kinds;
        self.read(tenant, async |client, namespace| read::some(client, namespace, kinds.at(kind), &ids).await).await
    }

    pub(crate) async fn head(&self, tenant: TenantId) -> Result<(i64, [u8; 32]), Error> {
        self.read(tenant, async |client, namespace| read::head(client, namespace).await).await
    }

    pub(crate) async fn job(&self, tenant: TenantId, id: RecordId) -> Result<Option<Job>, Error> {
        self.read(tenant, async |client, namespace| jobs::job(client, namespace, id).await).await
    }

    pub(crate) async fn jobs(&self, tenant: TenantId, query: JobQuery) -> Result<Vec<Job>, Error> {
        self.read(tenant, async |client, namespace| jobs::jobs(client, namespace, &query).await).await
    }

    pub(crate) async fn next_due(&self, tenant: TenantId, kinds: Option<Vec<String>>) -> Result<Option<i64>, Error> {
        self.read(tenant, async |client, namespace| jobs::next_due(client, namespace, kinds.as_deref()).await).await
    }

    pub(crate) async fn data_keys(&self, tenant: TenantId, which: Which) -> Result<Vec<KeyRow>, Error> {
        self.read(tenant, async |client, namespace| keys::keys(client, namespace, &which).await).await
    }

    /// Vacuums what may hold dead rows; it takes no lock that readers or writers wait for.
    pub(crate) async fn scrub(&self, tenant: TenantId) -> Result<(), Error> {
        let namespace = self.0.existing(tenant).await?;
        let vacuumed = async {
            let client = self.0.connections.hold().await?;
            remove::vacuum(&client, &namespace.statements.scrubbed()).await?;
            client.give_back();
            Ok::<(), Failure>(())
        };
        vacuumed.await.map_err(Failure::into_error)
    }

    pub(crate) async fn notes(&self, prefix: &str) -> Result<Vec<(String, i64)>, Error> {
        self.read(TenantId::OPERATOR, async |client, namespace| jobs::notes(client, namespace, prefix).await).await
    }

    pub(crate) async fn tally(&self, tenant: TenantId, name: String) -> Result<Option<i64>, Error> {
        self.read(tenant, async |client, namespace| jobs::tally(client, namespace, &name).await).await
    }

    pub(crate) async fn remembered(&self, tenant: TenantId, key: AttemptKey) -> Result<Option<Remembered>, Error> {
        self.read(tenant, async |client, namespace| attempts::remembered(client, namespace, &key).await).await
    }

    pub(crate) async fn commit(&self, tenant: TenantId, unit: Prepared) -> Result<Committed, Error> {
        if self.0.closing.is_cancelled() {
            return Err(closed());
        }
        let namespace = self.0.existing(tenant).await?;
        let (answer, answered) = oneshot::channel();
        if namespace.enqueue(Pending { unit, answer }) {
            self.0.tasks.spawn(combine(self.0.clone(), namespace));
        }
        let done = answered.await.map_err(Error::internal)??;
        Ok(done.into_committed(&self.0.surroundings.kinds))
    }

    /// For reading all of a tenant.
    pub(crate) async fn reader(&self, tenant: TenantId) -> Result<Reader, Error> {
        Ok(Reader::new(self.0.clone(), self.0.existing(tenant).await?))
    }

    /// For loading a tenant that has no schema.
    pub(crate) async fn writer(&self, tenant: TenantId) -> Result<Writer, Error> {
        Writer::begin(self.0.clone(), tenant).await.map_err(Failure::into_error)
    }

    /// Removes a tenant's schema, or its rows from the shared one.
    pub(crate) async fn remove(&self, tenant: TenantId) -> Result<(), Error> {
        self.0.namespaces.write().remove(&tenant);
        let namespace = self.0.fresh(tenant);
        remove::run(&self.0, &namespace).await.map_err(Failure::into_error)
    }

    /// Takes the head away, without which no process commits.
    pub(crate) async fn fence(&self, tenant: TenantId) -> Result<(), Error> {
        remove::fence(&self.0, &self.0.namespace(tenant)).await.map_err(Failure::into_error)
    }

    /// Gives back a head that was taken away.
    pub(crate) async fn unfence(&self, tenant: TenantId) -> Result<(), Error> {
        remove::unfence(&self.0, &self.0.namespace(tenant)).await.map_err(Failure::into_error)
    }

    pub(crate) async fn quiet(&self, tenant: TenantId) -> Result<(), Error> {
        remove::quiet(&self.0, &self.0.namespace(tenant)).await.map_err(Failure::into_error)
    }

    pub(crate) async fn guard(&self, tenant: TenantId) -> Result<Option<Guard>, Error> {
        remove::guard(&self.0, tenant).await.map_err(Failure::into_error)
    }

    pub(crate) fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        let namespace = self.0.namespace(tenant);
        let receiver = namespace.position.subscribe();
        self.0.look_behind(namespace);
        receiver
    }

    pub(crate) async fn position(&self, tenant: TenantId, age: Duration) -> Result<i64, Error> {
        let now = self.0.surroundings.clock.monotonic();
        if let Some(namespace) = self.0.known(tenant).filter(|namespace| namespace.looked_within(now, age)) {
            return Ok(*namespace.position.borrow());
        }
        let namespace = self.0.existing(tenant).await?;
        if self.0.look(&namespace).await.map_err(Failure::into_error)? {
            self.0.surroundings.told.add(tenant);
        }
        Ok(*namespace.position.borrow())
    }

    pub(crate) async fn health(&self) -> Result<(), Error> {
        if self.0.closing.is_cancelled() {
            return Err(closed());
        }
        let can_write = async {
            let client = self.0.connections.pool.get().await?;
            Ok::<bool, Failure>(client.query_one(dialect::CAN_WRITE, &[]).await?.get(0))
        };
        if can_write.await.map_err(Failure::into_error)? { Ok(()) } else { Err(unavailable("storage_read_only")) }
    }

    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.connections.pool.close();
    }

    async fn read<T>(&self, tenant: TenantId, read: impl AsyncFnOnce(&Client, &Namespace) -> Result<T, Failure>) -> Result<T, Error> {
        let namespace = self.0.existing(tenant).await?;
        self.0.read(&namespace, read).await.map_err(Failure::into_error)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Shared {
    fn namespace(&self, tenant: TenantId) -> Arc<Namespace> {
        if let Some(known) = self.known(tenant) {
            return known;
        }
        self.namespaces.write().entry(tenant).or_insert_with(|| Arc::new(self.fresh(tenant))).clone()
    }

    fn fresh(&self, tenant: TenantId) -> Namespace {
        let schema = namespace::schema_of(tenant, self.layout);
        let statements = if schema == namespace::SHARED { self.sharing.clone() } else { Arc::new(Statements::of(&schema)) };
        Namespace::new(tenant, statements, self.surroundings.positions.of(tenant))
    }

    fn known(&self, tenant: TenantId) -> Option<Arc<Namespace>> {
        self.namespaces.read().get(&tenant).cloned()
    }

    fn all(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.read().values().cloned().collect()
    }

    async fn check(&self) -> Result<(), Failure> {
        let looked = async || {
            self.check_durable().await?;
            self.check_walls().await?;
            writer::clear_loading(self).await
        };
        self.checked.get_or_try_init(looked).await.map(drop)
    }

    /// An answered commit is on disk only when the server means it.
    async fn check_durable(&self) -> Result<(), Failure> {
        let client = self.connections.pool.get().await?;
        if client.query_one(dialect::IS_DURABLE, &[]).await?.get(0) {
            return Ok(());
        }
        let detail = "The database answers before data is on disk: set fsync and synchronous_commit to on.";
        Err(Error::new(ErrorKind::Unavailable, "database_not_durable", detail).into())
    }

    /// Where tenants share tables, the database should keep them apart too.
    async fn check_walls(&self) -> Result<(), Failure> {
        if self.layout == Layout::Shared {
            let client = self.connections.pool.get().await?;
            if client.query_one(dialect::PASSES_WALLS, &[]).await?.get(0) {
                tracing::warn!("row-level security does not bind the database role: use one that is no superuser and has no BYPASSRLS");
            }
        }
        Ok(())
    }

    /// Runs one batch and answers it, whatever happens.
    async fn serve(&self, namespace: &Namespace, batch: Vec<Pending>) {
        let mut batch = batch;
        let deadline = self.surroundings.clock.monotonic() + UNKNOWN_FOR;
        loop {
            let began = self.surroundings.clock.monotonic();
            match self.attempt(namespace, &batch, deadline.min(began + ATTEMPT)).await {
                Outcome::Committed(committed) => {
                    let took = self.surroundings.clock.monotonic().saturating_sub(began);
                    namespace.paced(committed.rows, took.as_nanos() as u64);
                    return self.answer(namespace, batch, committed);
                }
                Outcome::Unknown(committed, hash, failure) => {
                    tracing::warn!(error = %failure.into_error(), "the database went away during a commit; asking what became of it");
                    let Some(hash) = hash else { return self.leave_open(namespace, batch) };
                    match self.ask(namespace, committed.position, &hash, deadline).await {
                        Some(true) => return self.answer(namespace, batch, committed),
                        // It surely did not happen: again, from the start.
                        Some(false) => {}
                        None => return self.leave_open(namespace, batch),
                    }
                }
                Outcome::Failed(failure) if batch.len() > 1 && !failure.is_outage() => {
                    // Whichever unit causes it must not take the others with it.
                    for pending in std::mem::take(&mut batch) {
                        Box::pin(self.serve(namespace, vec![pending])).await;
                    }
                    return;
                }
                // A pooled connection that broke while it was idle, before anything was sent that counts.
                Outcome::Failed(Failure::Lost(_)) if self.surroundings.clock.monotonic() < deadline && self.has_server().await => {}
                Outcome::Failed(failure) => {
                    // A head may be away only for as long as the tenant is moved; tables are gone for good.
                    if matches!(failure, Failure::Refused(_)) && failure.is_gone() {
                        self.let_go(namespace);
                    }
                    return refuse(batch, &failure.into_error());
                }
            }
        }
    }

    async fn attempt(&self, namespace: &Namespace, batch: &[Pending], deadline: Duration) -> Outcome {
        let connected = async { Ok(self.connections.hold().await?) };
        let client = match write::within(&self.surroundings.clock, deadline, connected).await {
            Ok(client) => client,
            Err(failure) => return Outcome::Failed(failure),
        };
        let surroundings = &self.surroundings;
        let nothing = Arc::default();
        let planner = Planner {
            kinds: &surroundings.kinds,
            clock: &surroundings.clock,
            random: &surroundings.random,
            master: &surroundings.master,
            tenant: namespace.tenant,
            building: namespace.ready.get().unwrap_or(&nothing),
        };
        let units: Vec<&Prepared> = batch.iter().map(|pending| &pending.unit).collect();
        // A defect that one unit brings to light must end neither the task nor the other units.
        let outcome = AssertUnwindSafe(Box::pin(write::batch(&client, namespace, &planner, &units, deadline))).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Outcome::Failed(Error::internal("a unit of work made its batch panic").into()));
        if matches!(outcome, Outcome::Committed(_)) {
            client.give_back();
        }
        outcome
    }

    /// What became of a batch; `None` when the server does not come back in time.
    async fn ask(&self, namespace: &Namespace, position: i64, hash: &[u8; 32], deadline: Duration) -> Option<bool> {
        while self.surroundings.clock.monotonic() < deadline {
            let connected = async { Ok(self.connections.hold().await?) };
            if let Ok(client) = write::within(&self.surroundings.clock, deadline, connected).await {
                let happened = write::happened(&client, namespace, position, hash);
                if let Ok(happened) = write::within(&self.surroundings.clock, deadline, happened).await {
                    client.give_back();
                    return Some(happened);
                }
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        None
    }

    /// The next records of keys that are being built.
    async fn build(
        &self,
        namespace: &Namespace,
        kind: usize,
        keys: &[(usize, Role)],
        after: Option<RecordId>,
    ) -> Result<Option<RecordId>, Failure> {
        let client = self.connections.hold().await?;
        let last = migrate::build(&client, namespace, &self.surroundings.kinds, kind, keys, after).await?;
        client.give_back();
        Ok(last)
    }

    /// Whether a fresh connection works.
    async fn has_server(&self) -> bool {
        let Ok(client) = self.connections.hold().await else { return false };
        let deadline = self.surroundings.clock.monotonic() + ATTEMPT;
        let answers = async { Ok(client.batch_execute("").await?) };
        let works = write::within(&self.surroundings.clock, deadline, answers).await.is_ok();
        if works {
            client.give_back();
        }
        works
    }

    /// Nobody can tell whether it happened: whoever would be told of it looks for himself.
    fn leave_open(&self, namespace: &Namespace, batch: Vec<Pending>) {
        self.surroundings.stirred.add(namespace.tenant);
        self.surroundings.told.add(namespace.tenant);
        refuse(batch, &outcome_unknown());
    }

    fn answer(&self, namespace: &Namespace, batch: Vec<Pending>, committed: write::Committed) {
        let sight = Sight { position: committed.position, life: Some(committed.life) };
        match namespace.heard(sight) {
            News::More => self.surroundings.told.add(namespace.tenant),
            News::No => {}
            // The bell is heard here too, and has somebody look.
            News::Doubt => namespace.doubt(),
        }
        let jobs = committed.answers.iter().flatten().any(crate::plan::Done::touches_jobs);
        if jobs {
            self.surroundings.stirred.add(namespace.tenant);
        }
        self.bell.ring(namespace.tenant, sight, jobs);
        for (mut pending, answer) in batch.into_iter().zip(committed.answers) {
            // Whoever is answered may look at the mark at once.
            drop(pending.unit.using.take());
            // Whoever asked may have gone; the unit is committed all the same.
            let _ = pending.answer.send(answer);
        }
    }
}

/// Works through a namespace's queue until it is empty.
async fn combine(shared: Arc<Shared>, namespace: Arc<Namespace>) {
    loop {
        let batch = namespace.take();
        if batch.is_empty() {
            return;
        }
        shared.serve(&namespace, batch).await;
    }
}

/// Builds keys that came to kinds after their records, and tries again when the server is away.
async fn build(shared: Arc<Shared>, namespace: Arc<Namespace>, building: Arc<Building>) {
    let mut after = None;
    while let Some((kind, keys)) = building.next() {
        if shared.closing.is_cancelled() {
            return;
        }
        match shared.build(&namespace, kind, &keys, after).await {
            Ok(None) => {
                after = None;
                building.done(kind);
                tracing::info!(tenant.id = %namespace.tenant, record.kind = shared.surroundings.kinds.at(kind).name(), "new keys are built");
            }
            Ok(last) => after = last,
            Err(failure) => {
                tracing::warn!(tenant.id = %namespace.tenant, error = %failure.into_error(), "keys could not be built; this is tried again");
                tokio::select! {
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(BUILD_AGAIN) => {}
                }
            }
        }
    }
}

fn refuse(batch: Vec<Pending>, error: &Error) {
    for pending in batch {
        let _ = pending.answer.send(Err(crate::engine::copy(error)));
    }
}
