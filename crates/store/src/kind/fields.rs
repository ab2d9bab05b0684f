//! The fields of a kind, read off its schema once.

use serde_json::{Map, Value};
use steward_base::RecordId;

use super::schema::{RECORD_FIELDS, properties};
use crate::value;

/// Over this many the index entries of one record would outweigh the record.
const MAX_INDEXED: usize = 64;
pub(super) const MAX_NESTING: usize = 16;

/// What a field holds, or each item of it when it is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// Any number.
    Float,
    /// True or false.
    Bool,
    /// A point in time.
    Time,
    /// Anything else: an object, a map, mixed types. It cannot be indexed.
    Any,
}

/// What happens to a record when the one it refers to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The other may not be deleted.
    Restrict,
    /// It is deleted too.
    Cascade,
    /// The field is removed from it.
    Clear,
}

/// A field that holds the wire id of another record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The kind referred to.
    pub kind: String,
    /// What its deletion does here.
    pub on_delete: OnDelete,
}

/// One field of a kind.
#[derive(Clone, Debug)]
pub struct Field {
    /// Dotted, as in `os.family`.
    pub path: String,
    /// What it holds.
    pub value: ValueType,
    /// Whether it holds many, itself or by a list it is inside of.
    pub list: bool,
    /// Has index entries, so that it can drive a query; it can order one when it is no list. References always are.
    pub indexed: bool,
    /// No two live records of the kind have the same value; text is compared without case.
    pub unique: bool,
    /// Part of the full text.
    pub searchable: bool,
    /// About a person.
    pub personal: bool,
    /// Never in events, answers, search or unique keys.
    pub secret: bool,
    /// A secret that the store seals. Others were hashed or sealed by whoever wrote them and are stored as they are.
    pub sealed: bool,
    /// Written by the platform only; clients may send it back unchanged.
    pub read_only: bool,
    /// Stamped on the events of the record: permissions are scoped by it.
    pub scope: bool,
    /// The wire id of another record.
    pub reference: Option<Reference>,
    pub(crate) segments: Vec<String>,
}

impl ValueType {
    /// As namespaces remember it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueType::Bool => "bool",
            ValueType::Int => "int",
            ValueType::Float => "float",
            ValueType::Time => "time",
            ValueType::Text => "text",
            ValueType::Any => "any",
        }
    }
}

impl Field {
    /// As a JSON pointer into the body.
    pub fn pointer(&self) -> String {
        self.segments.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1"))).collect()
    }

    /// Whether it can order a list.
    pub fn sortable(&self) -> bool {
        self.indexed && !self.list
    }

