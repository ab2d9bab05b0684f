//! Schedules: jobs that the clock queues, each time once, whoever was there.

use std::time::Duration;

use serde_json::json;
use steward_base::{Clock, Ctx, RecordId, Timestamp};
use steward_store::{Expect, Job, JobDraft, JobQuery, JobState, Model, Store, UnitOfWork};
use steward_testkit::{Setup, TestApp};
use steward_work::{Misfire, Options, Schedule, Work};

use crate::generated::Nightly;
use crate::support::{Number, World, tracing_work, until};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn hourly(misfire: Misfire) -> Schedule {
    let (name, cron, payload) = ("Hourly".to_owned(), "0 * * * *".to_owned(), json!(Number { number: 7 }));
    let payload = payload.as_object().cloned().expect("an object");
    Schedule {
        name,
        cron,
        time_zone: "Europe/Berlin".to_owned(),
        job: "work".to_owned(),
        payload,
        misfire,
        enabled: true,
        holds_since: None,
    }
}

async fn schedule(world: &World, ctx: &Ctx, schedule: &Schedule) -> RecordId {
    let id = world.store.mint_id();
    world.store.commit(ctx, UnitOfWork::new().create(id, schedule)).await.expect("commits");
    id
}

/// The clock's owner tells nobody that it moved: a commit wakes the worker.
async fn advance(world: &World, ctx: &Ctx, clock: &Clock, to: &str) {
    clock.set(time(to));
    let later = JobDraft::new("nobody", json!({})).at(time("2030-01-01T00:00:00Z"));
    world.store.commit(ctx, UnitOfWork::new().enqueue(world.store.mint_id(), later)).await.expect("commits");
}

async fn queued(store: &Store, ctx: &Ctx, kind: &str) -> Vec<Job> {
    let query = JobQuery { kind: Some(kind.to_owned()), state: Some(JobState::Queued), ..JobQuery::default() };
    store.jobs(ctx, query).await.expect("lists")
}

/// When the waiting tick is due.
async fn tick(world: &World, ctx: &Ctx) -> Option<Timestamp> {
    queued(&world.store, ctx, "tick").await.first().and_then(|job| job.due_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_queued_at_each_time_and_missed_ones_are_made_up_for() {
    let clock = Clock::manual(time("2026-03-01T00:30:00Z"));
    let world = World::at(clock.clone()).await;
    let ctx = world.tenant().await;
    let worker = tracing_work(&world.store).start().await.expect("starts");
    let id = schedule(&world, &ctx, &hourly(Misfire::Once)).await;
    until(async || tick(&world, &ctx).await == Some(time("2026-03-01T01:00:00Z"))).await;
    advance(&world, &ctx, &clock, "2026-03-01T01:00:00Z").await;
    until(async || world.traces(&ctx).await == 1).await;
    until(async || tick(&world, &ctx).await == Some(time("2026-03-01T02:00:00Z"))).await;
    worker.stop(Duration::from_secs(5)).await;

    // Nobody is there for five times.
    clock.set(time("2026-03-01T06:30:00Z"));
    let worker = tracing_work(&world.store).start().await.expect("starts");
    until(async || world.traces(&ctx).await == 2).await;
    until(async || tick(&world, &ctx).await == Some(time("2026-03-01T07:00:00Z"))).await;

    let record = world.store.get(&ctx, Schedule::KIND, id).await.expect("reads").expect("is there");
    let later = Schedule { cron: "0 9 * * *".to_owned(), ..hourly(Misfire::Once) };
    let unit = UnitOfWork::new().put_model(id, &later, Expect::Version(record.version));
    world.store.commit(&ctx, unit).await.expect("commits");
    // The tick that waits looks again, finds nothing due, and waits for the new time.
    advance(&world, &ctx, &clock, "2026-03-01T07:00:00Z").await;
    until(async || tick(&world, &ctx).await == Some(time("2026-03-01T08:00:00Z"))).await;
    assert_eq!(world.traces(&ctx).await, 2, "nine o'clock in Berlin is eight in UTC");
    advance(&world, &ctx, &clock, "2026-03-01T08:00:30Z").await;
    until(async || world.traces(&ctx).await == 3).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_is_off_or_gone_queues_nothing() {
    let clock = Clock::manual(time("2026-03-01T00:30:00Z"));
    let world = World::at(clock.clone()).await;
    let ctx = world.tenant().await;
    let worker = tracing_work(&world.store).start().await.expect("starts");
    let on = schedule(&world, &ctx, &hourly(Misfire::All)).await;
    schedule(&world, &ctx, &Schedule { enabled: false, name: "Off".to_owned(), ..hourly(Misfire::All) }).await;
    until(async || tick(&world, &ctx).await.is_some()).await;
    world.store.commit(&ctx, UnitOfWork::new().delete(Schedule::KIND, on, Expect::Any)).await.expect("deletes");
    advance(&world, &ctx, &clock, "2026-03-01T05:00:00Z").await;
    until(async || tick(&world, &ctx).await.is_none()).await;
    let running = JobQuery { kind: Some("tick".to_owned()), state: Some(JobState::Running), ..JobQuery::default() };
    until(async || world.store.jobs(&ctx, running.clone()).await.expect("lists").is_empty()).await;
    assert_eq!(world.traces(&ctx).await, 0);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_change_of_the_times_lets_those_before_it_go() {
    let clock = Clock::manual(time("2026-03-01T00:30:00Z"));
    let setup = Setup { clock: Some(clock.clone()), resting: true, ..Setup::default() };
    let app = TestApp::start(setup, |parts| Work::new(parts.store.clone(), Options::default()).with(Nightly).operations()).await;
    let store = &app.parts.store;
    let acme = app.tenant("acme").await;
    let body = json!({ "name": "Hourly", "cron": "0 * * * *", "job": "nightly" });
    let made = app.post("/api/v1/schedules").key(&acme.key).json(&body).send().await.expect(201).json();
    let path = format!("/api/v1/schedules/{}", made["id"].as_str().expect("an id"));
    let change = async |change: serde_json::Value| {
        app.patch(&path).key(&acme.key).header("if-match", "*").json(&change).send().await.expect(200).json()["holds_since"].clone()
    };
    let queued = async |kind: &str| queued(store, &acme.ctx, kind).await;
    // Works until the tick waits for a time. Nobody works while the clock and the schedule are changed.
    let works_until = async |at: &str| {
        let worker = Work::new(store.clone(), Options::default()).start().await.expect("starts");
        until(async || queued("tick").await.first().and_then(|job| job.due_at) == Some(time(at))).await;
        worker.stop(Duration::from_secs(5)).await;
    };
    works_until("2026-03-01T01:00:00Z").await;

    // It is due, and nobody has looked yet.
    clock.set(time("2026-03-01T01:00:30Z"));
    assert_eq!(change(json!({ "name": "Every hour" })).await, made["holds_since"]);
    works_until("2026-03-01T02:00:00Z").await;
    assert_eq!(queued("nightly").await.len(), 1);

    store.commit(&acme.ctx, UnitOfWork::new().cancel(queued("nightly").await[0].id)).await.expect("calls off");
    clock.set(time("2026-03-01T02:00:30Z"));
    assert_eq!(change(json!({ "cron": "30 * * * *" })).await, json!("2026-03-01T02:00:30Z"));
    works_until("2026-03-01T02:30:00Z").await;
    assert_eq!(queued("nightly").await.len(), 0, "two o'clock is no time of it any more");
}
