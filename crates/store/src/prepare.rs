//! Everything about a unit of work that can be done before its turn: validation, canonical bodies, keys, references.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use steward_base::{Ctx, Error, ErrorKind, RecordId};

use crate::job::{JobChange, MAX_CLAIM, MAX_PAYLOAD};
use crate::keys::{KeyRow, Rewrapped, Sealer};
use crate::kind::{Canonical, Kind, Kinds};
use crate::marks::Using;
use crate::rows::Key;
use crate::store::unknown_kind;
use crate::tally::Tally;
use crate::unit::{Becomes, EventDraft, Expect, UnitOfWork, Write};

pub(crate) const MAX_WRITES: usize = 1_000;
/// Most rows of one sort that one sweep removes.
pub(crate) const SWEPT: usize = 2_000;

/// How long a deleted record can be restored.
pub(crate) const DELETED_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A unit of work ready for its batch.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) writes: Vec<PreparedWrite>,
    pub(crate) guards: Vec<(Key, i64)>,
    pub(crate) events: Vec<PreparedEvent>,
    pub(crate) jobs: Vec<JobChange>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) sweep: bool,
    pub(crate) contained: bool,
    pub(crate) rehearsal: bool,
    /// Data keys to be kept from now on.
    pub(crate) keys: Vec<KeyRow>,
    pub(crate) rewrapped: Vec<Rewrapped>,
    /// See [`UnitOfWork`].
    pub(crate) answer: Option<(u16, Option<Vec<u8>>)>,
    /// Keeps the namespace's mark until the unit is answered, whether or not anybody waits for the answer.
    pub(crate) using: Option<Using>,
    pub(crate) ctx: Ctx,
    pub(crate) actor: Arc<str>,
    /// Rows it will write, about.
    pub(crate) weight: usize,
    /// It deletes what others may refer to: what was written earlier in the same batch is not in the index yet, so it begins a batch.
    pub(crate) opens_batch: bool,
}

#[derive(Debug)]
pub(crate) struct PreparedWrite {
    pub(crate) key: Key,
    pub(crate) expect: Expect,
    pub(crate) parent: Option<RecordId>,
    pub(crate) change: Change,
    /// An explicit event of the unit takes the place of the standard one.
    pub(crate) told: bool,
}

#[derive(Debug)]
pub(crate) enum Change {
    Put(Canonical, Vec<Target>),
    Delete,
    Erase,
    Reseal(Canonical),
    Restore,
}

/// A record that a body refers to, by the number of the field.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) field: usize,
    pub(crate) key: Key,
}

#[derive(Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) event_type: String,
    pub(crate) subject: RecordId,
    /// The number of the subject's kind.
    pub(crate) kind: usize,
    /// Wire id of the subject.
    pub(crate) subject_id: String,
    pub(crate) version: i32,
    pub(crate) data: Map<String, Value>,
    pub(crate) scope: Option<Map<String, Value>>,
    pub(crate) causation_id: Option<String>,
}

pub(crate) fn unit(kinds: &Kinds, ctx: &Ctx, unit: UnitOfWork) -> Result<Prepared, Error> {
    if let Some(problem) = unit.problem {
        return Err(problem);
    }
    // A lane is what the store itself adds.
    let tallies = unit.tallies.iter().filter(|tally| !matches!(tally, Tally::Lane(_))).count();
    if unit.writes.len() + unit.events.len() + unit.jobs.len() + tallies > MAX_WRITES {
        let detail = format!("At most {MAX_WRITES} changes are committed together: split the request.");
        return Err(Error::new(ErrorKind::TooLarge, "unit_too_large", detail));
    }
    let mut seen = HashSet::with_capacity(unit.writes.len());
    let mut writes = Vec::with_capacity(unit.writes.len());
    for mut write in unit.writes {
        hold_places(&mut write, &unit.tallies);
        let told = unit.events.iter().any(|event| event.tells_of(&write));
        let prepared = PreparedWrite { told, ..prepare_write(kinds, write, unit.sealer.as_ref())? };
        if !seen.insert(prepared.key) {
            return Err(Error::internal("a unit of work writes one record twice"));
        }
        writes.push(prepared);
    }
    let events = unit.events.into_iter().map(|draft| prepare_event(kinds, &writes, draft)).collect::<Result<Vec<_>, _>>()?;
    check_jobs(&unit.jobs)?;
    check_numbers(kinds, &writes, &unit.tallies)?;
    let claimed: usize = unit.jobs.iter().map(|change| if let JobChange::Claim(claim) = change { claim.limit } else { 1 }).sum();
    let swept = if unit.sweep { SWEPT } else { 0 };
    let weight = 1 + swept + events.len() + 3 * claimed + unit.tallies.len() + writes.iter().map(PreparedWrite::weight).sum::<usize>();
    let deletes = |write: &&PreparedWrite| matches!(write.change, Change::Delete | Change::Erase);
    let opens_batch = writes.iter().filter(deletes).any(|write| inbound(kinds, write.key.0).next().is_some());
    let guard = |(kind, id, version): (Cow<'static, str>, RecordId, i64)| {
        let number = kinds.index(&kind).ok_or_else(|| unknown_kind(&kind))?;
        Ok(((number, id), version))
    };
    let guards = unit.guards.into_iter().map(guard).collect::<Result<Vec<_>, Error>>()?;
    let (jobs, tallies) = (unit.jobs, unit.tallies);
    Ok(Prepared {
        writes,
        guards,
        events,
        jobs,
        tallies,
        sweep: unit.sweep,
        contained: unit.contained,
        rehearsal: unit.rehearsal,
        keys: unit.keys,
        rewrapped: unit.rewrapped,
        answer: unit.answer,
        using: None,
        actor: ctx.actor().into(),
        ctx: ctx.clone(),
        weight,
        opens_batch,
    })
}

