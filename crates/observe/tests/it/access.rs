//! Who read records with personal data, as a stream of log lines.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_observe::Observe;
use steward_store::{Kind, Model};
use steward_telemetry::{Options, Telemetry};
use steward_testkit::{Setup, TestApp};
use steward_web::{Resource, access_log, resource};
use tokio_util::sync::CancellationToken;

/// Somebody to call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Contact {
    /// As people call them.
    #[schemars(length(min = 1, max = 80), extend("personal" = true, "searchable" = true))]
    name: String,
}

impl Model for Contact {
    const KIND: &'static str = "contact";
    const PREFIX: &'static str = "con";
}

/// Something nobody minds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Lamp {
    /// On its label.
    #[schemars(length(min = 1, max = 80), extend("searchable" = true))]
    name: String,
}

impl Model for Lamp {
    const KIND: &'static str = "lamp";
    const PREFIX: &'static str = "lam";
}

#[tokio::test]
async fn reading_personal_data_leaves_a_line_and_nothing_else_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, random) = (steward_base::Clock::system(), steward_base::Random::system());
    let telemetry = Telemetry::open(Options::new(folder.path()), clock, random).await.expect("opens");
    let engine = telemetry.clone();
    let setup = Setup { kinds: vec![Kind::of::<Contact>(), Kind::of::<Lamp>()], ..Setup::default() };
    let app = TestApp::start(setup, move |parts| {
        let mut all = resource(&parts.store, Resource::<Contact>::new("contacts").example(json!({ "name": "Ann" })));
        all.extend(resource(&parts.store, Resource::<Lamp>::new("lamps").example(json!({ "name": "Desk" }))));
        all.extend(Observe::new(parts.store.clone(), engine).operations());
        all
    })
    .await;
    let (log, entries) = access_log();
    app.site.keep_access(log);
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Observe::new(app.parts.store.clone(), telemetry.clone()).keep_access(entries, stop.clone()));

    let tenant = app.tenant("acme").await;
    let post =
        async |path: &str, name: &str| app.post(path).key(&tenant.key).json(&json!({ "name": name })).send().await.expect(201).json();
    let ann = post("/api/v1/contacts", "Ann").await["id"].as_str().expect("an id").to_owned();
    post("/api/v1/contacts", "Bob").await;
    let lamp = post("/api/v1/lamps", "Ann's").await["id"].as_str().expect("an id").to_owned();
    let paths = [
        (format!("/api/v1/lamps/{lamp}"), None),
        (format!("/api/v1/contacts/{ann}"), Some(("contacts.get", 1, None))),
        ("/api/v1/contacts?filter=created_at%20%3E%202020-01-01T00:00:00Z".to_owned(), Some(("contacts.list", 2, Some("created_at")))),
        ("/api/v1/lamps".to_owned(), None),
        ("/api/v1/search?q=ann".to_owned(), Some(("search.list", 1, Some("ann")))),
        (format!("/api/v1/contacts/{ann}/history"), Some(("contacts.history", 1, None))),
        ("/api/v1/contacts/export".to_owned(), Some(("contacts.export", 2, None))),
        ("/api/v1/events?limit=500&filter=type%20!%3D%20%22x%22".to_owned(), Some(("events.list", 2, Some("type")))),
        ("/api/v1/events?filter=type%20%3D%20%22lamp.created%22".to_owned(), None),
    ];
    for (path, _) in &paths {
        let answer = app.get(path).key(&tenant.key).header("x-request-id", "asked-for-it").send().await;
        answer.expect(200);
    }
    let mut live = app.get("/api/v1/events/stream?after=0").key(&tenant.key).header("x-request-id", "asked-for-it").follow().await;
    while !live.next().await.expect("an event").data.contains(&ann) {}
    drop(live);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), keeping).await.expect("ends").expect("without a panic");

    let query = "/api/v1/logs?filter=stream%20%3D%20%22access%22&limit=50";
    let page = app.get(query).key(&tenant.key).send().await.expect(200).json();
    let mut lines: Vec<&Value> = page["data"].as_array().expect("rows").iter().collect();
    lines.reverse();
    let streamed = Some(("events.stream", 2, None));
    let expected: Vec<_> = paths.iter().map(|(_, expected)| *expected).chain([streamed]).flatten().collect();
    let told: Vec<(&str, i64)> = lines
        .iter()
        .map(|line| {
            (line["attributes"]["operation.id"].as_str().unwrap_or_default(), line["attributes"]["record.count"].as_i64().unwrap_or(-1))
        })
        .collect();
    let mut wanted: Vec<(&str, i64)> = expected.iter().map(|(operation, count, _)| (*operation, *count)).collect();
    let mut found = told.clone();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted, "{page}");
    for (operation, _, filter) in &expected {
        let line = lines.iter().find(|line| line["attributes"]["operation.id"] == *operation).expect("is there");
        let attributes = &line["attributes"];
        assert!(attributes["enduser.id"].as_str().is_some_and(|who| who.starts_with("key_")), "{line}");
        assert_eq!((&attributes["record.kind"], &attributes["request.id"]), (&json!("contact"), &json!("asked-for-it")));
        assert!(attributes["record.ids"].as_str().is_some_and(|ids| ids.contains(&ann)), "{line}");
        assert!(filter.is_none_or(|part| attributes["query.filter"].as_str().is_some_and(|text| text.contains(part))), "{line}");
    }

    // Nobody writes into it from outside, and where nothing is kept nothing is read.
    let forged =
        app.post("/ingest/v1/access").key(&tenant.key).body("application/x-ndjson", r#"{"message":"nothing happened"}"#).send().await;
    assert_eq!(forged.expect(422).fields(), [("/stream".to_owned(), "reserved_name".to_owned())]);
    let refused = app.get(&format!("/api/v1/contacts/{ann}")).key(&tenant.key).send().await.expect(503);
    assert_eq!(refused.code(), "access_log_unavailable");
    app.get(&format!("/api/v1/lamps/{lamp}")).key(&tenant.key).send().await.expect(200);
    app.stop().await;
    telemetry.close().await.expect("closes");
}
