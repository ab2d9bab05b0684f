//! What clients may send.

use serde_json::{Map, Value, json};
use steward_base::{Error, RecordId, Timestamp};
use steward_store::{Body, Kind, Record};

use crate::support::{Thing, object};

fn codes(error: &Error) -> Vec<(&str, &str)> {
    error.fields().iter().map(|field| (field.pointer.as_str(), field.code.as_ref())).collect()
}

fn create(body: Value) -> Result<Map<String, Value>, Error> {
    Kind::of::<Thing>().create_body(object(body))
}

fn record(body: Value) -> Record {
    let time = Timestamp::from_micros(1_700_000_000_000_000);
    Record {
        id: RecordId::from_bytes([7; 16]),
        kind: "thing".into(),
        version: 3,
        parent: None,
        body: Body::of(&object(body)),
        created_at: time,
        created_by: "system:test".into(),
        updated_at: time,
        updated_by: "system:test".into(),
        deleted_at: None,
    }
}

#[test]
fn defaults_of_the_schema_are_stored() {
    let body = create(json!({ "name": "a" })).expect("is valid");
    assert_eq!(body["tags"], json!([]));
    assert_eq!(create(json!({ "name": "a", "tags": ["x"] })).expect("is valid")["tags"], json!(["x"]));
}

#[test]
fn problems_have_pointers_and_codes() {
    let error =
        create(json!({ "name": "", "size": "big", "nmae": 1, "place": { "room": 5, "x": 1 }, "tags": [1] })).expect_err("is refused");
    assert_eq!(error.code(), "invalid");
    let expected = [
        ("/name", "min_length"),
        ("/nmae", "unknown_field"),
        ("/place/room", "type"),
        ("/place/x", "unknown_field"),
        ("/size", "type"),
        ("/tags/0", "type"),
    ];
    assert_eq!(codes(&error), expected);
    assert_eq!(codes(&create(json!({})).expect_err("is refused")), [("/name", "required")]);
    assert_eq!(codes(&create(json!({ "name": "x", "seen": "yesterday" })).expect_err("is refused")), [("/seen", "format")]);
    assert_eq!(codes(&create(json!({ "name": "x".repeat(401) })).expect_err("is refused")), [("/name", "max_length")]);
    assert!(create(json!({ "name": "x", "seen": "2026-11-20T10:00:00+02:00", "size": null })).is_ok());
}

#[test]
fn read_only_fields_are_accepted_unchanged() {
    assert_eq!(
        codes(&create(json!({ "name": "x", "status": "on", "id": "thg_1" })).expect_err("is refused")),
        [("/id", "read_only"), ("/status", "read_only")]
    );
    let kind = Kind::of::<Thing>();
    let current = record(json!({ "name": "x", "status": "on", "colour": "red", "place": { "room": "1" } }));
    let patch = |patch: Value| kind.patched_body(&current, &object(patch));
    let shown = current.to_json(&kind).expect("reads");
    let mut echoed = object(shown);
    echoed.remove("colour");
    echoed.insert("name".into(), json!("y"));
    let body = patch(Value::Object(echoed)).expect("unchanged ones are accepted");
    assert_eq!((body["name"].clone(), body["colour"].clone()), (json!("y"), json!("red")));
    assert_eq!(codes(&patch(json!({ "status": "off" })).expect_err("is refused")), [("/status", "read_only")]);
    assert_eq!(codes(&patch(json!({ "status": null })).expect_err("is refused")), [("/status", "read_only")]);
    assert_eq!(codes(&patch(json!({ "revision": 4 })).expect_err("is refused")), [("/revision", "read_only")]);
    assert_eq!(
        codes(&patch(json!({ "nmae": 1, "place": { "rom": 1 } })).expect_err("is refused")),
        [("/nmae", "unknown_field"), ("/place/rom", "unknown_field")]
    );
    let merged = patch(json!({ "place": { "room": null, "shelf": 2 }, "size": 1 })).expect("merges");
    assert_eq!(merged["place"], json!({ "shelf": 2 }));
}

#[test]
fn secrets_are_never_shown() {
    let shown = record(json!({ "name": "x", "pin": "1234" })).to_json(&Kind::of::<Thing>()).expect("reads");
    assert_eq!(shown.get("pin"), None);
    assert_eq!(shown["revision"], json!(3));
}
