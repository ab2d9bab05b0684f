//! Events: by position, and as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use steward_base::TenantId;
use steward_store::Kind;
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::Limits;

use crate::sample::{self, Gadget, Levers};

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
    let hash = data["hash"].as_str().expect("a hash");
    assert_eq!((&data["subject"], format!("{}-{}", data["position"], &hash[..12])), (&made["id"], event.id.clone()));
    drop(live);

    let second = make(&app, &tenant, "second").await;
    let mut again = app.get("/api/v1/events/stream").key(&tenant.key).header("last-event-id", &event.id).follow().await;
    let event = again.next().await.expect("an event");
    let data: Value = serde_json::from_str(&event.data).expect("is JSON");
    assert_eq!(data["subject"], second["id"]);
}

#[tokio::test]
async fn whoever_knows_of_events_that_are_not_there_is_told_to_start_over() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let head = position(&app, &tenant).await;
    let follow = async |from: &str| app.get("/api/v1/events/stream").key(&tenant.key).header("last-event-id", from).follow().await;
    let later = (head + 200).to_string();
    for unknown in ["-5", "99999999999999999999", "of somebody else", &format!("{head}-"), &format!("{head}-000000000000"), &later] {
        let event = follow(unknown).await.next().await.expect("a message");
        assert_eq!((event.name.as_str(), &event.data), ("start_over", &format!("{{\"position\":{head}}}")), "{unknown}");
        assert_eq!(number(&event.id), head);
    }
    let mut live = follow(&later).await;
    assert_eq!(live.next().await.expect("a message").name, "start_over");
    let made = make(&app, &tenant, "first").await;
    let event = live.next().await.expect("an event");
    let data: Value = serde_json::from_str(&event.data).expect("is JSON");
    assert_eq!((event.name.as_str(), &data["subject"]), ("gadget.created", &made["id"]));
    let mut live = app.get("/api/v1/events/stream").key(&tenant.key).header("last-event-id", &head.to_string()).follow().await;
    let known = live.next().await.expect("an event");
    assert_eq!(known.name, "gadget.created", "whoever knows of the last one goes on");
}

#[tokio::test]
async fn whoever_knows_another_history_is_told_to_start_over() {
    let app = sample::app().await;
    let (tenant, store) = (app.tenant("acme").await, app.parts.store.clone());
    let mut open = app.get("/api/v1/events/stream").key(&tenant.key).follow().await;
    let follow = async |from: &str| app.get("/api/v1/events/stream").key(&tenant.key).header("last-event-id", from).follow().await;
    let start = position(&app, &tenant).await.to_string();
    make(&app, &tenant, "kept").await;
    let kept = follow(&start).await.next().await.expect("an event");
    let copy: Vec<_> = store.dump(tenant.id, None).await.expect("begins").collect().await;
    make(&app, &tenant, "lost").await;
    let lost = follow(&kept.id).await.next().await.expect("an event");
    assert_eq!([open.next().await.expect("an event").id, open.next().await.expect("an event").id], [kept.id.clone(), lost.id.clone()]);
    store.erase(tenant.id).await.expect("erases");
    let mut loading = store.load(tenant.id).await.expect("begins");
    loading.apply(stream::iter(copy)).await.expect("loads");
    store.publish(loading).await.expect("publishes");
    // One that is open ends with the tenant, or is told as well.
    assert!(open.next().await.is_none_or(|told| told.name == "start_over"));

    // The tenant passed the position meanwhile.
    let instead = [make(&app, &tenant, "instead").await, make(&app, &tenant, "newest").await];
    let told = follow(&lost.id).await.next().await.expect("a message");
    assert_eq!((told.name.as_str(), number(&told.id)), ("start_over", number(&lost.id) + 1));
    let next = make(&app, &tenant, "next").await;
    let from_there: &[&Value] = &[&next];
    let from_before = &[&instead[0], &instead[1], &next];
    for (from, expected) in [(&told, from_there), (&kept, from_before)] {
        let mut live = follow(&from.id).await;
        for made in expected {
            let event = live.next().await.expect("an event");
            let data: Value = serde_json::from_str(&event.data).expect("is JSON");
            assert_eq!((event.name.as_str(), &data["subject"]), ("gadget.created", &made["id"]), "what both histories share holds");
        }
    }
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
    let key = app.key(tenant.id, &["api-keys:read"]).await;
    let mut live = app.get("/api/v1/events/stream").key(&key).follow().await;
    let keys = app.get("/api/v1/api-keys?limit=500").key(&tenant.key).send().await.expect(200).json();
    let own = keys["data"].as_array().and_then(|keys| keys.iter().find(|row| row["permissions"] == json!(["api-keys:read"])));
    let path = format!("/api/v1/api-keys/{}", own.expect("is listed")["id"].as_str().expect("an id"));
    let _ = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    while let Some(event) = live.next().await {
        assert_eq!(event.name, "api_key.deleted", "only what happened before the end is still told");
    }
}

