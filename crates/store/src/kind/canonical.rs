//! From a body as it came to the body as it is stored: limits checked, numbers and times in one form, keys sorted.

use std::sync::Arc;

use serde_json::{Map, Number, Value};
use steward_base::{Error, ErrorKind, RecordId, Timestamp};

use super::schema::RECORD_FIELDS;
use super::{Kind, Terms, ValueType};
use crate::keys::{SEALED, Sealer, Sealing};

const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_ENTRIES: usize = 200;
/// Beyond this a JSON number is not exact in every client.
const MAX_NUMBER: f64 = 9_007_199_254_740_992.0;

const RESERVED: &str = "reserved_name";

/// A body that may be stored, with everything that is derived from it.
#[derive(Clone, Debug)]
pub(crate) struct Canonical {
    pub(crate) body: Arc<Map<String, Value>>,
    pub(crate) text: Arc<str>,
    pub(crate) entries: Arc<Entries>,
    /// What its secrets are held against at its turn.
    pub(crate) sealing: Option<Arc<Sealing>>,
    pub(crate) terms: Arc<Terms>,
}

/// The keys of a body: index values and unique keys by field number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entries {
    pub(crate) index: Vec<(usize, Vec<u8>)>,
    pub(crate) unique: Vec<(usize, Vec<u8>)>,
}

impl Kind {
    /// Checks limits and schema and brings the body into its one stored form. Secrets are sealed already.
    pub(crate) fn canonical(&self, body: Map<String, Value>) -> Result<Canonical, Error> {
        self.finished(self.checked(body)?)
    }

    /// The same for a body that may hold secrets in the clear.
    pub(crate) fn sealed(&self, id: RecordId, body: Map<String, Value>, sealer: Option<&Sealer>) -> Result<Canonical, Error> {
        let mut body = self.checked(body)?;
        let sealer = sealer.ok_or_else(|| Error::internal(format!("a {} was about to be written unsealed", self.name())))?;
        let sealing = sealer.seal(self, id, &mut body)?;
        Ok(Canonical { sealing: Some(Arc::new(sealing)), ..self.finished(body)? })
    }

    fn checked(&self, mut body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut problems = Vec::new();
        let mut pointer = String::new();
        normalise_object(&mut body, 1, &mut pointer, &mut problems);
        if self.seals() {
            problems.retain(|(pointer, code, _)| *code != RESERVED || !self.is_sealed_at(pointer));
        }
        if !problems.is_empty() {
            return Err(problems
                .into_iter()
                .fold(Error::invalid("The record holds values that cannot be stored."), |error, (pointer, code, detail)| {
                    error.with_field(pointer, code, detail)
                }));
        }
        self.normalise_times(&mut body);
        self.drop_nulls(&mut body);
        self.check_stored(body)
    }

    /// The same for one that is stored already: whatever may be wrong with it, it stays as it is.
    pub(crate) fn finished(&self, body: Map<String, Value>) -> Result<Canonical, Error> {
        let text = serde_json::to_string(&body).map_err(Error::internal)?;
        if text.len() > MAX_BYTES {
            let detail = format!("A record holds at most {} KiB; this one has {}.", MAX_BYTES / 1024, text.len().div_ceil(1024));
            return Err(Error::new(ErrorKind::TooLarge, "record_too_large", detail));
        }
        let entries = self.entries(&body);
        if entries.index.len() > MAX_ENTRIES {
            let detail =
                format!("A record has at most {MAX_ENTRIES} index entries; this one has {}: shorten its lists.", entries.index.len());
            return Err(Error::new(ErrorKind::Invalid, "too_many_index_entries", detail));
        }
        let terms = Arc::new(self.terms(&body));
        Ok(Canonical { body: Arc::new(body), text: text.into(), entries: Arc::new(entries), terms, sealing: None })
    }

    /// Whether a pointer leads into a secret that was read sealed.
    fn is_sealed_at(&self, pointer: &str) -> bool {
        let Some(field) = pointer.strip_suffix(SEALED).and_then(|field| field.strip_suffix('/')) else { return false };
        let named = field.split('/').skip(1).filter(|segment| !segment.bytes().all(|byte| byte.is_ascii_digit()));
        let named: Vec<String> = named.map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
        self.fields().iter().any(|field| field.sealed && field.segments == named)
    }

