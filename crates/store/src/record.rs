//! A record as it is read.

use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::filter::{FieldPath, Row, Value as Found};
use steward_base::{Error, RecordId, Timestamp};

use crate::kind::{Field, Kind, Model};

/// A record: a body of some kind with what every record has.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Unique within its kind.
    pub id: RecordId,
    /// The kind's name.
    pub kind: Arc<str>,
    /// From 1, grows by one with every change.
    pub version: i64,
    /// The record it belongs under.
    pub parent: Option<RecordId>,
    /// As the kind's schema says, and whatever a newer version added.
    pub body: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Wire id of who created it.
    pub created_by: String,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Wire id of who changed it last.
    pub updated_by: String,
    /// When it went to the recycle bin.
    pub deleted_at: Option<Timestamp>,
}

impl Record {
    /// The body as its Rust type; fails when the stored body is not one, which is a defect.
    pub fn decode<M: Model>(&self) -> Result<M, Error> {
        if *self.kind != *M::KIND {
            return Err(Error::internal(format!("a record of kind {} was read as {}", self.kind, M::KIND)));
        }
        serde_json::from_value(Value::Object(self.body.clone()))
            .map_err(|error| Error::internal(format!("stored body of kind {}: {error}", self.kind)))
    }

    /// The record as clients see it: the body without its secrets, and `id`, `revision`, `created_at`, `created_by`, `updated_at`, `updated_by`.
    pub fn to_json(&self, kind: &Kind) -> Value {
        let mut shown = self.body.clone();
        for field in kind.fields().iter().filter(|field| field.secret) {
            remove(&mut shown, &field.segments);
        }
        shown.insert("id".into(), self.id.wire(kind.prefix()).into());
        shown.insert("revision".into(), self.version.into());
        shown.insert("created_at".into(), self.created_at.to_string().into());
        shown.insert("created_by".into(), self.created_by.clone().into());
        shown.insert("updated_at".into(), self.updated_at.to_string().into());
        shown.insert("updated_by".into(), self.updated_by.clone().into());
        Value::Object(shown)
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

/// A record as filters see it.
pub(crate) struct RecordRow<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) record: &'a Record,
    /// The body again, in the form that the filter's own JSON row walks.
    pub(crate) body: &'a Value,
}

impl Row for RecordRow<'_> {
    fn value(&self, path: &FieldPath) -> Found<'_> {
        if let [name] = path.segments() {
            match name.as_str() {
                "id" => return Found::Text(self.record.id.wire(self.kind.prefix()).into()),
                "revision" => return Found::Int(self.record.version),
                "created_at" => return Found::Time(self.record.created_at),
                "created_by" => return Found::Text(self.record.created_by.as_str().into()),
                "updated_at" => return Found::Time(self.record.updated_at),
                "updated_by" => return Found::Text(self.record.updated_by.as_str().into()),
                _ => {}
            }
        }
        self.body.value(path)
    }

    fn text_contains(&self, word: &str) -> bool {
        let fields = self.kind.fields();
        let declared = fields.iter().any(|field| field.searchable);
        let looked_at = |field: &&Field| if declared { field.searchable } else { !field.secret };
        let mut scalars = Vec::new();
        if let Value::Object(body) = self.body {
            fields.iter().filter(looked_at).for_each(|field| field.scalars(body, &mut scalars));
        }
        scalars.into_iter().any(|scalar| scalar.text_contains(word))
    }
}
