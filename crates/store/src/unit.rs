//! A unit of work: plain data, committed all or nothing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Error, RecordId, Timestamp};

use crate::Record;
use crate::job::{Job, JobChange, JobDraft, Lease};
use crate::keys::{KeyRow, Rewrapped, Sealer};
use crate::kind::Model;
use crate::tally::{Bounds, Tally};

/// What must be true of the stored record before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// There is no live record: otherwise `already_exists`.
    Absent,
    /// The live record has this version: otherwise `version_conflict`, and `not_found` when there is none.
    Version(i64),
    /// Whatever there is; a put creates what is missing, a delete of nothing does nothing.
    Any,
}

/// Changes that are committed together or not at all. One record may be written once in a unit.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnitOfWork {
    pub(crate) writes: Vec<Write>,
    pub(crate) guards: Vec<(Cow<'static, str>, RecordId, i64)>,
    pub(crate) events: Vec<EventDraft>,
    pub(crate) jobs: Vec<JobChange>,
    pub(crate) tallies: Vec<Tally>,
    /// Removes what nobody will ask for any more.
    pub(crate) sweep: bool,
    /// No other record may be deleted or changed with those that it names.
    pub(crate) contained: bool,
    /// Seals its secrets; the store sees to it.
    #[serde(skip)]
    pub(crate) sealer: Option<Sealer>,
    /// Data keys to be kept from now on.
    pub(crate) keys: Vec<KeyRow>,
    pub(crate) rewrapped: Vec<Rewrapped>,
    /// Everything is decided and nothing done.
    pub(crate) rehearsal: bool,
    /// What the request that this is part of is answered: the status, and the rest unless it is too large.
    pub(crate) answer: Option<(u16, Option<Vec<u8>>)>,
    /// The first thing that could not be said; the commit answers it.
    #[serde(skip)]
    pub(crate) problem: Option<Error>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    pub(crate) kind: Cow<'static, str>,
    pub(crate) id: RecordId,
    pub(crate) expect: Expect,
    pub(crate) parent: Option<RecordId>,
    pub(crate) becomes: Becomes,
}

/// What a write makes of its record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Becomes {
    /// A live record with this body.
    Live(#[serde(with = "crate::remote::text")] Map<String, Value>),
    /// One in the recycle bin.
    Deleted,
    /// None at all, whether it was live or deleted.
    Erased,
    /// The same with its secrets under another key: no new version, and no event.
    Resealed(Map<String, Value>),
    /// A live one as it was when it was deleted.
    Restored,
}

impl UnitOfWork {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a record; `already_exists` when there is one.
    #[must_use]
    pub fn create<M: Model>(self, id: RecordId, model: &M) -> Self {
        self.put_model(id, model, Expect::Absent)
    }

    /// Writes a record of a Rust type. Fields that the type does not know are lost: to change a record, use [`crate::Store::update`].
    #[must_use]
    pub fn put_model<M: Model>(mut self, id: RecordId, model: &M, expect: Expect) -> Self {
        match serde_json::to_value(model) {
            Ok(Value::Object(body)) => return self.put(M::KIND, id, body, expect),
            Ok(_) => self.fail(Error::internal(format!("the body of kind {} is not an object", M::KIND))),
            Err(error) => self.fail(Error::internal(error)),
        }
        self
    }

    /// Writes a record: the body replaces the one before. A body equal to the one before writes nothing.
    #[must_use]
    pub fn put(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId, body: Map<String, Value>, expect: Expect) -> Self {
        self.writes.push(Write { kind: kind.into(), id, expect, parent: None, becomes: Becomes::Live(body) });
        self
    }

    /// Puts the record that this unit writes under another one.
    #[must_use]
    pub fn parent(mut self, id: RecordId, parent: RecordId) -> Self {
        match self.writes.iter_mut().rev().find(|write| write.id == id) {
            Some(write) => write.parent = Some(parent),
            None => self.fail(Error::internal("a parent was given for a record that the unit does not write")),
        }
        self
    }

    /// Moves a record to the recycle bin; what refers to it is refused, deleted or cleared as the referring kinds say.
    #[must_use]
    pub fn delete(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId, expect: Expect) -> Self {
        self.writes.push(Write { kind: kind.into(), id, expect, parent: None, becomes: Becomes::Deleted });
        self
    }

