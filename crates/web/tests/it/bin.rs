//! The recycle bin, restoring, histories and facets over HTTP.

use serde_json::{Value, json};
use steward_testkit::{TestApp, TestTenant};

use crate::sample;

async fn make(app: &TestApp, tenant: &TestTenant, body: Value) -> String {
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201).json();
    format!("/api/v1/gadgets/{}", made["id"].as_str().expect("an id"))
}

async fn get(app: &TestApp, key: &str, path: &str) -> Value {
    app.get(path).key(key).send().await.expect(200).json()
}

fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().expect("rows").iter().filter_map(|row| row["name"].as_str()).collect()
}

fn types(page: &Value) -> Vec<&str> {
    page["data"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn what_is_deleted_is_listed_and_restored() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let lamp = make(&app, &tenant, json!({ "name": "Lamp", "serial": "S-1" })).await;
    let torch = make(&app, &tenant, json!({ "name": "Torch" })).await;
    for path in [&lamp, &torch] {
        app.delete(path).key(&tenant.key).header("if-match", "\"1\"").send().await.expect(204);
    }
    let bin = get(&app, &tenant.key, "/api/v1/gadgets?deleted=true").await;
    assert_eq!(names(&bin), ["Torch", "Lamp"]);
    assert!(bin["data"][0]["deleted_at"].is_string() && bin["data"][0]["revision"] == 2);
    let first = get(&app, &tenant.key, "/api/v1/gadgets?deleted=true&limit=1").await;
    let next = format!("/api/v1/gadgets?limit=1&cursor={}", first["next_cursor"].as_str().expect("has more"));
    assert_eq!(names(&get(&app, &tenant.key, &format!("{next}&deleted=true")).await), ["Lamp"]);
    assert_eq!(app.get(&next).key(&tenant.key).send().await.expect(400).code(), "invalid_cursor", "of the bin, not of the list");
    for (parameter, value) in [("order_by", "name"), ("count", "exact"), ("facets", "name")] {
        let path = format!("/api/v1/gadgets?deleted=true&{parameter}={value}");
        let refused = app.get(&path).key(&tenant.key).send().await.expect(422);
        assert_eq!(refused.fields(), [(format!("/{parameter}"), "not_for_deleted".to_owned())]);
    }

    let restore = |tag: &'static str| app.post(&format!("{lamp}/restore")).key(&tenant.key).header("if-match", tag);
    assert_eq!(restore("\"1\"").send().await.expect(412).code(), "version_conflict");
    let other = make(&app, &tenant, json!({ "name": "Other", "serial": "s-1" })).await;
    assert_eq!(restore("\"2\"").send().await.expect(409).fields(), [("/serial".to_owned(), "unique_taken".to_owned())]);
    app.delete(&other).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    let back = restore("\"2\"").send().await.expect(200);
    assert_eq!((back.json()["name"].clone(), back.header("etag"), back.json().get("deleted_at")), (json!("Lamp"), "\"3\"", None));
    assert_eq!(restore("*").send().await.expect(409).code(), "already_exists");
    assert_eq!(names(&get(&app, &tenant.key, "/api/v1/gadgets").await), ["Lamp"]);
    let reader = app.key(tenant.id, &["gadgets:read", "gadgets:delete"]).await;
    let refused = app.post(&format!("{torch}/restore")).key(&reader).header("if-match", "*").send().await.expect(403);
    assert_eq!(refused.code(), "permission_denied");
}

#[tokio::test]
async fn a_history_goes_on_after_deletion_and_pages() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let lamp = make(&app, &tenant, json!({ "name": "Lamp" })).await;
    for size in 1..=4 {
        app.patch(&lamp).key(&tenant.key).header("if-match", "*").json(&json!({ "size": size })).send().await.expect(200);
    }
    app.delete(&lamp).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    let path = format!("{lamp}/history");
    let whole = get(&app, &tenant.key, &path).await;
    let expected = ["gadget.deleted", "gadget.touched", "gadget.touched", "gadget.touched", "gadget.touched", "gadget.created"];
    assert_eq!((types(&whole), whole["has_more"].clone()), (expected.to_vec(), json!(false)));
    let (mut joined, mut cursor) = (Vec::new(), String::new());
    loop {
        let part = get(&app, &tenant.key, &format!("{path}?limit=4{cursor}")).await;
        joined.extend(types(&part).into_iter().map(str::to_owned));
        let Some(next) = part["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(joined, expected);
    assert!(whole["data"][0]["origin"]["ip"].is_string(), "an admin sees from where");
    let reader = app.key(tenant.id, &["gadgets:read"]).await;
    assert!(get(&app, &reader, &path).await["data"][0].get("origin").is_none());
    let absent = format!("/api/v1/gadgets/gad_{}/history", "0".repeat(26));
    assert_eq!(app.get(&absent).key(&tenant.key).send().await.expect(404).code(), "not_found");
}

#[tokio::test]
async fn a_scope_holds_in_the_bin_and_in_histories() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let inside = make(&app, &tenant, json!({ "name": "Lamp", "tags": ["kitchen"] })).await;
    let outside = make(&app, &tenant, json!({ "name": "Torch", "tags": ["cellar"] })).await;
    let moved = make(&app, &tenant, json!({ "name": "Moved", "tags": ["cellar"] })).await;
    app.delete(&inside).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    app.delete(&outside).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    let key = app.scoped_key(tenant.id, &["gadgets:read", "gadgets:write"], "tags:kitchen").await;
    assert_eq!(names(&get(&app, &key, "/api/v1/gadgets?deleted=true").await), ["Lamp"]);
    assert_eq!(types(&get(&app, &key, &format!("{inside}/history")).await), ["gadget.deleted", "gadget.created"]);
    for path in [format!("{outside}/history"), format!("{moved}/history")] {
        assert_eq!(app.get(&path).key(&key).send().await.expect(404).code(), "not_found");
    }
    app.post(&format!("{outside}/restore")).key(&key).header("if-match", "*").send().await.expect(404);
    app.post(&format!("{inside}/restore")).key(&key).header("if-match", "*").send().await.expect(200);
    // What happened to it elsewhere is told there.
    app.patch(&moved).key(&tenant.key).header("if-match", "*").json(&json!({ "tags": ["kitchen"] })).send().await.expect(200);
    assert_eq!(types(&get(&app, &key, &format!("{moved}/history")).await), ["gadget.touched"]);
}

#[tokio::test]
async fn facets_are_counted_beside_the_page() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    for (name, tag) in [("A", "kitchen"), ("B", "kitchen"), ("C", "cellar")] {
        make(&app, &tenant, json!({ "name": name, "tags": [tag, "all"], "size": 1 })).await;
    }
    let page = get(&app, &tenant.key, "/api/v1/gadgets?limit=1&facets=tags,size&filter=size%20%3D%201&count=exact").await;
    assert_eq!((page["data"].as_array().map(Vec::len), page["count"].clone(), page["has_more"].clone()), (Some(1), json!(3), json!(true)));
    let tags = json!({ "field": "tags", "missing": 0, "others": 0, "values": [
        { "value": "all", "count": 3 }, { "value": "kitchen", "count": 2 }, { "value": "cellar", "count": 1 },
    ] });
    assert_eq!(page["facets"]["fields"][0], tags);
    assert_eq!(page["facets"]["fields"][1]["values"], json!([{ "value": 1, "count": 3 }]));
    assert_eq!(page["facets"]["approximate"], false);
    let key = app.scoped_key(tenant.id, &["gadgets:read"], "tags:cellar").await;
    let page = get(&app, &key, "/api/v1/gadgets?facets=tags").await;
    assert_eq!(page["facets"]["fields"][0]["values"], json!([{ "value": "all", "count": 1 }, { "value": "cellar", "count": 1 }]));
    let refused = app.get("/api/v1/gadgets?facets=serial").key(&tenant.key).send().await.expect(422);
    assert_eq!(refused.fields(), [("/facets".to_owned(), "facet_unknown".to_owned())]);
}
