//! The forms of a kind's schema that its operations document.

use serde_json::{Map, Value, json};
use steward_store::{Facets, Kind, Kinds};

use super::list::{ListParameters, countable, sortable, visible};
use crate::schema;

/// The schemas of one kind's operations.
pub(super) struct Schemas<'k> {
    kind: &'k Kind,
    input: Value,
    /// A whole record.
    pub(super) output: Value,
}

impl<'k> Schemas<'k> {
    pub(super) fn of(kinds: &Kinds, kind: &'k Kind) -> Self {
        let title = title(kind.name());
        let (mut input, mut output) = (kind.input_schema().clone(), kind.output_schema().clone());
        for schema in [&mut input, &mut output] {
            schema::each_subschema(schema, &mut |object| references(kinds, object));
        }
        schema::each_subschema(&mut input, &mut drop_read_only);
        schema::tighten(&mut input);
        schema::without_secrets(&mut output);
        output["title"] = title.into();
        Self { kind, input, output }
    }

    /// What creates a record: everything but what the platform writes.
    pub(super) fn create(&self) -> Value {
        let mut schema = self.input.clone();
        schema["title"] = format!("{}Input", title(self.kind.name())).into();
        schema
    }

    /// The kind's title with a word behind it.
    pub(super) fn titled(&self, word: &str) -> String {
        format!("{}{word}", title(self.kind.name()))
    }

    /// What changes a record: no field is needed, and those that a record can be without may be null.
    pub(super) fn patch(&self) -> Value {
        let mut schema = self.input.clone();
        optional(&mut schema);
        schema["title"] = format!("{}Patch", title(self.kind.name())).into();
        schema
    }

    /// A page of records, each with all of its fields or those that were asked for.
    pub(super) fn page(&self) -> Value {
        let title = title(self.kind.name());
        let mut row = self.output.clone();
        row["title"] = format!("{title}Row").into();
        row["description"] = "A record of a list: all of its fields, or those that `fields` asked for.".into();
        row["required"] = json!(["id"]);
        let mut facets = schema::output_of::<Facets>();
        let mut definitions = facets["$defs"].take();
        definitions["Row"] = row;
        json!({
            "title": format!("{title}Page"),
            "type": "object",
            "properties": {
                "data": { "type": "array", "items": { "$ref": "#/$defs/Row" } },
                "next_cursor": { "type": ["string", "null"], "description": "Give it as `cursor` for the next page; null at the end." },
                "has_more": { "type": "boolean", "description": "Whether there is a next page. A page may be short, even empty, and have one." },
                "count": { "type": "integer", "minimum": 0, "description": "How many there are in all, when `count=exact` was asked for." },
                "facets": { "$ref": "#/$defs/Facets" },
            },
            "required": ["data", "next_cursor", "has_more"],
            "$defs": definitions,
        })
    }

    /// The parameters of the list, with the fields that they may name.
    pub(super) fn list_query(&self) -> Value {
        let mut schema = schema::input_of::<ListParameters>();
        let definition = schema["$defs"]["ListParameters"].take();
        let definitions = schema["$defs"].take();
        schema = definition;
        schema["$defs"] = definitions;
        let either = |names: Vec<&str>| names.into_iter().map(|name| name.replace('.', "\\.")).collect::<Vec<_>>().join("|");
        schema["properties"]["order_by"]["pattern"] = format!("^({})( (asc|desc))?$", either(sortable(self.kind))).into();
        let names = either(visible(self.kind));
        schema["properties"]["fields"]["pattern"] = format!("^({names})(,({names}))*$").into();
        let names = either(countable(self.kind));
        match &mut schema["properties"] {
            Value::Object(properties) if names.is_empty() => drop(properties.remove("facets")),
            properties => properties["facets"]["pattern"] = format!("^({names})(,({names})){{0,9}}$").into(),
        }
        schema["properties"]["cursor"]["pattern"] = "^[A-Za-z0-9_-]+$".into();
        schema
    }
}

/// `enrollment_token` as `EnrollmentToken`.
fn title(kind: &str) -> String {
    kind.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect()
}

/// A field that refers to another kind holds an id of that kind.
fn references(kinds: &Kinds, object: &mut Map<String, Value>) {
    let Some(prefix) =
        object.get("reference").and_then(Value::as_str).and_then(|name| kinds.get(name)).map(|kind| kind.prefix().to_owned())
    else {
        return;
    };
    object.entry("pattern").or_insert_with(|| format!("^{prefix}_[0-9a-hjkmnp-tv-z]{{25}}[048cgmrw]$").into());
}

fn drop_read_only(object: &mut Map<String, Value>) {
    schema::drop_properties(object, |property| property["readOnly"] == true);
}

/// The merge patch of an object: its fields one by one, objects inside it likewise; lists are replaced whole.
fn optional(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    let required: Vec<Value> = match object.remove("required") {
        Some(Value::Array(names)) => names,
        _ => Vec::new(),
    };
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (name, property) in properties.iter_mut() {
        optional(property);
        if let Value::Object(property) = property {
            property.remove("default");
        }
        if !required.iter().any(|known| known == name) && !may_be_null(property) {
            *property = json!({ "anyOf": [property.take(), { "type": "null" }] });
        }
    }
}

fn may_be_null(schema: &Value) -> bool {
    let typed = match &schema["type"] {
        Value::String(one) => one == "null",
        Value::Array(several) => several.iter().any(|one| one == "null"),
        _ => false,
    };
    typed || schema["anyOf"].as_array().into_iter().flatten().any(may_be_null)
}