    /// Erases a record, live or deleted: the row, its index and unique entries, and the key under which its personal data stand in events. What
    /// refers to it is refused, deleted or cleared as with [`UnitOfWork::delete`]; history stays and says `<kind>.erased`. To be sure that the
    /// files of the database no longer hold it, use [`crate::Store::erase_record`].
    #[must_use]
    pub fn erase(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId) -> Self {
        self.writes.push(Write { kind: kind.into(), id, expect: Expect::Any, parent: None, becomes: Becomes::Erased });
        self
    }

    /// Erases a record that is in the recycle bin in this version; one that was restored meanwhile, or is gone, stays as it is.
    #[must_use]
    pub fn purge(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId, version: i64) -> Self {
        self.writes.push(Write { kind: kind.into(), id, expect: Expect::Version(version), parent: None, becomes: Becomes::Erased });
        self
    }

    /// Brings a record back from the recycle bin as it was, a version later; what was deleted or cleared with it stays so. With a version, that of
    /// the deleted record: `version_conflict` when it is another, `already_exists` when the record is live, `not_found` when it is gone for good.
    /// Its unique values must be free (`unique_taken`) and its references lead to live records (`reference_missing`).
    #[must_use]
    pub fn restore(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId, expect: Expect) -> Self {
        self.writes.push(Write { kind: kind.into(), id, expect, parent: None, becomes: Becomes::Restored });
        self
    }

    /// Requires that a live record still has this version, without writing it.
    #[must_use]
    pub fn guard(mut self, kind: impl Into<Cow<'static, str>>, id: RecordId, version: i64) -> Self {
        self.guards.push((kind.into(), id, version));
        self
    }

    /// Adds an event. An event about a record that the unit writes takes the place of that record's standard event.
    #[must_use]
    pub fn event(mut self, event: EventDraft) -> Self {
        self.events.push(event);
        self
    }

    /// Queues a job; doing so again under the same id changes nothing. Its id is among [`Committed::jobs`], or the id of the one that was queued under the same unique key before.
    #[must_use]
    pub fn enqueue(mut self, id: RecordId, job: JobDraft) -> Self {
        self.jobs.push(JobChange::Enqueue(id, job));
        self
    }

    /// Ends a job with the effect that this unit holds; `lease_lost` when the lease has ended, and then nothing of the unit happens.
    #[must_use]
    pub fn complete(mut self, lease: Lease) -> Self {
        self.jobs.push(JobChange::Complete(lease));
        self
    }

    /// Prolongs a lease from now and says how far the job is; `lease_lost` as above.
    #[must_use]
    pub fn renew(mut self, lease: Lease, by: std::time::Duration, progress: Option<Value>) -> Self {
        self.jobs.push(JobChange::Renew(lease, by, progress));
        self
    }

    /// Gives a job back, to be tried again at a time; `lease_lost` as above.
    #[must_use]
    pub fn retry(mut self, lease: Lease, at: Timestamp, error: impl Into<String>) -> Self {
        self.jobs.push(JobChange::Retry(lease, at, error.into()));
        self
    }

    /// Gives a job back that did not fail: it is queued again at once, and this attempt does not count; `lease_lost` as above.
    #[must_use]
    pub fn give_back(mut self, lease: Lease, why: impl Into<String>) -> Self {
        self.jobs.push(JobChange::GiveBack(lease, why.into()));
        self
    }

    /// Gives a job up: it becomes a dead letter, and an event `job.died` tells of it; `lease_lost` as above.
    #[must_use]
    pub fn bury(mut self, lease: Lease, error: impl Into<String>) -> Self {
        self.jobs.push(JobChange::Bury(lease, error.into()));
        self
    }

    /// Calls a job off: a queued one at once, a running one as soon as its worker looks or its lease ends. A finished one stays as it is.
    #[must_use]
    pub fn cancel(mut self, job: RecordId) -> Self {
        self.jobs.push(JobChange::Cancel(job));
        self
    }

    /// Queues a dead or cancelled job again, with its attempts forgotten; `job_not_finished` for one in any other state.
    #[must_use]
    pub fn redrive(mut self, job: RecordId) -> Self {
        self.jobs.push(JobChange::Redrive(job));
        self
    }

    /// Adds to a counter of the tenant, which begins at 0; `counter_bound` when it would leave the bounds. Counters never conflict.
    #[must_use]
    pub fn add(mut self, counter: impl Into<Cow<'static, str>>, by: i64, bounds: Bounds) -> Self {
        self.tallies.push(Tally::Add { name: counter.into(), by, bounds });
        self
    }

