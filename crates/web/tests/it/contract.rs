//! The standard operations on one record, row by row of the HTTP contract.

use serde_json::{Value, json};
use steward_testkit::{TestApp, TestTenant};

use crate::sample;

async fn lamp(app: &TestApp, tenant: &TestTenant) -> Value {
    let body = json!({ "name": "Lamp", "tags": ["kitchen"], "size": 30, "place": { "room": "hall", "floor": 2 } });
    app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201).json()
}

fn path(record: &Value) -> String {
    format!("/api/v1/gadgets/{}", record["id"].as_str().expect("has an id"))
}

#[tokio::test]
async fn a_record_is_created_and_read() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "Lamp" })).send().await.expect(201);
    let record = made.json();
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(made.header("location"), path(&record));
    assert_eq!((&record["name"], &record["revision"], &record["state"]), (&json!("Lamp"), &json!(1), &json!("new")));
    assert_eq!(record["created_at"], record["updated_at"]);
    assert!(record["created_by"].as_str().is_some_and(|by| by.starts_with("key_")));

    let read = app.get(&path(&record)).key(&tenant.key).send().await.expect(200);
    assert_eq!(read.json(), record);
    assert_eq!((read.header("etag"), read.header("cache-control")), ("\"1\"", "private, no-cache"));
    let head = app.ask("HEAD", &path(&record)).key(&tenant.key).send().await.expect(200);
    assert_eq!((head.header("etag"), head.text.as_str()), ("\"1\"", ""));
}

#[tokio::test]
async fn what_the_caller_has_is_not_sent_again() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let record = lamp(&app, &tenant).await;
    for tag in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let same = app.get(&path(&record)).key(&tenant.key).header("if-none-match", tag).send().await.expect(304);
        assert_eq!((same.text.as_str(), same.header("etag")), ("", "\"1\""), "{tag}");
    }
    app.get(&path(&record)).key(&tenant.key).header("if-none-match", "\"2\"").send().await.expect(200);
}

#[tokio::test]
async fn creation_is_strict() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    for (body, field, code) in [
        (json!({}), "/name", "required"),
        (json!({ "name": "" }), "/name", "min_length"),
        (json!({ "name": "x", "colour": "red" }), "/colour", "unknown_field"),
        (json!({ "name": "x", "place": { "room": "a", "door": 1 } }), "/place/door", "unknown_field"),
        (json!({ "name": "x", "place": {} }), "/place/room", "required"),
        (json!({ "name": "x", "tags": ["", "b"] }), "/tags/0", "min_length"),
        (json!({ "name": "x", "state": "used" }), "/state", "read_only"),
    ] {
        let refused = app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(422);
        assert_eq!(refused.fields(), [(field.to_owned(), code.to_owned())], "{body}");
    }
}

#[tokio::test]
async fn unique_fields_conflict() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let body = json!({ "name": "a", "serial": "S-1" });
    app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201);
    let taken = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "b", "serial": "s-1" })).send().await.expect(409);
    assert_eq!((taken.code().as_str(), taken.fields()[0].0.as_str()), ("unique_taken", "/serial"));
    let other = app.tenant("other").await;
    app.post("/api/v1/gadgets").key(&other.key).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_patch_merges() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let record = lamp(&app, &tenant).await;
    let patch = json!({ "size": null, "tags": ["a", "b"], "place": { "floor": null } });
    let asked = app.patch(&path(&record)).key(&tenant.key).header("if-match", "\"1\"");
    let changed = asked.body("application/merge-patch+json", patch.to_string()).send().await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    let now = changed.json();
    assert_eq!((&now["place"], &now["tags"], now.get("size")), (&json!({ "room": "hall" }), &json!(["a", "b"]), None));
    assert_eq!((&now["state"], &now["name"], &now["revision"]), (&json!("used"), &json!("Lamp"), &json!(2)));

    // Sending back what was read is no change of what only the platform writes.
    let back = app.patch(&path(&record)).key(&tenant.key).header("if-match", "\"2\"").json(&now).send().await;
    assert_eq!(back.expect(200).json()["name"], "Lamp");
}

#[tokio::test]
async fn a_patch_is_strict() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let record = lamp(&app, &tenant).await;
    for (patch, field, code) in [
        (json!({ "colour": 1 }), "/colour", "unknown_field"),
        (json!({ "place": { "door": 1 } }), "/place/door", "unknown_field"),
        (json!({ "name": null }), "/name", "required"),
        (json!({ "state": "used" }), "/state", "read_only"),
        (json!({ "revision": 9 }), "/revision", "read_only"),
        (json!({ "size": "big" }), "/size", "type"),
    ] {
        let answer = app.patch(&path(&record)).key(&tenant.key).header("if-match", "*").json(&patch).send().await;
        assert_eq!(answer.expect(422).fields(), [(field.to_owned(), code.to_owned())], "{patch}");
    }
}

#[tokio::test]
async fn a_change_names_the_version_it_changes() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let record = lamp(&app, &tenant).await;
    let patch = |tag: &str| app.patch(&path(&record)).key(&tenant.key).header("if-match", tag).json(&json!({ "size": 1 })).send();
    patch("\"1\"").await.expect(200);
    assert_eq!(patch("\"1\"").await.expect(412).code(), "version_conflict");
    assert_eq!(patch("W/\"2\"").await.expect(412).code(), "version_conflict");
    assert_eq!(patch("2").await.expect(400).code(), "malformed_etag");
    let bare = app.patch(&path(&record)).key(&tenant.key).json(&json!({ "size": 1 })).send().await.expect(428);
    assert_eq!(bare.code(), "if_match_required");
    assert_eq!(app.delete(&path(&record)).key(&tenant.key).send().await.expect(428).code(), "if_match_required");
    app.delete(&path(&record)).key(&tenant.key).header("if-match", "\"1\"").send().await.expect(412);
    app.delete(&path(&record)).key(&tenant.key).header("if-match", "\"2\"").send().await.expect(204);
    app.get(&path(&record)).key(&tenant.key).send().await.expect(404);
    app.delete(&path(&record)).key(&tenant.key).header("if-match", "*").send().await.expect(404);
}

#[tokio::test]
async fn of_many_changes_to_one_version_one_wins() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let record = lamp(&app, &tenant).await;
    let patch = |tag: &'static str, size: i32| {
        app.patch(&path(&record)).key(&tenant.key).header("if-match", tag).json(&json!({ "size": size })).send()
    };
    let answers = futures_util::future::join_all((100..116).map(|size| patch("\"1\"", size))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 15);
    let forced = futures_util::future::join_all((200..204).map(|size| patch("*", size))).await;
    assert!(forced.iter().all(|answer| answer.status == 200), "{forced:?}");
    assert_eq!(app.get(&path(&record)).key(&tenant.key).send().await.json()["revision"], 6);
}

#[tokio::test]
async fn hooks_refuse_and_add_to_the_commit() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let kept = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "keep" })).send().await.expect(201).json();
    let refused = app.delete(&path(&kept)).key(&tenant.key).header("if-match", "*").send().await.expect(409);
    assert_eq!(refused.code(), "kept");
    app.patch(&path(&kept)).key(&tenant.key).header("if-match", "*").json(&json!({ "size": 3 })).send().await.expect(200);
    let events = app.get("/api/v1/events?filter=type%3Dgadget.touched").key(&tenant.key).send().await.expect(200).json();
    assert_eq!(events["data"][0]["subject"], kept["id"]);
}
