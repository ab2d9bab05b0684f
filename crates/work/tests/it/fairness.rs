//! Who gets a place while others have many, are slow, or are long about it.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::Ctx;
use steward_store::{JobDraft, JobQuery, JobState, Priority, UnitOfWork};
use steward_work::{At, Done, Failure, JobHandler, Policy, Running, Saga, SagaState, Step, Work, begin, finished};
use tokio::sync::watch;

use crate::support::{Handle, Number, World, options, trace, until};

/// Does not end before it is told to.
struct Long(watch::Receiver<bool>);

impl JobHandler for Long {
    const KIND: &'static str = "long";
    type Payload = Value;

    async fn run(&self, _: Running, _: Value) -> Result<UnitOfWork, Failure> {
        self.0.clone().wait_for(|over| *over).await.map_err(|_| Failure::Never(crate::support::unavailable()))?;
        Ok(UnitOfWork::new())
    }

    fn policy(&self) -> Policy {
        Policy { places: Priority::Bulk, ..Policy::default() }
    }
}

/// A step that does not end before it is told to.
struct Slow(watch::Receiver<bool>);

impl Step for Slow {
    const NAME: &'static str = "slow";

    async fn run(&self, _: At) -> Result<Done, Failure> {
        self.0.clone().wait_for(|over| *over).await.map_err(|_| Failure::Never(crate::support::unavailable()))?;
        Ok(Done::default())
    }

    async fn undo(&self, _: At) -> Result<UnitOfWork, Failure> {
        Ok(UnitOfWork::new())
    }
}

struct Nothing;

impl Step for Nothing {
    const NAME: &'static str = "nothing";

    async fn run(&self, _: At) -> Result<Done, Failure> {
        Ok(Done::default())
    }

    async fn undo(&self, _: At) -> Result<UnitOfWork, Failure> {
        Ok(UnitOfWork::new())
    }
}

async fn queue_long(world: &World, ctx: &Ctx, count: usize) {
    let draft = || JobDraft::new("long", json!({})).priority(Priority::Bulk);
    let unit = (0..count).fold(UnitOfWork::new(), |unit, _| unit.enqueue(world.store.mint_id(), draft()));
    world.store.commit(ctx, unit).await.expect("queues");
}

