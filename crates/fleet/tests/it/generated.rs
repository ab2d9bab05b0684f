//! What must be true of every operation, asked of those of the fleet.

use std::collections::HashMap;

use serde_json::json;
use steward_testkit::{conformance, repeats};
use steward_web::Spec;

use crate::world::World;

#[tokio::test]
async fn every_operation_keeps_the_rules() {
    let world = World::new().await;
    let other = world.app.tenant("umbrella").await;
    let device = world.enrolled("m-1").await;
    let mut ids = HashMap::from([("devices", device.id.clone())]);
    let text = |value: &serde_json::Value| value["id"].as_str().expect("an id").to_owned();
    ids.insert("organizations", text(&world.create("organizations", &json!({ "name": "Globex" })).await));
    let project = text(&world.create("projects", &json!({ "name": "Shop" })).await);
    ids.insert("services", text(&world.create("services", &json!({ "project_id": project, "name": "payment" })).await));
    ids.insert("projects", project);
    ids.insert("enrollment-tokens", text(&world.create("enrollment-tokens", &json!({ "name": "any" })).await));
    ids.insert("tenants", world.tenant.id.to_string());
    let key = world.app.post("/api/v1/api-keys").key(&world.tenant.key).json(&json!({ "name": "k", "permissions": ["devices:read"] }));
    ids.insert("api-keys", text(&key.send().await.expect(201).json()));
    let existing = |spec: &Spec| {
        if !spec.path.contains('{') {
            return None;
        }
        let plural = spec.path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
        plural
            .and_then(|plural| ids.get(plural))
            .map(|id| spec.path.replace("{id}", id))
            .or_else(|| Some(spec.path.replace("{slug}", "acme")))
    };
    // The token endpoint answers in OAuth's own form, which tests of its own look at.
    let mut findings = conformance::no_credential(&world.app).await;
    findings.extend(conformance::missing_permission(&world.app, &world.tenant).await);
    findings.extend(conformance::tenant_mismatch(&world.app, &world.tenant, &other).await);
    findings.extend(conformance::other_tenants_records(&world.app, &other, &existing).await);
    findings.extend(conformance::preconditions(&world.app, &world.tenant, &existing).await);
    let own = ["/organizations", "/projects", "/services", "/devices", "/enrollment-tokens", "/agent/"];
    findings.retain(|finding| own.iter().any(|path| finding.contains(path)));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test]
async fn what_is_repeated_under_a_key_happens_once() {
    let world = World::new().await;
    let project = world.create("projects", &json!({ "name": "Shop" })).await["id"].clone();
    let succeeding = |spec: &Spec| {
        let body = match spec.id {
            "organizations.create" | "projects.create" | "enrollment-tokens.create" => json!({ "name": "x" }),
            "services.create" => json!({ "name": "x", "project_id": project }),
            "sample.create" => json!({}),
            _ => return None,
        };
        Some((spec.path.clone(), body))
    };
    let (findings, asked) = repeats(&world.app, &world.tenant, &succeeding).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(asked, 5);
}
