//! Requests that are repeated under a key, whatever became of the first.

use std::sync::Arc;

use serde_json::{Value, json};
use steward_base::{Attempt, AttemptKey};
use steward_store::Kind;
use steward_testkit::{Answer, Setup, TestApp, TestTenant};

use crate::sample::{self, Gadget, Levers};

async fn create(app: &TestApp, credential: &str, key: &str, body: &Value) -> Answer {
    app.post("/api/v1/gadgets").key(credential).header("idempotency-key", key).json(body).send().await
}

async fn count(app: &TestApp, tenant: &TestTenant) -> u64 {
    app.parts.store.count(&tenant.ctx, "gadget", None).await.expect("counts")
}

fn codes(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_also_from_the_next_process() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let lamp = json!({ "name": "Lamp" });
    let first = create(&app, &tenant.key, "k-1", &lamp).await.expect(201);
    // The standard writes keys as quoted strings; it is the same key.
    let second = create(&app, &tenant.key, "\"k-1\"", &lamp).await.expect(201);
    assert_eq!((&first.text, second.header("idempotency-replayed")), (&second.text, "true"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"), "each request has its own id");
    let _ = create(&app, &tenant.key, "k-2", &lamp).await.expect(201);
    let colleague = app.key(tenant.id, &["gadgets:write"]).await;
    assert_eq!(create(&app, &colleague, "k-1", &lamp).await.expect(201).header("idempotency-replayed"), "", "keys are a caller's own");
    assert_eq!(count(&app, &tenant).await, 3);

    let setup = Setup { kinds: vec![Kind::of::<Gadget>()], ..Setup::default() };
    let app = app.restart(setup, |parts| sample::operations(parts, Levers::default())).await;
    let third = create(&app, &tenant.key, "k-1", &lamp).await.expect(201);
    assert_eq!((first.text, first.headers.get("etag")), (third.text, third.headers.get("etag")));
    assert_eq!(count(&app, &tenant).await, 3);
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let refused = create(&app, &tenant.key, "k", &json!({ "size": 1 })).await;
    assert_eq!(codes(&refused), (422, "invalid".to_owned()));
    let _ = create(&app, &tenant.key, "k", &json!({ "name": "Lamp" })).await.expect(201);
    let other = create(&app, &tenant.key, "k", &json!({ "name": "Chair" })).await;
    assert_eq!(codes(&other), (422, "idempotency_key_reused".to_owned()));
    assert_eq!(count(&app, &tenant).await, 1, "what is refused is not remembered, and what is remembered is not done again");
    for key in ["", "a b", &"x".repeat(256)] {
        let refused = create(&app, &tenant.key, key, &json!({ "name": "Lamp" })).await;
        assert_eq!(codes(&refused), (400, "malformed_idempotency_key".to_owned()), "{key:?}");
    }
    let stranger = app.post("/odd/numbers").header("idempotency-key", "k").json(&json!({ "whole": 1, "small": 1 })).send().await;
    assert_eq!(codes(&stranger), (400, "idempotency_key_unsupported".to_owned()));
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_not_done_again() {
    let levers = Levers::default();
    let app = Arc::new(sample::start(Setup::default(), levers.clone()).await);
    let tenant = app.tenant("acme").await;
    let ask = |app: &TestApp| app.post("/odd/half").key(&tenant.key).header("idempotency-key", "k");
    let first = tokio::spawn(ask(&app).send());
    levers.begun.notified().await;
    let meanwhile = ask(&app).send().await;
    assert_eq!(codes(&meanwhile), (409, "idempotency_in_flight".to_owned()));
    assert_eq!(meanwhile.header("retry-after"), "1");
    levers.go.notify_one();
    assert_eq!(first.await.expect("ends").status, 500);
    let after = ask(&app).send().await;
    assert_eq!(codes(&after), (409, "idempotency_answer_lost".to_owned()));
    let written = after.json()["errors"][0].clone();
    assert_eq!(written["code"], "written_before");
    let read = app.get(&format!("/api/v1/gadgets/{}", written["detail"].as_str().expect("an id"))).key(&tenant.key).send().await;
    assert_eq!(read.expect(200).json()["name"], "half");
    assert_eq!(count(&app, &tenant).await, 1);
}

#[tokio::test]
async fn a_secret_comes_again_and_is_kept_sealed() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let ask = || {
        let asked = app.post("/api/v1/api-keys").key(&tenant.key).header("idempotency-key", "k");
        asked.json(&json!({ "name": "n", "permissions": ["gadgets:read"] })).send()
    };
    let first = ask().await.expect(201).json();
    assert_eq!(ask().await.expect(201).json(), first);
    let secret = first["secret"].as_str().expect("is shown");
    let principal = first["created_by"].as_str().expect("names its maker");
    let key = AttemptKey { principal: principal.into(), operation: "api-keys.create".into(), key: "k".into() };
    let attempt = Attempt { tenant: tenant.id, key, request: [0; 32], formerly: Vec::new(), nonce: [0; 16], until: app.parts.clock.now() };
    let ctx = tenant.ctx.clone().attempting(Some(Arc::new(attempt)));
    let remembered = app.parts.store.remembered(&ctx).await.expect("reads").expect("is remembered");
    let sent = json!({ "name": "n", "permissions": ["gadgets:read"] }).to_string();
    let parts = ["/api/v1/api-keys", "", &sent].map(|part| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat());
    let guessed = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &parts.concat());
    assert_ne!(&remembered.request[..], guessed.as_ref(), "what was asked for cannot be guessed from what is kept");
    let (status, kept) = remembered.answer.expect("is answered");
    let kept = String::from_utf8(kept.expect("is kept")).expect("is text");
    assert_eq!(status, 201);
    assert!(!kept.contains(secret) && !kept.contains("gadgets:read"), "{kept}");
}
