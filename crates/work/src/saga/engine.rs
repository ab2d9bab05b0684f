//! Walking through a saga.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Error, ErrorKind, RecordId, Timestamp};
use steward_store::{EventDraft, Expect, Model, Priority, Record, UnitOfWork};

use super::model::{NodeRun, NodeState, SagaId, SagaRun, SagaState};
use super::{At, Done, Node, Saga, Sagas};
use crate::backoff;
use crate::job::{Failure, JobHandler, Policy, Running};

/// How long one try of a step may take.
const LONGEST: Duration = Duration::from_secs(1_800);
/// A longer wait gives the worker's place back: many sagas that wait for one thing must not stand in the way of all others.
const AT_HAND: Duration = Duration::from_secs(2);
/// Bytes of an error that are kept.
const SAID: usize = 2_000;

/// The payload of the job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Which {
    saga: SagaId,
}

/// Walks through one saga.
pub(crate) struct RunSaga(pub(crate) Arc<Sagas>);

impl JobHandler for RunSaga {
    const KIND: &'static str = "run_saga";
    type Payload = Which;

    async fn run(&self, job: Running, payload: Which) -> Result<UnitOfWork, Failure> {
        walk_through(&self.0, job, payload.saga.record()).await
    }

    /// The saga's own patience ends it; the job's only says how long a crash or an outage lasts.
    fn policy(&self) -> Policy {
        Policy { attempts: i32::MAX, places: Priority::Urgent, ..Policy::default() }
    }
}

/// Walks through one saga that may take hours, in the places for such.
pub(crate) struct RunLongSaga(pub(crate) Arc<Sagas>);

impl JobHandler for RunLongSaga {
    const KIND: &'static str = "run_long_saga";
    type Payload = Which;

    async fn run(&self, job: Running, payload: Which) -> Result<UnitOfWork, Failure> {
        walk_through(&self.0, job, payload.saga.record()).await
    }

    fn policy(&self) -> Policy {
        Policy { attempts: i32::MAX, places: Priority::Bulk, ..Policy::default() }
    }
}

async fn walk_through(sagas: &Sagas, job: Running, id: RecordId) -> Result<UnitOfWork, Failure> {
    // A run begins when its time has come.
    let mut waited = true;
    loop {
        let Some(record) = job.store.get(job.ctx(), SagaRun::KIND, id).await? else { return Ok(UnitOfWork::new()) };
        let run: SagaRun = record.decode()?;
        let Some(saga) = sagas.get(run.saga.as_str()) else {
            // A newer version of this program began it: that one goes on with it.
            return Err(Failure::Again(Error::internal(format!("no saga is called {}", run.saga))));
        };
        // Whoever begins or changes a saga need not know how long it takes.
        if saga.long && job.job().kind == RunSaga::KIND {
            return Ok(UnitOfWork::new().enqueue(job.store.mint_id(), super::job_of(saga, id)));
        }
        let walk = Walk { saga, job: &job, record: &record };
        match walk.pause(&run) {
            Some(pause) if !waited && pause > AT_HAND => {
                let later = super::job_of(saga, id).at(walk.now().plus(pause));
                return Ok(UnitOfWork::new().enqueue(job.store.mint_id(), later));
            }
            Some(pause) if !waited => {
                tokio::time::sleep(pause).await;
                waited = true;
                continue;
            }
            _ => waited = false,
        }
        let ended = match run.state {
            SagaState::Running => walk.forward(run).await?,
            SagaState::Undoing => walk.back(run).await?,
            SagaState::Done | SagaState::Undone | SagaState::Parked => Some(UnitOfWork::new()),
        };
        if let Some(unit) = ended {
            return Ok(unit);
        }
    }
}

/// One look at a saga.
struct Walk<'a> {
    saga: &'a Saga,
    job: &'a Running,
    record: &'a Record,
}

