//! Sealing the secrets of a body: what came in the clear is sealed before the commit, and at its turn compared with what is stored.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::{Error, Random, RecordId};
use zeroize::Zeroizing;

use super::{DataKey, SEALED, TenantKeys};
use crate::kind::Kind;

/// What seals the secrets of a unit.
#[derive(Clone, Debug)]
pub(crate) struct Sealer {
    pub(crate) keys: Arc<TenantKeys>,
    pub(crate) random: Random,
}

/// The secrets of one body.
#[derive(Debug)]
pub(crate) struct Sealing {
    keys: Arc<TenantKeys>,
    /// Field, as it was just sealed, and in the clear.
    fresh: Vec<(usize, String, Zeroizing<String>)>,
    /// Field and text of what came sealed, as it was read.
    kept: Vec<(usize, String)>,
}

impl Sealer {
    /// Seals one text under the newest key.
    pub(crate) fn seal_text(&self, bound_to: &[u8], plain: &[u8]) -> Result<String, Error> {
        Ok(self.newest()?.seal(bound_to, plain, &self.random))
    }

    fn newest(&self) -> Result<&DataKey, Error> {
        self.keys.0.last().ok_or_else(|| Error::internal("a tenant's ring is empty"))
    }

    /// Seals what stands in the clear.
    pub(crate) fn seal(&self, kind: &Kind, id: RecordId, body: &mut Map<String, Value>) -> Result<Sealing, Error> {
        let key = self.newest()?;
        let mut sealing = Sealing { keys: self.keys.clone(), fresh: Vec::new(), kept: Vec::new() };
        for (number, field) in kind.fields().iter().enumerate().filter(|(_, field)| field.sealed) {
            let bound = bound(kind, id, &field.path);
            each(body, &field.segments, &mut |value| match value {
                Value::String(plain) => {
                    let plain = Zeroizing::new(std::mem::take(plain));
                    let text = key.seal(&bound, plain.as_bytes(), &self.random);
                    *value = sealed(&text);
                    sealing.fresh.push((number, text, plain));
                }
                other => sealing.kept.extend(sealed_text(other).map(|text| (number, text.to_owned()))),
            });
        }
        Ok(sealing)
    }
}

impl Sealing {
    /// The body with what did not change as it is stored, when that is another text; what came sealed must be stored so.
    pub(crate) fn settle(
        &self,
        kind: &Kind,
        id: RecordId,
        stored: Option<&Map<String, Value>>,
        body: &Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let stored_texts = |number: usize| stored.map(|stored| texts(stored, &kind.fields()[number].segments)).unwrap_or_default();
        for (number, text) in &self.kept {
            if !stored_texts(*number).contains(&text.as_str()) {
                return Err(not_stored(&kind.fields()[*number].pointer()));
            }
        }
        let mut same: HashMap<&str, &str> = HashMap::new();
        for (number, fresh, plain) in &self.fresh {
            let bound = bound(kind, id, &kind.fields()[*number].path);
            let opens = |text: &&str| self.keys.open(&bound, text).is_some_and(|open| open.as_slice() == plain.as_bytes());
            same.extend(stored_texts(*number).into_iter().find(opens).map(|text| (fresh.as_str(), text)));
        }
        if same.is_empty() {
            return Ok(None);
        }
        let mut body = body.clone();
        for field in kind.fields().iter().filter(|field| field.sealed) {
            each(&mut body, &field.segments, &mut |value| {
                if let Some(text) = sealed_text(value).and_then(|text| same.get(text)) {
                    *value = sealed(text);
                }
            });
        }
        Ok(Some(body))
    }
}

/// What a secret is bound to: it opens for this field of this record only.
pub(crate) fn bound(kind: &Kind, id: RecordId, path: &str) -> Vec<u8> {
    [kind.name().as_bytes(), &[0], &id.bytes(), path.as_bytes()].concat()
}

pub(crate) fn sealed(text: &str) -> Value {
    Value::Object(Map::from_iter([(SEALED.to_owned(), Value::from(text))]))
}

/// What is never told, not even sealed.
pub(crate) fn withheld() -> Value {
    Value::Object(Map::from_iter([(SEALED.to_owned(), Value::Null)]))
}

/// What personal data in an event is bound to: the record it is about and the name it has there.
pub(crate) fn bound_to_subject(subject: RecordId, name: &str) -> Vec<u8> {
    [b"event", &[0][..], &subject.bytes(), name.as_bytes()].concat()
}

/// The text of a sealed value.
pub(crate) fn sealed_text(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(SEALED)?.as_str()
}

/// The sealed texts at a path of a body.
pub(crate) fn texts<'a>(body: &'a Map<String, Value>, segments: &[String]) -> Vec<&'a str> {
    fn descend<'a>(value: &'a Value, rest: &[String], found: &mut Vec<&'a str>) {
        match (value, rest) {
            (Value::Array(items), _) => items.iter().for_each(|item| descend(item, rest, found)),
            (Value::Object(object), [first, rest @ ..]) => object.get(first).into_iter().for_each(|value| descend(value, rest, found)),
            (value, []) => found.extend(sealed_text(value)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let [first, rest @ ..] = segments {
        body.get(first).into_iter().for_each(|value| descend(value, rest, &mut found));
    }
    found
}

/// Visits what stands at a path of a body, each item where there are many.
pub(crate) fn each(body: &mut Map<String, Value>, segments: &[String], visit: &mut dyn FnMut(&mut Value)) {
    fn descend(value: &mut Value, rest: &[String], visit: &mut dyn FnMut(&mut Value)) {
        match (value, rest) {
            (Value::Array(items), _) => items.iter_mut().for_each(|item| descend(item, rest, visit)),
            (Value::Object(object), [first, rest @ ..]) => {
                if let Some(value) = object.get_mut(first) {
                    descend(value, rest, visit);
                }
            }
            (value, []) => visit(value),
            _ => {}
        }
    }
    if let [first, rest @ ..] = segments
        && let Some(value) = body.get_mut(first)
    {
        descend(value, rest, visit);
    }
}

/// Whether a value that came from outside claims to be sealed somewhere.
pub(crate) fn names_sealed(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(name, value)| name == SEALED || names_sealed(value)),
        Value::Array(items) => items.iter().any(names_sealed),
        _ => false,
    }
}

fn not_stored(pointer: &str) -> Error {
    let detail = "This is not what is stored here: send the secret itself, or leave it out.";
    Error::invalid("One field is not valid; see errors.").with_field(format!("{pointer}/{SEALED}"), "reserved_name", detail)
}

/// A secret that no key of the tenant opens.
pub(crate) fn unreadable(kind: &Kind, field: &str) -> Error {
    Error::internal(format!("{}.{field} does not open: it was sealed elsewhere, or its key is gone", kind.name()))
}