/// A number that is given at commit stands as 0 until then, so that a schema may require it.
fn hold_places(write: &mut Write, tallies: &[Tally]) {
    let Becomes::Live(body) = &mut write.becomes else { return };
    for tally in tallies {
        if let Tally::Number { record, field, .. } = tally
            && *record == write.id
        {
            body.insert(field.to_string(), 0.into());
        }
    }
}

fn check_numbers(kinds: &Kinds, writes: &[PreparedWrite], tallies: &[Tally]) -> Result<(), Error> {
    for tally in tallies {
        let Tally::Number { record, field, .. } = tally else { continue };
        let write = writes.iter().find(|write| write.key.1 == *record && matches!(write.change, Change::Put(..)));
        let write = write.ok_or_else(|| Error::internal("a number was asked for a record that the unit does not write"))?;
        // Its key would have to be known before its number is.
        if kinds.at(write.key.0).fields().iter().any(|known| known.path == *field && known.unique) {
            return Err(Error::internal(format!("{field} takes a number of a sequence and cannot be unique: it is by itself")));
        }
    }
    Ok(())
}

fn check_jobs(jobs: &[JobChange]) -> Result<(), Error> {
    for change in jobs {
        match change {
            JobChange::Enqueue(_, job) if job.payload.to_string().len() > MAX_PAYLOAD => {
                let detail = format!("The payload of a job holds at most {} KiB: store what is larger and name it.", MAX_PAYLOAD / 1024);
                return Err(Error::new(ErrorKind::TooLarge, "job_too_large", detail));
            }
            JobChange::Claim(claim) if claim.limit > MAX_CLAIM => {
                return Err(Error::internal(format!("a claim takes at most {MAX_CLAIM} jobs")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn prepare_write(kinds: &Kinds, write: Write, sealer: Option<&Sealer>) -> Result<PreparedWrite, Error> {
    let number = kinds.index(&write.kind).ok_or_else(|| unknown_kind(&write.kind))?;
    let change = match write.becomes {
        Becomes::Live(body) => {
            let kind = kinds.at(number);
            let canonical = if kind.seals() { kind.sealed(write.id, body, sealer)? } else { kind.canonical(body)? };
            let targets = targets(kinds, kinds.at(number), &canonical.body)?;
            Change::Put(canonical, targets)
        }
        Becomes::Deleted => Change::Delete,
        Becomes::Erased => Change::Erase,
        Becomes::Resealed(body) => Change::Reseal(kinds.at(number).finished(body)?),
        Becomes::Restored => Change::Restore,
    };
    Ok(PreparedWrite { key: (number, write.id), expect: write.expect, parent: write.parent, change, told: false })
}

impl PreparedWrite {
    fn weight(&self) -> usize {
        match &self.change {
            Change::Put(canonical, _) => {
                3 + canonical.entries.index.len() + canonical.entries.unique.len() + canonical.terms.len() + canonical.text.len() / 2048
            }
            Change::Delete | Change::Erase | Change::Reseal(_) | Change::Restore => 10,
        }
    }
}

/// The records that a body refers to; text that is no id of the right kind is refused here.
pub(crate) fn targets(kinds: &Kinds, kind: &Kind, body: &Map<String, Value>) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    let mut scalars = Vec::new();
    for (number, field) in kind.fields().iter().enumerate() {
        let Some(reference) = &field.reference else { continue };
        let Some(target) = kinds.index(&reference.kind) else { continue };
        let prefix = kinds.at(target).prefix();
        scalars.clear();
        field.scalars(body, &mut scalars);
        for scalar in &scalars {
            let id = scalar.as_str().and_then(|text| RecordId::parse(prefix, text));
            let id = id.ok_or_else(|| {
                let detail = format!("An id of the form {prefix}_… is expected.");
                Error::invalid("One field is not valid; see errors.").with_field(field.pointer(), "reference", detail)
            })?;
            targets.push(Target { field: number, key: (target, id) });
        }
    }
    Ok(targets)
}

/// The fields of all kinds that refer to a kind: kind number, field number.
pub(crate) fn inbound(kinds: &Kinds, target: usize) -> impl Iterator<Item = (usize, usize)> {
    let name = kinds.at(target).name();
    kinds.iter().enumerate().flat_map(move |(number, kind)| {
        let fields = kind.fields().iter().enumerate();
        fields
            .filter(move |(_, field)| field.reference.as_ref().is_some_and(|reference| reference.kind == name))
            .map(move |(field, _)| (number, field))
    })
}

fn prepare_event(kinds: &Kinds, writes: &[PreparedWrite], draft: EventDraft) -> Result<PreparedEvent, Error> {
    let Value::Object(data) = draft.data else {
        return Err(Error::internal(format!("the data of event {} is not an object", draft.event_type)));
    };
    let kind = match &draft.subject_kind {
        Some(named) => kinds.index(named),
        None => match writes.iter().find(|write| write.key.1 == draft.subject) {
            Some(write) => Some(write.key.0),
            None => draft.event_type.split('.').next().and_then(|word| kinds.index(word)),
        },
    };
    let kind = kind.ok_or_else(|| Error::internal(format!("event {} does not say of which kind its subject is", draft.event_type)))?;
    Ok(PreparedEvent {
        subject_id: draft.subject.wire(kinds.at(kind).prefix()),
        kind,
        event_type: draft.event_type.into_owned(),
        subject: draft.subject,
        version: draft.version,
        data,
        scope: draft.scope,
        causation_id: draft.causation_id,
    })
}
