//! Path and query parameters: text turned into the JSON that the parameter type's schema describes.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, FieldError};

use crate::schema::{self, Checker, child, invalid};

/// Where parameters stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the path: what does not fit is a page that does not exist.
    Path,
    /// In the query.
    Query,
}

/// The parameters of one place, made from the type that they become. `()` has none.
#[derive(Debug)]
pub(crate) struct Fields {
    place: Place,
    schema: Value,
    checker: Checker,
}

impl Fields {
    /// The parameters that `T` describes.
    pub(crate) fn of<T: JsonSchema>(place: Place) -> Self {
        let mut schema = schema::input_of::<T>();
        resolve(&mut schema);
        let checker = Checker::new(&schema);
        Self { place, schema, checker }
    }

    /// The schema: an object with one property per parameter, or `null` for none.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Reads what the router took from the path; anything that does not fit fails with `not_found`.
    pub(crate) fn read_path<T: DeserializeOwned>(&self, pairs: &[(String, String)]) -> Result<T, Error> {
        let missing = || Error::not_found("page");
        let mut object = Map::new();
        for (name, text) in pairs {
            object.insert(name.clone(), self.coerce(name, text));
        }
        self.finish(object).map_err(|_| missing())
    }

    /// Reads the query: unknown and repeated parameters are refused, pointers are `/name`.
    pub(crate) fn read_query<T: DeserializeOwned>(&self, query: &str) -> Result<T, Error> {
        let mut object = Map::new();
        let mut wrong = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, text) = (decode(name)?, decode(text)?);
            let mut refuse = |code: &'static str, detail: &str| {
                wrong.push(FieldError { pointer: child("", &name), code: code.into(), detail: detail.to_owned() });
            };
            if self.property(&name).is_none() {
                refuse("unknown_parameter", "There is no such parameter.");
            } else if object.contains_key(name.as_ref()) {
                refuse("repeated_parameter", "A parameter may be given once.");
            } else {
                object.insert(name.to_string(), self.coerce(&name, &text));
            }
        }
        if !wrong.is_empty() {
            return Err(invalid(wrong));
        }
        self.finish(object)
    }

    fn finish<T: DeserializeOwned>(&self, object: Map<String, Value>) -> Result<T, Error> {
        let value = if self.schema["type"] == "null" { Value::Null } else { Value::Object(object) };
        self.checker.check(&value)?;
        serde_json::from_value(value).map_err(|error| match self.place {
            Place::Path => Error::not_found("page"),
            Place::Query => Error::invalid(format!("The query cannot be used: {error}.")),
        })
    }

    fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }

    /// The text as the type that the schema names; what does not read as that type stays text, which the schema then refuses.
    fn coerce(&self, name: &str, text: &str) -> Value {
        let Some(property) = self.property(name) else { return text.into() };
        coerce(property, text)
    }
}

fn coerce(schema: &Value, text: &str) -> Value {
    let is = |kind: &str| match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(several) => several.iter().any(|one| one == kind),
        _ => false,
    };
    if is("array") {
        let item = &schema["items"];
        return text.split(',').filter(|part| !part.is_empty()).map(|part| coerce(item, part)).collect::<Vec<_>>().into();
    }
    if is("integer")
        && let Ok(whole) = text.parse::<i64>()
    {
        // Only the canonical spelling: "+5" and "05" are not JSON numbers.
        if whole.to_string() == text {
            return whole.into();
        }
    }
    if is("number")
        && let Ok(Value::Number(number)) = serde_json::from_str(text)
    {
        return Value::Number(number);
    }
    match text {
        "true" if is("boolean") => true.into(),
        "false" if is("boolean") => false.into(),
        _ => text.into(),
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    let malformed = |_| Error::new(ErrorKind::Malformed, "malformed_query", "The query is not percent-encoded UTF-8.");
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    Ok(Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8().map_err(malformed)?.into_owned()))
}

/// Parameters are described one by one, so the object that holds them must not hide behind a reference.
fn resolve(schema: &mut Value) {
    let Some(reference) = schema.get("$ref").and_then(Value::as_str).map(str::to_owned) else { return };
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let Some(name) = reference.strip_prefix("#/$defs/") else { return };
    let mut resolved = definitions[name].clone();
    if let Value::Object(object) = &mut resolved {
        object.insert("$defs".into(), definitions);
    }
    *schema = resolved;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, schemars::JsonSchema, Debug, PartialEq)]
    struct Sample {
        limit: Option<u32>,
        filter: Option<String>,
        #[serde(default)]
        exact: bool,
        #[serde(default)]
        names: Vec<String>,
    }

    fn read(query: &str) -> Result<Sample, Error> {
        Fields::of::<Sample>(Place::Query).read_query(query)
    }

    #[test]
    fn queries_are_read_as_their_type_says() {
        let sample = read("limit=5&filter=a+%3D%20%22b%22&exact=true&names=x,y").expect("is read");
        let expected = Sample { limit: Some(5), filter: Some("a = \"b\"".into()), exact: true, names: vec!["x".into(), "y".into()] };
        assert_eq!(sample, expected);
        Fields::of::<()>(Place::Query).read_query::<()>("").expect("nothing is asked, nothing is given");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (query, pointer, code) in [
            ("limit=05", "/limit", "type"),
            ("limit=-1", "/limit", "minimum"),
            ("limit=1&limit=2", "/limit", "repeated_parameter"),
            ("a%2Fb=1", "/a~1b", "unknown_parameter"),
            ("exact=yes", "/exact", "type"),
            ("filter=%00", "/filter", "nul_character"),
        ] {
            let error = read(query).expect_err(query);
            assert_eq!((error.fields()[0].pointer.as_str(), error.fields()[0].code.as_ref()), (pointer, code), "{query}");
        }
        assert_eq!(read("filter=%ff").expect_err("is refused").code(), "malformed_query");
    }
}
