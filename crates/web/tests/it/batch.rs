//! Many changes in one request.

use serde_json::{Value, json};
use steward_testkit::{Answer, TestApp};

use crate::sample;

async fn batch(app: &TestApp, key: &str, body: &Value) -> Answer {
    app.post("/api/v1/gadgets/batch").key(key).json(body).send().await
}

async fn lamp(app: &TestApp, key: &str, name: &str) -> String {
    let made = app.post("/api/v1/gadgets").key(key).json(&json!({ "name": name, "serial": name })).send().await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

fn statuses(answer: &Value) -> Vec<i64> {
    answer["results"].as_array().expect("results").iter().map(|result| result["status"].as_i64().expect("a status")).collect()
}

#[tokio::test]
async fn each_item_is_done_as_its_own_operation_would_do_it() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let (one, two, kept) =
        (lamp(&app, &tenant.key, "one").await, lamp(&app, &tenant.key, "two").await, lamp(&app, &tenant.key, "keep").await);
    let items = json!({ "items": [
        { "op": "create", "body": { "name": "new" } },
        { "op": "update", "id": one, "revision": 1, "body": { "size": 3 } },
        { "op": "update", "id": one, "revision": 1, "body": { "size": 4 } },
        { "op": "update", "id": one, "body": { "tags": ["last"] } },
        { "op": "delete", "id": two },
        { "op": "delete", "id": kept },
        { "op": "update", "id": "gad_00000000000000000000000000", "body": {} },
        { "op": "create", "body": { "name": "" } },
        { "op": "create", "body": { "name": "x", "serial": "one" } },
        { "op": "update", "body": {} },
        { "op": "create", "id": "gad_00000000000000000000000000", "body": { "name": "named" } },
        { "op": "create", "revision": 1, "body": { "name": "named" } },
    ] });
    let answer = batch(&app, &tenant.key, &items).await.expect(200);
    let told = answer.json();
    assert_eq!(statuses(&told), [201, 200, 412, 200, 204, 409, 404, 422, 409, 422, 422, 422]);
    assert_eq!((&told["succeeded"], &told["failed"]), (&json!(4), &json!(8)));
    let result = |at: usize| &told["results"][at];
    assert_eq!((&result(3)["id"], &result(3)["revision"]), (&json!(one), &json!(3)), "items on one record are done in their order");
    assert_eq!(result(5)["problem"]["code"], "kept", "hooks run for each");
    assert_eq!(result(7)["problem"]["errors"][0]["pointer"], "/body/name");
    assert_eq!(
        result(8)["problem"]["errors"][0],
        json!({ "pointer": "/body/serial", "code": "unique_taken", "detail": result(8)["problem"]["errors"][0]["detail"] })
    );
    assert_eq!(result(9)["problem"]["errors"][0]["pointer"], "/id");
    for (at, pointer) in [(10, "/id"), (11, "/revision")] {
        let error = &result(at)["problem"]["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("read_only")), "a new record is not named by its maker");
    }
    let made = app.get(&format!("/api/v1/gadgets/{}", result(0)["id"].as_str().expect("an id"))).key(&tenant.key).send().await.expect(200);
    assert_eq!(made.json()["state"], "new");
    let events = app.parts.store.events(&tenant.ctx, 0, 100).await.expect("are read");
    let caused = events.iter().filter(|event| event.correlation_id.as_deref() == Some(answer.header("x-request-id"))).count();
    assert_eq!(caused, 4, "everything is done under one request");
}

#[tokio::test]
async fn an_atomic_batch_is_done_whole_or_not_at_all() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let one = lamp(&app, &tenant.key, "one").await;
    let before = app.parts.store.head(&tenant.ctx).await.expect("is read");
    let refused = [
        (json!([{ "op": "create", "body": { "name": "a" } }, { "op": "create", "body": { "name": "" } }]), 422, "/items/1/body/name"),
        (json!([{ "op": "create", "body": { "name": "a" } }, { "op": "update", "id": one, "revision": 9, "body": {} }]), 412, ""),
        (json!([{ "op": "update", "id": one, "body": { "size": 1 } }, { "op": "delete", "id": one }]), 409, "/items/1/id"),
        (
            json!([{ "op": "create", "body": { "name": "a", "serial": "s" } }, { "op": "create", "body": { "name": "b", "serial": "s" } }]),
            409,
            "/serial",
        ),
    ];
    for (items, status, pointer) in refused {
        let answer = batch(&app, &tenant.key, &json!({ "atomic": true, "items": items })).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.fields().first().map_or("", |(pointer, _)| pointer), pointer);
    }
    assert_eq!(app.parts.store.head(&tenant.ctx).await.expect("is read"), before, "nothing happened");
    let items = json!([{ "op": "create", "body": { "name": "a", "serial": "one" } }, { "op": "delete", "id": one, "revision": 1 }]);
    let done = batch(&app, &tenant.key, &json!({ "atomic": true, "items": items })).await.expect(200).json();
    assert_eq!(statuses(&done), [201, 204], "what one item frees another may take");
}

#[tokio::test]
async fn a_batch_has_bounds() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let items =
        |count: usize| -> Vec<Value> { (0..count).map(|at| json!({ "op": "create", "body": { "name": format!("g{at}") } })).collect() };
    let refused = batch(&app, &tenant.key, &json!({ "items": items(1001) })).await;
    assert_eq!((refused.status, refused.code()), (413, "batch_too_large".to_owned()));
    let done = batch(&app, &tenant.key, &json!({ "items": items(1000) })).await.expect(200).json();
    assert_eq!((&done["succeeded"], done["results"].as_array().map(Vec::len)), (&json!(1000), Some(1000)));
    assert_eq!(batch(&app, &tenant.key, &json!({ "items": [] })).await.status, 422);
}

#[tokio::test]
async fn each_item_needs_its_own_permission() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let one = lamp(&app, &tenant.key, "one").await;
    let writer = app.key(tenant.id, &["gadgets:write"]).await;
    let items = json!({ "items": [{ "op": "delete", "id": one }, { "op": "update", "id": one, "body": { "size": 1 } }] });
    let done = batch(&app, &writer, &items).await.expect(200).json();
    assert_eq!(statuses(&done), [403, 200]);
    let deleter = app.key(tenant.id, &["gadgets:delete"]).await;
    assert_eq!(batch(&app, &deleter, &items).await.code(), "permission_denied");
    let odd = json!({ "items": [{ "op": "create", "body": { "name": "k", "permissions": ["gadgets:read"] } }] });
    let refused = app.post("/api/v1/api-keys/batch").key(&tenant.key).json(&odd).send().await.expect(200).json();
    assert_eq!(refused["results"][0]["problem"]["errors"][0]["code"], "op_unsupported", "a batch opens no way that there is not");
}
