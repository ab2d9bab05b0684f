//! Sagas: steps with undo, in an order, that together are done or undone, or parked where people see it.
//!
//! A saga is for what spans namespaces or minutes and cannot be one unit of work. Its record says which steps have begun, are done or undone;
//! one job per saga walks through them under a lease. A step's unit of work is committed together with the step's state; what a step does
//! elsewhere may be done twice, when the process ends in between, so steps and their undos are idempotent. A step that fails for good has
//! every step that had begun undone, the failed one included, last first.

mod engine;
mod model;
mod operations;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use steward_base::{Ctx, Error, RecordId};
use steward_store::{JobDraft, Model, Priority, Store, UnitOfWork};

pub(crate) use engine::{RunLongSaga, RunSaga};
pub use model::{NodeState, SagaRun, SagaState};
pub(crate) use operations::operations;

use crate::job::{Failure, JobHandler};

/// One step of a saga.
pub trait Step: Send + Sync + 'static {
    /// Unique in the saga, an imperative.
    const NAME: &'static str;

    /// Does it. What it answers is committed together with the fact that it is done.
    fn run(&self, at: At) -> impl Future<Output = Result<Done, Failure>> + Send;

    /// Takes it back, also when it was done in part or not at all.
    fn undo(&self, at: At) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send;
}

/// What a step is told.
#[derive(Clone)]
pub struct At {
    /// The platform in the tenant of the saga, with the trace of what began it.
    pub ctx: Ctx,
    /// The store.
    pub store: Store,
    /// The saga's record: what is keyed by it is the same when a step is run again.
    pub saga: RecordId,
    input: Value,
    outputs: Map<String, Value>,
}

impl At {
    /// What the saga was begun with.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.input.clone()).map_err(|error| Failure::Never(Error::internal(error)))
    }

    /// What a step before this one answered.
    pub fn output<S: Step, T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let output = self.outputs.get(S::NAME).cloned().unwrap_or_default();
        serde_json::from_value(output).map_err(|error| Failure::Never(Error::internal(error)))
    }
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Done {
    /// For the steps after it; no secrets.
    pub output: Value,
    /// Committed together with the step's state, in the tenant of the saga.
    pub unit: UnitOfWork,
}

type Run = Box<dyn Fn(At) -> BoxFuture<'static, Result<Done, Failure>> + Send + Sync>;
type Undo = Box<dyn Fn(At) -> BoxFuture<'static, Result<UnitOfWork, Failure>> + Send + Sync>;

struct Node {
    name: &'static str,
    after: Vec<&'static str>,
    run: Run,
    undo: Undo,
}

/// A saga: its steps, and what each of them waits for.
pub struct Saga {
    name: &'static str,
    nodes: Vec<Node>,
    attempts: i32,
    wait: Duration,
    long: bool,
}

impl Saga {
    /// A saga without steps, an imperative as in `create_tenant`.
    pub fn new(name: &'static str) -> Self {
        Self { name, nodes: Vec::new(), attempts: 5, wait: Duration::from_millis(500), long: false }
    }

    /// A step that waits for the one before it in the source, if there is one.
    #[must_use]
    pub fn then(self, step: impl Step) -> Self {
        let after = self.nodes.last().map(|node| node.name).into_iter().collect();
        self.node(step, after)
    }

    /// A step that waits for these, and runs side by side with any other.
    ///
    /// # Panics
    /// When one of them does not stand before it: that is a defect in the program and shows at the first start.
    #[must_use]
    pub fn after(self, names: &[&'static str], step: impl Step) -> Self {
        for name in names {
            assert!(self.nodes.iter().any(|node| node.name == *name), "{}: no step {name} stands before", self.name);
        }
        self.node(step, names.to_vec())
    }

    /// How often a step or its undo is tried before it has failed, and the first wait between; the wait doubles.
    #[must_use]
    pub fn patience(mut self, attempts: i32, wait: Duration) -> Self {
        (self.attempts, self.wait) = (attempts, wait);
        self
    }

    /// Its steps may take hours: many at once must not stand in the way of those that somebody waits for.
    #[must_use]
    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn node<S: Step>(mut self, step: S, after: Vec<&'static str>) -> Self {
        assert!(self.nodes.iter().all(|node| node.name != S::NAME), "{}: two steps {}", self.name, S::NAME);
        let step = Arc::new(step);
        let undone = step.clone();
        let run: Run = Box::new(move |at| {
            let step = step.clone();
            async move { step.run(at).await }.boxed()
        });
        let undo: Undo = Box::new(move |at| {
            let step = undone.clone();
            async move { step.undo(at).await }.boxed()
        });
        self.nodes.push(Node { name: S::NAME, after, run, undo });
        self
    }
}

/// The sagas that a process knows.
pub(crate) type Sagas = HashMap<&'static str, Saga>;

/// Begins a saga in the commit that this unit becomes: its record and the job that walks through it.
///
/// `key` names what it is about: while one with the same saga and key is unfinished, `unique_taken` refuses a second one.
#[must_use]
pub fn begin(unit: UnitOfWork, id: RecordId, saga: &'static str, key: &str, input: Value) -> UnitOfWork {
    let run = SagaRun::new(saga, key, input);
    unit.create(id, &run).enqueue(id, job(id))
}

/// Walks through a saga, or has that done by the job for those that take long.
fn job(id: RecordId) -> JobDraft {
    draft(RunSaga::KIND, id).priority(Priority::Urgent)
}

fn job_of(saga: &Saga, id: RecordId) -> JobDraft {
    if saga.long { draft(RunLongSaga::KIND, id).priority(Priority::Bulk) } else { job(id) }
}

fn draft(kind: &'static str, id: RecordId) -> JobDraft {
    // One at a time: while a worker has the saga in hand, the next one waits.
    JobDraft::new(kind, serde_json::json!({ "saga": model::SagaId::from(id) })).unique(id.wire(SagaRun::PREFIX))
}

/// Whether a saga that was begun with this name and key is unfinished.
pub async fn is_unfinished(store: &Store, ctx: &Ctx, saga: &str, key: &str) -> Result<bool, Error> {
    Ok(store.find(ctx, SagaRun::KIND, "running", &model::running(saga, key)).await?.is_some())
}

/// Waits until a saga is finished, at most so long; answers it as it stands then.
pub async fn finished(store: &Store, ctx: &Ctx, id: RecordId, patience: Duration) -> Result<SagaRun, Error> {
    let mut position = store.watch(ctx.tenant());
    let waited = async {
        loop {
            position.mark_unchanged();
            let record = store.get(ctx, SagaRun::KIND, id).await?.ok_or_else(|| Error::not_found("saga"))?;
            let run: SagaRun = record.decode()?;
            if run.state.is_finished() || position.changed().await.is_err() {
                return Ok(run);
            }
        }
    };
    match tokio::time::timeout(patience, waited).await {
        Ok(done) => done,
        Err(_) => store.get(ctx, SagaRun::KIND, id).await?.ok_or_else(|| Error::not_found("saga"))?.decode(),
    }
}
