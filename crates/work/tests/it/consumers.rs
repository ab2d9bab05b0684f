//! Consumers: what follows from events happens once, in order, from the first event or from a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::json;
use steward_base::{Ctx, Event, RecordId, TenantId};
use steward_store::{Bounds, EventDraft, JobQuery, JobState, Record, Store, UnitOfWork};
use steward_work::{Consumer, Failure, Handling, Poison, Running, Work};
use tokio::sync::watch;

use crate::support::{Handle, Number, World, options, trace, unavailable, until};

/// Counts the traces of a tenant in a counter, and remembers in which order it saw them.
#[derive(Clone, Default)]
struct Counting {
    order: Arc<Mutex<Vec<i64>>>,
}

impl Consumer for Counting {
    const NAME: &'static str = "counting";
    const WANTS: &'static [&'static str] = &["trace.created"];

    async fn handle(&self, _: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        self.order.lock().extend(events.iter().map(|event| event.position));
        Ok(UnitOfWork::new().add("counted", events.len() as i64, Bounds::NATURAL))
    }
}

/// Work that counts, for tenants that are open.
fn counting_while(world: &World, open: &Arc<AtomicBool>, asked: &Arc<AtomicUsize>) -> Work {
    let (open, asked) = (open.clone(), asked.clone());
    Work::new(world.store.clone(), options()).consumer(Counting::default()).only_for("trace", move |tenant| {
        let is_open = tenant == TenantId::OPERATOR || open.load(Ordering::SeqCst);
        asked.fetch_add(usize::from(tenant != TenantId::OPERATOR), Ordering::SeqCst);
        std::future::ready(Ok(is_open))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_rest_while_their_tenant_is_closed_and_miss_nothing() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let (open, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let leave = async |store: &Store, numbers: std::ops::Range<i64>| {
        for number in numbers {
            store.commit(&ctx, trace(store, number)).await.expect("commits");
        }
    };
    let worker = counting_while(&world, &open, &asked).start().await.expect("starts");
    leave(&world.store, 0..10).await;
    until(async || counted(&world, &ctx).await == 10).await;
    open.store(false, Ordering::SeqCst);
    // Whatever turn was under way when it was closed has ended once others were refused.
    let refused = asked.load(Ordering::SeqCst) + 3;
    until(async || {
        leave(&world.store, 10..11).await;
        asked.load(Ordering::SeqCst) >= refused
    })
    .await;
    let seen = counted(&world, &ctx).await;
    leave(&world.store, 11..40).await;
    let refused = asked.load(Ordering::SeqCst) + 1;
    until(async || {
        leave(&world.store, 40..41).await;
        asked.load(Ordering::SeqCst) >= refused
    })
    .await;
    assert_eq!(counted(&world, &ctx).await, seen, "nothing follows from its events");
    // Nobody says that its events are seen to: its mark stays, however long nothing happens.
    world.store.settle(Duration::ZERO, |_| seen).await.expect("settles");
    worker.stop(Duration::from_secs(5)).await;

    let world = world.reopened().await;
    let worker = counting_while(&world, &open, &asked).start().await.expect("starts");
    let refused = asked.load(Ordering::SeqCst) + 1;
    until(async || asked.load(Ordering::SeqCst) >= refused).await;
    assert_eq!(counted(&world, &ctx).await, seen);
    open.store(true, Ordering::SeqCst);
    let all = world.store.count(&ctx, "trace", None).await.expect("counts") as i64;
    assert!(all >= 40, "{all}");
    let_in(&world, &[&ctx]).await;
    until(async || counted(&world, &ctx).await == all).await;
    worker.stop(Duration::from_secs(5)).await;
}

/// Says that these may be other tenants now.
async fn let_in(world: &World, tenants: &[&Ctx]) {
    let told = |ctx: &&Ctx| EventDraft::new("trace.let_in", ctx.tenant().record(), json!({})).about("trace");
    let unit = tenants.iter().map(told).fold(UnitOfWork::new(), UnitOfWork::event);
    world.store.commit(&world.operator(), unit).await.expect("commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_events_of_a_tenant_are_looked_at_when_it_is_let_in() {
    let world = World::new().await;
    let (open, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let store = world.store.clone();
    let handle = move |_: Running, payload: Number| std::future::ready(Ok(trace(&store, payload.number)));
    let worker = counting_while(&world, &open, &asked).with(Handle(handle)).start().await.expect("starts");
    // One has a job waiting, which tells no event, and the other an event.
    let (busy, told) = (world.tenant().await, world.tenant().await);
    world.store.commit(&told, trace(&world.store, 1)).await.expect("commits");
    until(async || asked.load(Ordering::SeqCst) >= 1).await;
    let refused = asked.load(Ordering::SeqCst) + 1;
    let job = world.queue(&busy, 0..1).await.remove(0);
    until(async || asked.load(Ordering::SeqCst) >= refused).await;
    assert_eq!((world.job(&busy, &job).await.state, counted(&world, &told).await), (JobState::Queued, 0));
    open.store(true, Ordering::SeqCst);
    let_in(&world, &[&busy, &told]).await;
    world.reaches(&busy, &job, JobState::Done).await;
    until(async || counted(&world, &told).await == 1).await;
    worker.stop(Duration::from_secs(5)).await;
}

async fn counted(world: &World, ctx: &Ctx) -> i64 {
    world.store.counter(ctx, "counted").await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_takes_effect_once_whoever_follows() {
    let world = World::new().await;
    let (a, b) = (world.tenant().await, world.tenant().await);
    let counting = Counting::default();
    let work = || Work::new(world.store.clone(), options()).consumer(counting.clone());
    for number in 0..30 {
        world.store.commit(&a, trace(&world.store, number)).await.expect("commits");
    }
    let workers = [work().start().await.expect("starts"), work().start().await.expect("starts")];
    for number in 0..300 {
        let ctx = if number % 3 == 0 { &b } else { &a };
        world.store.commit(ctx, trace(&world.store, number)).await.expect("commits");
    }
    until(async || counted(&world, &a).await == 230 && counted(&world, &b).await == 100).await;
    for worker in &workers {
        worker.stop(Duration::from_secs(5)).await;
    }
    assert_eq!((counted(&world, &a).await, counted(&world, &b).await), (230, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_a_restart_is_seen_to_after_it_in_order() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    for number in 0..700 {
        world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
    }
    let world = world.reopened().await;
    let counting = Counting::default();
    let worker = Work::new(world.store.clone(), options()).consumer(counting.clone()).start().await.expect("starts");
    until(async || counted(&world, &ctx).await == 700).await;
    worker.stop(Duration::from_secs(5)).await;
    let order = counting.order.lock().clone();
    assert_eq!(order, (1..=700).collect::<Vec<i64>>());
    assert_eq!(world.store.cursor(&ctx, "counting").await.expect("reads"), 700);
}

/// Takes its time with the events of every tenant but one.
struct Slow {
    quick: TenantId,
    over: watch::Receiver<bool>,
}

impl Consumer for Slow {
    const NAME: &'static str = "slow";
    const WANTS: &'static [&'static str] = &["trace.created"];

    async fn handle(&self, at: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        if at.ctx.tenant() != self.quick {
            self.over.clone().wait_for(|over| *over).await.map_err(|_| Failure::Never(unavailable()))?;
        }
        Ok(UnitOfWork::new().add("counted", events.len() as i64, Bounds::NATURAL))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_take_long_hold_up_nobody_elses_events() {
    let world = World::new().await;
    let (quick, (end, over)) = (world.tenant().await, watch::channel(false));
    let worker = Work::new(world.store.clone(), options()).consumer(Slow { quick: quick.tenant(), over }).start().await.expect("starts");
    let mut slow = Vec::new();
    // More than are handled at once.
    for number in 0..40 {
        let ctx = world.tenant().await;
        world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
        slow.push(ctx);
    }
    for number in 0..3 {
        world.store.commit(&quick, trace(&world.store, number)).await.expect("commits");
        until(async || counted(&world, &quick).await == number + 1).await;
    }
    end.send_replace(true);
    for ctx in &slow {
        until(async || counted(&world, ctx).await == 1).await;
    }
    worker.stop(Duration::from_secs(5)).await;
}

/// Fails for one number until it is mended.
struct Picky {
    mended: Arc<AtomicBool>,
}

impl Consumer for Picky {
    const NAME: &'static str = "picky";
    const WANTS: &'static [&'static str] = &["trace.*"];

    async fn handle(&self, _: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        let bad = |event: &Event| event.data["after"]["number"] == 13;
        if events.iter().any(bad) && !self.mended.load(Ordering::SeqCst) {
            return Err(Failure::Never(unavailable()));
        }
        Ok(UnitOfWork::new().add("counted", events.len() as i64, Bounds::NATURAL))
    }

    fn poison(&self) -> Poison {
        Poison::SetAside
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_handled_is_set_aside_and_can_be_handed_over_again() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let mended = Arc::new(AtomicBool::new(false));
    for number in 10..20 {
        world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
    }
    let worker = Work::new(world.store.clone(), options()).consumer(Picky { mended: mended.clone() }).start().await.expect("starts");
    until(async || counted(&world, &ctx).await == 9).await;
    let dead = JobQuery { state: Some(JobState::Dead), ..JobQuery::default() };
    until(async || !world.store.jobs(&ctx, dead.clone()).await.expect("lists").is_empty()).await;
    let letter = world.store.jobs(&ctx, dead.clone()).await.expect("lists").remove(0);
    assert_eq!(letter.kind, "redeliver");
    mended.store(true, Ordering::SeqCst);
    world.store.commit(&ctx, UnitOfWork::new().redrive(letter.id)).await.expect("queues");
    until(async || counted(&world, &ctx).await == 10).await;
    worker.stop(Duration::from_secs(5)).await;
}

/// Is shown records before it follows.
#[derive(Clone, Default)]
struct Late {
    shown: Arc<Mutex<Vec<RecordId>>>,
}

impl Consumer for Late {
    const NAME: &'static str = "late";
    const WANTS: &'static [&'static str] = &["trace.created"];

    async fn handle(&self, _: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        Ok(UnitOfWork::new().add("counted", events.len() as i64, Bounds::NATURAL))
    }

    fn snapshot(&self) -> &'static [&'static str] {
        &["trace"]
    }

    async fn introduce(&self, _: Handling, records: Vec<Record>) -> Result<UnitOfWork, Failure> {
        self.shown.lock().extend(records.iter().map(|record| record.id));
        Ok(UnitOfWork::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_consumer_is_shown_what_is_there_and_follows_from_then_on() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    for number in 0..450 {
        world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
    }
    let late = Late::default();
    let worker = Work::new(world.store.clone(), options()).consumer(late.clone()).start().await.expect("starts");
    until(async || world.store.cursor(&ctx, "late").await.expect("reads") == 450).await;
    for number in 0..5 {
        world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
    }
    until(async || counted(&world, &ctx).await == 5).await;
    worker.stop(Duration::from_secs(5)).await;
    let shown = late.shown.lock().clone();
    assert_eq!(shown.len(), 450, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_restored_as_it_was_earlier_is_followed_from_there() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let worker = Work::new(world.store.clone(), options()).consumer(Counting::default()).start().await.expect("starts");
    let leave = async |count: i64| {
        for number in 0..count {
            world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
        }
    };
    leave(20).await;
    until(async || counted(&world, &ctx).await == 20).await;
    let copy: Vec<_> = world.store.dump(ctx.tenant(), None).await.expect("is told").collect().await;
    leave(30).await;
    until(async || counted(&world, &ctx).await == 50).await;
    world.store.erase(ctx.tenant()).await.expect("erases");
    let mut loading = world.store.load(ctx.tenant()).await.expect("begins");
    loading.apply(stream::iter(copy)).await.expect("loads");
    world.store.publish(loading).await.expect("publishes");
    leave(10).await;
    until(async || counted(&world, &ctx).await == 30).await;
    worker.stop(Duration::from_secs(5)).await;
}