    /// The index values and unique keys of a body.
    pub(crate) fn entries(&self, body: &Map<String, Value>) -> Entries {
        let mut entries = Entries::default();
        for (number, field) in self.fields().iter().enumerate() {
            if field.indexed {
                entries.index.extend(field.index_values(body).into_iter().map(|value| (number, value)));
            }
            if field.unique {
                entries.unique.extend(field.unique_values(body).into_iter().map(|value| (number, value)));
            }
        }
        entries
    }

    /// Times have one text, so that equal times are equal texts.
    fn normalise_times(&self, body: &mut Map<String, Value>) {
        for field in self.fields().iter().filter(|field| field.value == ValueType::Time) {
            if let [first, rest @ ..] = field.segments.as_slice()
                && let Some(value) = body.get_mut(first)
            {
                normalise_time(value, rest);
            }
        }
    }

    /// `null` and absence of an optional field are one thing, and a patch that sets it to null removes it.
    fn drop_nulls(&self, body: &mut Map<String, Value>) {
        let required = self.schema().get("required").and_then(Value::as_array);
        // What every record has is not part of a body, whoever wrote it there.
        body.retain(|name, _| !RECORD_FIELDS.contains(&name.as_str()));
        body.retain(|name, value| !value.is_null() || required.is_some_and(|required| required.iter().any(|known| known == name)));
    }
}

fn normalise_time(value: &mut Value, rest: &[String]) {
    match (value, rest) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| normalise_time(item, rest)),
        (Value::Object(object), [first, rest @ ..]) => {
            if let Some(below) = object.get_mut(first) {
                normalise_time(below, rest);
            }
        }
        (Value::String(text), []) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.to_string();
            }
        }
        _ => {}
    }
}

type Problems = Vec<(String, &'static str, String)>;

fn normalise_object(object: &mut Map<String, Value>, depth: usize, pointer: &mut String, problems: &mut Problems) {
    for (name, value) in object.iter_mut() {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        if name.contains('\0') {
            problems.push((pointer.clone(), "null_character", "A name may not contain U+0000.".into()));
        } else if name == SEALED {
            problems.push((pointer.clone(), RESERVED, format!("The name {SEALED} is reserved.")));
        } else {
            normalise(value, depth + 1, pointer, problems);
        }
        pointer.truncate(length);
    }
}

fn normalise(value: &mut Value, depth: usize, pointer: &mut String, problems: &mut Problems) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::String(text) if text.contains('\0') => {
            problems.push((pointer.clone(), "null_character", "Text may not contain U+0000.".into()));
        }
        Value::String(_) => {}
        Value::Number(number) => match one_form(number) {
            Some(one_form) => *number = one_form,
            None => problems.push((
                pointer.clone(),
                "number_range",
                "Numbers beyond ±2^53 are not exact everywhere: send this one as text.".into(),
            )),
        },
        Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => {
            problems.push((pointer.clone(), "too_deep", format!("Values nest at most {MAX_DEPTH} deep.")));
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let length = pointer.len();
                pointer.push_str(&format!("/{at}"));
                normalise(item, depth + 1, pointer, problems);
                pointer.truncate(length);
            }
        }
        Value::Object(object) => normalise_object(object, depth, pointer, problems),
    }
}

/// `1.0` and `1` are one number with one text; `None` when it is out of range.
fn one_form(number: &Number) -> Option<Number> {
    let value = number.as_f64()?;
    if value.abs() > MAX_NUMBER {
        return None;
    }
    if value.fract() == 0.0 {
        // `as_f64` rounds, and only 2^53 + 1 rounds into the range.
        return match number.as_i64() {
            Some(exact) if exact.unsigned_abs() > 1 << 53 => None,
            Some(exact) => Some(exact.into()),
            None => Some((value as i64).into()),
        };
    }
    Some(number.clone())
}
