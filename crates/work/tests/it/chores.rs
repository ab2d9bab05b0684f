//! Jobs that people put on a schedule: each does what its name says, and only who may asks for it.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Ctx, RecordId, Timestamp};
use steward_store::{Among, Expect, Job, JobDraft, JobState, ListQuery, Store, UnitOfWork};
use steward_testkit::{Setup, TestApp};
use steward_work::{Options, Work};

use crate::support::{Trace, World, until};

async fn queue(store: &Store, ctx: &Ctx, kind: &'static str, payload: Value) -> RecordId {
    let id = store.mint_id();
    store.commit(ctx, UnitOfWork::new().enqueue(id, JobDraft::new(kind, payload))).await.expect("queues");
    id
}

/// The job once it is over.
async fn over(store: &Store, ctx: &Ctx, id: RecordId) -> Job {
    until(async || store.job(ctx, id).await.expect("reads").is_some_and(|job| job.finished_at.is_some())).await;
    store.job(ctx, id).await.expect("reads").expect("is there")
}

async fn made(world: &World, ctx: &Ctx, number: i64) -> RecordId {
    let id = world.store.mint_id();
    world.store.commit(ctx, UnitOfWork::new().create(id, &Trace { number })).await.expect("creates");
    id
}

async fn bin(world: &World, ctx: &Ctx) -> Vec<RecordId> {
    let query = ListQuery { kind: "trace".to_owned(), among: Among::Deleted, ..ListQuery::default() };
    world.store.list(ctx, query).await.expect("lists").records.into_iter().map(|record| record.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recycle_bin_is_emptied_of_what_is_old_enough() {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let clock = Clock::manual(start);
    let world = World::at(clock.clone()).await;
    let ctx = world.tenant().await;
    let (old, young, live) = (made(&world, &ctx, 1).await, made(&world, &ctx, 2).await, made(&world, &ctx, 3).await);
    world.store.commit(&ctx, UnitOfWork::new().delete("trace", old, Expect::Any)).await.expect("deletes");
    clock.set(start.plus(Duration::from_secs(3 * 86_400)));
    world.store.commit(&ctx, UnitOfWork::new().delete("trace", young, Expect::Any)).await.expect("deletes");
    clock.set(start.plus(Duration::from_secs(8 * 86_400)));
    let worker = Work::new(world.store.clone(), Options::default()).start().await.expect("starts");
    let job = queue(&world.store, &ctx, "empty_recycle_bin", json!({ "older_than_days": 7 })).await;
    let done = over(&world.store, &ctx, job).await;
    assert_eq!((done.state, done.progress), (JobState::Done, Some(json!({ "erased": 1 }))));
    assert_eq!(bin(&world, &ctx).await, [young]);
    let told = world.store.history(&ctx, "trace", old, None, 1).await.expect("reads");
    assert_eq!(told[0].event_type, "trace.erased", "its history stays, and says so");
    let job = queue(&world.store, &ctx, "empty_recycle_bin", json!({ "older_than_days": 0 })).await;
    assert_eq!(over(&world.store, &ctx, job).await.state, JobState::Done);
    assert_eq!(bin(&world, &ctx).await, []);
    assert!(world.store.get(&ctx, "trace", live).await.expect("reads").is_some());
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_verified_and_a_key_replaced() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    made(&world, &ctx, 1).await;
    let worker = Work::new(world.store.clone(), Options::default()).start().await.expect("starts");
    let verified = queue(&world.store, &ctx, "verify_events", json!({})).await;
    let verified = over(&world.store, &ctx, verified).await;
    assert_eq!((verified.state, verified.progress), (JobState::Done, Some(json!({ "events": 1 }))));
    let rotated = queue(&world.store, &ctx, "rotate_data_key", json!({})).await;
    let rotated = over(&world.store, &ctx, rotated).await;
    assert_eq!((rotated.state, rotated.progress), (JobState::Done, Some(json!({ "records": 0 }))));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn who_may_do_it_may_schedule_it_and_is_told_what_it_takes() {
    let app = TestApp::start(Setup::default(), |parts| Work::new(parts.store.clone(), Options::default()).operations()).await;
    let acme = app.tenant("acme").await;
    let post = async |key: &str, job: &str, payload: Value| {
        let body = json!({ "name": format!("{job} {payload}"), "cron": "30 2 * * *", "job": job, "payload": payload });
        app.post("/api/v1/schedules").key(key).json(&body).send().await
    };
    for (job, permission, payload) in [
        ("empty_recycle_bin", "recycle-bin:delete", json!({ "older_than_days": 7 })),
        ("rotate_data_key", "data-keys:execute", json!({})),
        ("verify_events", "audit:execute", json!({})),
    ] {
        let (may, may_not) = (app.key(acme.id, &["schedules:write", permission]).await, app.key(acme.id, &["schedules:write"]).await);
        assert_eq!(post(&may_not, job, payload.clone()).await.expect(403).json()["code"], "permission_denied");
        assert_eq!(post(&may, job, payload).await.expect(201).json()["job"], job);
    }
    for (job, payload) in [
        ("empty_recycle_bin", json!({})),
        ("empty_recycle_bin", json!({ "older_than_days": 31 })),
        ("empty_recycle_bin", json!({ "older_than_days": -1 })),
        ("verify_events", json!({ "all": true })),
    ] {
        let refused = post(&acme.key, job, payload).await.expect(422).json();
        assert_eq!((&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]), (&json!("/payload"), &json!("payload_invalid")));
    }
    let unknown = post(&acme.key, "something", json!({})).await.expect(422).json();
    let known = "Known: empty_recycle_bin, rotate_data_key, verify_events.";
    assert!(unknown["errors"][0]["detail"].as_str().is_some_and(|detail| detail.ends_with(known)), "{unknown}");
}
