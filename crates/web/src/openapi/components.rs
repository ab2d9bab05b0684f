//! Schemas that several operations share, each under one name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::schema::each_subschema;

/// Keywords that the store reads; in the document they are extensions.
const OWN_KEYWORDS: [&str; 9] = ["indexed", "unique", "searchable", "personal", "secret", "scope", "reference", "on_delete", "sensitive"];

/// Whether a schema describes what is sent or what is answered: the two forms of one type may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Input,
    Output,
}

/// Named schemas. Equal ones share a name; different ones of the same name get a suffix, in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Components {
    /// Name to (what it was made from, what is written).
    schemas: BTreeMap<String, (String, Value)>,
}

impl Components {
    /// Adds `schema` with its `$defs`; answers what stands in its place: a reference when it has a name, itself otherwise.
    pub(super) fn add(&mut self, schema: &Value, direction: Direction) -> Value {
        let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut root = schema.clone();
        if let Value::Object(object) = &mut root {
            object.remove("$defs");
            object.remove("$schema");
        }
        let title = root.get("title").and_then(Value::as_str).filter(|_| root.get("properties").is_some()).map(str::to_owned);
        let mut names = BTreeMap::new();
        for name in reachable(&root, &definitions) {
            let print = fingerprint(&definitions[&name], &definitions);
            let chosen = self.choose(&name, &print, direction);
            // Reserved before its body is rewritten, so that two definitions cannot take one name.
            self.schemas.entry(chosen.clone()).or_insert((print, Value::Null));
            names.insert(name, chosen);
        }
        for (name, chosen) in &names {
            let mut body = definitions[name].clone();
            rewrite(&mut body, &names);
            if let Some((_, slot)) = self.schemas.get_mut(chosen) {
                *slot = body;
            }
        }
        let print = fingerprint(&root, &definitions);
        rewrite(&mut root, &names);
        let Some(title) = title else { return root };
        let name = self.choose(&title, &print, direction);
        self.schemas.insert(name.clone(), (print, root));
        reference(&name)
    }

    /// The name for a schema made from `print`.
    fn choose(&self, name: &str, print: &str, direction: Direction) -> String {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
        let second = if direction == Direction::Input { format!("{name}Input") } else { format!("{name}Output") };
        let numbered = (2..).map(|number| format!("{name}{number}"));
        [name.clone(), second]
            .into_iter()
            .chain(numbered)
            .find(|candidate| self.schemas.get(candidate).is_none_or(|(known, _)| known == print))
            .expect("numbers do not run out")
    }

    /// All of them, by name.
    pub(super) fn into_schemas(self) -> Map<String, Value> {
        self.schemas.into_iter().map(|(name, (_, schema))| (name, schema)).collect()
    }
}

fn reference(name: &str) -> Value {
    serde_json::json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Names of the definitions that `schema` leads to.
fn reachable(schema: &Value, definitions: &Map<String, Value>) -> BTreeSet<String> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![schema]);
    while let Some(next) = waiting.pop() {
        let mut copy = next.clone();
        each_subschema(&mut copy, &mut |object| {
            let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/$defs/")) else { return };
            if let Some(definition) = definitions.get(name)
                && found.insert(name.to_owned())
            {
                waiting.push(definition);
            }
        });
    }
    found
}

/// What makes two schemas equal: their text and that of everything they lead to.
fn fingerprint(schema: &Value, definitions: &Map<String, Value>) -> String {
    let below: BTreeMap<String, &Value> =
        reachable(schema, definitions).into_iter().map(|name| (name.clone(), &definitions[&name])).collect();
    serde_json::json!([schema, below]).to_string()
}

fn rewrite(schema: &mut Value, names: &BTreeMap<String, String>) {
    each_subschema(schema, &mut |object| {
        if let Some(Value::String(target)) = object.get_mut("$ref")
            && let Some(name) = target.strip_prefix("#/$defs/").and_then(|name| names.get(name))
        {
            *target = format!("#/components/schemas/{name}");
        }
        for keyword in OWN_KEYWORDS {
            if let Some(value) = object.remove(keyword) {
                object.insert(format!("x-steward-{}", keyword.replace('_', "-")), value);
            }
        }
    });
}

/// Leaves out components that no operation leads to.
pub(super) fn prune(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut waiting = vec![&document["paths"]];
    while let Some(next) = waiting.pop() {
        match next {
            Value::Object(object) => {
                if let Some(target) = object.get("$ref").and_then(Value::as_str)
                    && used.insert(target.trim_start_matches('#').to_owned())
                {
                    waiting.extend(document.pointer(target.trim_start_matches('#')));
                }
                waiting.extend(object.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    for section in ["schemas", "responses", "headers", "parameters"] {
        if let Some(Value::Object(members)) = document["components"].get_mut(section) {
            members.retain(|name, _| used.contains(&format!("/components/{section}/{name}")));
        }
    }
}

/// A parameter that is not given is absent, never null.
pub(super) fn without_null(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".into(), one);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(mut branches)) = object.remove("anyOf") {
        branches.retain(|branch| branch["type"] != "null");
        match branches.as_slice() {
            [Value::Object(only)] => object.extend(only.clone()),
            _ => drop(object.insert("anyOf".into(), branches.into())),
        }
    }
}
