//! API keys: shown once, and never stronger than who made them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Ctx, Effect, Grant, Parts, Principal, filter};
use steward_identity::NewApiKey;
use steward_store::{Kind, Model};
use steward_testkit::{Setup, TestApp};

use crate::app;

/// Something that belongs to an organization.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Thing {
    organization_id: Option<String>,
}

impl Model for Thing {
    const KIND: &'static str = "thing";
    const PREFIX: &'static str = "thi";
}

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
async fn a_scope_is_read_when_the_key_is_made_and_keeps_the_key_from_what_is_not_scoped() {
    let kinds = vec![Kind::of::<Thing>()];
    let app = TestApp::start(Setup { kinds, ..Setup::default() }, |_| Vec::new()).await;
    let tenant = app.tenant("acme").await;
    let make = async |key: &str, scope: &str| {
        let body = json!({ "name": "reports", "permissions": ["api-keys:write", "api-keys:read"], "scope": scope });
        app.post("/api/v1/api-keys").key(key).json(&body).send().await
    };
    for (scope, code) in [
        ("organization_id =", "filter_syntax"),
        ("organization_id = org_1 OR project_id = prj_1", "filter_field"),
        ("name = reports", "filter_field"),
        ("word", "filter_field"),
        ("  ", "required"),
    ] {
        let refused = make(&tenant.key, scope).await.expect(422);
        assert_eq!(refused.fields(), [("/scope".to_owned(), code.to_owned())], "{scope}");
    }
    let made = make(&tenant.key, "  organization_id=org_1 ").await.expect(201).json();
    assert_eq!(made["scope"], "organization_id = org_1", "as it was read");
    let scoped = made["secret"].as_str().expect("the secret");
    let refused = make(scoped, "organization_id = org_1").await.expect(403);
    assert_eq!(refused.code(), "scope_not_supported", "the operation does not look at scopes");
    assert_eq!(app.get("/api/v1/api-keys").key(scoped).send().await.expect(403).code(), "permission_denied", "keys have no organization");
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

#[tokio::test]
async fn a_key_makes_none_that_may_do_more_or_do_it_elsewhere() {
    let app = TestApp::start(Setup { kinds: vec![Kind::of::<Thing>()], ..Setup::default() }, |_| Vec::new()).await;
    let tenant = app.tenant("acme").await;
    let make = async |key: &str, body: serde_json::Value| {
        let answer = app.post("/api/v1/api-keys").key(key).json(&body).send().await;
        (answer.status, if answer.status == 201 { String::new() } else { answer.code() })
    };
    let (done, refused) = ((201, String::new()), (403, "permission_denied".to_owned()));
    let maker = app.key(tenant.id, &["api-keys:write", "organizations:read"]).await;
    for (permissions, wanted) in [
        (&["organizations:read"][..], &done),
        (&["organizations:write"], &refused),
        (&["organizations:*"], &refused),
        (&["*:read"], &refused),
        (&["admin:*"], &refused),
        (&["organizations:read", "devices:read"], &refused),
    ] {
        assert_eq!(make(&maker, json!({ "name": "child", "permissions": permissions })).await, *wanted, "{permissions:?}");
    }
    // What holds in a part of the tenant is not passed on: not everywhere, not elsewhere, and not there either.
    let here = app.scoped_key(tenant.id, &["admin:*"], "organization_id = org_1").await;
    for scope in [json!(null), json!("organization_id = org_2"), json!("organization_id = org_1")] {
        let mut body = json!({ "name": "child", "permissions": ["organizations:read"] });
        if !scope.is_null() {
            body["scope"] = scope.clone();
        }
        assert_eq!(make(&here, body).await, (403, "scope_not_supported".to_owned()), "{scope}");
    }
    let scope = filter::parse("organization_id = org_1").expect("is a filter");
    let allow = |permission: &str, scope| Grant { effect: Effect::Allow, permission: permission.parse().expect("is one"), scope };
    let grants = [allow("api-keys:write", None), allow("devices:read", Some(scope))];
    let partly = Ctx::mint(Parts {
        principal: Principal::Person { id: tenant.id.record(), session: tenant.id.record() },
        tenant: tenant.id,
        grants: grants.into(),
        reason: "test".into(),
        origin: None,
        trace_id: None,
        request_id: None,
    });
    for scope in [None, Some("organization_id = org_1".to_owned())] {
        let new = NewApiKey { name: "child".into(), permissions: vec!["devices:read".into()], scope, expires_at: None };
        assert_eq!(app.parts.identity.create_api_key(&partly, new).await.expect_err("is refused").code(), "permission_denied");
    }
}
