//! A credential that was verified is used again, and never longer than it is good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_auth::system;
use steward_base::{Clock, TenantId};
use steward_fabric::cache::Counters;
use steward_identity::{Tenant, TenantStatus};
use steward_store::{Kind, MAX_SKIMMED, Model, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};

use crate::{EMAIL, PASSWORD, app};

const KEYS: &str = "/api/v1/api-keys";

/// Something that no credential is read from.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Thing {
    name: String,
}

impl Model for Thing {
    const KIND: &'static str = "thing";
    const PREFIX: &'static str = "thi";
}

fn counters(app: &TestApp) -> Counters {
    app.parts.cache.counters().into_iter().find(|counters| counters.class.name() == "credentials").expect("is counted")
}

async fn things(app: &TestApp, tenant: &TestTenant, many: usize) {
    let store = &app.parts.store;
    let unit = (0..many).fold(UnitOfWork::new(), |unit, _| unit.create(store.mint_id(), &Thing { name: "Lamp".to_owned() }));
    store.commit(&tenant.ctx, unit).await.expect("is committed");
}

/// Makes a key; answers its path and its secret.
async fn key(app: &TestApp, tenant: &TestTenant) -> (String, String) {
    let body = json!({ "name": "ci", "permissions": ["api-keys:read"] });
    let made = app.post(KEYS).key(&tenant.key).json(&body).send().await.expect(201).json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (format!("{KEYS}/{}", text("id")), text("secret"))
}

async fn end(app: &TestApp, tenant: &TestTenant, path: &str) {
    let _ = app.delete(path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
}

#[tokio::test]
async fn a_key_is_verified_once_until_something_it_was_read_from_changes() {
    let app = TestApp::start(Setup { kinds: vec![Kind::of::<Thing>()], ..Setup::default() }, |_| Vec::new()).await;
    let tenant = app.tenant("acme").await;
    let (_, secret) = key(&app, &tenant).await;
    let ask = async || app.get(KEYS).key(&secret).send().await.expect(200);
    let _ = ask().await;
    let before = counters(&app);
    assert!(before.bytes > 0);
    for _ in 0..20 {
        things(&app, &tenant, 1).await;
        let _ = ask().await;
    }
    let after = counters(&app);
    assert_eq!((after.loads, after.hits), (before.loads, before.hits + 20), "what is about other records changes nothing");

    // More than is worth looking through.
    things(&app, &tenant, MAX_SKIMMED + 1).await;
    let _ = ask().await;
    assert_eq!(counters(&app).loads, before.loads + 1);
    let _ = key(&app, &tenant).await;
    let loads = counters(&app).loads;
    let _ = ask().await;
    assert_eq!(counters(&app).loads, loads + 1, "a key changed");
    // What another tenant does is none of its business.
    let other = app.tenant("other").await;
    let _ = ask().await;
    let _ = key(&app, &other).await;
    let loads = counters(&app).loads;
    let _ = ask().await;
    assert_eq!(counters(&app).loads, loads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_ended_is_refused_in_the_next_request_whoever_is_using_it() {
    let app = Arc::new(TestApp::start(Setup { kinds: vec![Kind::of::<Thing>()], ..Setup::default() }, |_| Vec::new()).await);
    let tenant = app.tenant("acme").await;
    for _ in 0..20 {
        let (path, secret) = key(&app, &tenant).await;
        let ended = Arc::new(AtomicBool::new(false));
        let mut users = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (app, secret, ended) = (app.clone(), secret.clone(), ended.clone());
            users.spawn(async move {
                loop {
                    let late = ended.load(Ordering::SeqCst);
                    let answer = app.get(KEYS).key(&secret).send().await;
                    if late {
                        assert_eq!(answer.expect(401).code(), "invalid_credential");
                        return;
                    }
                    assert!(matches!(answer.status, 200 | 401), "{}", answer.text);
                }
            });
        }
        things(&app, &tenant, 3).await;
        end(&app, &tenant, &path).await;
        ended.store(true, Ordering::SeqCst);
        while let Some(done) = users.join_next().await {
            done.expect("no answer was wrong");
        }
    }
}

#[tokio::test]
async fn a_session_follows_the_roles_of_its_member_and_its_tenant() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let login = json!({ "email": EMAIL, "password": PASSWORD, "tenant": "acme" });
    let signed_in = app.post("/auth/login").json(&login).send().await.expect(200);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let tenant: TenantId = signed_in.json()["tenant"]["id"].as_str().expect("an id").parse().expect("a tenant's id");
    let ask = async || app.get(KEYS).header("cookie", &cookie).send().await;
    let _ = ask().await.expect(200);
    let _ = ask().await.expect(200);

    app.set_roles(tenant, &["user"]).await;
    assert_eq!(ask().await.expect(403).code(), "permission_denied");
    app.set_roles(tenant, &["admin"]).await;
    let _ = ask().await.expect(200);

    let set = async |status: TenantStatus| {
        let change = |tenant: &mut Tenant| {
            tenant.status = status;
            Ok(())
        };
        let control = system(TenantId::OPERATOR, "test");
        app.parts.store.update::<Tenant>(&control, tenant.record(), change).await.expect("is changed");
    };
    set(TenantStatus::Suspended).await;
    assert_eq!(ask().await.expect(403).code(), "tenant_suspended");
    set(TenantStatus::Active).await;
    let _ = ask().await.expect(200);

    let own = format!("http://{}", app.address);
    let _ = app.post("/auth/logout").header("cookie", &cookie).header("origin", &own).send().await.expect(204);
    assert_eq!(ask().await.expect(401).code(), "invalid_credential");
}

#[tokio::test]
async fn an_end_of_validity_counts_though_nothing_happens() {
    let clock = Clock::manual(Clock::system().now());
    let app = TestApp::start(Setup { clock: Some(clock.clone()), ..Setup::default() }, |_| Vec::new()).await;
    let tenant = app.tenant("acme").await;
    let expires_at = clock.now().plus(Duration::from_secs(30)).to_string();
    let body = json!({ "name": "short", "permissions": ["api-keys:read"], "expires_at": expires_at });
    let made = app.post(KEYS).key(&tenant.key).json(&body).send().await.expect(201).json();
    let secret = made["secret"].as_str().expect("a text").to_owned();
    let ask = async || app.get(KEYS).key(&secret).send().await;
    let _ = ask().await.expect(200);
    clock.advance(Duration::from_secs(29));
    let hits = counters(&app).hits;
    let _ = ask().await.expect(200);
    assert_eq!(counters(&app).hits, hits + 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask().await.expect(401).code(), "invalid_credential");
    assert_eq!(counters(&app).hits, hits + 2, "it was still known, and refused");
}