async fn running(world: &World, ctx: &Ctx) -> usize {
    let query = JobQuery { kind: Some("long".to_owned()), state: Some(JobState::Running), limit: 500, ..JobQuery::default() };
    world.store.jobs(ctx, query).await.expect("lists").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_are_slow_hold_up_nobody_else() {
    let world = World::new().await;
    let quiet = world.tenant().await;
    let mut slow = Vec::new();
    // More of them than there are places.
    for _ in 0..options().at_once * 2 {
        slow.push(world.tenant().await);
    }
    let (release, released) = watch::channel(false);
    let (store, known) = (world.store.clone(), quiet.tenant());
    let handle = move |_: Running, payload: Number| std::future::ready(Ok(trace(&store, payload.number)));
    let work = Work::new(world.store.clone(), options()).with(Handle(handle)).only_for("trace", move |tenant| {
        let mut released = released.clone();
        async move {
            if tenant != known && tenant != steward_base::TenantId::OPERATOR {
                released.wait_for(|released| *released).await.map_err(steward_base::Error::internal)?;
            }
            Ok(true)
        }
    });
    let worker = work.start().await.expect("starts");
    for ctx in &slow {
        world.queue(ctx, 0..1).await;
    }
    for number in 0..3 {
        let job = world.queue(&quiet, number..number + 1).await.remove(0);
        world.reaches(&quiet, &job, JobState::Done).await;
    }
    for ctx in &slow {
        assert_eq!(world.traces(ctx).await, 0);
    }
    release.send_replace(true);
    for ctx in &slow {
        until(async || world.traces(ctx).await == 1).await;
    }
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_take_hours_has_a_quarter_of_the_places() {
    let world = World::new().await;
    let (a, b, c, quiet) = (world.tenant().await, world.tenant().await, world.tenant().await, world.tenant().await);
    let (end, over) = watch::channel(false);
    let store = world.store.clone();
    let handle = move |_: Running, payload: Number| std::future::ready(Ok(trace(&store, payload.number)));
    let worker = Work::new(world.store.clone(), options()).with(Handle(handle)).with(Long(over)).start().await.expect("starts");
    queue_long(&world, &a, 8).await;
    until(async || running(&world, &a).await == 1).await;
    queue_long(&world, &b, 8).await;
    until(async || running(&world, &b).await == 1).await;
    queue_long(&world, &c, 8).await;
    world.queue(&quiet, 0..100).await;
    until(async || world.traces(&quiet).await == 100).await;
    // Of one who has both, the short ones are done.
    world.queue(&a, 0..20).await;
    until(async || world.traces(&a).await == 20).await;
    until(async || worker.in_hand() == 2).await;
    assert_eq!([running(&world, &a).await, running(&world, &b).await, running(&world, &c).await], [1, 1, 0]);
    end.send_replace(true);
    for ctx in [&a, &b, &c] {
        until(async || world.in_state(ctx, JobState::Queued).await == 0 && running(&world, ctx).await == 0).await;
    }
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_kept_for_what_somebody_waits_for() {
    let world = World::new().await;
    let (a, b) = (world.tenant().await, world.tenant().await);
    let handle = |_: Running, _: Number| std::future::pending();
    let saga = Saga::new("do_nothing").then(Nothing);
    let worker = Work::new(world.store.clone(), options()).with(Handle(handle)).saga(saga).start().await.expect("starts");
    world.queue(&a, 0..20).await;
    world.queue(&b, 0..20).await;
    until(async || worker.in_hand() == options().at_once - 1).await;
    // One that waits like everybody's stands in the way of none that does not.
    let operator = world.operator();
    world.queue(&operator, 0..1).await;
    for number in 0..3 {
        let id = world.store.mint_id();
        let unit = begin(UnitOfWork::new(), id, "do_nothing", &number.to_string(), json!({}));
        world.store.commit(&operator, unit).await.expect("begins");
        let run = finished(&world.store, &operator, id, Duration::from_secs(60)).await.expect("reads");
        assert_eq!(run.state, SagaState::Done);
    }
    until(async || worker.in_hand() == options().at_once - 1).await;
    assert_eq!(world.in_state(&operator, JobState::Queued).await, 1);
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_sagas_leave_room_for_short_ones() {
    let world = World::new().await;
    let operator = world.operator();
    let (end, over) = watch::channel(false);
    let (long, short) = (Saga::new("take_in").long().then(Slow(over)), Saga::new("do_nothing").then(Nothing));
    let worker = Work::new(world.store.clone(), options()).saga(long).saga(short).start().await.expect("starts");
    let started = async |saga: &'static str, number: usize| {
        let id = world.store.mint_id();
        let unit = begin(UnitOfWork::new(), id, saga, &number.to_string(), json!({}));
        world.store.commit(&operator, unit).await.expect("begins");
        id
    };
    let mut longs = Vec::new();
    // More than one tenant has places.
    for number in 0..options().at_once {
        longs.push(started("take_in", number).await);
    }
    let query = |state| JobQuery { kind: Some("run_long_saga".to_owned()), state: Some(state), limit: 500, ..JobQuery::default() };
    let many = async |state| world.store.jobs(&operator, query(state)).await.expect("lists").len();
    until(async || many(JobState::Running).await + many(JobState::Queued).await == longs.len()).await;
    for number in 0..3 {
        let id = started("do_nothing", number).await;
        let run = finished(&world.store, &operator, id, Duration::from_secs(60)).await.expect("reads");
        assert_eq!(run.state, SagaState::Done);
    }
    assert_eq!(many(JobState::Running).await, 1, "one of them goes on");
    end.send_replace(true);
    for id in longs {
        let run = finished(&world.store, &operator, id, Duration::from_secs(60)).await.expect("reads");
        assert_eq!(run.state, SagaState::Done);
    }
    worker.stop(Duration::from_secs(5)).await;
}