impl Walk<'_> {
    /// Runs the steps that wait for nothing; answers the last unit once there is nothing more to do.
    async fn forward(&self, mut run: SagaRun) -> Result<Option<UnitOfWork>, Failure> {
        let done = |run: &SagaRun, name: &str| run.step(name) == NodeState::Done;
        let ready: Vec<&Node> =
            self.saga.nodes.iter().filter(|node| !done(&run, node.name) && node.after.iter().all(|name| done(&run, name))).collect();
        if ready.is_empty() {
            run.finish(SagaState::Done, self.now());
            return Ok(Some(self.put(self.record, UnitOfWork::new(), &run, "saga.done")));
        }
        for node in &ready {
            let step = run.node(node.name);
            step.state = NodeState::Begun;
            step.begin();
            if step.failures >= self.saga.attempts {
                let said = step.error.clone().unwrap_or_default();
                run.error = Some(cut(format!("{}: {said}", node.name)));
                run.turn_back();
                self.job.commit(self.put(self.record, UnitOfWork::new(), &run, "saga.failed"), None).await?;
                return Ok(None);
            }
        }
        self.job.commit(self.put(self.record, UnitOfWork::new(), &run, "saga.updated"), None).await?;
        let at = self.at(&run);
        let outcomes = join_all(ready.iter().map(|node| caught((node.run)(at.clone())))).await;
        for (node, outcome) in ready.iter().zip(outcomes) {
            self.forwarded(node, outcome).await?;
        }
        Ok(None)
    }

    /// Commits what a step came to, its effect and its state together.
    async fn forwarded(&self, node: &Node, outcome: Result<Done, Failure>) -> Result<(), Failure> {
        let failure = match outcome {
            Ok(Done { output, unit }) => {
                let done = self.change(unit, |run| {
                    let step = run.node(node.name);
                    (step.state, step.output, step.error) = (NodeState::Done, output, None);
                    "saga.updated"
                });
                match done.await {
                    Err(error) if is_the_steps_own(&error) => Failure::Again(error),
                    done => return done.map_err(Failure::from),
                }
            }
            Err(failure) => failure,
        };
        let fail = |run: &mut SagaRun| {
            let step = run.node(node.name);
            let said = self.failed(step, &failure);
            if matches!(failure, Failure::Again(_)) && step.failures < self.saga.attempts {
                return "saga.updated";
            }
            run.error = Some(cut(format!("{}: {said}", node.name)));
            run.turn_back();
            "saga.failed"
        };
        self.change(UnitOfWork::new(), fail).await.map_err(Failure::from)
    }

    /// Undoes the last step that has begun.
    async fn back(&self, mut run: SagaRun) -> Result<Option<UnitOfWork>, Failure> {
        let begun = |node: &&Node| matches!(run.step(node.name), NodeState::Begun | NodeState::Done);
        // In the source a step stands behind all that it waits for.
        let Some(node) = self.saga.nodes.iter().rev().find(begun) else {
            run.finish(SagaState::Undone, self.now());
            return Ok(Some(self.put(self.record, UnitOfWork::new(), &run, "saga.undone")));
        };
        let step = run.node(node.name);
        step.begin();
        let interrupted = step.failures >= self.saga.attempts;
        self.job.commit(self.put(self.record, UnitOfWork::new(), &run, "saga.updated"), None).await?;
        if interrupted {
            return self.park(node, "interrupted: the process ended while it ran, every time").await.map(|()| None);
        }
        let failure = match caught((node.undo)(self.at(&run))).await {
            Ok(unit) => {
                let done = self.change(unit, |run| {
                    let step = run.node(node.name);
                    (step.state, step.tries, step.failures) = (NodeState::Undone, 0, 0);
                    "saga.updated"
                });
                match done.await {
                    Err(error) if is_the_steps_own(&error) => Failure::Again(error),
                    done => return done.map(|()| None).map_err(Failure::from),
                }
            }
            Err(failure) => failure,
        };
        let Failure::Again(_) = &failure else { return self.park_for(node, &failure).await.map(|()| None) };
        let patient = run.steps.get(node.name).is_some_and(|step| step.tries < self.saga.attempts);
        if !patient {
            return self.park_for(node, &failure).await.map(|()| None);
        }
        let fail = |run: &mut SagaRun| {
            self.failed(run.node(node.name), &failure);
            "saga.updated"
        };
        self.change(UnitOfWork::new(), fail).await.map(|()| None).map_err(Failure::from)
    }

    async fn park_for(&self, node: &Node, failure: &Failure) -> Result<(), Failure> {
        let (Failure::Again(error) | Failure::Never(error)) = failure;
        self.park(node, &format!("{}: {}", error.code(), error.detail())).await
    }

    /// Leaves the saga to somebody who mends what stands in the way of an undo.
    async fn park(&self, node: &Node, said: &str) -> Result<(), Failure> {
        tracing::error!(saga.id = %self.record.id.wire(SagaRun::PREFIX), saga.name = self.saga.name, saga.step = node.name, error.message = said,
            "a saga can be neither done nor undone and is parked");
        let park = |run: &mut SagaRun| {
            let before = run.error.take().map(|error| format!("; it was being undone because of {error}")).unwrap_or_default();
            run.node(node.name).error = Some(cut(said.to_owned()));
            run.error = Some(cut(format!("undo of {}: {said}{before}", node.name)));
            run.finish(SagaState::Parked, self.now());
            "saga.parked"
        };
        self.change(UnitOfWork::new(), park).await.map_err(Failure::from)
    }

    /// How long what failed waits before it is tried again.
    fn pause(&self, run: &SagaRun) -> Option<Duration> {
        let open: &[NodeState] = match run.state {
            SagaState::Running => &[NodeState::Begun],
            SagaState::Undoing => &[NodeState::Begun, NodeState::Done],
            SagaState::Done | SagaState::Undone | SagaState::Parked => &[],
        };
        let failures = run.steps.values().filter(|step| open.contains(&step.state)).map(|step| step.failures).max()?;
        if failures == 0 {
            return None;
        }
        let policy = Policy { first_wait: self.saga.wait, ..Policy::default() };
        Some(backoff::wait(&policy, failures, self.job.store.random()))
    }

    fn failed(&self, step: &mut NodeRun, failure: &Failure) -> String {
        let (Failure::Again(error) | Failure::Never(error)) = failure;
        tracing::warn!(saga.id = %self.record.id.wire(SagaRun::PREFIX), saga.name = self.saga.name, error.code = error.code(),
            error.causes = %error.causes(), "a step of a saga failed");
        let said = cut(format!("{}: {}", error.code(), error.detail()));
        step.failures = step.tries;
        step.error = Some(said.clone());
        said
    }

    fn at(&self, run: &SagaRun) -> At {
        let (ctx, store) = (self.job.ctx().clone(), self.job.store.clone());
        At { ctx, store, saga: self.record.id, input: run.input.clone(), outputs: run.outputs() }
    }

    /// Commits a change of the saga, whatever happened to it meanwhile: somebody may have called it off while a step ran.
    async fn change(&self, unit: UnitOfWork, change: impl FnOnce(&mut SagaRun) -> &'static str) -> Result<(), Error> {
        let record = self.job.store.get(self.job.ctx(), SagaRun::KIND, self.record.id).await?.ok_or_else(|| Error::not_found("saga"))?;
        let mut run: SagaRun = record.decode()?;
        let called_off = run.state == SagaState::Undoing;
        let mut event = change(&mut run);
        if called_off && run.state == SagaState::Running {
            (run.state, event) = (SagaState::Undoing, "saga.updated");
        }
        self.job.commit(self.put(&record, unit, &run, event), None).await
    }

    fn put(&self, record: &Record, unit: UnitOfWork, run: &SagaRun, event: &'static str) -> UnitOfWork {
        let unit = unit.put_model(record.id, run, Expect::Version(record.version));
        if event == "saga.updated" {
            return unit;
        }
        unit.event(EventDraft::new(event, record.id, json!({ "saga": run.saga, "key": run.key, "state": run.state })))
    }

    fn now(&self) -> Timestamp {
        self.job.store.clock().now()
    }
}

/// Whether a refused commit says something about the step, rather than about the lease, the saga's record or the store.
fn is_the_steps_own(error: &Error) -> bool {
    !matches!(error.code(), "lease_lost" | "version_conflict") && !matches!(error.kind(), ErrorKind::Unavailable)
}

/// A defect in one step, or one that hangs, is a failure of it like any other.
async fn caught<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(LONGEST, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Failure::Again(Error::internal("the step panicked"))),
        Err(_) => Err(Failure::Again(Error::internal("the step took longer than half an hour"))),
    }
}

fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(SAID);
    text.truncate(end);
    text
}

/// Has a saga go back: one that runs, or one that is parked and gets fresh patience.
pub(super) fn turn_back(id: RecordId, record: &Record, unit: UnitOfWork, why: &str) -> Result<UnitOfWork, Error> {
    let mut run: SagaRun = record.decode()?;
    run.error.get_or_insert_with(|| why.to_owned());
    run.turn_back();
    let told = EventDraft::new("saga.turned_back", id, json!({ "saga": run.saga, "key": run.key }));
    Ok(unit.put_model(id, &run, Expect::Version(record.version)).event(told))
}
