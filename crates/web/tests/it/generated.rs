//! What must be true of every operation in the table.

use serde_json::json;
use steward_testkit::{TestApp, TestTenant, conformance, repeats};
use steward_web::Spec;

use crate::sample;

/// A record of every kind that has operations on one record, by collection.
async fn records(app: &TestApp, tenant: &TestTenant) -> Vec<(&'static str, String)> {
    let gadget = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "Lamp" })).send().await.expect(201).json();
    let key = json!({ "name": "k", "permissions": ["gadgets:read"] });
    let key = app.post("/api/v1/api-keys").key(&tenant.key).json(&key).send().await.expect(201).json();
    let text = |value: &serde_json::Value| value["id"].as_str().expect("has an id").to_owned();
    let member = app.member(tenant.id).await;
    vec![("gadgets", text(&gadget)), ("api-keys", text(&key)), ("tenants", tenant.id.to_string()), ("members", member)]
}

fn path(records: &[(&str, String)], spec: &Spec) -> Option<String> {
    if let Some(collection) = spec.path.strip_suffix("/imports/{id}/failures") {
        return Some(format!("{collection}/imports/job_00000000000000000000000000/failures"));
    }
    let (collection, rest) = spec.path.strip_prefix("/api/v1/")?.split_once("/{id}")?;
    let (_, id) = records.iter().find(|(name, _)| *name == collection)?;
    Some(format!("/api/v1/{collection}/{id}{rest}"))
}

fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[tokio::test]
async fn strangers_and_the_unentitled_are_refused() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    assert_none(&conformance::no_credential(&app).await);
    assert_none(&conformance::missing_permission(&app, &tenant).await);
}

#[tokio::test]
async fn tenants_are_apart() {
    let app = sample::app().await;
    let (tenant, other) = (app.tenant("acme").await, app.tenant("other").await);
    let records = records(&app, &tenant).await;
    assert_none(&conformance::tenant_mismatch(&app, &tenant, &other).await);
    assert_none(&conformance::other_tenants_records(&app, &other, &|spec| path(&records, spec)).await);
}

#[tokio::test]
async fn input_is_strict_everywhere() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let records = records(&app, &tenant).await;
    let existing = |spec: &Spec| path(&records, spec);
    assert_none(&conformance::unknown_input(&app, &tenant, &existing).await);
    assert_none(&conformance::unreadable_bodies(&app, &tenant, &existing).await);
    assert_none(&conformance::wrong_methods(&app).await);
}

#[tokio::test]
async fn changes_name_the_version_they_change() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let records = records(&app, &tenant).await;
    assert_none(&conformance::preconditions(&app, &tenant, &|spec| path(&records, spec)).await);
}

#[tokio::test]
async fn what_is_repeated_under_a_key_happens_once() {
    let app = sample::app().await;
    let operator = app.operator().await;
    let gadget = app.post("/api/v1/gadgets").key(&operator.key).json(&json!({ "name": "Gone" })).send().await.expect(201).json();
    let deleted = format!("/api/v1/gadgets/{}", gadget["id"].as_str().expect("an id"));
    let _ = app.delete(&deleted).key(&operator.key).header("if-match", "*").send().await.expect(204);
    let succeeding = |spec: &Spec| {
        let body = match spec.id {
            "gadgets.create" => json!({ "name": "Lamp" }),
            "gadgets.batch" => json!({ "items": [{ "op": "create", "body": { "name": "Chair" } }, { "op": "create", "body": {} }] }),
            "gadgets.import" => json!({ "name": "Table" }),
            "api-keys.create" => json!({ "name": "k", "permissions": ["gadgets:read"] }),
            "tenants.create" => json!({ "name": "Acme", "slug": "acme" }),
            "gadgets.restore" => return Some((format!("{deleted}/restore"), json!({}))),
            _ => return None,
        };
        Some((spec.path.clone(), body))
    };
    let (findings, asked) = repeats(&app, &operator, &succeeding).await;
    assert_none(&findings);
    assert_eq!(asked, 6);
}
