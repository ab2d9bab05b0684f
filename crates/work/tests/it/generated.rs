//! What must be true of every operation, asked of those of jobs.

use steward_store::{JobDraft, UnitOfWork};
use steward_testkit::{Setup, TestApp, conformance};
use steward_web::Spec;

#[tokio::test]
async fn every_operation_keeps_the_rules() {
    let app = TestApp::start(Setup::default(), |parts| steward_work::operations(&parts.store)).await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("umbrella").await);
    let store = &app.parts.store;
    let unit = UnitOfWork::new().enqueue(store.mint_id(), JobDraft::new("work", serde_json::json!({})));
    let job = store.commit(&acme.ctx, unit).await.expect("queues").jobs.remove(0);
    let existing = |spec: &Spec| spec.path.contains("/jobs/{id}").then(|| spec.path.replace("{id}", &job.id.wire("job")));
    let mut findings = conformance::no_credential(&app).await;
    findings.extend(conformance::missing_permission(&app, &acme).await);
    findings.extend(conformance::tenant_mismatch(&app, &acme, &other).await);
    findings.extend(conformance::other_tenants_records(&app, &other, &existing).await);
    findings.retain(|finding| finding.contains("/jobs"));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test]
async fn a_job_is_seen_called_off_and_queued_again() {
    let app = TestApp::start(Setup::default(), |parts| steward_work::operations(&parts.store)).await;
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
