//! What travels in both directions: errors, contexts, records and what a commit did.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use steward_base::{Attempt, Ctx, Error, ErrorKind, FieldError, Origin, Parts, Principal, RecordId, TenantId};

use crate::Record;
use crate::job::Job;
use crate::kind::Kinds;
use crate::rows::{EventRow, Row};
use crate::unit::Committed;

/// Most codes that are learned from another process: there are some hundred.
const MAX_CODES: usize = 2_000;

/// An error on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) code: String,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    fields: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retry_after: Option<Duration>,
    /// For the log of whoever asked.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    causes: String,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().to_owned(),
            detail: error.detail().to_owned(),
            fields: error.fields().to_vec(),
            retry_after: error.retry_after(),
            causes: error.causes(),
        }
    }

    pub(super) fn into_error(self) -> Error {
        let mut error = Error::new(self.kind, interned(&self.code), self.detail);
        for field in self.fields {
            error = error.with_field(field.pointer, field.code, field.detail);
        }
        if let Some(after) = self.retry_after {
            error = error.with_retry_after(after);
        }
        if self.causes.is_empty() { error } else { error.with_source(self.causes) }
    }
}

/// Codes live as long as the program. Those of another version are few, and each is kept once.
fn interned(code: &str) -> &'static str {
    static CODES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut codes = CODES.lock();
    if let Some(known) = codes.get(code) {
        return known;
    }
    if codes.len() >= MAX_CODES {
        return "internal";
    }
    let code: &'static str = Box::leak(Box::from(code));
    codes.insert(code);
    code
}

/// A context on its way. Grants stay behind: whoever made the request evaluated them, and the kernel never does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Who {
    principal: Principal,
    tenant: TenantId,
    reason: Arc<str>,
    origin: Option<Arc<Origin>>,
    trace_id: Option<Arc<str>>,
    request_id: Option<Arc<str>>,
    attempt: Option<Arc<Attempt>>,
}

impl Who {
    pub(super) fn of(ctx: &Ctx) -> Self {
        let Parts { principal, tenant, grants: _, reason, origin, trace_id, request_id } = ctx.parts().clone();
        Self { principal, tenant, reason, origin, trace_id, request_id, attempt: ctx.attempt().cloned() }
    }

    pub(super) fn restore(self) -> Ctx {
        let Self { principal, tenant, reason, origin, trace_id, request_id, attempt } = self;
        Ctx::mint(Parts { principal, tenant, grants: Arc::new([]), reason, origin, trace_id, request_id }).attempting(attempt)
    }
}

/// A record on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    kind: Cow<'static, str>,
    id: RecordId,
    row: Row,
}

impl Kept {
    pub(super) fn of(kinds: &Kinds, record: Record) -> Self {
        let Record { id, kind, version, parent, body, created_at, created_by, updated_at, updated_by, deleted_at } = record;
        let row = Row {
            version,
            parent,
            body: body.into_text(),
            created_at: created_at.micros(),
            created_by,
            updated_at: updated_at.micros(),
            updated_by,
            deleted_at: deleted_at.map(steward_base::Timestamp::micros),
            // As it was read: in the present version, which both processes have.
            shape: kinds.get(&kind).map_or(1, |kind| kind.version()),
        };
        Self { kind: kind.to_string().into(), id, row }
    }

    pub(super) fn restore(self, kinds: &Kinds) -> Result<Record, Error> {
        let kind = kinds.get(&self.kind).ok_or_else(|| crate::store::unknown_kind(&self.kind))?;
        Ok(self.row.into_record(kind, self.id))
    }

    pub(super) fn all(kinds: &Kinds, records: Vec<Record>) -> Vec<Self> {
        records.into_iter().map(|record| Self::of(kinds, record)).collect()
    }

    pub(super) fn restore_all(kept: Vec<Self>, kinds: &Kinds) -> Result<Vec<Record>, Error> {
        kept.into_iter().map(|kept| kept.restore(kinds)).collect()
    }
}

/// An event on its way, to the byte: position, subject, hash and body.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chained(i64, RecordId, String, String);

impl Chained {
    pub(super) fn of(row: EventRow) -> Self {
        Self(row.position, row.subject, STANDARD_NO_PAD.encode(row.hash), STANDARD_NO_PAD.encode(row.body))
    }

    pub(super) fn restore(self) -> Result<EventRow, Error> {
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(Error::internal);
        let hash = bytes(&self.2)?.try_into().map_err(|_| Error::internal("the hash of an event did not arrive whole"))?;
        Ok(EventRow { position: self.0, subject: self.1, hash, body: bytes(&self.3)? })
    }
}

/// What a commit did, on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    records: Vec<Kept>,
    jobs: Vec<Job>,
    position: i64,
}

impl Outcome {
    pub(super) fn of(kinds: &Kinds, committed: Committed) -> Self {
        let Committed { records, jobs, position } = committed;
        Self { records: Kept::all(kinds, records), jobs, position }
    }

    pub(super) fn restore(self, kinds: &Kinds) -> Result<Committed, Error> {
        Ok(Committed { records: Kept::restore_all(self.records, kinds)?, jobs: self.jobs, position: self.position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_it_was() {
        let error = Error::new(ErrorKind::PreconditionFailed, "version_conflict", "Read it again.")
            .with_field("/name", "taken", "Choose another.")
            .with_retry_after(Duration::from_millis(1_500))
            .with_source("a cause");
        let text = serde_json::to_string(&Refusal::of(&error)).expect("has a text");
        let again = serde_json::from_str::<Refusal>(&text).expect("reads").into_error();
        assert_eq!(format!("{again:?}"), format!("{error:?}"));
        assert_eq!(again.retry_after(), error.retry_after());
        assert!(std::ptr::eq(interned("some_code"), interned("some_code")), "each code is kept once");
    }
}
