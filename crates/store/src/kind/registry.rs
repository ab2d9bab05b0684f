//! The typed names that a filter of a kind may use.

use serde_json::Value;
use steward_base::filter::{FieldType, Registry};

use super::fields::{MAX_NESTING, ValueType, item_of, settle, value_type};
use super::schema::{is_secret, properties};

/// Fields of the body and the record's own; secrets are left out.
pub(super) fn of(schema: &Value) -> Registry {
    let mut registry = Registry::new();
    for (name, field_type) in [
        ("id", FieldType::Text),
        ("revision", FieldType::Int),
        ("created_at", FieldType::Time),
        ("created_by", FieldType::Text),
        ("updated_at", FieldType::Time),
        ("updated_by", FieldType::Text),
        ("deleted_at", FieldType::Time),
    ] {
        registry = registry.with(name, field_type);
    }
    let mut typed = Vec::new();
    typed_fields(schema, schema, &mut Vec::new(), false, &mut typed);
    typed.into_iter().fold(registry, |registry, (name, field_type)| registry.with(name, field_type))
}

fn typed_fields(root: &Value, schema: &Value, path: &mut Vec<String>, list: bool, typed: &mut Vec<(String, FieldType)>) {
    let Some(object) = settle(root, schema).as_object().filter(|_| path.len() <= MAX_NESTING) else { return };
    for (name, property) in properties(object) {
        // A secret can be neither read nor guessed at by filtering.
        if is_secret(property) {
            continue;
        }
        path.push(name.clone());
        let (item, many) = item_of(root, property);
        if item.get("properties").is_some() && property.get("$ref").is_none() {
            typed_fields(root, item, path, list || many, typed);
        } else {
            let one = filter_type(root, item);
            typed.push((path.join("."), if list || many { FieldType::List(Box::new(one)) } else { one }));
        }
        path.pop();
    }
}

fn filter_type(root: &Value, schema: &Value) -> FieldType {
    match value_type(schema) {
        ValueType::Text => FieldType::Text,
        ValueType::Int => FieldType::Int,
        ValueType::Float => FieldType::Float,
        ValueType::Bool => FieldType::Bool,
        ValueType::Time => FieldType::Time,
        ValueType::Any => match schema.get("additionalProperties").filter(|value| value.is_object()) {
            Some(values) => FieldType::Map(Box::new(filter_type(root, item_of(root, values).0))),
            None => FieldType::Any,
        },
    }
}
