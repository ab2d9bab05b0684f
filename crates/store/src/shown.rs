//! A record as clients see it, written as JSON straight from its stored text.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use steward_base::{Error, Timestamp};

use crate::Record;
use crate::kind::Kind;

/// A record in an answer: the body without its secrets, merged by name with the record's own fields, or a choice of both.
#[derive(Clone, Debug)]
pub struct Shown {
    record: Record,
    kind: Arc<Kind>,
    only: Option<Arc<[String]>>,
}

/// Names and values of the fields that every record has: two times, two authors, an id, a number.
const OWN_BYTES: usize = 288;

/// A value of a field that every record has.
#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Time(Timestamp),
}

impl Own<'_> {
    /// Ids and times are plain text, in JSON too.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Text(text) => serde_json::to_writer(out, text).map_err(Error::internal),
            Self::Number(number) => write!(out, "{number}").map_err(Error::internal),
            Self::Time(time) => write!(out, "\"{time}\"").map_err(Error::internal),
        }
    }
}

impl Record {
    /// The record as clients see it.
    pub fn shown(self, kind: &Arc<Kind>) -> Shown {
        Shown { record: self, kind: kind.clone(), only: None }
    }

    /// The same as a value that can be looked into and changed.
    pub fn to_json(&self, kind: &Kind) -> Result<Value, Error> {
        let mut shown = self.body.object()?;
        for field in kind.fields().iter().filter(|field| field.secret) {
            remove(&mut shown, &field.segments);
        }
        for (name, own) in self.own(kind) {
            let own = match own {
                Own::Text(text) => text.into_owned().into(),
                Own::Number(number) => number.into(),
                Own::Time(time) => time.to_string().into(),
            };
            shown.insert(name.to_owned(), own);
        }
        Ok(Value::Object(shown))
    }

    /// The record's own fields in the order of their names.
    fn own(&self, kind: &Kind) -> impl Iterator<Item = (&'static str, Own<'_>)> {
        let fields = [
            Some(("created_at", Own::Time(self.created_at))),
            Some(("created_by", Own::Text(Cow::Borrowed(&self.created_by)))),
            self.deleted_at.map(|at| ("deleted_at", Own::Time(at))),
            Some(("id", Own::Text(Cow::Owned(self.id.wire(kind.prefix()))))),
            Some(("revision", Own::Number(self.version))),
            Some(("updated_at", Own::Time(self.updated_at))),
            Some(("updated_by", Own::Text(Cow::Borrowed(&self.updated_by)))),
        ];
        fields.into_iter().flatten()
    }
}

impl Shown {
    /// Only these top-level fields; the id is always there.
    #[must_use]
    pub fn only(mut self, names: Option<Arc<[String]>>) -> Self {
        self.only = names;
        self
    }

    /// Writes it as JSON. Where nothing is left out the stored text is copied as it is, behind the record's own fields.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.only.is_some() || self.kind.fields().iter().any(|field| field.secret) {
            return serde_json::to_writer(out, self).map_err(Error::internal);
        }
        out.push(b'{');
        for (name, own) in self.record.own(&self.kind) {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            own.write(out)?;
            out.push(b',');
        }
        // An object's text without its opening brace: its members and the closing one.
        let members = self.record.body.text().strip_prefix('{').unwrap_or("}");
        if members == "}" {
            out.pop();
        }
        out.extend_from_slice(members.as_bytes());
        Ok(())
    }

    /// About how many bytes [`Shown::write`] writes.
    pub fn size(&self) -> usize {
        OWN_BYTES + self.record.body.text().len()
    }

    fn wants(&self, name: &str) -> bool {
        name == "id" || self.only.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }

    /// Values are copied as they stand in the stored text: only the names are looked at.
    fn splice<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut own = self.record.own(&self.kind).filter(|(name, _)| self.wants(name)).peekable();
        let secrets: Vec<&str> =
            self.kind.fields().iter().filter(|field| field.secret).filter_map(|field| field.segments.first()).map(String::as_str).collect();
        let read = self.record.body.each_member(|name, value| {
            let mut same = false;
            while let Some((known, field)) = own.next_if(|(known, _)| *known <= name) {
                same |= known == name;
                map.serialize_entry(known, &field)?;
            }
            if !same && self.wants(name) && !secrets.contains(&name) {
                map.serialize_entry(name, value)?;
            }
            Ok(())
        });
        read.map_err(S::Error::custom)??;
        for (known, field) in own {
            map.serialize_entry(known, &field)?;
        }
        map.end()
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nested = |field: &crate::Field| field.secret && field.segments.len() > 1;
        if !self.kind.fields().iter().any(nested) {
            return self.splice(serializer);
        }
        match self.record.to_json(&self.kind) {
            Ok(Value::Object(all)) => serializer.collect_map(all.iter().filter(|(name, _)| self.wants(name))),
            Ok(_) => Err(S::Error::custom("a record is not an object")),
            Err(error) => Err(S::Error::custom(error.causes())),
        }
    }
}

/// What its kind's output schema says more closely: operations that answer records document that one.
impl JsonSchema for Shown {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Record".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

fn remove(object: &mut Map<String, Value>, segments: &[String]) {
    match segments {
        [] => {}
        [last] => {
            object.remove(last);
        }
        [first, rest @ ..] => match object.get_mut(first) {
            Some(Value::Object(below)) => remove(below, rest),
            Some(Value::Array(items)) => items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| remove(item, rest)),
            _ => {}
        },
    }
}
