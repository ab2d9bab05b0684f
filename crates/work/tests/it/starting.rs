//! A start looks where work may be waiting and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use steward_auth::system;
use steward_base::{Clock, Random, TenantId, Timestamp};
use steward_store::{JobDraft, Mark, Store, UnitOfWork};

use crate::support::{Number, World, open, trace, tracing_work, until};

const FOLDER: &str = "STEWARD_TEST_CRASHED";
/// Tenants that nothing is to be done for.
const CLEAN: usize = 20;

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

async fn made(store: &Store) -> TenantId {
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    store.provision(tenant).await.expect("provisions");
    store.commit(&system(tenant, "test"), trace(store, 1)).await.expect("commits");
    tenant
}

async fn queue_at(store: &Store, tenant: TenantId, time: Timestamp) {
    let draft = JobDraft::new("work", json!(Number { number: 2 })).at(time);
    store.commit(&system(tenant, "test"), UnitOfWork::new().enqueue(store.mint_id(), draft)).await.expect("queues");
}

/// Not a test of its own: the one below starts it as a process, reads what it made, and kills it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the victim of the test below"]
#[expect(clippy::disallowed_methods, reason = "the folder comes from the process that started this one")]
async fn victim() {
    let store = open(std::env::var(FOLDER).expect("a folder").as_ref(), Clock::system()).await;
    let mut made_so: Vec<(&str, TenantId)> = Vec::new();
    for name in ["due", "later"].into_iter().chain(std::iter::repeat_n("clean", CLEAN)).chain(["dirty"]) {
        made_so.push((name, made(&store).await));
    }
    let now = store.clock().now();
    queue_at(&store, made_so[0].1, now).await;
    queue_at(&store, made_so[1].1, now.plus(Duration::from_secs(3_600))).await;
    store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
    let dirty = system(made_so[CLEAN + 2].1, "test");
    store.commit(&dirty, trace(&store, 3)).await.expect("commits");
    let mut out = std::io::stdout().lock();
    for (name, tenant) in made_so {
        writeln!(out, "made {name} {tenant}").expect("is read");
    }
    writeln!(out, "that is all").and_then(|()| out.flush()).expect("is read");
    std::future::pending::<()>().await;
}

/// The tenants whose files this process has open.
fn open_tenants(folder: &Path) -> BTreeSet<String> {
    let fds = std::fs::read_dir("/proc/self/fd").expect("lists");
    // Between the listing and the look one may have been closed.
    let targets = fds.filter_map(|fd| std::fs::read_link(fd.expect("lists").path()).ok());
    let files = targets.filter(|path| path.starts_with(folder.join("tenants")) && path.extension().is_some_and(|end| end == "db"));
    files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_only_dirty_and_due_tenants_are_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("is a file"))
        .args(["--exact", "starting::victim", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
        let line = line.expect("reads");
        if line == "that is all" {
            child.kill().expect("is killed");
        } else if let Some((name, tenant)) = line.strip_prefix("made ").and_then(|made| made.split_once(' ')) {
            made.entry(name.to_owned()).or_default().insert(tenant.to_owned());
        }
    }
    child.wait().expect("is gone");
    assert_eq!(made["clean"].len(), CLEAN);

    let store = open(folder.path(), Clock::system()).await;
    assert_eq!(open_tenants(folder.path()), BTreeSet::new(), "the store itself needs control alone");
    let worker = tracing_work(&store).start().await.expect("starts");
    let wanted: BTreeSet<String> = made["dirty"].union(&made["due"]).cloned().collect();
    let due = system(made["due"].first().expect("is made").parse().expect("an id"), "test");
    until(async || open_tenants(folder.path()).is_superset(&wanted)).await;
    until(async || store.count(&due, "trace", None).await.expect("counts") == 2).await;
    worker.stop(Duration::from_secs(5)).await;
    assert_eq!(open_tenants(folder.path()), wanted, "what was opened stays open: there are few");
    store.close().await;
}
