//! A record as it is read.

use std::sync::Arc;

use serde_json::Value;
use steward_base::filter::{FieldPath, Row, Value as Found};
use steward_base::{Error, RecordId, Timestamp};

use crate::Body;
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
    pub body: Body,
    /// When it was created.
    pub created_at: Timestamp,
    /// Wire id of who created it.
    pub created_by: Arc<str>,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Wire id of who changed it last.
    pub updated_by: Arc<str>,
    /// When it went to the recycle bin.
    pub deleted_at: Option<Timestamp>,
}

impl Record {
    /// The body as its Rust type; fails when the stored body is not one, which is a defect.
    pub fn decode<M: Model>(&self) -> Result<M, Error> {
        if *self.kind != *M::KIND {
            return Err(Error::internal(format!("a record of kind {} was read as {}", self.kind, M::KIND)));
        }
        self.body.decode()
    }
}

/// A record as filters see it.
pub(crate) struct RecordRow<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) record: &'a Record,
    /// What the filter asks of the body.
    pub(crate) body: &'a Value,
}

impl Row for RecordRow<'_> {
    fn value(&self, path: &FieldPath) -> Found<'_> {
        if let [name] = path.segments() {
            match name.as_str() {
                "id" => return Found::Text(self.record.id.wire(self.kind.prefix()).into()),
                "revision" => return Found::Int(self.record.version),
                "created_at" => return Found::Time(self.record.created_at),
                "created_by" => return Found::Text(self.record.created_by[..].into()),
                "updated_at" => return Found::Time(self.record.updated_at),
                "updated_by" => return Found::Text(self.record.updated_by[..].into()),
                "deleted_at" => return self.record.deleted_at.map_or(Found::Missing, Found::Time),
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
