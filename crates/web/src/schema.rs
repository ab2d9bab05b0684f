//! JSON Schemas of the types that cross the wire: made from the type, made strict for input, and checked with stable error codes.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use steward_base::{Error, FieldError};
use steward_store::{NO_NUL, SchemaChecker};

/// The largest whole number that every JSON reader keeps exactly.
pub const LARGEST_INTEGER: i64 = (1 << 53) - 1;
/// How deep arrays and objects may nest.
const DEPTH: usize = 32;

/// What `T` looks like when it is read: unknown fields are refused, whole numbers stay within ±(2^53−1). Definitions are under `$defs`.
pub fn input_of<T: JsonSchema>() -> Value {
    let mut schema = of::<T>(SchemaSettings::draft2020_12().for_deserialize());
    tighten(&mut schema);
    schema
}

/// What `T` looks like when it is written. Definitions are under `$defs`.
pub fn output_of<T: JsonSchema>() -> Value {
    of::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut generator = settings.into_generator();
    let mut schema = generator.subschema_for::<T>().to_value();
    let definitions = generator.take_definitions(true);
    if let (Value::Object(root), false) = (&mut schema, definitions.is_empty()) {
        root.insert("$defs".into(), Value::Object(definitions));
    }
    each_subschema(&mut schema, &mut |object| {
        flatten(object);
        // A tuple is closed by its length, and yet some readers look for what else might be in it.
        if object.contains_key("prefixItems") {
            object.entry("items").or_insert(Value::Bool(true));
        }
    });
    schema
}

/// A choice of one is no choice: an enum with one documented value comes as `oneOf` with one entry.
fn flatten(object: &mut Map<String, Value>) {
    if object.get("oneOf").and_then(Value::as_array).is_none_or(|branches| branches.len() != 1) {
        return;
    }
    if let Some(Value::Array(branches)) = object.remove("oneOf") {
        for (keyword, value) in branches.into_iter().filter_map(|branch| branch.as_object().cloned()).flatten() {
            object.entry(keyword).or_insert(value);
        }
    }
}

/// Takes out what the kind's schema marks as `secret`: it is in no answer.
pub(crate) fn without_secrets(schema: &mut Value) {
    each_subschema(schema, &mut |object| {
        drop_properties(object, |property| !matches!(property["secret"], Value::Null | Value::Bool(false)))
    });
}

/// Removes properties, from `required` too.
pub(crate) fn drop_properties(object: &mut Map<String, Value>, unwanted: impl Fn(&Value) -> bool) {
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let names: Vec<String> = properties.iter().filter(|(_, property)| unwanted(property)).map(|(name, _)| name.clone()).collect();
    names.iter().for_each(|name| drop(properties.remove(name)));
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| !names.iter().any(|gone| name == gone));
    }
}

/// Makes an input schema strict where it says nothing: no unknown fields, exact whole numbers, no U+0000.
pub fn tighten(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    tighten_here(object);
    // Inside an object that closes itself by what was evaluated, the branches must stay open.
    let closes = object.contains_key("unevaluatedProperties");
    for (keyword, value) in object.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "$defs" | "patternProperties", Value::Object(members)) => members.values_mut().for_each(tighten),
            ("anyOf" | "oneOf", Value::Array(branches)) if !closes => branches.iter_mut().for_each(tighten),
            ("prefixItems", Value::Array(items)) => items.iter_mut().for_each(tighten),
            ("items" | "additionalProperties", inner @ Value::Object(_)) => tighten(inner),
            _ => {}
        }
    }
}

fn tighten_here(object: &mut Map<String, Value>) {
    let composed = ["allOf", "anyOf", "oneOf", "$ref", "if"].iter().any(|keyword| object.contains_key(*keyword));
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        let keyword = if composed { "unevaluatedProperties" } else { "additionalProperties" };
        object.entry(keyword).or_insert(Value::Bool(false));
    }
    if says(object, "object") && object.get("additionalProperties") != Some(&Value::Bool(false)) && !object.contains_key("properties") {
        object.entry("propertyNames").or_insert_with(|| json!({ "pattern": NO_NUL }));
    }
    if says(object, "integer") {
        let narrow = object.get("format").is_some_and(|format| format == "int32");
        let (least, most) = if narrow { (i64::from(i32::MIN), i64::from(i32::MAX)) } else { (-LARGEST_INTEGER, LARGEST_INTEGER) };
        object.entry("minimum").or_insert_with(|| least.into());
        object.entry("maximum").or_insert_with(|| most.into());
    }
    let constrained = ["pattern", "format", "enum", "const"].iter().any(|keyword| object.contains_key(*keyword));
    let password = object.get("format").is_some_and(|format| format == "password");
    if says(object, "string") && (!constrained || password) {
        object.entry("pattern").or_insert_with(|| NO_NUL.into());
    }
}

