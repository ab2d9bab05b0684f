//! The backups that an installation makes of itself: by jobs of the operator's, one at a time, and seen when they are missing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, Ctx, RecordId};
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_fabric::{Class, Scope};
use steward_store::{Job, JobDraft, JobState, UnitOfWork};
use steward_work::backup::{self, Backups, Place as Kept};
use steward_work::{Options, Schedule, Work, Worker};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::bucket::BucketServer;
use crate::place::{Place, subjects, write};
use crate::support::until;

/// An installation that makes backups of itself. Whoever makes one needs a permit.
struct Own {
    place: Place,
    folder: TempDir,
    backups: Backups,
    ctx: Ctx,
    operator: Ctx,
    permits: Arc<Semaphore>,
}

impl Own {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::Folder(folder.path().to_owned());
        Self::at(Clock::system(), kept, folder).await
    }

    async fn at(clock: Clock, kept: Kept, folder: TempDir) -> Self {
        let place = Place::at(clock).await;
        let (ctx, operator) = (place.tenant().await, place.operator().await);
        let permits = Arc::new(Semaphore::new(1_000));
        let (waiting, all) = (permits.clone(), subjects(std::slice::from_ref(&ctx)));
        let everything = move || {
            let (waiting, all) = (waiting.clone(), all.clone());
            async move {
                waiting.acquire().await.expect("is never closed").forget();
                Ok(all)
            }
        };
        let backups = Backups::new(place.store.clone(), place.objects.clone(), place.telemetry.clone(), kept, everything);
        Self { place, folder, backups, ctx, operator, permits }
    }

    async fn worker(&self) -> Worker {
        Work::new(self.place.store.clone(), Options::default()).backups(self.backups.clone()).start().await.expect("starts")
    }

    async fn queue(&self, ctx: &Ctx, job: JobDraft) -> RecordId {
        let unit = UnitOfWork::new().enqueue(self.place.store.mint_id(), job);
        self.place.store.commit(ctx, unit).await.expect("queues").jobs[0].id
    }

    async fn job(&self, id: RecordId) -> Job {
        self.place.store.job(&self.operator, id).await.expect("reads").expect("is there")
    }

    async fn reaches(&self, id: RecordId, state: JobState) -> Job {
        until(async || self.job(id).await.state == state).await;
        self.job(id).await
    }

    /// Has a job done and answers how it ended.
    async fn done(&self, job: JobDraft) -> Job {
        let id = self.queue(&self.operator, job).await;
        until(async || self.job(id).await.finished_at.is_some()).await;
        self.job(id).await
    }

    async fn names(&self) -> Vec<String> {
        backup::names(&look(self.folder.path()).await).await.expect("lists")
    }

    /// What was told of backups, by type.
    async fn told(&self) -> Vec<(String, Value)> {
        let events = self.place.store.events(&self.operator, 0, 1_000).await.expect("reads");
        events
            .into_iter()
            .filter(|event| event.event_type.starts_with("backup."))
            .map(|event| (event.event_type, Value::Object(event.data)))
            .collect()
    }

    fn metric(&self) -> String {
        let mut text = String::new();
        self.backups.render(&mut text);
        text.lines().last().unwrap_or_default().to_owned()
    }
}

async fn look(folder: &Path) -> Blob {
    Blob::directory_to_read(folder).await.expect("opens")
}