    /// Every scalar the body holds at this field.
    pub(crate) fn scalars<'a>(&self, body: &'a Map<String, Value>, found: &mut Vec<&'a Value>) {
        fn descend<'a>(value: &'a Value, rest: &[String], found: &mut Vec<&'a Value>) {
            match (value, rest) {
                (Value::Array(items), _) => items.iter().for_each(|item| descend(item, rest, found)),
                (Value::Null | Value::Object(_), []) => {}
                (scalar, []) => found.push(scalar),
                (Value::Object(object), [first, rest @ ..]) => {
                    if let Some(below) = object.get(first) {
                        descend(below, rest, found);
                    }
                }
                _ => {}
            }
        }
        let [first, rest @ ..] = self.segments.as_slice() else { return };
        if let Some(value) = body.get(first) {
            descend(value, rest, found);
        }
    }

    /// The distinct index values of the body, with the explicit null of a sortable field that has none.
    pub(crate) fn index_values(&self, body: &Map<String, Value>) -> Vec<Vec<u8>> {
        let mut scalars = Vec::new();
        self.scalars(body, &mut scalars);
        let mut values: Vec<Vec<u8>> = scalars.into_iter().filter_map(|scalar| value::encode(self.value, scalar)).collect();
        if values.is_empty() && !self.list {
            values.push(value::NULL.to_vec());
        }
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The distinct unique keys of the body: nothing where there is no value.
    pub(crate) fn unique_values(&self, body: &Map<String, Value>) -> Vec<Vec<u8>> {
        let mut scalars = Vec::new();
        self.scalars(body, &mut scalars);
        let mut values: Vec<Vec<u8>> = scalars.into_iter().filter_map(|scalar| value::unique(self.value, scalar)).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The ids this field refers to; a value that is no id of `prefix` is no reference.
    pub(crate) fn targets(&self, body: &Map<String, Value>, prefix: &str) -> Vec<RecordId> {
        let mut scalars = Vec::new();
        self.scalars(body, &mut scalars);
        scalars.into_iter().filter_map(|scalar| RecordId::parse(prefix, scalar.as_str()?)).collect()
    }
}

/// Reads the fields off a stored schema.
pub(super) fn extract(schema: &Value) -> Result<Vec<Field>, String> {
    let Some(root) = schema.as_object() else { return Err("the schema is not an object".into()) };
    if let Some((name, _)) = properties(root).find(|(name, _)| RECORD_FIELDS.contains(&name.as_str())) {
        return Err(format!("{name} is a field of every record and cannot be declared"));
    }
    let mut fields = Vec::new();
    collect(schema, schema, &mut Vec::new(), false, &mut fields)?;
    if fields.iter().filter(|field| field.indexed).count() > MAX_INDEXED {
        return Err(format!("more than {MAX_INDEXED} fields are indexed"));
    }
    Ok(fields)
}

fn collect(root: &Value, schema: &Value, path: &mut Vec<String>, list: bool, fields: &mut Vec<Field>) -> Result<(), String> {
    if path.len() > MAX_NESTING {
        return Ok(());
    }
    let Some(object) = settle(root, schema).as_object() else { return Ok(()) };
    for (name, property) in properties(object) {
        path.push(name.clone());
        let (item, many) = item_of(root, property);
        let field = field(path, property, value_type(item), list || many)?;
        let nested = item.get("properties").is_some();
        if !nested || field.indexed || field.unique || field.searchable || field.personal || field.secret || field.read_only {
            fields.push(field);
        }
        // A type that contains itself has no fields of a fixed path below that point.
        if nested && property.get("$ref").is_none() {
            collect(root, item, path, list || many, fields)?;
        }
        path.pop();
    }
    Ok(())
}

fn field(path: &[String], property: &Value, value: ValueType, list: bool) -> Result<Field, String> {
    let flag = |keyword: &str| property.get(keyword) == Some(&Value::Bool(true));
    let dotted = path.join(".");
    let sealed = match property.get("secret") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(true),
        Some(Value::String(by)) if by == "hashed" => Some(false),
        Some(_) => return Err(format!("secret of {dotted} is neither true nor \"hashed\"")),
    };
    let reference = match property.get("reference").map(Value::as_str) {
        None => None,
        Some(None) => return Err(format!("reference of {dotted} is not the name of a kind")),
        Some(Some(kind)) => {
            let on_delete = match property.get("on_delete").map(Value::as_str) {
                None | Some(Some("restrict")) => OnDelete::Restrict,
                Some(Some("cascade")) => OnDelete::Cascade,
                Some(Some("clear")) => OnDelete::Clear,
                Some(_) => return Err(format!("on_delete of {dotted} is none of restrict, cascade, clear")),
            };
            Some(Reference { kind: kind.to_owned(), on_delete })
        }
    };
    let field = Field {
        indexed: flag("indexed") || reference.is_some(),
        unique: flag("unique"),
        searchable: flag("searchable"),
        personal: flag("personal"),
        secret: sealed.is_some(),
        sealed: sealed == Some(true),
        read_only: flag("readOnly"),
        // The fields that permissions are scoped by everywhere need no keyword.
        scope: flag("scope") || matches!(dotted.as_str(), "organization_id" | "project_id" | "device_id" | "owner_id" | "tags"),
        path: dotted,
        value,
        list,
        reference,
        segments: path.to_vec(),
    };
    let keyed = field.indexed || field.unique;
    if field.secret && (keyed || field.searchable) {
        return Err(format!("{} is secret and cannot be indexed, unique or searchable", field.path));
    }
    if field.sealed && field.value != ValueType::Text {
        return Err(format!("{} is secret and must be text", field.path));
    }
    if keyed && field.value == ValueType::Any {
        return Err(format!("{} has no single type and cannot be indexed or unique", field.path));
    }
    if keyed && path.iter().any(|segment| segment.contains('.')) {
        return Err(format!("{} has a dot inside a name and cannot be indexed or unique", field.path));
    }
    if field.reference.is_some() && field.value != ValueType::Text {
        return Err(format!("{} is a reference and must be text", field.path));
    }
    Ok(field)
}

/// Follows `$ref`, single `allOf`, and the one branch of `anyOf`/`oneOf` that is not null.
pub(super) fn settle<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..MAX_NESTING {
        let next = if let Some(pointer) = at.get("$ref").and_then(Value::as_str) {
            pointer.strip_prefix('#').and_then(|pointer| root.pointer(pointer))
        } else {
            ["allOf", "anyOf", "oneOf"].iter().find_map(|keyword| {
                let mut branches = at.get(*keyword)?.as_array()?.iter().filter(|branch| branch.get("type") != Some(&Value::from("null")));
                let only = branches.next()?;
                branches.next().is_none().then_some(only)
            })
        };
        match next {
            Some(next) if at.get("type").is_none() => at = next,
            _ => return at,
        }
    }
    at
}

pub(super) fn item_of<'a>(root: &'a Value, property: &'a Value) -> (&'a Value, bool) {
    let mut at = settle(root, property);
    let mut many = false;
    while let Some(items) = at.get("items").filter(|_| type_name(at) == Some("array")) {
        at = settle(root, items);
        many = true;
    }
    (at, many)
}

/// The one type beside null.
fn type_name(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            let only = names.next()?;
            names.next().is_none().then_some(only)
        }
        _ => None,
    }
}

pub(super) fn value_type(schema: &Value) -> ValueType {
    match type_name(schema) {
        Some("string") if schema.get("format") == Some(&Value::from("date-time")) => ValueType::Time,
        Some("string") => ValueType::Text,
        Some("integer") => ValueType::Int,
        Some("number") => ValueType::Float,
        Some("boolean") => ValueType::Bool,
        Some(_) => ValueType::Any,
        None if all_text(schema) => ValueType::Text,
        None => ValueType::Any,
    }
}

/// An enum of texts: `enum`, `const`, or the `oneOf` of constants that documented variants become.
fn all_text(schema: &Value) -> bool {
    let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(|value| value.is_string() || value.is_null()));
    if let Some(list) = schema.get("enum") {
        return texts(list);
    }
    if let Some(value) = schema.get("const") {
        return value.is_string();
    }
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    branches.is_some_and(|branches| {
        branches.iter().all(|branch| {
            matches!(type_name(branch), Some("string")) || branch.get("type") == Some(&Value::from("null")) || all_text(branch)
        })
    })
}