#[tokio::test]
async fn who_may_read_nothing_follows_nothing() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let key = app.key(tenant.id, &["nothing:read"]).await;
    for path in ["/api/v1/events", "/api/v1/events/stream"] {
        assert_eq!(app.get(path).key(&key).send().await.expect(403).code(), "permission_denied", "{path}");
    }
}

#[tokio::test]
async fn the_newest_come_first_when_asked_and_pages_join() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    for number in 0..7 {
        make(&app, &tenant, &format!("g{number}")).await;
    }
    let read = async |query: &str| app.get(&format!("/api/v1/events?{query}")).key(&tenant.key).send().await.expect(200).json();
    let positions = |page: &Value| -> Vec<i64> {
        page["data"].as_array().expect("rows").iter().filter_map(|event| event["position"].as_i64()).collect()
    };
    let mut oldest_first = positions(&read("order_by=position&limit=500").await);
    let (mut joined, mut after) = (Vec::new(), String::new());
    loop {
        let page = read(&format!("order_by=position%20desc&limit=3{after}")).await;
        joined.extend(positions(&page));
        if page["has_more"] == json!(false) {
            break;
        }
        after = format!("&after={}", page["next_cursor"].as_str().expect("a cursor"));
    }
    oldest_first.reverse();
    assert_eq!(joined, oldest_first);
    assert_eq!(joined.last(), Some(&1), "down to the first there is");
    let gadgets = read("order_by=position%20desc&limit=2&filter=type%3Dgadget.created").await;
    assert_eq!(gadgets["data"][0]["data"]["after"]["name"], "g6");
    assert_eq!(read("order_by=position%20desc&after=0").await["data"], json!([]));
    for beyond in [joined[0] + 1, joined[0] + 100_000, (1 << 53) - 1] {
        let page = read(&format!("order_by=position%20desc&limit=3&after={beyond}")).await;
        assert_eq!((positions(&page), &page["has_more"]), (joined[..3].to_vec(), &json!(true)), "after {beyond}");
    }
    let refused = app.get("/api/v1/events?order_by=time").key(&tenant.key).send().await.expect(422);
    assert_eq!(refused.fields()[0].0, "/order_by");
}

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "a long enough pass phrase";

/// An owner's tenant and the cookie they are signed in with.
async fn signed_in(app: &TestApp) -> (TenantId, String) {
    app.owner("acme", EMAIL, PASSWORD).await;
    let answer = app.post("/auth/login").json(&json!({ "email": EMAIL, "password": PASSWORD })).send().await.expect(200);
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    (answer.json()["tenant"]["id"].as_str().and_then(|id| id.parse().ok()).expect("a tenant"), cookie)
}

fn kinds_told(page: &Value) -> BTreeSet<String> {
    let kind = |event: &Value| event["type"].as_str().and_then(|name| name.split('.').next()).unwrap_or_default().to_owned();
    page["data"].as_array().expect("rows").iter().map(kind).collect()
}

