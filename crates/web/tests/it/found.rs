//! Search and undo over HTTP, each within what the caller may read and change.

use serde_json::{Value, json};
use steward_base::Ctx;
use steward_store::{Expect, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::{Resource, resource};

use crate::sample;

async fn make(app: &TestApp, tenant: &TestTenant, name: &str, tag: &str) -> String {
    let body = json!({ "name": name, "tags": [tag] });
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn search(app: &TestApp, key: &str, query: &str) -> Value {
    app.get(&format!("/api/v1/search?{query}")).key(key).send().await.expect(200).json()
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().expect("hits").iter().filter_map(|hit| hit["id"].as_str()).collect()
}

#[tokio::test]
async fn what_may_be_read_is_found() {
    let app = sample::app().await;
    let (tenant, other) = (app.tenant("acme").await, app.tenant("other").await);
    let lamp = make(&app, &tenant, "Reading lamp", "kitchen").await;
    let torch = make(&app, &tenant, "Reading torch", "cellar").await;
    make(&app, &other, "Reading glasses", "kitchen").await;
    let page = search(&app, &tenant.key, "q=read").await;
    assert_eq!(ids(&page), [&*torch, &lamp]);
    assert_eq!((page["data"][0]["kind"].clone(), page["data"][0]["record"]["name"].clone()), (json!("gadget"), json!("Reading torch")));
    assert_eq!(ids(&search(&app, &tenant.key, "q=LAMP+rea&kinds=gadget").await), [&*lamp]);
    let first = search(&app, &tenant.key, "q=read&limit=1").await;
    let next = first["next_cursor"].as_str().expect("has more");
    assert_eq!(
        (ids(&first), ids(&search(&app, &tenant.key, &format!("q=read&limit=1&cursor={next}")).await)),
        (vec![&*torch], vec![&*lamp])
    );
    let refused = app.get(&format!("/api/v1/search?q=lamp&cursor={next}")).key(&tenant.key).send().await.expect(400);
    assert_eq!(refused.code(), "invalid_cursor");

    let scoped = app.scoped_key(tenant.id, &["gadgets:read"], "tags:kitchen").await;
    assert_eq!(ids(&search(&app, &scoped, "q=reading").await), [&*lamp]);
    let refused = app.get(&format!("/api/v1/search?q=read&cursor={next}")).key(&scoped).send().await.expect(400);
    assert_eq!(refused.code(), "invalid_cursor", "what another could see does not lead on here");
    let blind = app.key(tenant.id, &["nothing:read"]).await;
    assert_eq!(app.get("/api/v1/search?q=reading").key(&blind).send().await.expect(403).code(), "permission_denied");
    for (query, field) in
        [("kinds=gadget", ("/q", "required")), ("q=", ("/q", "min_length")), ("q=a&kinds=nothing", ("/kinds", "unknown_kind"))]
    {
        let refused = app.get(&format!("/api/v1/search?{query}")).key(&tenant.key).send().await.expect(422);
        assert_eq!(refused.fields(), [(field.0.to_owned(), field.1.to_owned())], "{query}");
    }
}

/// Gadgets whose owner does not look at changes.
async fn plain() -> TestApp {
    let setup = Setup { kinds: vec![steward_store::Kind::of::<sample::Gadget>()], ..Setup::default() };
    TestApp::start(setup, |parts| resource(&parts.store, Resource::<sample::Gadget>::new("gadgets"))).await
}

fn gadget(name: &str, tag: &str) -> serde_json::Map<String, Value> {
    match json!({ "name": name, "tags": [tag], "state": "new" }) {
        Value::Object(body) => body,
        _ => unreachable!("it is an object"),
    }
}

async fn write(app: &TestApp, ctx: &Ctx, name: &str, tag: &str) -> steward_base::RecordId {
    let id = app.parts.store.mint_id();
    let unit = UnitOfWork::new().put("gadget", id, gadget(name, tag), Expect::Absent);
    app.parts.store.commit(ctx, unit).await.expect("writes");
    id
}

#[tokio::test]
async fn a_request_is_undone_by_who_could_do_it_by_hand() {
    let app = plain().await;
    let tenant = app.tenant("acme").await;
    let lamp = write(&app, &tenant.ctx, "Lamp", "kitchen").await.wire("gad");
    let path = format!("/api/v1/gadgets/{lamp}");
    let patch = async |key: &str, body: Value| {
        let answer = app.patch(&path).key(key).header("if-match", "*").json(&body).send().await.expect(200);
        answer.header("x-request-id").to_owned()
    };
    let undo = |key: &str, request: &str| app.post("/api/v1/undo").key(key).json(&json!({ "request_id": request }));

    let request = patch(&tenant.key, json!({ "name": "Torch", "size": 3 })).await;
    let undone = undo(&tenant.key, &request).send().await.expect(200);
    assert_eq!(undone.json()["data"], json!([{ "kind": "gadget", "id": lamp, "act": "update", "revision": 3 }]));
    let read = app.get(&path).key(&tenant.key).send().await.expect(200).json();
    assert_eq!((read["name"].clone(), read.get("size")), (json!("Lamp"), None));
    assert_eq!(undo(&tenant.key, &request).send().await.expect(409).code(), "version_conflict");
    assert_eq!(undo(&tenant.key, "nothing").send().await.expect(404).code(), "not_found");

    let deleted = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204).header("x-request-id").to_owned();
    let reader = app.key(tenant.id, &["gadgets:read", "gadgets:delete"]).await;
    assert_eq!(undo(&reader, &deleted).send().await.expect(403).code(), "permission_denied", "restoring takes gadgets:write");
    let reader = app.key(tenant.id, &["gadgets:read"]).await;
    assert_eq!(undo(&reader, "nothing").send().await.expect(403).code(), "permission_denied", "nothing is looked for on its behalf");
    let elsewhere = app.scoped_key(tenant.id, &["gadgets:*"], "tags:cellar").await;
    assert_eq!(undo(&elsewhere, &deleted).send().await.expect(403).code(), "permission_denied");
    let here = app.scoped_key(tenant.id, &["gadgets:*"], "tags:kitchen").await;
    assert_eq!(undo(&here, &deleted).send().await.expect(200).json()["data"][0]["act"], "restore");

    // It came from where the caller does not reach: it cannot be put back there.
    let moved = patch(&tenant.key, json!({ "tags": ["cellar"] })).await;
    assert_eq!(undo(&elsewhere, &moved).send().await.expect(403).code(), "permission_denied");
    assert_eq!(undo(&here, &moved).send().await.expect(403).code(), "permission_denied");
    undo(&tenant.key, &moved).send().await.expect(200);
}

#[tokio::test]
async fn what_an_owner_looks_at_is_not_undone_behind_its_back() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "keep" })).send().await.expect(201);
    let body = json!({ "request_id": made.header("x-request-id") });
    assert_eq!(app.post("/api/v1/undo").key(&tenant.key).json(&body).send().await.expect(409).code(), "undo_impossible");
    // A key that was revoked stays so.
    let key = json!({ "name": "k", "permissions": ["gadgets:read"] });
    let key = app.post("/api/v1/api-keys").key(&tenant.key).json(&key).send().await.expect(201).json();
    let path = format!("/api/v1/api-keys/{}", key["id"].as_str().expect("an id"));
    let revoked = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    let body = json!({ "request_id": revoked.header("x-request-id") });
    assert_eq!(app.post("/api/v1/undo").key(&tenant.key).json(&body).send().await.expect(409).code(), "undo_impossible");
    assert_eq!(app.post(&format!("{path}/restore")).key(&tenant.key).header("if-match", "*").send().await.status, 404);
}
