//! Jobs that run: once each, again when they fail, given up in the end, in turn between tenants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use steward_base::Clock;
use steward_store::{Claim, JobQuery, JobState, UnitOfWork};
use steward_work::{Failure, Options, Running, Work};
use tokio::sync::Notify;

use crate::support::{Handle, Number, World, options, short_leases, trace, tracing_work, unavailable, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_job_takes_effect_once() {
    let world = World::new().await;
    let (a, b) = (world.tenant().await, world.tenant().await);
    let workers = [tracing_work(&world.store).start().await.expect("starts"), tracing_work(&world.store).start().await.expect("starts")];
    world.queue(&a, 0..150).await;
    world.queue(&b, 0..50).await;
    until(async || world.traces(&a).await == 150 && world.traces(&b).await == 50).await;
    assert_eq!((world.in_state(&a, JobState::Done).await, world.in_state(&b, JobState::Done).await), (150, 50));
    for worker in &workers {
        worker.stop(Duration::from_secs(5)).await;
        assert_eq!(worker.in_hand(), 0);
    }
    assert_eq!((world.traces(&a).await, world.traces(&b).await), (150, 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_until_it_is_a_dead_letter() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let handle = |_: Running, payload: Number| async move {
        match payload.number {
            0 => Err(unavailable().into()),
            1 => panic!("a defect"),
            2 => Err(Failure::Never(unavailable())),
            // An effect that the store refuses.
            _ => Ok(UnitOfWork::new().advance("somebody", 7, 8)),
        }
    };
    let worker = Work::new(world.store.clone(), options()).with(Handle(handle)).start().await.expect("starts");
    let jobs = world.queue(&ctx, 0..4).await;
    let unreadable = steward_store::JobDraft::new("work", json!({ "number": "seven" }));
    let unreadable = world.store.commit(&ctx, UnitOfWork::new().enqueue(world.store.mint_id(), unreadable)).await.expect("queues");
    for (job, attempts, why) in [
        (&jobs[0], 3, "no_answer"),
        (&jobs[1], 3, "internal"),
        (&jobs[2], 1, "no_answer"),
        (&jobs[3], 3, "cursor_moved"),
        (&unreadable.jobs[0], 1, "internal"),
    ] {
        let dead = world.reaches(&ctx, job, JobState::Dead).await;
        assert_eq!(dead.attempts, attempts, "{dead:?}");
        assert!(dead.last_error.as_deref().is_some_and(|said| said.starts_with(why)), "{dead:?}");
    }
    let events = world.store.events(&ctx, 0, 100).await.expect("reads");
    assert_eq!(events.iter().filter(|event| event.event_type == "job.died").count(), 5);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vanished_worker_had_is_done_by_another() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let jobs = world.queue(&ctx, 0..3).await;
    let claim = Claim { kinds: vec!["work".into()], limit: 2, lease: Duration::from_millis(300) };
    assert_eq!(world.store.claim(&ctx, claim).await.expect("claims").len(), 2, "by somebody who says nothing any more");
    let worker = tracing_work(&world.store).start().await.expect("starts");
    for job in &jobs {
        world.reaches(&ctx, job, JobState::Done).await;
    }
    assert_eq!(world.traces(&ctx).await, 3);
    assert_eq!(world.job(&ctx, &jobs[0]).await.attempts, 2);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_long_queue_does_not_hold_up_another() {
    let world = World::new().await;
    let (busy, quiet) = (world.tenant().await, world.tenant().await);
    for chunk in 0..5 {
        world.queue(&busy, chunk * 900..(chunk + 1) * 900).await;
    }
    let worker = tracing_work(&world.store).start().await.expect("starts");
    until(async || world.traces(&busy).await > 0).await;
    let job = world.queue(&quiet, 0..1).await.remove(0);
    let done = world.reaches(&quiet, &job, JobState::Done).await;
    let last = world.store.jobs(&busy, JobQuery { limit: 500, ..JobQuery::default() }).await.expect("lists");
    let later = last.iter().filter(|job| job.finished_at.is_none_or(|at| at > done.finished_at.expect("is done"))).count();
    assert_ne!(later, 0, "it was done among them, not after them");
    worker.stop(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_can_be_called_off() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let handle = |job: Running, _: Number| async move {
        let () = job.cancelled().await;
        std::future::pending().await
    };
    let worker = Work::new(world.store.clone(), short_leases()).with(Handle(handle)).start().await.expect("starts");
    let job = world.queue(&ctx, 0..1).await.remove(0);
    world.reaches(&ctx, &job, JobState::Running).await;
    world.store.commit(&ctx, UnitOfWork::new().cancel(job.id)).await.expect("cancels");
    world.reaches(&ctx, &job, JobState::Cancelled).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_is_committed_in_parts_and_keeps_its_lease() {
    // Time passes only when the test says so: a lease is lost for no other reason than that nobody renewed it.
    let clock = Clock::manual("2026-03-01T00:00:00Z".parse().expect("a time"));
    let world = World::at(clock.clone()).await;
    let ctx = world.tenant().await;
    let begun = Arc::new(AtomicUsize::new(0));
    let (store, counted) = (world.store.clone(), begun.clone());
    let handle = move |job: Running, _: Number| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            // Three times as long as a lease.
            for part in 0..6 {
                job.commit(trace(&store, part), Some(json!({ "done": part + 1, "of": 6 }))).await?;
                clock.advance(short_leases().lease / 2);
                // The worker renews it too, while the handler is busy.
                let renewed = Some(clock.now().plus(short_leases().lease));
                while store.job(job.ctx(), job.job().id).await?.expect("is there").due_at != renewed {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Ok(UnitOfWork::new())
        }
    };
    let worker = Work::new(world.store.clone(), short_leases()).with(Handle(handle)).start().await.expect("starts");
    let job = world.queue(&ctx, 0..1).await.remove(0);
    let done = world.reaches(&ctx, &job, JobState::Done).await;
    assert_eq!((done.attempts, done.progress, begun.load(Ordering::Relaxed)), (1, Some(json!({ "done": 6, "of": 6 })), 1));
    assert_eq!(world.traces(&ctx).await, 6);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_gives_back_what_it_has() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let handle = |_: Running, _: Number| std::future::pending();
    let worker = Work::new(world.store.clone(), options()).with(Handle(handle)).start().await.expect("starts");
    let jobs = world.queue(&ctx, 0..3).await;
    until(async || worker.in_hand() == 3).await;
    worker.stop(Duration::ZERO).await;
    assert_eq!(worker.in_hand(), 0);
    for job in &jobs {
        assert_eq!(world.job(&ctx, job).await.state, JobState::Queued);
    }
    let worker = tracing_work(&world.store).start().await.expect("starts");
    until(async || world.traces(&ctx).await == 3).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_with_the_last_job_and_does_not_wait_for_its_lease() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    world.queue(&ctx, 0..1).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait, store) = (begun.clone(), go_on.clone(), world.store.clone());
    let waits = move |_: Running, number: Number| {
        let (tell, wait, store) = (tell.clone(), wait.clone(), store.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            Ok(trace(&store, number.number))
        }
    };
    let options = Options { lease: Duration::from_secs(3600), ..options() };
    let worker = Work::new(world.store.clone(), options).with(Handle(waits)).start().await.expect("starts");
    begun.notified().await;
    let stopped = async { tokio::join!(worker.stop(Duration::from_secs(3600)), async { go_on.notify_one() }) };
    tokio::time::timeout(Duration::from_secs(60), stopped).await.expect("ends in time");
    assert_eq!(world.traces(&ctx).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_jobs_hang_leaves_room_for_others() {
    let world = World::new().await;
    let (hanging, quiet) = (world.tenant().await, world.tenant().await);
    let (store, hangs) = (world.store.clone(), hanging.tenant());
    let handle = move |job: Running, payload: Number| {
        let (hangs, unit) = (job.ctx().tenant() == hangs, trace(&store, payload.number));
        async move { if hangs { std::future::pending().await } else { Ok(unit) } }
    };
    let worker = Work::new(world.store.clone(), options()).with(Handle(handle)).start().await.expect("starts");
    world.queue(&hanging, 0..20).await;
    until(async || worker.in_hand() == 4).await;
    world.queue(&quiet, 0..20).await;
    until(async || world.traces(&quiet).await == 20).await;
    until(async || worker.in_hand() == 4).await;
    worker.stop(Duration::ZERO).await;
    assert_eq!(world.in_state(&hanging, JobState::Queued).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_worker_of_a_process_hears_of_every_job() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    // One that knows no such job would take away the other's wake-up.
    let deaf = Work::new(world.store.clone(), options()).start().await.expect("starts");
    let worker = tracing_work(&world.store).start().await.expect("starts");
    for number in 0..50 {
        let job = world.queue(&ctx, number..number + 1).await.remove(0);
        world.reaches(&ctx, &job, JobState::Done).await;
    }
    for worker in [deaf, worker] {
        worker.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_nobody_can_read_is_not_told() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let worker = tracing_work(&world.store).start().await.expect("starts");
    let draft = steward_store::JobDraft::new("work", json!({ "number": "stw_canary" }));
    let job = world.store.commit(&ctx, UnitOfWork::new().enqueue(world.store.mint_id(), draft)).await.expect("queues").jobs.remove(0);
    let dead = world.reaches(&ctx, &job, JobState::Dead).await;
    let events = world.store.events(&ctx, 0, 10).await.expect("reads");
    assert!(!format!("{:?}", (dead.last_error, events)).contains("canary"));
    worker.stop(Duration::from_secs(5)).await;
}