#[tokio::test]
async fn an_event_is_seen_by_who_may_read_its_subject() {
    let app = sample::app().await;
    let (tenant, _) = signed_in(&app).await;
    let all = app.key(tenant, &["admin:*"]).await;
    let gadget = app.post("/api/v1/gadgets").key(&all).json(&json!({ "name": "Lamp" })).send().await.expect(201).json();
    for (permission, told) in [
        ("gadgets:read", vec!["gadget"]),
        ("api-keys:read", vec!["api_key"]),
        ("users:read", vec!["member"]),
        ("events:read", vec!["session"]),
        ("*:read", vec!["api_key", "gadget", "member", "session"]),
    ] {
        let key = app.key(tenant, &[permission]).await;
        let page = app.get("/api/v1/events?limit=500").key(&key).send().await.expect(200).json();
        assert_eq!(kinds_told(&page), told.iter().map(|&kind| kind.to_owned()).collect(), "{permission}");
        let origins = page["data"].as_array().expect("rows").iter().any(|event| event["origin"]["ip"].is_string());
        assert_eq!(origins, matches!(permission, "events:read" | "*:read"), "{permission}");
    }
    let key = app.key(tenant, &["gadgets:read"]).await;
    let guessed = app.get("/api/v1/events?filter=origin.ip%3A127").key(&key).send().await.expect(200).json();
    assert_eq!(guessed["data"], json!([]), "what is not shown cannot be asked for");

    let mut live = app.get("/api/v1/events/stream").key(&key).follow().await;
    let _ = app.key(tenant, &["devices:read"]).await;
    let path = format!("/api/v1/gadgets/{}", gadget["id"].as_str().expect("an id"));
    let _ = app.delete(&path).key(&all).header("if-match", "*").send().await.expect(204);
    assert_eq!(live.next().await.expect("an event").name, "gadget.deleted", "the key that was made before is not told of");
}

#[tokio::test]
async fn a_stream_ends_when_its_readers_permissions_change_and_the_next_shows_what_is_left() {
    let limits = Limits { recheck: Duration::from_millis(50), ..Limits::default() };
    let app = sample::start(Setup { limits, ..Setup::default() }, Levers::default()).await;
    let (tenant, cookie) = signed_in(&app).await;
    let mut live = app.get("/api/v1/events/stream?after=0").header("cookie", &cookie).follow().await;
    let mut told = BTreeSet::new();
    while !told.contains("session.created") {
        told.insert(live.next().await.expect("an event").name);
    }
    app.set_roles(tenant, &["read-only"]).await;
    while live.next().await.is_some() {}
    let key = app.key(tenant, &["admin:*"]).await;
    let _ = app.post("/api/v1/gadgets").key(&key).json(&json!({ "name": "Lamp" })).send().await.expect(201);
    let mut again = app.get("/api/v1/events/stream?after=0").header("cookie", &cookie).follow().await;
    let mut told = BTreeSet::new();
    while !told.contains("gadget.created") {
        told.insert(again.next().await.expect("an event").name);
    }
    assert!(!told.contains("session.created"), "sessions are no records that a reader sees: {told:?}");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_stopped_after_a_restart() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let mut live = app.get("/api/v1/events/stream?filter=type%3Dgadget.created").key(&tenant.key).follow().await;
    make(&app, &tenant, "first").await;
    let first = live.next().await.expect("an event");
    let missed = make(&app, &tenant, "missed").await;
    drop(live);
    let setup = Setup { kinds: vec![Kind::of::<Gadget>()], ..Setup::default() };
    let app = app.restart(setup, |parts| sample::operations(parts, Levers::default())).await;
    let again = app.get("/api/v1/events/stream?filter=type%3Dgadget.created").key(&tenant.key).header("last-event-id", &first.id);
    let mut again = again.follow().await;
    let data: Value = serde_json::from_str(&again.next().await.expect("an event").data).expect("is JSON");
    assert_eq!(data["subject"], missed["id"], "what happened before the restart is not lost");
    let later = make(&app, &tenant, "later").await;
    let next = again.next().await.expect("an event");
    let data: Value = serde_json::from_str(&next.data).expect("is JSON");
    assert_eq!(data["subject"], later["id"]);
    assert_eq!(number(&next.id), number(&first.id) + 2, "positions go on");
}

/// The position in a message's id.
fn number(id: &str) -> i64 {
    id.split('-').next().and_then(|position| position.parse().ok()).expect("a position")
}
