//! Kinds and their schemas.

use serde_json::{Map, Value, json};
use steward_base::filter::{FieldPath, FieldType};
use steward_store::{Kind, OnDelete, ValueType};

use crate::support::{Thing, kinds};

#[test]
fn fields_are_read_off_the_type() {
    let kind = Kind::of::<Thing>();
    let field = |path: &str| kind.field(path).unwrap_or_else(|| panic!("{path} is a field"));
    assert_eq!((field("name").value, field("name").indexed, field("name").searchable), (ValueType::Text, true, true));
    assert_eq!((field("seen").value, field("weight").value, field("active").value), (ValueType::Time, ValueType::Float, ValueType::Bool));
    assert!(field("tags").list && field("tags").indexed && !field("tags").sortable());
    assert_eq!((field("place.room").pointer().as_str(), field("place.room").indexed), ("/place/room", true));
    assert!(!field("place.shelf").indexed && field("serial").unique && field("pin").secret && field("status").read_only);
    let inside = field("inside_id").reference.clone().expect("is a reference");
    assert_eq!((inside.kind.as_str(), inside.on_delete, field("inside_id").indexed), ("thing", OnDelete::Cascade, true));
    let registry = kind.filter_registry();
    let typed = |path: &str| registry.resolve(&FieldPath::dotted(path)).cloned();
    assert_eq!(typed("tags"), Some(FieldType::List(Box::new(FieldType::Text))));
    assert_eq!(typed("created_at"), Some(FieldType::Time));
    assert_eq!(typed("pin"), None, "a secret cannot be guessed by filtering");
}

#[test]
fn the_input_schema_is_strict_and_the_stored_one_is_not() {
    let kind = Kind::of::<Thing>();
    let strict = |schema: &Value| schema.pointer("/additionalProperties").cloned();
    assert_eq!((strict(kind.input_schema()), strict(kind.schema())), (Some(json!(false)), None));
    assert_eq!(kind.input_schema().pointer("/properties/place/additionalProperties"), Some(&json!(false)));
    assert_eq!(kind.output_schema().pointer("/properties/revision/readOnly"), Some(&json!(true)));
    let required = kind.output_schema()["required"].as_array().expect("a list").clone();
    assert!(required.contains(&json!("id")) && required.contains(&json!("name")));
}

#[test]
fn rules_of_kinds_are_enforced() {
    let with = |property: Value| Kind::from_schema("x", "x", json!({ "type": "object", "properties": { "a": property } })).map(|_| ());
    assert!(with(json!({ "type": "string" })).is_ok());
    assert!(with(json!({ "type": "string", "secret": true, "indexed": true })).is_err());
    assert!(with(json!({ "type": "object", "indexed": true })).is_err());
    assert!(with(json!({ "type": "integer", "reference": "y" })).is_err());
    assert!(with(json!({ "type": "string", "reference": "y", "on_delete": "explode" })).is_err());
    assert!(Kind::from_schema("x", "x", json!({ "type": "object", "properties": { "id": {} } })).is_err());
    let many: Map<String, Value> = (0..65).map(|number| (format!("f{number}"), json!({ "type": "string", "indexed": true }))).collect();
    assert!(Kind::from_schema("x", "x", json!({ "type": "object", "properties": many })).is_err());
    assert!(with(json!({ "$ref": "https://example.org/schema" })).is_err(), "nothing is fetched");
    assert!(with(json!({ "type": "string", "pattern": "(a)\\1" })).is_err(), "patterns run in linear time");
}

#[test]
fn json_objects_keep_their_keys_sorted() {
    // Bodies and events are stored and hashed as `serde_json` writes them: its feature `preserve_order` would change every encoding.
    let text = serde_json::to_string(&json!({ "b": 1, "a": { "d": 1, "c": 2 } })).expect("writes");
    assert_eq!(text, r#"{"a":{"c":2,"d":1},"b":1}"#);
}

#[test]
fn kinds_are_found() {
    let kinds = kinds();
    assert_eq!(kinds.get("thing").map(|kind| kind.prefix()), Some("thg"));
    assert_eq!(kinds.by_prefix("tea").map(|kind| kind.name()), Some("team"));
    assert!(kinds.get("nothing").is_none());
}
