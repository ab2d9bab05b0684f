//! What the engines keep, in the form that both share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{AttemptKey, Error, RecordId, Timestamp};

use crate::attempt::Remembered;
use crate::job::Job;
use crate::keys::{KeyRow, Rewrapped};
use crate::kind::Kind;
use crate::span::Span;
use crate::tally::TallyKey;
use crate::{Body, Record};

/// The number of a kind in the list given at start, and a record's id.
pub(crate) type Key = (usize, RecordId);

/// The columns of a record beside its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) version: i64,
    pub(crate) parent: Option<RecordId>,
    #[serde(with = "crate::remote::stored")]
    pub(crate) body: Arc<str>,
    pub(crate) created_at: i64,
    pub(crate) created_by: Arc<str>,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: Arc<str>,
    pub(crate) deleted_at: Option<i64>,
    /// The version of the kind that the body was written in.
    pub(crate) shape: i32,
}

impl Row {
    pub(crate) fn parse(&self) -> Result<Map<String, Value>, Error> {
        Body::stored(self.body.clone()).object()
    }

    pub(crate) fn into_record(self, kind: &Kind, id: RecordId) -> Record {
        let this = kind.current(self);
        Record {
            id,
            kind: kind.shared_name(),
            version: this.version,
            parent: this.parent,
            body: Body::stored(this.body),
            created_at: Timestamp::from_micros(this.created_at),
            created_by: this.created_by,
            updated_at: Timestamp::from_micros(this.updated_at),
            updated_by: this.updated_by,
            deleted_at: this.deleted_at.map(Timestamp::from_micros),
        }
    }
}

/// A unique key: kind, field number, value.
pub(crate) type UniqueKey = (usize, usize, Vec<u8>);

/// An index entry: kind, field, value, record.
pub(crate) type IndexKey = (usize, IndexField, Vec<u8>, RecordId);

/// A term that a record is found by: kind, term, record.
pub(crate) type TermKey = (usize, Box<str>, RecordId);

/// What an index entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum IndexField {
    /// When the record was created: every record has this entry, so that it counts the records too.
    CreatedAt,
    /// A field of the body, by its number.
    Body(usize),
}

/// The name under which a namespace remembers the state of a kind's search rows; no body may declare it.
pub(crate) const SEARCH: &str = "$search";

/// The name under which the entries of [`IndexField::CreatedAt`] are kept; no body may declare it.
pub(crate) const CREATED_AT: &str = "created_at";

/// An event as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub(crate) position: i64,
    pub(crate) subject: RecordId,
    pub(crate) hash: [u8; 32],
    pub(crate) body: Vec<u8>,
}

/// Everything a batch writes: the engine runs one statement per table.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) records: Vec<(Key, Row)>,
    /// Erased, with all that is known of them but their history.
    pub(crate) records_gone: Vec<Key>,
    pub(crate) index_gone: Vec<IndexKey>,
    pub(crate) index_new: Vec<IndexKey>,
    pub(crate) unique_gone: Vec<(UniqueKey, RecordId)>,
    pub(crate) unique_new: Vec<(UniqueKey, RecordId)>,
    pub(crate) terms_gone: Vec<TermKey>,
    pub(crate) terms_new: Vec<TermKey>,
    pub(crate) events: Vec<EventRow>,
    /// Which of them requests left.
    pub(crate) spans: Vec<Span>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) tallies: Vec<(TallyKey, i64)>,
    pub(crate) tallies_gone: Vec<TallyKey>,
    /// Source, message, and until when it is remembered.
    pub(crate) received: Vec<(String, String, i64)>,
    pub(crate) attempts: Vec<(AttemptKey, Remembered)>,
    /// Remove what was over at this time.
    pub(crate) sweep: Option<Timestamp>,
    /// New data keys.
    pub(crate) keys: Vec<KeyRow>,
    /// Subjects whose keys go, before the new ones come.
    pub(crate) keys_gone: Vec<RecordId>,
    pub(crate) rewrapped: Vec<Rewrapped>,
    /// Position and hash of the last event.
    pub(crate) head: (i64, [u8; 32]),
}

impl Writes {
    pub(crate) fn is_empty(&self) -> bool {
        let plain = self.records.is_empty() && self.records_gone.is_empty() && self.events.is_empty();
        plain
            && self.jobs.is_empty()
            && self.spans.is_empty()
            && self.tallies.is_empty()
            && self.tallies_gone.is_empty()
            && self.received.is_empty()
            && self.attempts.is_empty()
            && self.sweep.is_none()
            && self.keys.is_empty()
            && self.keys_gone.is_empty()
            && self.rewrapped.is_empty()
    }

    /// Rows to be written, for the budget of a batch.
    pub(crate) fn rows(&self) -> usize {
        self.records.len()
            + self.index_gone.len()
            + self.index_new.len()
            + self.unique_gone.len()
            + self.unique_new.len()
            + self.terms_gone.len()
            + self.terms_new.len()
            + self.events.len()
            + self.spans.len()
            + self.jobs.len() * 3
            + self.tallies.len()
            + self.received.len()
            + self.keys.len()
            + self.attempts.len()
            + self.keys_gone.len()
            + self.rewrapped.len()
            + self.records_gone.len()
    }
}
