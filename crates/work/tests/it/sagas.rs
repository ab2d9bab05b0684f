//! Sagas end done, undone or parked, whatever fails: every step and every undo is failed once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use steward_base::{Clock, Ctx, RecordId};
use steward_store::{Expect, JobDraft, JobQuery, JobState, Model, UnitOfWork};
use steward_work::{At, Done, Failure, NodeState, Saga, SagaRun, SagaState, Step, Work, Worker, begin, finished};

use crate::support::{Trace, World, options, unavailable, until};

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Again(usize),
    Never,
    Panic(usize),
    /// The step's own effect is refused by the store.
    Refused,
}

/// The step and whether its undo is meant.
type Place = (&'static str, bool);

#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Vec<(Place, Fault)>>>);

impl Faults {
    fn strike(&self, place: Place) -> Result<UnitOfWork, Failure> {
        let mut faults = self.0.lock();
        let Some(at) = faults.iter().position(|(known, _)| *known == place) else { return Ok(UnitOfWork::new()) };
        let fault = faults[at].1;
        match &mut faults[at].1 {
            Fault::Again(left) | Fault::Panic(left) => {
                *left -= 1;
                if *left == 0 {
                    faults.remove(at);
                }
            }
            Fault::Never | Fault::Refused => {}
        }
        drop(faults);
        match fault {
            Fault::Again(_) => Err(unavailable().into()),
            Fault::Panic(_) => panic!("a defect"),
            Fault::Never => Err(Failure::Never(unavailable())),
            Fault::Refused => Ok(UnitOfWork::new().advance("somebody", 7, 8)),
        }
    }
}

/// Leaves a trace under an id that the saga knows; undoing takes it away.
struct Leave<const N: u8>(Faults);

fn own(saga: RecordId, number: u8) -> RecordId {
    let mut bytes = saga.bytes();
    bytes[15] ^= number;
    RecordId::from_bytes(bytes)
}

impl<const N: u8> Step for Leave<N> {
    const NAME: &'static str = ["", "first", "left", "right", "last"][N as usize];

    async fn run(&self, at: At) -> Result<Done, Failure> {
        let unit = self.0.strike((Self::NAME, false))?;
        assert_eq!(at.input::<serde_json::Value>()?["for"], "test");
        if N == 4 {
            assert_eq!(at.output::<Leave<2>, u8>()?, 2);
        }
        Ok(Done { output: json!(N), unit: unit.create(own(at.saga, N), &Trace { number: N.into() }) })
    }

    async fn undo(&self, at: At) -> Result<UnitOfWork, Failure> {
        let unit = self.0.strike((Self::NAME, true))?;
        Ok(unit.delete(Trace::KIND, own(at.saga, N), Expect::Any))
    }
}

const STEPS: [&str; 4] = ["first", "left", "right", "last"];

fn saga(faults: &Faults) -> Saga {
    let saga = Saga::new("leave_traces").patience(3, Duration::from_millis(1));
    let saga = saga.then(Leave::<1>(faults.clone())).after(&["first"], Leave::<2>(faults.clone()));
    saga.after(&["first"], Leave::<3>(faults.clone())).after(&["left", "right"], Leave::<4>(faults.clone()))
}

async fn worker(world: &World, faults: &Faults) -> Worker {
    Work::new(world.store.clone(), options()).saga(saga(faults)).start().await.expect("starts")
}

async fn start(world: &World, ctx: &Ctx, key: &str) -> RecordId {
    let id = world.store.mint_id();
    let unit = begin(UnitOfWork::new(), id, "leave_traces", key, json!({ "for": "test" }));
    world.store.commit(ctx, unit).await.expect("begins");
    id
}

/// How many traces there are of a saga.
async fn left(world: &World, id: RecordId) -> usize {
    let mut left = 0;
    for number in 1..=4 {
        left += usize::from(world.store.get(&world.operator(), Trace::KIND, own(id, number)).await.expect("reads").is_some());
    }
    left
}

async fn end(world: &World, ctx: &Ctx, id: RecordId) -> SagaRun {
    let run = finished(&world.store, ctx, id, Duration::from_secs(60)).await.expect("reads");
    assert!(run.state.is_finished(), "{run:?}");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_and_every_undo_fails_once_in_every_way() {
    let world = World::new().await;
    let faults = Faults::default();
    let worker = worker(&world, &faults).await;
    let ways = [Fault::Again(1), Fault::Panic(2), Fault::Again(3), Fault::Never, Fault::Refused];
    let mut seen = 0;
    for step in STEPS {
        for way in ways {
            for undo in [None, Some(Fault::Again(2)), Some(Fault::Panic(1)), Some(Fault::Never)] {
                let ctx = world.operator();
                *faults.0.lock() = vec![((step, false), way)];
                if let Some(undo) = undo {
                    faults.0.lock().push(((step, true), undo));
                }
                let id = start(&world, &ctx, "case").await;
                let run = end(&world, &ctx, id).await;
                let fails = !matches!(way, Fault::Again(1) | Fault::Panic(2));
                let expected = match undo {
                    _ if !fails => SagaState::Done,
                    Some(Fault::Never) => SagaState::Parked,
                    _ => SagaState::Undone,
                };
                assert_eq!(run.state, expected, "{step} {way:?} {undo:?}: {run:?}");
                let traces = left(&world, id).await;
                match expected {
                    SagaState::Done => assert_eq!(traces, 4),
                    SagaState::Undone => assert_eq!(traces, 0, "{step} {way:?} {undo:?}: {run:?}"),
                    _ => assert!(run.error.as_deref().is_some_and(|error| error.contains(step))),
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 80);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_one_unfinished_saga() {
    let world = World::new().await;
    let (ctx, faults) = (world.operator(), Faults::default());
    let id = start(&world, &ctx, "same").await;
    let second = begin(UnitOfWork::new(), world.store.mint_id(), "leave_traces", "same", json!({ "for": "test" }));
    assert_eq!(world.store.commit(&ctx, second).await.expect_err("is refused").code(), "unique_taken");
    let worker = worker(&world, &faults).await;
    end(&world, &ctx, id).await;
    let again = start(&world, &ctx, "same").await;
    assert_eq!(end(&world, &ctx, again).await.state, SagaState::Done);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_worker_began_another_ends() {
    let world = World::new().await;
    let (ctx, faults) = (world.operator(), Faults::default());
    // The step goes on failing for as long as the first worker is there.
    *faults.0.lock() = vec![(("right", false), Fault::Again(usize::MAX))];
    let patient = |faults: &Faults| {
        let work = Work::new(world.store.clone(), options());
        work.saga(saga(faults).patience(i32::MAX, Duration::from_millis(5)))
    };
    let first = patient(&faults).start().await.expect("starts");
    let id = start(&world, &ctx, "handed over").await;
    until(async || {
        let record = world.store.get(&ctx, SagaRun::KIND, id).await.expect("reads").expect("is there");
        record.decode::<SagaRun>().expect("decodes").step("left") == NodeState::Done
    })
    .await;
    first.stop(Duration::ZERO).await;
    faults.0.lock().clear();
    let second = patient(&faults).start().await.expect("starts");
    assert_eq!(end(&world, &ctx, id).await.state, SagaState::Done);
    assert_eq!(world.traces(&ctx).await, 4, "no effect twice: a second one would be refused");
    second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_that_wait_hold_no_place() {
    let clock = Clock::manual("2026-03-01T00:00:00Z".parse().expect("a time"));
    let world = World::at(clock.clone()).await;
    let (ctx, faults) = (world.operator(), Faults::default());
    *faults.0.lock() = vec![(("right", false), Fault::Again(usize::MAX))];
    let waiting = saga(&faults).patience(i32::MAX, Duration::from_secs(600));
    let other = Saga::new("leave_one").then(Leave::<1>(Faults::default()));
    let worker = Work::new(world.store.clone(), options()).saga(waiting).saga(other).start().await.expect("starts");
    let mut sagas = Vec::new();
    // More than one tenant has places for, and than the process has.
    for number in 0..options().at_once * 2 {
        sagas.push(start(&world, &ctx, &number.to_string()).await);
    }
    let run =
        async |id| world.store.get(&ctx, SagaRun::KIND, id).await.expect("reads").expect("is there").decode::<SagaRun>().expect("decodes");
    for id in &sagas {
        until(async || run(*id).await.steps.get("right").is_some_and(|step| step.failures == 1)).await;
    }
    let id = world.store.mint_id();
    let unit = begin(UnitOfWork::new(), id, "leave_one", "other", json!({ "for": "test" }));
    world.store.commit(&ctx, unit).await.expect("begins");
    assert_eq!(end(&world, &ctx, id).await.state, SagaState::Done);
    until(async || worker.in_hand() == 0).await;
    // A worker that ends has nothing to wait for, and the next one finds them in their time.
    worker.stop(Duration::from_secs(30)).await;
    let queued = JobQuery { kind: Some("run_saga".to_owned()), state: Some(JobState::Queued), limit: 500, ..JobQuery::default() };
    let queued = world.store.jobs(&ctx, queued).await.expect("lists");
    assert_eq!(queued.len(), sagas.len());
    assert!(queued.iter().all(|job| job.due_at.is_some_and(|due| due > clock.now().plus(Duration::from_secs(400)))), "{queued:?}");

    faults.0.lock().clear();
    clock.advance(Duration::from_secs(600));
    let patient = saga(&faults).patience(i32::MAX, Duration::from_secs(600));
    let worker = Work::new(world.store.clone(), options()).saga(patient).start().await.expect("starts");
    for id in sagas {
        let run = end(&world, &ctx, id).await;
        assert_eq!((run.state, run.steps["right"].failures), (SagaState::Done, 1), "a wait is no failure: {run:?}");
    }
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_does_is_done_for_nobody_else() {
    let world = World::new().await;
    let (ctx, faults) = (world.tenant().await, Faults::default());
    let worker = worker(&world, &faults).await;
    let id = start(&world, &ctx, "not ours to do").await;
    let reconcile = JobDraft::new("reconcile", json!({ "name": "anything" }));
    world.store.commit(&ctx, UnitOfWork::new().enqueue(world.store.mint_id(), reconcile)).await.expect("queues");
    let dead = JobQuery { state: Some(JobState::Dead), ..JobQuery::default() };
    until(async || world.store.jobs(&ctx, dead.clone()).await.expect("lists").len() == 2).await;
    for letter in world.store.jobs(&ctx, dead.clone()).await.expect("lists") {
        assert!(letter.last_error.as_deref().is_some_and(|said| said.starts_with("platform_only: ")), "{letter:?}");
        assert_eq!(letter.attempts, 1, "there is nothing to wait for");
    }
    let run = world.store.get(&ctx, SagaRun::KIND, id).await.expect("reads").expect("is there").decode::<SagaRun>().expect("decodes");
    assert_eq!((run.state, run.steps.len(), world.traces(&ctx).await), (SagaState::Running, 0, 0), "no step was begun");
    worker.stop(Duration::from_secs(5)).await;
}
