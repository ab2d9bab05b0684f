//! Files that are too long for one answer: each row once, whatever comes between.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, RecordId};
use steward_store::{Claim, Job, JobDraft, JobState, Kind, Model as _, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::{Resource, Stored, resource};
use steward_work::{ImportRows, Options, SagaRun, Work, Worker};

use crate::support::{Trace, options, until};

struct World {
    app: TestApp,
    tenant: TestTenant,
}

impl World {
    async fn new() -> Self {
        let kinds = vec![Kind::of::<Trace>()];
        let app = TestApp::start(Setup { kinds, ..Setup::default() }, |parts| {
            let mut all = resource::<Trace>(&parts.store, Resource::new("traces"));
            all.extend(Work::new(parts.store.clone(), Options::default()).operations());
            all
        })
        .await;
        let tenant = app.tenant("acme").await;
        Self { app, tenant }
    }

    async fn worker(&self) -> Worker {
        let work = Work::new(self.app.parts.store.clone(), options()).with(ImportRows::new(self.app.operations.imports(&self.app.site)));
        work.start().await.expect("starts")
    }

    /// Sends rows; answers the job's id.
    async fn send(&self, key: &str, query: &str, rows: impl Iterator<Item = Value>) -> String {
        let text = rows.map(|row| row.to_string() + "\n").collect::<String>();
        let sent = self.app.post(&format!("/api/v1/traces/import{query}")).key(key).body("application/x-ndjson", text);
        sent.send().await.expect(202).json()["job_id"].as_str().expect("an id").to_owned()
    }

    async fn job(&self, id: &str) -> Job {
        let id = RecordId::parse("job", id).expect("an id");
        self.app.parts.store.job(&self.tenant.ctx, id).await.expect("is read").expect("is there")
    }

    async fn rows(&self, id: &str) -> u64 {
        self.job(id).await.progress.map_or(0, |progress| progress["rows"].as_u64().unwrap_or(0))
    }

    async fn numbers(&self) -> Vec<i64> {
        let text = self.app.get("/api/v1/traces/export").key(&self.tenant.key).send().await.expect(200).text;
        let number = |line: &str| serde_json::from_str::<Value>(line).expect("is JSON")["number"].as_i64().expect("a number");
        text.lines().map(number).collect()
    }
}

fn numbered(count: i64) -> impl Iterator<Item = Value> {
    (0..count).map(|number| json!({ "number": number }))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_takes_effect_once_although_the_worker_is_stopped() {
    let world = World::new().await;
    // Two rows in the middle of a commit and one at the end are refused.
    let rows = numbered(6_000).map(|row| match row["number"].as_i64() {
        Some(700 | 701 | 5_999) => json!({ "number": "none" }),
        _ => row,
    });
    let id = world.send(&world.tenant.key, "", rows).await;
    let mut seen = 0;
    for _ in 0..3 {
        let worker = world.worker().await;
        // On a busy machine it may come to its end before it is looked at again.
        until(async || world.rows(&id).await > seen || world.job(&id).await.state == JobState::Done).await;
        worker.stop(Duration::ZERO).await;
        seen = world.rows(&id).await;
    }
    let worker = world.worker().await;
    until(async || world.job(&id).await.state == JobState::Done).await;
    worker.stop(Duration::from_secs(5)).await;

    let job = world.job(&id).await;
    let progress = job.progress.expect("has progress");
    assert_eq!((&progress["rows"], &progress["created"], &progress["failed"]), (&json!(6_000), &json!(5_997), &json!(3)));
    assert_eq!(progress["offset"], progress["length"]);
    let numbers = world.numbers().await;
    assert_eq!((numbers.len(), numbers.into_iter().collect::<BTreeSet<_>>().len()), (5_997, 5_997));
    let told = world.app.get(&format!("/api/v1/traces/imports/{id}/failures")).key(&world.tenant.key).send().await.expect(200).text;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert_eq!(told.iter().map(|row| row["row"].as_u64()).collect::<Vec<_>>(), [Some(701), Some(702), Some(6_000)]);
    assert_eq!((&told[0]["problem"]["errors"][0]["pointer"], &told[0]["source"]), (&json!("/number"), &json!("{\"number\":\"none\"}")));

    let events = world.app.parts.store.events(&world.tenant.ctx, 0, 10_000).await.expect("are read");
    let made: Vec<_> = events.iter().filter(|event| event.event_type == "trace.created").collect();
    assert!(made.iter().all(|event| event.actor == job.actor && event.correlation_id == job.request_id), "done by and for its sender");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_can_be_followed_and_called_off() {
    let world = World::new().await;
    let id = world.send(&world.tenant.key, "", numbered(20_000)).await;
    let path = format!("/api/v1/jobs/{id}");
    let mut live = world.app.get(&format!("{path}/stream")).key(&world.tenant.key).follow().await;
    let first: Value = serde_json::from_str(&live.next().await.expect("a message").data).expect("is JSON");
    assert_eq!(first["state"], "queued");
    let worker = world.worker().await;
    until(async || world.rows(&id).await > 0).await;
    let _ = world.app.post(&format!("{path}/cancel")).key(&world.tenant.key).send().await.expect(200);
    let mut last = None;
    while let Some(message) = live.next().await {
        last = Some(message);
    }
    let last = last.expect("is told of its end");
    let told: Value = serde_json::from_str(&last.data).expect("is JSON");
    assert_eq!((last.name.as_str(), &told["state"]), ("finished", &json!("cancelled")), "the stream ends with the job");
    worker.stop(Duration::from_secs(5)).await;
    let created = world.job(&id).await.progress.expect("has progress")["created"].as_u64();
    assert_eq!(created, Some(world.numbers().await.len() as u64), "what is done is counted");
    assert!(created < Some(20_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sent_a_file_follows_its_job_and_nobody_else_without_the_permission_does() {
    let world = World::new().await;
    let (own, other) = (world.app.key(world.tenant.id, &["traces:write"]).await, world.app.key(world.tenant.id, &["traces:write"]).await);
    let id = world.send(&own, "", numbered(1_500)).await;
    let path = format!("/api/v1/jobs/{id}");
    let asked = async |path: &str, key: &str| {
        let answer = world.app.get(path).key(key).send().await;
        (answer.status, if answer.status == 200 { answer.json()["kind"].clone() } else { answer.code().into() })
    };
    assert_eq!(asked(&path, &own).await, (200, json!("import_rows")));
    assert_eq!(asked("/api/v1/jobs/job_00000000000000000000000000", &own).await, (403, json!("permission_denied")));
    let elsewhere = world.app.tenant("elsewhere").await;
    for path in [path.clone(), format!("{path}/stream")] {
        assert_eq!(asked(&path, &other).await, (403, json!("permission_denied")), "{path}");
        assert_eq!(asked(&path, &elsewhere.key).await, (404, json!("not_found")), "{path}");
    }
    assert_eq!(asked(&path, &world.app.key(world.tenant.id, &["jobs:read"]).await).await.0, 200);
    assert_eq!(asked("/api/v1/jobs", &own).await, (403, json!("permission_denied")), "its own, by name");

    let mut live = world.app.get(&format!("{path}/stream")).key(&own).follow().await;
    let worker = world.worker().await;
    let mut last = None;
    while let Some(message) = live.next().await {
        last = Some(message);
    }
    assert_eq!(last.expect("is told of its end").name, "finished");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_done_with_what_its_sender_may_do_at_the_time() {
    let world = World::new().await;
    let made = json!({ "name": "k", "permissions": ["traces:write"] });
    let made = world.app.post("/api/v1/api-keys").key(&world.tenant.key).json(&made).send().await.expect(201).json();
    let id = world.send(made["secret"].as_str().expect("is shown"), "", numbered(1_500)).await;
    let rehearsed = world.send(&world.tenant.key, "?dry_run=true", numbered(1_500)).await;
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    let _ = world.app.delete(&path).key(&world.tenant.key).header("if-match", "*").send().await.expect(204);
    let worker = world.worker().await;
    until(async || world.job(&id).await.state == JobState::Dead && world.job(&rehearsed).await.state == JobState::Done).await;
    worker.stop(Duration::from_secs(5)).await;
    assert!(world.job(&id).await.last_error.expect("says why").starts_with("invalid_credential"));
    assert_eq!(world.job(&rehearsed).await.progress.expect("has progress")["created"], 1_500);
    assert!(world.numbers().await.is_empty(), "neither wrote anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_saga_that_waits_stays() {
    let clock = Clock::manual(Clock::system().now());
    let setup = Setup { kinds: vec![Kind::of::<Trace>()], clock: Some(clock.clone()), resting: true, ..Setup::default() };
    let app = TestApp::start(setup, |parts| resource::<Trace>(&parts.store, Resource::new("traces"))).await;
    let tenant = app.operator().await;
    let world = World { app, tenant };
    let (store, ctx, blob) = (&world.app.parts.store, &world.tenant.ctx, world.app.site.blob());
    let mut files = Vec::new();
    for state in ["running", "undoing", "done"] {
        // A saga that waits for long goes on in another job; the one that its file is named after is done.
        let id = store.mint_id();
        let run = json!({ "saga": "import_tenant", "key": state, "running": state, "state": state });
        let run: SagaRun = serde_json::from_value(run).expect("is one");
        let job = JobDraft::new("run_saga", json!({ "saga": id.wire(SagaRun::PREFIX) }));
        store.commit(ctx, UnitOfWork::new().create(id, &run).enqueue(id, job)).await.expect("begins");
        let claim = Claim { kinds: vec!["run_saga".to_owned()], limit: 1, lease: Duration::from_secs(60) };
        let lease = store.claim(ctx, claim).await.expect("claims").remove(0).lease();
        store.commit(ctx, UnitOfWork::new().complete(lease)).await.expect("ends");
        let bytes = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"a tenant"))]);
        let stored = Stored::of(blob, ctx.tenant(), id, bytes).await.expect("is stored");
        files.push(stored.key().clone());
        stored.keep();
    }
    clock.advance(Duration::from_secs(7_200));
    let id = world.send(&world.tenant.key, "", numbered(1_500)).await;
    let worker = world.worker().await;
    until(async || world.job(&id).await.state == JobState::Done).await;
    worker.stop(Duration::from_secs(5)).await;
    let mut left = Vec::new();
    for file in &files {
        left.push(blob.get(file, None).await.expect("is read").is_some());
    }
    assert_eq!(left, [true, true, false], "only what nobody needs any more is swept");
}
