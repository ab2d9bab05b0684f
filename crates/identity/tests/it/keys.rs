//! API keys: shown once, and never stronger than who made them.

use std::time::Duration;

use serde_json::json;

use crate::app;

#[tokio::test]
async fn a_key_is_shown_once_and_ends_with_its_record() {
    let app = app().await;
    let tenant = app.tenant("acme").await;
    let made = app.post("/api/v1/api-keys").key(&tenant.key).json(&json!({ "name": "ci", "permissions": ["api-keys:read"] })).send().await;
    let made = made.expect(201).json();
    let secret = made["secret"].as_str().expect("the secret").to_owned();
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    let shown = app.get(&path).key(&secret).send().await.expect(200).json();
    assert!(shown.get("secret").is_none() && shown.get("digest").is_none(), "{shown}");
    let _ = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    assert_eq!(app.get(&path).key(&secret).send().await.expect(401).code(), "invalid_credential");
}

#[tokio::test]
async fn a_key_cannot_make_a_stronger_or_a_longer_lived_one() {
    let app = app().await;
    let tenant = app.tenant("acme").await;
    let tomorrow = app.parts.clock.now().plus(Duration::from_secs(86_400)).to_string();
    let new = json!({ "name": "short", "permissions": ["api-keys:write", "api-keys:read"], "expires_at": tomorrow });
    let made = app.post("/api/v1/api-keys").key(&tenant.key).json(&new).send().await.expect(201).json();
    let key = made["secret"].as_str().expect("the secret");
    let make = async |body: serde_json::Value| app.post("/api/v1/api-keys").key(key).json(&body).send().await;
    let stronger = make(json!({ "name": "x", "permissions": ["devices:read"], "expires_at": tomorrow })).await;
    assert_eq!(stronger.expect(403).code(), "permission_denied");
    let immortal = make(json!({ "name": "x", "permissions": ["api-keys:read"] })).await.expect(422);
    assert_eq!(immortal.fields(), [("/expires_at".to_owned(), "outlives_maker".to_owned())]);
    let _ = make(json!({ "name": "x", "permissions": ["api-keys:read"], "expires_at": tomorrow })).await.expect(201);
    let operators = json!({ "name": "x", "permissions": ["tenants:read"] });
    assert_eq!(app.post("/api/v1/api-keys").key(&tenant.key).json(&operators).send().await.expect(403).code(), "permission_denied");
}
