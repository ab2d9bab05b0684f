//! What must be true of every operation, asked of those of jobs.

use steward_store::{JobDraft, UnitOfWork};
use steward_testkit::{Setup, TestApp, conformance, repeats};
use steward_web::Spec;
use steward_work::{Failure, JobHandler, Options, Running, Schedule, Work, begin};

use crate::support::{Handle, Number, until};

fn setup() -> Setup {
    Setup::default()
}

#[tokio::test]
async fn every_operation_keeps_the_rules() {
    let app = TestApp::start(setup(), |parts| Work::new(parts.store.clone(), Options::default()).operations()).await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("umbrella").await);
    let store = &app.parts.store;
    let unit = UnitOfWork::new().enqueue(store.mint_id(), JobDraft::new("work", serde_json::json!({})));
    let job = store.commit(&acme.ctx, unit).await.expect("queues").jobs.remove(0);
    let (saga, schedule) = (store.mint_id(), store.mint_id());
    let body = serde_json::json!({ "name": "Hourly", "cron": "0 * * * *", "job": "work" });
    let unit = begin(UnitOfWork::new(), saga, "nothing", "one", serde_json::json!({}));
    let unit = unit.create(schedule, &serde_json::from_value::<Schedule>(body).expect("is one"));
    store.commit(&acme.ctx, unit).await.expect("commits");
    let ids = [
        ("/jobs/{id}", job.id.wire("job")),
        ("/imports/{id}", job.id.wire("job")),
        ("/sagas/{id}", saga.wire("sag")),
        ("/schedules/{id}", schedule.wire("sch")),
    ];
    let existing = |spec: &Spec| {
        let (_, id) = ids.iter().find(|(path, _)| spec.path.contains(path))?;
        Some(spec.path.replace("{id}", id))
    };
    let mut findings = conformance::no_credential(&app).await;
    findings.extend(conformance::missing_permission(&app, &acme).await);
    findings.extend(conformance::tenant_mismatch(&app, &acme, &other).await);
    findings.extend(conformance::other_tenants_records(&app, &other, &existing).await);
    findings.extend(conformance::unknown_input(&app, &acme, &existing).await);
    findings.extend(conformance::preconditions(&app, &acme, &existing).await);
    findings.retain(|finding| ["jobs.", "sagas.", "schedules.", "consumers."].iter().any(|own| finding.contains(own)));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test]
async fn a_job_is_seen_called_off_and_queued_again() {
    let app = TestApp::start(setup(), |parts| Work::new(parts.store.clone(), Options::default()).operations()).await;
    let acme = app.tenant("acme").await;
    let store = &app.parts.store;
    let unit = (0..3)
        .fold(UnitOfWork::new(), |unit, _| unit.enqueue(store.mint_id(), JobDraft::new("work", serde_json::json!({ "pin": "1234" }))));
    // Ids of one millisecond are in no order of their own.
    let mut ids: Vec<String> = store.commit(&acme.ctx, unit).await.expect("queues").jobs.iter().map(|job| job.id.wire("job")).collect();
    ids.sort_unstable();
    let get = async |path: &str| app.get(path).key(&acme.key).send().await.expect(200).json();
    let page = get("/api/v1/jobs?limit=2&state=queued").await;
    assert_eq!((page["data"][0]["id"].as_str(), page["has_more"].as_bool()), (Some(ids[2].as_str()), Some(true)));
    let cursor = page["next_cursor"].as_str().expect("has a next page");
    let rest = get(&format!("/api/v1/jobs?limit=2&state=queued&cursor={cursor}")).await;
    assert_eq!((rest["data"][0]["id"].as_str(), rest["has_more"].as_bool()), (Some(ids[0].as_str()), Some(false)));
    app.get(&format!("/api/v1/jobs?limit=2&cursor={cursor}")).key(&acme.key).send().await.expect(400);
    assert!(!page.to_string().contains("1234"), "payloads stay inside");

    let post = async |id: &str, verb: &str| app.post(&format!("/api/v1/jobs/{id}/{verb}")).key(&acme.key).send().await;
    let refused = post(&ids[0], "redrive").await.expect(409);
    assert_eq!(refused.json()["code"], "job_not_finished");
    assert_eq!(post(&ids[0], "cancel").await.expect(200).json()["state"], "cancelled");
    assert_eq!(get(&format!("/api/v1/jobs/{}", ids[0])).await["state"], "cancelled");
    assert_eq!(post(&ids[0], "redrive").await.expect(200).json()["state"], "queued");
}

