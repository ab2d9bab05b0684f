//! The OpenAPI document: whole, resolvable, the same each time.

use std::collections::BTreeSet;

use serde_json::Value;
use steward_web::schema::Checker;

use crate::sample;

fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn it_is_served_and_the_same_each_time() {
    let app = sample::app().await;
    let served = app.get("/api/openapi.json").send().await.expect(200);
    assert_eq!(served.json(), app.operations.document("0.0.0-test"));
    assert_eq!(served.text, app.operations.document("0.0.0-test").to_string());
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_schema_compiles() {
    let document = sample::app().await.operations.document("1.0.0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        Checker::new(&whole);
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
    }
}

#[tokio::test]
async fn every_operation_is_described() {
    let app = sample::app().await;
    let document = app.operations.document("1.0.0");
    for operation in app.operations.iter() {
        let spec = operation.spec();
        let entry = &document["paths"][&spec.path][spec.method.as_str().to_ascii_lowercase()];
        assert_eq!(entry["operationId"], spec.id);
        for member in ["summary", "description"] {
            assert!(entry[member].as_str().is_some_and(|text| !text.is_empty()), "{}: {member}", spec.id);
        }
        for (status, response) in entry["responses"].as_object().expect("responses") {
            assert!(response["description"].is_string() || response["$ref"].is_string(), "{}: {status}", spec.id);
        }
    }
}

#[tokio::test]
async fn one_operation_reads_like_this() {
    let document = sample::app().await.operations.document("1.0.0");
    insta::assert_json_snapshot!("update", document["paths"]["/api/v1/gadgets/{id}"]["patch"]);
    insta::assert_json_snapshot!("patch", document["components"]["schemas"]["GadgetPatch"]);
}
