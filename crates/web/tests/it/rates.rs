//! How many requests anybody gets.

use std::time::Duration;

use serde_json::json;
use steward_base::Clock;
use steward_testkit::{Answer, Setup, TestApp};
use steward_web::Rates;

use crate::sample::{self, Levers};

async fn app(rates: Rates) -> (TestApp, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let trusted_proxies = vec!["127.0.0.1/32".to_owned()];
    let setup = Setup { rates, trusted_proxies, clock: Some(clock.clone()), ..Setup::default() };
    (sample::start(setup, Levers::default()).await, clock)
}

fn limited(answer: &Answer, policy: &str) {
    assert_eq!((answer.status, answer.code()), (429, "rate_limited".to_owned()), "{answer:?}");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(&format!("\"{policy}\""))), "{answer:?}");
    assert!(answer.header("ratelimit").starts_with(&format!("\"{policy}\";r=0;t=")), "{answer:?}");
}

#[tokio::test]
async fn a_caller_has_a_budget_per_class_and_its_tenant_one_for_all_callers() {
    let (app, clock) = app(Rates { read: 3, write: 10, tenant_factor: 2, ..Rates::default() }).await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("other").await);
    let list = async |key: &str| app.get("/api/v1/gadgets").key(key).send().await;
    let first = list(&acme.key).await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"read\";q=3;w=60, \"tenant-read\";q=6;w=60");
    assert_eq!(first.header("ratelimit"), "\"read\";r=2;t=20");
    for _ in 0..2 {
        let _ = list(&acme.key).await.expect(200);
    }
    let refused = list(&acme.key).await;
    limited(&refused, "read");
    assert_eq!(refused.header("retry-after"), "20");
    let write = app.post("/api/v1/gadgets").key(&acme.key).json(&json!({ "name": "x" })).send().await.expect(201);
    assert_eq!(write.header("ratelimit"), "\"write\";r=9;t=6", "another class has a budget of its own");
    let colleague = app.key(acme.id, &["gadgets:read"]).await;
    for _ in 0..3 {
        let _ = list(&colleague).await.expect(200);
    }
    let third = app.key(acme.id, &["gadgets:read"]).await;
    limited(&list(&third).await, "tenant-read");
    let _ = list(&other.key).await.expect(200);
    clock.advance(Duration::from_secs(20));
    let _ = list(&acme.key).await.expect(200);
    limited(&list(&acme.key).await, "read");
}

#[tokio::test]
async fn strangers_are_counted_by_address() {
    let (app, clock) = app(Rates { read: 2, credential: 2, refused: 2, ..Rates::default() }).await;
    let tenant = app.tenant("acme").await;
    let login = async |ip: &str| {
        let body = json!({ "email": "nobody@example.com", "password": "wrong horse battery" });
        app.post("/auth/login").header("x-forwarded-for", ip).json(&body).send().await
    };
    for _ in 0..2 {
        let _ = login("192.0.2.1").await.expect(401);
    }
    limited(&login("192.0.2.1").await, "address-credential");
    let _ = login("192.0.2.2").await.expect(401);
    let _ = login("2001:db8::1").await.expect(401);
    let _ = login("2001:db8::2").await.expect(401);
    limited(&login("2001:db8::3").await, "address-credential");

    let guess = async |key: &str| app.get("/api/v1/gadgets").header("x-forwarded-for", "192.0.2.9").key(key).send().await;
    for _ in 0..2 {
        let _ = guess("stw_0000").await.expect(401);
    }
    limited(&guess("stw_0000").await, "refused-credentials");
    let _ = guess(&tenant.key).await.expect(200);
    clock.advance(Duration::from_secs(30));
    let _ = guess("stw_0000").await.expect(401);
    for _ in 0..10 {
        let health = app.get("/livez").header("x-forwarded-for", "192.0.2.1").send().await.expect(200);
        assert_eq!(health.header("ratelimit"), "", "what watches the server is not counted");
    }
}