    /// Puts the next number of a sequence, from 1 and without a gap, into a top-level field of a record that this unit writes.
    #[must_use]
    pub fn number(mut self, sequence: impl Into<Cow<'static, str>>, record: RecordId, field: impl Into<Cow<'static, str>>) -> Self {
        self.tallies.push(Tally::Number { sequence: sequence.into(), record, field: field.into() });
        self
    }

    /// Moves the cursor of a consumer in the same commit as its effect, so that an event takes effect once; `cursor_moved` when it is not
    /// at `from`. It begins at 0.
    #[must_use]
    pub fn advance(mut self, consumer: impl Into<Cow<'static, str>>, from: i64, to: i64) -> Self {
        self.tallies.push(Tally::Advance { consumer: consumer.into(), from, to });
        self
    }

    /// Remembers a message of an outside source until a time; `already_received` when it is remembered already.
    #[must_use]
    pub fn receive(mut self, source: impl Into<Cow<'static, str>>, message: impl Into<String>, until: Timestamp) -> Self {
        self.tallies.push(Tally::Receive { source: source.into(), message: message.into(), until });
        self
    }

    /// Refuses with `referenced` what would delete or change records that it does not name.
    pub(crate) fn contained(mut self) -> Self {
        self.contained = true;
        self
    }

    /// Adds everything that another unit holds; both may not write the same record.
    #[must_use]
    pub fn and(mut self, other: UnitOfWork) -> Self {
        self.writes.extend(other.writes);
        self.guards.extend(other.guards);
        self.events.extend(other.events);
        self.jobs.extend(other.jobs);
        self.tallies.extend(other.tallies);
        self.keys.extend(other.keys);
        self.rewrapped.extend(other.rewrapped);
        self.sweep |= other.sweep;
        self.contained |= other.contained;
        if let Some(problem) = other.problem {
            self.fail(problem);
        }
        self
    }

    /// The records that it writes.
    pub fn writes(&self) -> impl Iterator<Item = RecordId> {
        self.writes.iter().map(|write| write.id)
    }

    /// Whether it would change or check nothing.
    pub fn is_empty(&self) -> bool {
        let plain = self.writes.is_empty() && self.guards.is_empty() && self.events.is_empty();
        let beside =
            self.jobs.is_empty() && self.tallies.is_empty() && self.keys.is_empty() && self.rewrapped.is_empty() && self.answer.is_none();
        plain && beside && !self.sweep && self.problem.is_none()
    }

    fn fail(&mut self, error: Error) {
        self.problem.get_or_insert(error);
    }
}

/// An event to be written; the commit adds position, time, actor, origin, trace and hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventDraft {
    pub(crate) event_type: Cow<'static, str>,
    pub(crate) subject: RecordId,
    pub(crate) subject_kind: Option<Cow<'static, str>>,
    pub(crate) version: i32,
    #[serde(with = "crate::remote::text")]
    pub(crate) data: Value,
    #[serde(with = "crate::remote::text")]
    pub(crate) scope: Option<Map<String, Value>>,
    pub(crate) causation_id: Option<String>,
}

impl EventDraft {
    /// Whether it takes the place of the standard event of a write.
    pub(crate) fn tells_of(&self, write: &Write) -> bool {
        self.subject == write.id && self.subject_kind.as_ref().is_none_or(|kind| *kind == write.kind)
    }

    /// An event: type in the past tense (`device.approved`), the record it is about, and an object of data.
    ///
    /// The subject's kind is that of the write in the same unit, else the word before the dot.
    pub fn new(event_type: impl Into<Cow<'static, str>>, subject: RecordId, data: Value) -> Self {
        Self { event_type: event_type.into(), subject, subject_kind: None, version: 1, data, scope: None, causation_id: None }
    }

    /// Names the subject's kind where the type does not.
    #[must_use]
    pub fn about(mut self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.subject_kind = Some(kind.into());
        self
    }

    /// The version of the data's shape; 1 unless said.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.version = version;
        self
    }

    /// Where it happened; unless said, the scope fields of the subject when the unit writes it.
    #[must_use]
    pub fn scope(mut self, scope: Map<String, Value>) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The wire id of the event that led to this one.
    #[must_use]
    pub fn caused_by(mut self, event_id: impl Into<String>) -> Self {
        self.causation_id = Some(event_id.into());
        self
    }
}

/// What a commit did.
#[derive(Debug)]
pub struct Committed {
    /// The records that the unit wrote, in its order, as they are now; deleted ones with `deleted_at`.
    pub records: Vec<Record>,
    /// The jobs that the unit queued, claimed or changed, in its order, as they are now.
    pub jobs: Vec<Job>,
    /// The tenant's last event position after the unit.
    pub position: i64,
}
