//! Secrets and personal data over HTTP: who sees what in answers, events and histories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::RecordId;
use steward_store::{Kind, Model, Sealed};
use steward_testkit::{Setup, TestApp};
use steward_web::{Resource, access_log, resource};

/// Somebody to call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Contact {
    /// As people call them.
    #[schemars(length(min = 1, max = 80), extend("personal" = true))]
    name: String,
    /// What about.
    topic: String,
    /// For the door.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    code: Option<Sealed>,
}

impl Model for Contact {
    const KIND: &'static str = "contact";
    const PREFIX: &'static str = "con";
}

async fn app() -> TestApp {
    let setup = Setup { kinds: vec![Kind::of::<Contact>()], ..Setup::default() };
    let example = json!({ "name": "Ann", "topic": "printers" });
    TestApp::start(setup, move |parts| resource(&parts.store, Resource::<Contact>::new("contacts").example(example))).await
}

async fn get(app: &TestApp, key: &str, path: &str) -> Value {
    app.get(path).key(key).send().await.expect(200).json()
}

#[tokio::test]
async fn a_secret_is_written_and_never_read() {
    let app = app().await;
    let tenant = app.tenant("acme").await;
    let body = json!({ "name": "Ann", "topic": "printers", "code": "open sesame" });
    let made = app.post("/api/v1/contacts").key(&tenant.key).json(&body).send().await.expect(201);
    let path = format!("/api/v1/contacts/{}", made.json()["id"].as_str().expect("an id"));
    let id = RecordId::parse("con", path.rsplit('/').next().expect("an id")).expect("is one");
    let patch = |body: Value| app.patch(&path).key(&tenant.key).header("if-match", "*").json(&body).send();
    let changed = patch(json!({ "topic": "lamps" })).await.expect(200);
    assert_eq!((changed.json()["revision"].clone(), changed.json().get("code")), (json!(2), None));
    let reveal =
        async || app.parts.store.reveal(&tenant.ctx, "contact", id, "code").await.expect("reveals").expect("has one").expose().clone();
    assert_eq!(reveal().await, "open sesame");
    // The same again is no change.
    assert_eq!(patch(json!({ "code": "open sesame" })).await.expect(200).json()["revision"], 2);
    assert_eq!(patch(json!({ "code": "simsim" })).await.expect(200).json()["revision"], 3);
    assert_eq!(reveal().await, "simsim");
    let stored = app.parts.store.get(&tenant.ctx, "contact", id).await.expect("reads").expect("is there").body.object().expect("reads");
    let refused = patch(json!({ "code": stored["code"] })).await.expect(422);
    assert!(refused.fields().contains(&("/code".to_owned(), "reserved_name".to_owned())), "{:?}", refused.fields());
    let refused =
        app.post("/api/v1/contacts").key(&tenant.key).json(&json!({ "name": "x", "topic": "x", "code": stored["code"] })).send().await;
    refused.expect(422);
    for path in [path.as_str(), "/api/v1/contacts", "/api/v1/events?limit=500", &format!("{path}/history")] {
        let text = get(&app, &tenant.key, path).await.to_string();
        assert!(
            !text.contains("simsim") && !text.contains("sesame") && !text.contains(stored["code"]["$sealed"].as_str().expect("is sealed")),
            "{path}: {text}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_secret_is_revealed_to_who_may_and_told_before() {
    let app = app().await;
    let (access, mut entries) = access_log();
    app.site.keep_access(access);
    let tenant = app.tenant("acme").await;
    let made = async |body: Value| {
        let made = app.post("/api/v1/contacts").key(&tenant.key).json(&body).send().await.expect(201).json();
        format!("/api/v1/contacts/{}", made["id"].as_str().expect("an id"))
    };
    let path = made(json!({ "name": "Ann", "topic": "printers", "code": "open sesame" })).await;
    let without = made(json!({ "name": "Bea", "topic": "printers" })).await;
    let may = app.key(tenant.id, &["contacts-secrets:execute"]).await;
    let reader = app.key(tenant.id, &["*:read", "contacts:*"]).await;
    assert_eq!(app.get(&format!("{path}/secrets/code")).key(&reader).send().await.expect(403).code(), "permission_denied");
    let shown = app.get(&format!("{path}/secrets/code")).key(&may).send().await.expect(200);
    assert_eq!((shown.header("cache-control"), shown.json()), ("no-store", json!({ "field": "code", "value": "open sesame" })));
    let entry = entries.recv().await.expect("is handed over");
    assert_eq!((entry.kind.as_str(), entry.count, entry.secret.as_deref()), ("contact", 1, Some("code")));
    assert!(path.ends_with(&entry.ids[0]) && entry.ctx.reason() == "contacts.reveal");
    for wrong in [format!("{path}/secrets/topic"), format!("{path}/secrets/nothing"), format!("{without}/secrets/code")] {
        assert_eq!(app.get(&wrong).key(&tenant.key).send().await.expect(404).code(), "not_found", "{wrong}");
    }
    let history = get(&app, &tenant.key, &format!("{path}/history")).await;
    assert_eq!((&history["data"][0]["type"], &history["data"][0]["data"]), (&json!("contact.revealed"), &json!({ "field": "code" })));
    assert!(!history.to_string().contains("sesame"));
    app.stop().await;
}

#[tokio::test]
async fn personal_data_in_events_is_for_readers_of_the_record() {
    let app = app().await;
    let tenant = app.tenant("acme").await;
    let made =
        app.post("/api/v1/contacts").key(&tenant.key).json(&json!({ "name": "Ann", "topic": "printers" })).send().await.expect(201).json();
    let id = made["id"].as_str().expect("an id");
    let about = format!("/api/v1/events?filter=subject%20%3D%20%22{id}%22");
    let reader = app.key(tenant.id, &["contacts:read"]).await;
    for path in [about.as_str(), &format!("/api/v1/contacts/{id}/history")] {
        assert_eq!(get(&app, &reader, path).await["data"][0]["data"]["after"]["name"], "Ann", "{path}");
    }
    let named = "/api/v1/events?filter=data.after.name%20%3D%20%22Ann%22";
    assert_eq!(get(&app, &reader, named).await["data"].as_array().map(Vec::len), Some(1), "what is shown can be asked for");
    let record = RecordId::parse("con", id).expect("is one");
    app.parts.store.erase_record(&tenant.ctx, "contact", record).await.expect("erases");
    for path in [about.as_str(), &format!("/api/v1/contacts/{id}/history?limit=5")] {
        let page = get(&app, &reader, path).await;
        let created = page["data"].as_array().expect("events").iter().find(|event| event["type"] == "contact.created").expect("is there");
        assert_eq!(created["data"]["after"], json!({ "name": { "$erased": true }, "topic": "printers" }), "{path}");
    }
    // A person is a record that nobody lists: auditors see that there is one, not who.
    app.owner("owned", "ann@example.org", "a long pass phrase of ann").await;
    let operator = app.operator().await;
    let events = get(&app, &operator.key, "/api/v1/events?limit=500&filter=type%20%3D%20%22person.created%22").await;
    let told = events["data"].to_string();
    assert!(told.contains("person.created") && !told.contains("ann@example.org"), "{told}");
    assert!(told.contains(r#""email":{"$sealed":null}"#), "{told}");
    app.stop().await;
}
