//! What clients send: strict, with `readOnly` fields accepted only unchanged.

use serde_json::{Map, Value};
use steward_base::{Error, FieldError};

use super::schema::{RECORD_FIELDS, properties};
use super::{Kind, check};
use crate::Record;
use crate::keys::names_sealed;

impl Kind {
    /// The body for a new record from what a client sent. `readOnly` fields may not be sent: there is nothing yet that they could equal.
    /// The handler adds those that the platform sets afterwards; the commit checks that none is missing.
    pub fn create_body(&self, input: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut input = self.check_input(input)?;
        let mut problems = Vec::new();
        self.changed_read_only(&Map::new(), &input, &mut problems);
        for name in RECORD_FIELDS.iter().filter(|name| input.contains_key(**name)) {
            problems.push(read_only(check::below("", name)));
        }
        if !problems.is_empty() {
            return Err(check::invalid(problems));
        }
        self.fill_defaults(&mut input);
        Ok(input)
    }

    /// What the schema calls `default` is stored: what a client reads is what the platform acts on.
    fn fill_defaults(&self, body: &mut Map<String, Value>) {
        for (name, schema) in self.input_schema().as_object().into_iter().flat_map(properties) {
            if let Some(default) = schema.get("default").filter(|default| !default.is_null())
                && !body.contains_key(name)
            {
                body.insert(name.clone(), default.clone());
            }
        }
    }

    /// The body after an RFC 7396 merge patch on `current`. The patch may name only known fields, and `readOnly` ones only unchanged;
    /// what a newer version wrote into the stored body stays. The commit validates the result.
    pub fn patched_body(&self, current: &Record, patch: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut problems = Vec::new();
        let shown = current.to_json(self)?;
        let stored = current.body.object()?;
        let mut changes = patch.clone();
        for name in RECORD_FIELDS {
            if changes.remove(name).is_some_and(|sent| shown.get(name) != Some(&sent)) {
                problems.push(read_only(check::below("", name)));
            }
        }
        unknown(self.input_schema(), &changes, "", &mut problems);
        // What is stored sealed is replaced as a whole or left out: nobody who asks has seen it.
        for (name, _) in changes.iter().filter(|(_, value)| names_sealed(value)) {
            let detail = "Send the value itself, or leave the field out.".to_owned();
            problems.push(FieldError { pointer: check::below("", name), code: "reserved_name".into(), detail });
        }
        let mut body = stored.clone();
        merge(&mut body, &changes);
        // What a caller takes out is the default again, as what is left out of a new record is: filters find it there.
        self.fill_defaults(&mut body);
        self.changed_read_only(&stored, &body, &mut problems);
        if problems.is_empty() { Ok(body) } else { Err(check::invalid(problems)) }
    }

    fn changed_read_only(&self, before: &Map<String, Value>, after: &Map<String, Value>, problems: &mut Vec<FieldError>) {
        for field in self.fields().iter().filter(|field| field.read_only) {
            if at(before, &field.segments).filter(|value| !value.is_null()) != at(after, &field.segments).filter(|value| !value.is_null()) {
                problems.push(read_only(field.pointer()));
            }
        }
    }
}

fn at<'a>(body: &'a Map<String, Value>, segments: &[String]) -> Option<&'a Value> {
    let (first, rest) = segments.split_first()?;
    rest.iter().try_fold(body.get(first)?, |value, segment| value.get(segment))
}

fn unknown_inside(schema: &Value, value: &Value, pointer: &str, problems: &mut Vec<FieldError>) {
    match (value, schema.get("items")) {
        (Value::Object(object), _) => unknown(schema, object, pointer, problems),
        (Value::Array(list), Some(items)) => {
            for (number, item) in list.iter().enumerate() {
                unknown_inside(nested(items), item, &format!("{pointer}/{number}"), problems);
            }
        }
        _ => {}
    }
}

/// Fields of the patch that the schema does not know.
fn unknown(schema: &Value, patch: &Map<String, Value>, pointer: &str, problems: &mut Vec<FieldError>) {
    let Some(object) = schema.as_object().filter(|object| object.contains_key("properties")) else { return };
    let open = object.get("additionalProperties").is_some_and(|rest| *rest != Value::Bool(false));
    for (name, value) in patch {
        match properties(object).find(|(known, _)| *known == name) {
            Some((_, property)) => {
                unknown_inside(nested(property), value, &check::below(pointer, name), problems);
            }
            None if open => {}
            None => problems.push(FieldError {
                pointer: check::below(pointer, name),
                code: "unknown_field".into(),
                detail: "There is no such field: check the spelling or leave it out.".into(),
            }),
        }
    }
}

/// The object form of an optional object.
fn nested(property: &Value) -> &Value {
    let branches = property.get("anyOf").or_else(|| property.get("oneOf")).and_then(Value::as_array);
    let mut objects = branches.into_iter().flatten().filter(|branch| branch.get("properties").is_some());
    match (objects.next(), objects.next()) {
        (Some(only), None) => only,
        _ => property,
    }
}

fn merge(body: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match change {
            Value::Null => {
                body.remove(name);
            }
            Value::Object(changes) => {
                let slot = body.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(below) = slot {
                    merge(below, changes);
                }
            }
            other => {
                body.insert(name.clone(), other.clone());
            }
        }
    }
}

fn read_only(pointer: String) -> FieldError {
    FieldError { pointer, code: "read_only".into(), detail: "This field is written by the platform: leave it out.".into() }
}
