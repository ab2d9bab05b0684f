//! Events: by position, and as they happen.

use std::time::Duration;

use serde_json::{Value, json};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::Limits;

use crate::sample::{self, Levers};

async fn make(app: &TestApp, tenant: &TestTenant, name: &str) -> Value {
    app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": name })).send().await.expect(201).json()
}

async fn position(app: &TestApp, tenant: &TestTenant) -> i64 {
    let all = app.get("/api/v1/events?limit=500").key(&tenant.key).send().await.expect(200).json();
    all["next_cursor"].as_str().and_then(|text| text.parse().ok()).expect("a position")
}

#[tokio::test]
async fn events_are_read_by_position() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let start = position(&app, &tenant).await;
    for name in ["a", "b", "c"] {
        make(&app, &tenant, name).await;
    }
    let read = async |query: String| app.get(&format!("/api/v1/events?{query}")).key(&tenant.key).send().await.expect(200).json();
    let first = read(format!("after={start}&limit=2")).await;
    let positions: Vec<i64> = first["data"].as_array().expect("rows").iter().filter_map(|event| event["position"].as_i64()).collect();
    assert_eq!(positions, [start + 1, start + 2]);
    assert_eq!((&first["has_more"], &first["next_cursor"]), (&json!(true), &json!((start + 2).to_string())));
    let rest = read(format!("after={}", start + 2)).await;
    assert_eq!((rest["data"].as_array().map(Vec::len), &rest["has_more"]), (Some(1), &json!(false)));
    assert_eq!(rest["data"][0]["type"], "gadget.created");
    let none = read(format!("after={start}&filter=type%3D%22gadget.deleted%22")).await;
    assert_eq!((none["data"].as_array().map(Vec::len), &none["next_cursor"]), (Some(0), &json!((start + 3).to_string())));
}

#[tokio::test]
async fn a_stream_brings_what_happens_and_goes_on_where_it_stopped() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let other = app.tenant("other").await;
    let mut live = app.get("/api/v1/events/stream?filter=type%3Dgadget.created").key(&tenant.key).follow().await;
    make(&app, &other, "not ours").await;
    let made = make(&app, &tenant, "first").await;
    let event = live.next().await.expect("an event");
    assert_eq!(event.name, "gadget.created");
    let data: Value = serde_json::from_str(&event.data).expect("is JSON");
    assert_eq!((&data["subject"], data["position"].to_string()), (&made["id"], event.id.clone()));
    drop(live);

    let second = make(&app, &tenant, "second").await;
    let mut again = app.get("/api/v1/events/stream").key(&tenant.key).header("last-event-id", &event.id).follow().await;
    let event = again.next().await.expect("an event");
    let data: Value = serde_json::from_str(&event.data).expect("is JSON");
    assert_eq!(data["subject"], second["id"]);
}

#[tokio::test]
async fn quiet_streams_say_that_they_live_and_end_with_the_server() {
    let limits = Limits { heartbeat: Duration::from_millis(50), ..Limits::default() };
    let app = sample::start(Setup { limits, ..Setup::default() }, Levers::default()).await;
    let tenant = app.tenant("acme").await;
    let mut live = app.get("/api/v1/events/stream").key(&tenant.key).follow().await;
    assert_eq!(live.comment().await.as_deref(), Some("still here"));
    let read = tokio::spawn(async move { live.next().await });
    app.stop().await;
    assert_eq!(read.await.expect("reads"), None);
}

#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let limits = Limits { recheck: Duration::from_millis(50), ..Limits::default() };
    let app = TestApp::start(Setup { limits, ..Setup::default() }, |_| Vec::new()).await;
    let tenant = app.tenant("acme").await;
    let key = app.key(tenant.id, &["events:read"]).await;
    let mut live = app.get("/api/v1/events/stream").key(&key).follow().await;
    let keys = app.get("/api/v1/api-keys?limit=500").key(&tenant.key).send().await.expect(200).json();
    let own = keys["data"].as_array().and_then(|keys| keys.iter().find(|row| row["permissions"] == json!(["events:read"])));
    let path = format!("/api/v1/api-keys/{}", own.expect("is listed")["id"].as_str().expect("an id"));
    let _ = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    while let Some(event) = live.next().await {
        assert_eq!(event.name, "api_key.deleted", "only what happened before the end is still told");
    }
}

#[tokio::test]
async fn streams_need_the_permission() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let key = app.key(tenant.id, &["gadgets:read"]).await;
    assert_eq!(app.get("/api/v1/events/stream").key(&key).send().await.expect(403).code(), "permission_denied");
}
