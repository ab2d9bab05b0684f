//! A start looks where work may be waiting and nowhere else.

use std::time::Duration;

use serde_json::json;
use steward_base::Timestamp;
use steward_store::{JobDraft, Mark, UnitOfWork};

use crate::support::{Number, World, trace, tracing_work, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_before_a_restart_is_done_after_it() {
    let world = World::new().await;
    let (a, b) = (world.tenant().await, world.tenant().await);
    world.queue(&a, 0..2).await;
    world.queue(&b, 0..1).await;
    let world = world.reopened().await;
    let worker = tracing_work(&world.store).start().await.expect("starts");
    until(async || world.traces(&a).await == 2 && world.traces(&b).await == 1).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_says_what_a_tenant_waits_for() {
    let world = World::new().await;
    let (untouched, done, waiting) = (world.tenant().await, world.tenant().await, world.tenant().await);
    let marks = async |world: &World| {
        let marks = world.store.marked().await.expect("reads");
        [&untouched, &done, &waiting].map(|ctx| marks.iter().find(|(tenant, _)| *tenant == ctx.tenant()).map(|(_, mark)| *mark))
    };
    world.store.commit(&done, trace(&world.store, 1)).await.expect("commits");
    let later = Timestamp::from_micros(world.store.clock().now().plus(Duration::from_secs(3_600)).micros());
    let draft = JobDraft::new("work", json!(Number { number: 1 })).at(later);
    world.store.commit(&waiting, UnitOfWork::new().enqueue(world.store.mint_id(), draft)).await.expect("queues");
    assert_eq!(marks(&world).await, [None, Some(Mark::Dirty), Some(Mark::Dirty)], "before anything is known");
    world.store.settle(Duration::from_secs(60), |_| i64::MAX).await.expect("settles");
    assert_eq!(marks(&world).await, [None, Some(Mark::Dirty), Some(Mark::Dirty)], "nobody has been idle for so long");
    world.store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
    assert_eq!(marks(&world).await, [None, None, Some(Mark::Due(later))]);
    // Who commits again is dirty again, whatever it had been.
    world.store.commit(&done, trace(&world.store, 2)).await.expect("commits");
    let world = world.reopened().await;
    assert_eq!(marks(&world).await, [None, Some(Mark::Dirty), Some(Mark::Due(later))], "and after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_commits_while_marks_are_settled_is_not_forgotten() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    let commits = async {
        for number in 0..200 {
            world.store.commit(&ctx, trace(&world.store, number)).await.expect("commits");
        }
        let draft = JobDraft::new("work", json!(Number { number: 1 }));
        world.store.commit(&ctx, UnitOfWork::new().enqueue(world.store.mint_id(), draft)).await.expect("queues");
    };
    let settles = async {
        for _ in 0..200 {
            world.store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
        }
    };
    tokio::join!(commits, settles);
    let marks = world.store.marked().await.expect("reads");
    let mark = marks.iter().find(|(tenant, _)| *tenant == ctx.tenant()).map(|(_, mark)| *mark);
    let due = world.store.next_due(ctx.tenant(), &["work".to_owned()]).await.expect("reads").expect("a job is queued");
    assert!(mark == Some(Mark::Dirty) || mark == Some(Mark::Due(due)), "{mark:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_keeps_its_mark() {
    let world = World::new().await;
    let ctx = world.tenant().await;
    for number in 0..200 {
        let store = world.store.clone();
        let own = ctx.clone();
        let commit = tokio::spawn(async move { store.commit(&own, trace(&store, number)).await });
        tokio::task::yield_now().await;
        commit.abort();
        world.store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
    }
    world.store.commit(&ctx, trace(&world.store, 200)).await.expect("commits");
    // What was abandoned may still be on its way.
    until(async || {
        world.store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
        let marks = world.store.marked().await.expect("reads");
        marks.iter().all(|(tenant, _)| *tenant != ctx.tenant())
    })
    .await;
}