fn back_up(payload: Value) -> JobDraft {
    JobDraft::new("back_up", payload).unique("back_up")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_makes_a_backup_and_removes_those_that_are_not_kept() {
    let own = Own::new().await;
    let worker = own.worker().await;
    assert_eq!(own.metric(), "", "nobody has looked");
    let mut made: Vec<String> = Vec::new();
    for number in 0..3 {
        write(&own.place.store, &own.ctx, number).await;
        let done = own.done(back_up(json!({ "keep": { "last": 2 } }))).await;
        let progress = done.progress.expect("says what it did");
        let removed = usize::from(number == 2);
        assert_eq!((done.state, &progress["removed"]), (JobState::Done, &json!(removed)));
        made.push(progress["backup"].as_str().expect("a name").to_owned());
    }
    assert_eq!(own.names().await, made[1..]);
    let blob = look(own.folder.path()).await;
    let manifest = backup::read(&blob, None).await.expect("reads");
    assert_eq!(backup::verify(&blob, &manifest).await.expect("holds").tenants, 2);
    assert_eq!(manifest.tenant(own.ctx.tenant()).expect("is in it").head.position, 3);
    let told = own.told().await;
    let types: Vec<&str> = told.iter().map(|(event_type, _)| event_type.as_str()).collect();
    assert_eq!(types, ["backup.made", "backup.made", "backup.made", "backup.removed"]);
    assert_eq!((&told[0].1["tenants"], &told[0].1["requested_by"]), (&json!(2), &json!(own.operator.actor())));
    let age: u64 = own.metric().strip_prefix("steward_backup_age_seconds ").expect("is told").parse().expect("a number");
    assert!(age < 60, "{age}");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_has_backups_made() {
    let start = "2026-03-01T00:30:00Z".parse().expect("a time");
    let (clock, folder) = (Clock::manual(start), tempfile::tempdir().expect("a folder"));
    let own = Own::at(clock.clone(), Kept::Folder(folder.path().to_owned()), folder).await;
    let worker = own.worker().await;
    let body = json!({ "name": "Nightly", "cron": "0 2 * * *", "job": "back_up", "payload": { "keep": { "daily": 7 } } });
    let schedule: Schedule = serde_json::from_value(body).expect("is one");
    let unit = UnitOfWork::new().create(own.place.store.mint_id(), &schedule);
    own.place.store.commit(&own.operator, unit).await.expect("commits");
    for day in 1..=2 {
        clock.set(format!("2026-03-0{day}T02:00:00Z").parse().expect("a time"));
        // The clock's owner tells nobody that it moved: a commit wakes the worker.
        write(&own.place.store, &own.operator, day).await;
        until(async || own.names().await.len() == day as usize).await;
    }
    until(async || own.metric() == "steward_backup_age_seconds 0").await;
    clock.advance(Duration::from_secs(7_200));
    assert_eq!(own.metric(), "steward_backup_age_seconds 7200", "it is seen that none came since");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_made_at_a_time_whoever_works() {
    let own = Own::new().await;
    own.permits.forget_permits(1_000);
    let workers = [own.worker().await, own.worker().await];
    let first = own.queue(&own.operator, back_up(json!({}))).await;
    own.reaches(first, JobState::Running).await;
    let second = own.queue(&own.operator, back_up(json!({}))).await;
    assert_ne!(first, second);
    assert_eq!(own.queue(&own.operator, back_up(json!({}))).await, second, "one waits, and that one is for all who ask");
    // Whoever could take it took this one, which came later.
    let verified = own.queue(&own.operator, JobDraft::new("verify_backup", json!({}))).await;
    until(async || own.job(verified).await.state == JobState::Dead).await;
    assert_eq!((own.job(first).await.state, own.job(second).await.state), (JobState::Running, JobState::Queued));
    own.permits.add_permits(2);
    own.reaches(first, JobState::Done).await;
    own.reaches(second, JobState::Done).await;
    assert_eq!(own.names().await.len(), 2);
    for worker in workers {
        worker.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_called_off_leaves_the_place_to_the_next() {
    let own = Own::new().await;
    own.permits.forget_permits(1_000);
    let worker = own.worker().await;
    let id = own.queue(&own.operator, back_up(json!({}))).await;
    own.reaches(id, JobState::Running).await;
    own.place.store.commit(&own.operator, UnitOfWork::new().cancel(id)).await.expect("calls off");
    own.reaches(id, JobState::Cancelled).await;
    assert_eq!(own.names().await, [] as [&str; 0]);
    own.permits.add_permits(1);
    assert_eq!(own.done(back_up(json!({}))).await.state, JobState::Done);
    assert_eq!(own.names().await.len(), 1);
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_operators_alone_and_needs_a_place() {
    let own = Own::at(Clock::system(), Kept::Nowhere, tempfile::tempdir().expect("a folder")).await;
    let worker = own.worker().await;
    for kind in ["back_up", "verify_backup"] {
        let dead = own.done(JobDraft::new(kind, json!({}))).await;
        let why = dead.last_error.expect("says why");
        assert_eq!(dead.state, JobState::Dead);
        assert!(why.starts_with("backup_place_missing: ") && why.contains("backup_dir") && why.contains("s3_bucket"), "{why}");
        let elsewhere = own.queue(&own.ctx, JobDraft::new(kind, json!({}))).await;
        let job = async || own.place.store.job(&own.ctx, elsewhere).await.expect("reads").expect("is there");
        until(async || job().await.state == JobState::Dead).await;
        assert!(job().await.last_error.is_some_and(|why| why.starts_with("platform_only: ")));
    }
    assert_eq!(own.metric(), "");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_damaged_counts_no_more() {
    let own = Own::new().await;
    let worker = own.worker().await;
    write(&own.place.store, &own.ctx, 1).await;
    let name = own.done(back_up(json!({}))).await.progress.expect("says what it did")["backup"].clone();
    let verified = own.done(JobDraft::new("verify_backup", json!({}))).await;
    let progress = verified.progress.expect("says what it read");
    assert_eq!((verified.state, &progress["backup"], &progress["tenants"]), (JobState::Done, &name, &json!(2)));
    let folder = own.folder.path().join("platform/backup-parts");
    let part = std::fs::read_dir(&folder).expect("lists").next().expect("a part").expect("an entry").path();
    let bytes = std::fs::read(&part).expect("is there");
    std::fs::write(&part, &bytes[1..]).expect("is cut");
    let found = own.done(JobDraft::new("verify_backup", json!({ "backup": name }))).await;
    let why = found.last_error.expect("says why");
    assert_eq!(found.state, JobState::Dead);
    assert!(why.contains("_damaged: ") || why.contains("_cut: "), "{why}");
    assert_eq!(own.metric(), "steward_backup_age_seconds +Inf");
    let told: Vec<String> = own.told().await.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(told, ["backup.made", "backup.verified", "backup.found_damaged"]);
    std::fs::write(&part, &bytes).expect("is mended");
    assert_eq!(own.done(JobDraft::new("verify_backup", json!({}))).await.state, JobState::Done);
    assert!(!own.metric().ends_with("+Inf"), "{}", own.metric());
    worker.stop(Duration::from_secs(5)).await;
}

/// A folder that another command has is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_busy_is_tried_again() {
    let start = "2026-03-01T00:30:00Z".parse().expect("a time");
    let (clock, folder) = (Clock::manual(start), tempfile::tempdir().expect("a folder"));
    let own = Own::at(clock.clone(), Kept::Folder(folder.path().to_owned()), folder).await;
    let worker = own.worker().await;
    let held = Blob::directory(own.folder.path()).await.expect("is held by another command");
    let id = own.queue(&own.operator, back_up(json!({}))).await;
    until(async || own.job(id).await.last_error.is_some_and(|why| why.starts_with("backup_busy: "))).await;
    drop(held);
    clock.advance(Duration::from_secs(3_600));
    write(&own.place.store, &own.operator, 1).await;
    assert_eq!(own.reaches(id, JobState::Done).await.attempts, 2);
    assert_eq!(own.names().await.len(), 1);
    worker.stop(Duration::from_secs(5)).await;
}

/// In a bucket a backup is made beside others, and none is removed beside them.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_failed_behind_the_making_makes_no_second_one() {
    let start = "2026-03-01T00:30:00Z".parse().expect("a time");
    let (clock, bucket) = (Clock::manual(start), BucketServer::start().await);
    let own = Own::at(clock.clone(), Kept::Bucket(bucket.blob()), tempfile::tempdir().expect("a folder")).await;
    let worker = own.worker().await;
    let lock = Key::new(Scope::Platform, Class::new("backup-locks"), "bak_of_another_command.making").expect("a key");
    bucket.blob().put(&lock, whole("held"), Expect::default()).await.expect("is held");
    let id = own.queue(&own.operator, back_up(json!({ "keep": { "last": 1 } }))).await;
    until(async || own.job(id).await.last_error.is_some_and(|why| why.starts_with("backup_busy: "))).await;
    let made = own.job(id).await.progress.expect("says what it made")["backup"].clone();
    bucket.blob().delete(&lock).await.expect("is let go");
    clock.advance(Duration::from_secs(3_600));
    write(&own.place.store, &own.operator, 1).await;
    let done = own.reaches(id, JobState::Done).await;
    let progress = done.progress.expect("says what it did");
    assert_eq!((done.attempts, &progress["backup"], &progress["removed"]), (2, &made, &json!(0)));
    assert_eq!(backup::names(&bucket.blob()).await.expect("lists").len(), 1);
    worker.stop(Duration::from_secs(5)).await;
}