#[tokio::test]
async fn a_schedule_is_refused_with_what_is_wrong_about_it() {
    let app = TestApp::start(setup(), |parts| {
        let idle = |_: Running, _: Number| std::future::ready(Ok(UnitOfWork::new()));
        Work::new(parts.store.clone(), Options::default()).with(Nightly).with(Handle(idle)).operations()
    })
    .await;
    let acme = app.tenant("acme").await;
    let scheduler = app.key(acme.id, &["schedules:write"]).await;
    let post = async |key: &str, change: serde_json::Value| {
        let mut body = serde_json::json!({ "name": "Nightly", "cron": "30 2 * * *", "job": "nightly" });
        body.as_object_mut().expect("an object").extend(change.as_object().cloned().expect("an object"));
        app.post("/api/v1/schedules").key(key).json(&body).send().await
    };
    for (change, code) in [
        (serde_json::json!({ "cron": "every day" }), "cron_invalid"),
        (serde_json::json!({ "time_zone": "Berlin" }), "time_zone_unknown"),
        (serde_json::json!({ "job": "work" }), "job_unknown"),
    ] {
        assert_eq!(post(&acme.key, change).await.expect(422).json()["errors"][0]["code"], code);
    }
    let refused = post(&scheduler, serde_json::json!({})).await.expect(403);
    assert_eq!(refused.json()["code"], "permission_denied", "whoever schedules a job must be allowed to start it");
    let made = post(&acme.key, serde_json::json!({})).await.expect(201).json();
    assert_eq!((made["time_zone"].as_str(), made["misfire"].as_str(), made["enabled"].as_bool()), (Some("UTC"), Some("once"), Some(true)));
    // The app's worker follows events too: it gets to the end.
    until(async || {
        let lags = app.get("/api/v1/consumers").key(&acme.key).send().await.expect(200).json();
        let lag = &lags["data"][0];
        assert_eq!(lag["name"], "schedules");
        lag["position"].as_i64().is_some_and(|position| position > 0) && lag["lag_events"] == 0
    })
    .await;
}

/// A job that people may schedule.
pub(crate) struct Nightly;

impl JobHandler for Nightly {
    const KIND: &'static str = "nightly";
    const SCHEDULED_WITH: Option<&'static str> = Some("nights:execute");
    type Payload = serde_json::Value;

    async fn run(&self, _: Running, _: serde_json::Value) -> Result<UnitOfWork, Failure> {
        Ok(UnitOfWork::new())
    }
}

#[tokio::test]
async fn what_is_repeated_under_a_key_happens_once() {
    let app = TestApp::start(setup(), |parts| Work::new(parts.store.clone(), Options::default()).operations()).await;
    let acme = app.tenant("acme").await;
    let store = &app.parts.store;
    let queue = |unit: UnitOfWork| unit.enqueue(store.mint_id(), JobDraft::new("work", serde_json::json!({})));
    let jobs = store.commit(&acme.ctx, queue(queue(UnitOfWork::new()))).await.expect("queues").jobs;
    store.commit(&acme.ctx, UnitOfWork::new().cancel(jobs[1].id)).await.expect("calls off");
    let succeeding = |spec: &Spec| {
        let at = ["jobs.cancel", "jobs.redrive"].iter().position(|id| *id == spec.id)?;
        Some((spec.path.replace("{id}", &jobs[at].id.wire("job")), serde_json::Value::Null))
    };
    let (findings, asked) = repeats(&app, &acme, &succeeding).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(asked, 2);
}
