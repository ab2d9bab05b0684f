//! How tenants come and go: by sagas, of which nothing is left half done.

use std::time::Duration;

use serde_json::{Value, json};
use steward_auth::system;
use steward_base::TenantId;
use steward_identity::{Tenant, TenantStatus};
use steward_store::{Expect, JobDraft, ListQuery, Model as _, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_work::{Options, SagaRun, Work};

/// With the operations of sagas.
async fn app() -> TestApp {
    TestApp::start(Setup::default(), |parts| Work::new(parts.store.clone(), Options::default()).operations()).await
}

async fn make(app: &TestApp, operator: &TestTenant, slug: &str) -> Value {
    let body = json!({ "name": "Acme", "slug": slug });
    app.post("/api/v1/tenants").key(&operator.key).json(&body).send().await.expect(201).json()
}

/// The saga at its end.
async fn ended(app: &TestApp, operator: &TestTenant, saga: &str) -> Value {
    let ends = async {
        loop {
            let saga = app.get(&format!("/api/v1/sagas/{saga}")).key(&operator.key).send().await.expect(200).json();
            if !["running", "undoing"].contains(&saga["state"].as_str().expect("a state")) {
                return saga;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ends).await.expect("it ends")
}

#[tokio::test]
async fn a_tenant_is_made_suspended_let_in_again_and_erased() {
    let app = app().await;
    let operator = app.operator().await;
    let made = make(&app, &operator, "acme").await;
    assert_eq!((made["status"].as_str(), made["slug"].as_str()), (Some("active"), Some("acme")));
    let again = app.post("/api/v1/tenants").key(&operator.key).json(&json!({ "name": "Other", "slug": "acme" })).send().await;
    assert_eq!(again.expect(409).json()["code"], "slug_taken");

    let id = made["id"].as_str().expect("an id");
    let tenant: TenantId = id.parse().expect("a tenant's");
    let key = app.key(tenant, &["admin:*"]).await;
    let status = async || app.get("/api/v1/api-keys").key(&key).send().await;
    status().await.expect(200);
    let change = async |verb: &str| app.post(&format!("/api/v1/tenants/{id}/{verb}")).key(&operator.key).send().await;
    assert_eq!(change("suspend").await.expect(200).json()["status"], "suspended");
    assert_eq!(status().await.expect(403).json()["code"], "tenant_suspended");
    assert_eq!(change("resume").await.expect(200).json()["status"], "active");
    status().await.expect(200);

    let delete = async |confirm: &str| app.delete(&format!("/api/v1/tenants/{id}?confirm={confirm}")).key(&operator.key).send().await;
    assert_eq!(delete("acne").await.expect(409).json()["code"], "confirmation_wrong");
    let saga = delete("acme").await.expect(202).json();
    let saga = ended(&app, &operator, saga["saga"].as_str().expect("an id")).await;
    assert_eq!(saga["state"], "done", "{saga}");
    status().await.expect(401);
    app.get(&format!("/api/v1/tenants/{id}")).key(&operator.key).send().await.expect(404);
    let ctx = system(tenant, "test");
    assert!(
        app.parts.store.list(&ctx, ListQuery { kind: "api_key".into(), ..ListQuery::default() }).await.is_err(),
        "its namespace is gone"
    );
    assert_ne!(make(&app, &operator, "acme").await["id"], made["id"], "the short name is free");
}

#[tokio::test]
async fn whoever_belongs_nowhere_else_goes_with_the_tenant() {
    let app = app().await;
    let operator = app.operator().await;
    app.owner("first", "first@example.com", "a long enough pass phrase").await;
    app.owner("globex", "ada@example.com", "a long enough pass phrase").await;
    let sign_in = async |email: &str| {
        let body = json!({ "email": email, "password": "a long enough pass phrase" });
        app.post("/auth/login").header("origin", &app.url("")).json(&body).send().await
    };
    sign_in("ada@example.com").await.expect(200);
    let tenants = app.get("/api/v1/tenants?filter=slug%3Dglobex").key(&operator.key).send().await.expect(200).json();
    let id = tenants["data"][0]["id"].as_str().expect("an id").to_owned();
    let begun = app.delete(&format!("/api/v1/tenants/{id}?confirm=globex")).key(&operator.key).send().await.expect(202).json();
    assert_eq!(ended(&app, &operator, begun["saga"].as_str().expect("an id")).await["state"], "done");
    sign_in("ada@example.com").await.expect(401);
    sign_in("first@example.com").await.expect(200);
    let refused = app.delete(&format!("/api/v1/tenants/{}?confirm=operator", TenantId::OPERATOR)).key(&operator.key).send().await;
    assert_eq!(refused.expect(409).json()["code"], "tenant_fixed");
}

#[tokio::test]
async fn a_tenant_that_is_being_made_is_not_deleted() {
    let app = app().await;
    let operator = app.operator().await;
    let store = &app.parts.store;
    for (slug, saga) in [("acme", "create_tenant"), ("globex", "import_tenant"), ("umbrella", "")] {
        let tenant = app.parts.identity.create_tenant(&operator.ctx, slug, slug).await.expect("is begun");
        let delete = async || app.delete(&format!("/api/v1/tenants/{tenant}?confirm={slug}")).key(&operator.key).send().await;
        // The third was left behind: no saga goes on with it.
        if !saga.is_empty() {
            let key = if saga == "create_tenant" { slug.to_owned() } else { tenant.to_string() };
            let run = json!({ "saga": saga, "key": key, "running": format!("{saga}:{key}"), "state": "running" });
            let run: SagaRun = serde_json::from_value(run).expect("is one");
            store.commit(&operator.ctx, UnitOfWork::new().create(store.mint_id(), &run)).await.expect("commits");
            assert_eq!(delete().await.expect(409).code(), "tenant_not_ready");
            app.parts.identity.activate(&operator.ctx, tenant).await.expect("is opened");
        }
        let begun = delete().await.expect(202).json();
        assert_eq!(ended(&app, &operator, begun["saga"].as_str().expect("an id")).await["state"], "done");
    }
}

#[tokio::test]
async fn a_saga_opens_only_a_tenant_that_is_still_being_made() {
    let app = app().await;
    let operator = app.operator().await;
    let store = &app.parts.store;
    for (number, status) in [TenantStatus::Deleting, TenantStatus::Suspended].into_iter().enumerate() {
        let slug = format!("acme-{number}");
        let tenant = app.parts.identity.create_tenant(&operator.ctx, &slug, "Acme").await.expect("is begun");
        // What a process left that ended before the last step, and what happened to the tenant since.
        let steps = json!({ "claim": { "state": "done", "tries": 1 }, "provision": { "state": "done", "tries": 1 } });
        let wanted = json!({ "tenant": tenant, "slug": slug, "name": "Acme" });
        let run = json!({ "saga": "create_tenant", "key": slug, "running": format!("create_tenant:{slug}"), "state": "running",
            "steps": steps, "input": wanted });
        let run: SagaRun = serde_json::from_value(run).expect("is one");
        let now = Tenant { name: "Acme".to_owned(), slug: slug.clone(), status };
        let (saga, position) = (store.mint_id(), store.head(&operator.ctx).await.expect("reads"));
        let job = JobDraft::new("run_saga", json!({ "saga": saga.wire(SagaRun::PREFIX) }));
        let unit = UnitOfWork::new().create(saga, &run).put_model(tenant.record(), &now, Expect::Any).enqueue(saga, job);
        store.commit(&operator.ctx, unit).await.expect("commits");
        let ended = ended(&app, &operator, &saga.wire(SagaRun::PREFIX)).await;
        assert_eq!(ended["state"], "undone", "{ended}");
        assert!(ended["error"].as_str().is_some_and(|error| error.contains("tenant_not_ready")), "{ended}");
        let events = store.events(&operator.ctx, position, 500).await.expect("reads");
        let opened = events.iter().any(|event| event.data.get("after").is_some_and(|after| after["status"] == "active"));
        assert!(!opened, "no request was let in");
        app.get(&format!("/api/v1/tenants/{tenant}")).key(&operator.key).send().await.expect(404);
    }
}

#[tokio::test]
async fn work_is_done_for_a_tenant_only_while_it_is_open() {
    let app = app().await;
    let operator = app.operator().await;
    let identity = &app.parts.identity;
    let works = async |tenant| identity.works_for(tenant).await.expect("is known");
    assert!(works(TenantId::OPERATOR).await);
    let tenant = identity.create_tenant(&operator.ctx, "acme", "Acme").await.expect("is begun");
    assert!(!works(tenant).await, "whatever is in it may be taken back yet");
    identity.activate(&operator.ctx, tenant).await.expect("is opened");
    assert!(works(tenant).await);
    let change = async |verb: &str| app.post(&format!("/api/v1/tenants/{tenant}/{verb}")).key(&operator.key).send().await;
    change("suspend").await.expect(200);
    assert!(!works(tenant).await);
    change("resume").await.expect(200);
    assert!(works(tenant).await);
}
