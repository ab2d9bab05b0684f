//! Sign-in, the session, and its end.

use serde_json::json;

use crate::{EMAIL, PASSWORD, app};

#[tokio::test]
async fn a_session_says_who_and_where_and_ends() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let signed_in = app.post("/auth/login").json(&json!({ "email": "OWNER@example.com", "password": PASSWORD })).send().await.expect(200);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    assert!(signed_in.header("set-cookie").contains("HttpOnly; SameSite=Lax"));
    assert_eq!(signed_in.json()["tenant"]["slug"], "acme");
    let session = app.get("/auth/session").header("cookie", &cookie).send().await.expect(200).json();
    assert_eq!((&session["person"]["email"], &session["permissions"]["allow"][0]), (&json!(EMAIL), &json!("admin:*")));

    let foreign = app.post("/auth/logout").header("cookie", &cookie).header("origin", "https://evil.example").send().await;
    assert_eq!(foreign.expect(403).code(), "origin_mismatch");
    let _ = app.post("/auth/logout").header("cookie", &cookie).header("origin", &app.url("")).send().await.expect(204);
    assert_eq!(app.get("/auth/session").header("cookie", &cookie).send().await.expect(401).code(), "invalid_credential");
}

#[tokio::test]
async fn a_wrong_address_password_or_tenant_look_the_same() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let _ = app.tenant("other").await;
    for login in [
        json!({ "email": "nobody@example.com", "password": PASSWORD }),
        json!({ "email": EMAIL, "password": "not the pass phrase" }),
        json!({ "email": EMAIL, "password": PASSWORD, "tenant": "other" }),
        json!({ "email": EMAIL, "password": PASSWORD, "tenant": "nowhere" }),
    ] {
        assert_eq!(app.post("/auth/login").json(&login).send().await.expect(401).code(), "invalid_credentials", "{login}");
    }
}

#[tokio::test]
async fn guessing_gets_slower() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let wrong = json!({ "email": EMAIL, "password": "not the pass phrase" });
    for _ in 0..6 {
        let _ = app.post("/auth/login").json(&wrong).send().await.expect(401);
    }
    let slowed = app.post("/auth/login").json(&wrong).send().await.expect(429);
    assert_eq!(slowed.code(), "too_many_attempts");
    assert!(slowed.header("retry-after").parse::<u32>().is_ok());
}

#[tokio::test]
async fn a_key_has_no_session() {
    let app = app().await;
    let tenant = app.tenant("acme").await;
    assert_eq!(app.get("/auth/session").key(&tenant.key).send().await.expect(403).code(), "no_session");
}
