//! Secrets and personal data over HTTP: who sees what in answers, events and histories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::RecordId;
use steward_store::{Kind, Model, Sealed};
use steward_testkit::{Setup, TestApp};
use steward_web::{Resource, resource};

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
