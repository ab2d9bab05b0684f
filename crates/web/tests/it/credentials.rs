//! Which credentials are taken, and what must agree with them.

use serde_json::json;
use steward_testkit::TestApp;

use crate::sample;

const PASSWORD: &str = "a long enough pass phrase";

async fn session(app: &TestApp) -> String {
    app.owner("acme", "owner@example.org", PASSWORD).await;
    let signed_in = app
        .post("/auth/login")
        .json(&json!({ "email": "owner@example.org", "password": PASSWORD, "tenant": "acme" }))
        .send()
        .await
        .expect(200);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    assert!(cookie.starts_with("steward=sts_"), "{cookie}");
    cookie
}

#[tokio::test]
async fn keys_are_taken_in_three_places() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let basic = |user: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", tenant.key)))
    };
    for (name, value) in [
        ("authorization", format!("Bearer {}", tenant.key)),
        ("authorization", format!("bearer {}", tenant.key)),
        ("x-api-key", tenant.key.clone()),
        ("authorization", basic("")),
        ("authorization", basic("anything")),
    ] {
        let seen = app.get("/odd/seen").header(name, &value).send().await.expect(200).json();
        assert_eq!(seen["tenant"], tenant.id.to_string(), "{name}");
    }
    for value in ["Bearer", "Basic ???", "Digest x", "Bearer stw_nonsense"] {
        let refused = app.get("/odd/seen").header("authorization", value).send().await.expect(401);
        assert_eq!(refused.code(), "invalid_credential", "{value}");
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn writes_with_the_cookie_come_from_own_pages() {
    let app = sample::app().await;
    let cookie = session(&app).await;
    let own = format!("http://{}", app.address);
    let body = json!({ "name": "Lamp" });
    app.get("/odd/seen").header("cookie", &cookie).send().await.expect(200);
    app.get("/odd/seen").header("cookie", &format!("a=b; {cookie}; c=d")).send().await.expect(200);
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let ask = app.post("/api/v1/gadgets").header("cookie", &cookie).json(&body);
        let ask = match origin {
            Some(origin) => ask.header("origin", origin),
            None => ask,
        };
        assert_eq!(ask.send().await.expect(403).code(), "origin_mismatch", "{origin:?}");
    }
    let port = app.address.port();
    for origin in [own, format!("http://localhost:{port}")] {
        app.post("/api/v1/gadgets").header("cookie", &cookie).header("origin", &origin).json(&body).send().await.expect(201);
    }
    let login = json!({ "email": "owner@example.org", "password": PASSWORD });
    let forged = app.post("/auth/login").header("origin", "https://evil.example").json(&login).send().await.expect(403);
    assert_eq!(forged.code(), "origin_mismatch");
}

#[tokio::test]
async fn a_header_beats_the_cookie() {
    let app = sample::app().await;
    let cookie = session(&app).await;
    let other = app.tenant("other").await;
    let seen = app.get("/odd/seen").header("cookie", &cookie).key(&other.key).send().await.expect(200).json();
    assert_eq!(seen["tenant"], other.id.to_string());
}

#[tokio::test]
async fn a_named_tenant_must_agree() {
    let app = sample::app().await;
    let (tenant, other) = (app.tenant("acme").await, app.tenant("other").await);
    app.get("/odd/seen").key(&tenant.key).header("x-tenant-id", &tenant.id.to_string()).send().await.expect(200);
    for named in [other.id.to_string(), "acme".into(), String::new()] {
        let refused = app.get("/odd/seen").key(&tenant.key).header("x-tenant-id", &named).send().await.expect(403);
        assert_eq!(refused.code(), "tenant_mismatch", "{named}");
    }
}
