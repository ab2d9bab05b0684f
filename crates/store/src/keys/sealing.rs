//! Sealing the secrets of a body: what came in the clear is sealed before the commit, and at its turn compared with what is stored.
//!
//! Between the two the tenant's key may have changed and records may have been sealed anew: at its turn a body is brought to the keys that hold
//! then, so that nothing is sealed under an old key once there is a new one, whichever process it comes from.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde_json::{Map, Value};
use steward_base::{Error, Random, RecordId};
use zeroize::Zeroizing;

use super::{DataKey, SEALED, TenantKeys, key_of};
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
    /// The keys that it was sealed with.
    pub(crate) fn keys(&self) -> &Arc<TenantKeys> {
        &self.keys
    }

    /// The body as it is to be stored, when that is another text: what did not change as it is stored, everything else under the newest key of
    /// `now`. What came sealed must be stored, in the same text or sealed anew since it was read.
    pub(crate) fn settle(
        &self,
        now: &Sealer,
        (kind, id): (&Kind, RecordId),
        stored: Option<&Map<String, Value>>,
        body: &Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let stored_texts = |number: usize| stored.map(|stored| texts(stored, &kind.fields()[number].segments)).unwrap_or_default();
        let same = |number: usize, plain: &[u8]| {
            let bound = bound(kind, id, &kind.fields()[number].path);
            let opens = |text: &&str| now.keys.open(&bound, text).is_some_and(|open| open.as_slice() == plain);
            stored_texts(number).into_iter().find(opens).map(str::to_owned)
        };
        let mut instead: HashMap<&str, String> = HashMap::new();
        for (number, text) in &self.kept {
            if stored_texts(*number).contains(&text.as_str()) {
                continue;
            }
            let field = &kind.fields()[*number];
            let plain = now.keys.open(&bound(kind, id, &field.path), text);
            let text_now = plain.and_then(|plain| same(*number, &plain)).ok_or_else(|| not_stored(&field.pointer()))?;
            instead.insert(text, text_now);
        }
        let newest = now.newest()?;
        for (number, fresh, plain) in &self.fresh {
            if let Some(text) = same(*number, plain.as_bytes()) {
                instead.insert(fresh, text);
            } else if key_of(fresh) != Some(newest.id) {
                let bound = bound(kind, id, &kind.fields()[*number].path);
                instead.insert(fresh, newest.seal(&bound, plain.as_bytes(), &now.random));
            }
        }
        if instead.is_empty() {
            return Ok(None);
        }
        let mut body = body.clone();
        for field in kind.fields().iter().filter(|field| field.sealed) {
            each(&mut body, &field.segments, &mut |value| {
                if let Some(text) = sealed_text(value).and_then(|text| instead.get(text)) {
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

/// What personal data in an event is bound to: the record it is about, as its key names it, and the name it has there.
pub(crate) fn bound_to_subject(subject: RecordId, name: &str) -> Vec<u8> {
    [b"event", &[0][..], &subject.bytes(), name.as_bytes()].concat()
}

/// As what a key names the record whose personal data it seals: records of two kinds may have one id, and what is erased of one must stay for
/// the other.
pub(crate) fn subject_of(kind: &Kind, id: RecordId) -> RecordId {
    let name = digest::digest(&digest::SHA256, &[b"subject", &[0][..], kind.name().as_bytes(), &[0], &id.bytes()].concat());
    let (first, _) = name.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
    RecordId::from_bytes(*first)
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