/// Calls `visit` on a schema and on every schema inside it, outermost first; names of properties are not mistaken for keywords.
pub fn each_subschema(schema: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    visit(object);
    for (keyword, below) in object.iter_mut() {
        match (keyword.as_str(), below) {
            ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Value::Object(named)) => {
                named.values_mut().for_each(|schema| each_subschema(schema, visit));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(|schema| each_subschema(schema, visit))
            }
            (
                "items" | "additionalProperties" | "unevaluatedProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames",
                below,
            ) => {
                each_subschema(below, visit);
            }
            _ => {}
        }
    }
}

fn says(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

/// A schema compiled once and checked many times.
#[derive(Debug)]
pub struct Checker(SchemaChecker);

impl Checker {
    /// Compiles `schema`.
    ///
    /// # Panics
    /// When the schema itself is wrong, which is a defect of the type it was made from and shows when the server starts.
    pub fn new(schema: &Value) -> Self {
        Self(SchemaChecker::compile(schema).unwrap_or_else(|error| panic!("the schema {schema} does not compile: {error}")))
    }

    /// Fails with `invalid` and an entry per wrong field.
    pub fn check(&self, value: &Value) -> Result<(), Error> {
        let fields = self.0.problems(value);
        if fields.is_empty() { Ok(()) } else { Err(invalid(fields)) }
    }
}

/// The error for these fields.
pub(crate) fn invalid(fields: Vec<FieldError>) -> Error {
    let detail = match fields.as_slice() {
        [one] => format!("{}: {}", if one.pointer.is_empty() { "/" } else { &one.pointer }, one.detail),
        several => format!("{} fields are wrong; each is listed under errors.", several.len()),
    };
    let error = Error::invalid(detail);
    fields.into_iter().fold(error, |error, field| error.with_field(field.pointer, field.code, field.detail))
}

/// `pointer` extended by one name (RFC 6901).
pub(crate) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Brings parsed JSON to the one form that is stored: whole floats become integers.
///
/// Fails with `invalid` for integers outside ±(2^53−1), for U+0000 and for nesting beyond 32.
pub fn canonical(value: &mut Value) -> Result<(), Error> {
    let mut fields = Vec::new();
    walk(value, &mut String::new(), 0, &mut fields);
    if fields.is_empty() { Ok(()) } else { Err(invalid(fields)) }
}

fn walk(value: &mut Value, at: &mut String, depth: usize, fields: &mut Vec<FieldError>) {
    let mut wrong = |at: &str, code: &'static str, detail: &str| {
        fields.push(FieldError { pointer: at.to_owned(), code: code.into(), detail: detail.to_owned() });
    };
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) if whole.abs() <= LARGEST_INTEGER => {}
            (None, Some(float)) if number.is_f64() => {
                if float.fract() == 0.0 && float.abs() <= LARGEST_INTEGER as f64 {
                    *value = Value::from(float as i64);
                }
            }
            _ => wrong(at, "number_out_of_range", "Whole numbers beyond ±(2^53−1) lose digits on the way; send this as text."),
        },
        Value::String(text) if text.contains('\0') => wrong(at, "nul_character", "The character U+0000 cannot be stored."),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH => wrong(at, "too_deep", "Arrays and objects may nest 32 deep."),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let length = at.len();
                at.push_str(&format!("/{index}"));
                walk(item, at, depth + 1, fields);
                at.truncate(length);
            }
        }
        Value::Object(members) => {
            if members.keys().any(|name| name.contains('\0')) {
                wrong(at, "nul_character", "The character U+0000 cannot be stored.");
            }
            for (name, member) in members.iter_mut() {
                let length = at.len();
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                walk(member, at, depth + 1, fields);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Sample {
        name: String,
        count: Option<i64>,
        labels: std::collections::BTreeMap<String, String>,
    }

    #[test]
    fn every_wrong_field_is_named_once() {
        let checker = Checker::new(&input_of::<Sample>());
        let error = checker.check(&json!({ "count": "x", "labels": {}, "a/b": 1 })).expect_err("is wrong");
        let mut found: Vec<(&str, &str)> = error.fields().iter().map(|field| (field.pointer.as_str(), field.code.as_ref())).collect();
        found.sort_unstable();
        assert_eq!(found, [("/a~1b", "unknown_field"), ("/count", "type"), ("/name", "required")]);
    }

    #[test]
    fn numbers_beyond_what_json_readers_keep_are_refused() {
        let mut value = json!({ "a": 1.0, "b": [9_007_199_254_740_992_i64], "c": 1.5 });
        let error = canonical(&mut value).expect_err("is refused");
        assert_eq!(error.fields()[0].pointer, "/b/0");
        assert_eq!(error.fields().len(), 1);
        assert_eq!(value["a"], json!(1));
        assert!(value["a"].is_i64());
    }
}
