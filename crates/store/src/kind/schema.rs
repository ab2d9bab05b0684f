//! The three forms of a kind's schema: stored (tolerant), input (strict) and output (with the record's own fields).

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::keys::SEALED;

/// Fields that every record has beside its body; a body may not declare them.
pub(super) const RECORD_FIELDS: [&str; 7] = ["id", "revision", "created_at", "created_by", "updated_at", "updated_by", DELETED_AT];
/// The only one that live records lack.
const DELETED_AT: &str = "deleted_at";

/// The schema of a Rust type, without references except where the type contains itself.
pub(super) fn of_type<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The stored form: unknown fields are allowed at every level.
pub(super) fn tolerant(mut schema: Value) -> Value {
    walk(&mut schema, &mut |object| {
        if object.get("additionalProperties") == Some(&Value::Bool(false)) {
            object.remove("additionalProperties");
        }
    });
    schema
}

/// The input form: unknown fields are refused at every level, `readOnly` fields are never required, the record's own fields may be sent back.
pub(super) fn strict(stored: &Value) -> Value {
    let mut schema = stored.clone();
    walk(&mut schema, &mut |object| {
        if !object.contains_key("properties") {
            return;
        }
        object.entry("additionalProperties").or_insert(Value::Bool(false));
        let read_only: Vec<String> =
            properties(object).filter(|(_, property)| is_read_only(property)).map(|(name, _)| name.clone()).collect();
        if let Some(Value::Array(required)) = object.get_mut("required") {
            required.retain(|name| !read_only.iter().any(|known| name == known));
            if required.is_empty() {
                object.remove("required");
            }
        }
    });
    add_record_fields(&mut schema, None);
    schema
}

/// The output form.
pub(super) fn output(stored: &Value, prefix: &str) -> Value {
    let mut schema = stored.clone();
    add_record_fields(&mut schema, Some(prefix));
    schema
}

/// A body of a model without properties has no `properties` at all, and an output always has.
fn add_record_fields(schema: &mut Value, required_with_prefix: Option<&str>) {
    let Value::Object(object) = schema else { return };
    let id = match required_with_prefix {
        Some(prefix) => json!({ "type": "string", "pattern": format!("^{prefix}_[0-9a-hjkmnp-tv-z]{{25}}[048cgmrw]$"), "readOnly": true }),
        None => json!({ "type": "string", "readOnly": true }),
    };
    let own = [
        ("id", id),
        ("revision", json!({ "type": "integer", "minimum": 1, "description": "Grows by one with every change.", "readOnly": true })),
        ("created_at", json!({ "type": "string", "format": "date-time", "readOnly": true })),
        ("created_by", json!({ "type": "string", "description": "Who created it.", "readOnly": true })),
        ("updated_at", json!({ "type": "string", "format": "date-time", "readOnly": true })),
        ("updated_by", json!({ "type": "string", "description": "Who changed it last.", "readOnly": true })),
        (
            DELETED_AT,
            json!({ "type": "string", "format": "date-time", "description": "When it went to the recycle bin.", "readOnly": true }),
        ),
    ];
    if let Value::Object(properties) = object.entry("properties").or_insert_with(|| Value::Object(Map::new())) {
        for (name, property) in own {
            properties.insert(name.to_owned(), property);
        }
    }
    if required_with_prefix.is_some()
        && let Value::Array(required) = object.entry("required").or_insert_with(|| Value::Array(Vec::new()))
    {
        required.extend(RECORD_FIELDS.into_iter().filter(|name| *name != DELETED_AT).map(Value::from));
    } else {
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}

pub(super) fn properties(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    object.get("properties").and_then(Value::as_object).into_iter().flatten()
}

pub(super) fn is_read_only(property: &Value) -> bool {
    property.get("readOnly") == Some(&Value::Bool(true))
}

pub(super) fn is_secret(property: &Value) -> bool {
    property.get("secret").is_some_and(|secret| *secret != Value::Bool(false))
}

/// The form that stored bodies are checked against: a secret that the store seals is what its schema says, or sealed already.
pub(super) fn with_sealed(stored: &Value) -> Value {
    let mut schema = stored.clone();
    walk(&mut schema, &mut |object| {
        let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
        for property in properties.values_mut().filter(|property| property.get("secret") == Some(&Value::Bool(true))) {
            let plain = property.take();
            let sealed = json!({ "properties": { SEALED: { "type": "string" } }, "additionalProperties": false });
            let is_sealed = json!({ "type": "object", "required": [SEALED] });
            *property = match plain.get("items") {
                Some(item) => {
                    let mut list = plain.clone();
                    list["items"] = json!({ "if": is_sealed, "then": sealed, "else": item });
                    list
                }
                None => json!({ "if": is_sealed, "then": sealed, "else": plain }),
            };
        }
    });
    schema
}

/// Calls `visit` on every subschema that is an object, outermost first.
fn walk(schema: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    visit(object);
    for (keyword, below) in object.iter_mut() {
        match (keyword.as_str(), below) {
            ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Value::Object(named)) => {
                named.values_mut().for_each(|schema| walk(schema, visit));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => list.iter_mut().for_each(|schema| walk(schema, visit)),
            ("items" | "additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames", below) => walk(below, visit),
            _ => {}
        }
    }
}
