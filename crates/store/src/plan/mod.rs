//! What a batch of units does, decided in memory: the engines load what is wanted, this decides, the engines write each table once.
//!
//! Both engines and every unit go through the same code, so that a unit sees the ones before it in its batch exactly as it would see them
//! committed. A refused unit leaves no trace.

mod attempts;
mod erase;
mod jobs;
mod personal;
mod references;
mod restore;
mod search;
mod secrets;
mod state;
mod tallies;
mod told;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::{Clock, Error, ErrorKind, Random, RecordId, TenantId};

use crate::Record;
use crate::building::{Building, Role};
use crate::job::Job;
use crate::keys::MasterKey;
use crate::kind::{Canonical, Entries, Kind, Kinds, Terms};
use crate::prepare::{Change, MAX_WRITES, Prepared, PreparedWrite, Target};
use crate::rows::{Key, Row, UniqueKey, Writes};
use crate::span::Span;
use crate::unit::{Committed, Expect};
use erase::Erased;
pub(crate) use personal::Subjects;
pub(crate) use state::{Inbound, State, Wanted};
pub(crate) use told::scope_of;

/// Decides one batch after another.
pub(crate) struct Planner<'a> {
    pub(crate) kinds: &'a Kinds,
    pub(crate) clock: &'a Clock,
    pub(crate) random: &'a Random,
    pub(crate) tenant: TenantId,
    pub(crate) building: &'a Building,
    pub(crate) master: &'a MasterKey,
}

/// The body of a live record with its keys.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    body: Arc<Map<String, Value>>,
    entries: Arc<Entries>,
    /// What its text is found by, where that was read already: it is asked for only when the text changes.
    terms: Option<Arc<Terms>>,
}

impl Live {
    /// A body that is about to be stored.
    fn of(canonical: Canonical) -> Self {
        Self { body: canonical.body, entries: canonical.entries, terms: Some(canonical.terms) }
    }

    /// A body that is stored already.
    fn stored(kind: &Kind, body: Map<String, Value>) -> Self {
        Self { entries: Arc::new(kind.entries(&body)), body: Arc::new(body), terms: None }
    }
}

/// What one unit makes of one record.
#[derive(Debug)]
struct Effect {
    key: Key,
    /// As it was before the unit, when it was live.
    before: Option<Live>,
    row: Row,
    /// `None` once it is deleted.
    after: Option<Live>,
    /// Text or parent differ, so that it is written.
    changed: bool,
    told: bool,
    /// It comes from the recycle bin.
    restored: bool,
}

/// The effects of one unit so far, in order.
#[derive(Debug, Default)]
struct Effects {
    list: Vec<Effect>,
    by_key: HashMap<Key, usize>,
    erased: Vec<Erased>,
}

/// What a unit is answered once its batch is on disk.
#[derive(Debug)]
pub(crate) struct Done {
    /// As the unit left them.
    records: Vec<(Key, Row)>,
    jobs: Vec<Job>,
    pub(crate) position: i64,
}

impl Done {
    pub(crate) fn into_committed(self, kinds: &Kinds) -> Committed {
        let record = |((kind, id), row): (Key, Row)| -> Record { row.into_record(kinds.at(kind), id) };
        Committed { records: self.records.into_iter().map(record).collect(), jobs: self.jobs, position: self.position }
    }

    /// Whether a worker may have something to do now.
    pub(crate) fn touches_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }
}

impl Planner<'_> {
    /// Decides every unit in order; what is answered holds only if the writes are committed.
    pub(crate) fn batch<'u>(&self, state: &mut State, units: impl Iterator<Item = &'u Prepared>) -> (Vec<Result<Done, Error>>, Writes) {
        let answers = units.map(|unit| self.unit(state, unit)).collect();
        let writes = state.writes(self.kinds);
        (answers, writes)
    }

    fn unit(&self, state: &mut State, unit: &Prepared) -> Result<Done, Error> {
        let now = self.clock.now();
        let mut claim = self.claim(&state.attempts, unit, now)?;
        let tallies = self.tallies(&state.tallies, unit, now)?;
        let mut effects = Effects::default();
        for write in &unit.writes {
            self.write(state, unit, now.micros(), write, tallies.numbered.get(&write.key.1), &mut effects)?;
        }
        self.follow_references(state, unit, now.micros(), &mut effects)?;
        if unit.contained
            && let Some(other) = effects.list.iter().find(|effect| unit.writes.iter().all(|write| write.key != effect.key))
        {
            let detail = format!("A {} depends on it since: change that first.", self.kinds.at(other.key.0).name().replace('_', " "));
            return Err(Error::new(ErrorKind::Conflict, "referenced", detail));
        }
        if effects.list.len() > MAX_WRITES {
            let detail = format!("More than {MAX_WRITES} records would be deleted or changed with it: delete them first.");
            return Err(Error::new(ErrorKind::Conflict, "cascade_too_large", detail));
        }
        self.check_unique(state, &effects)?;
        self.check_targets(state, unit, &effects)?;
        for (key, version) in &unit.guards {
            self.check_guard(state, *key, *version)?;
        }
        let jobs = self.jobs(&state.jobs, unit, now)?;
        let events = self.tell(state, unit, now, &effects, &jobs.died)?;
        if unit.rehearsal {
            return Ok(Done { records: Vec::new(), jobs: Vec::new(), position: state.head().0 });
        }
        state.spans.extend(Span::of(unit.ctx.request_id(), now, &events));
        let position = state.apply(&mut effects, events);
        state.tallies.apply(tallies);
        self.note_written(&mut claim, &effects.list, &jobs.list);
        state.attempts.apply(claim, unit);
        state.sweep = state.sweep.or(unit.sweep.then_some(now));
        state.keys.extend(unit.keys.iter().cloned());
        state.rewrapped.extend(unit.rewrapped.iter().cloned());
        let touched = jobs.list.clone();
        state.jobs.apply(jobs);
        let asked = unit.writes.iter().filter_map(|write| effects.by_key.get(&write.key).map(|at| &effects.list[*at]));
        let records = asked.map(|effect| (effect.key, effect.row.clone())).collect();
        Ok(Done { records, jobs: touched, position })
    }

    fn write(
        &self,
        state: &mut State,
        unit: &Prepared,
        now: i64,
        write: &PreparedWrite,
        numbered: Option<&Canonical>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if matches!(write.change, Change::Erase) {
            return self.erase(state, unit, now, write, effects);
        }
        let before = state.live(self.kinds, write.key)?;
        let row = state.row(write.key);
        self.check_expected(write, before.is_some(), row.as_ref())?;
        let effect = match &write.change {
            Change::Put(canonical, _) => {
                let canonical = numbered.unwrap_or(canonical);
                let settled = self.settled(state, write.key, canonical, row.as_ref())?;
                self.put(unit, now, write, before, row, settled.as_ref().unwrap_or(canonical))
            }
            Change::Delete => match (before, row) {
                (Some(before), Some(row)) => deleted(write.key, before, row, now, &unit.actor, write.told),
                // `Any` deletes what there is, here nothing.
                _ => return Ok(()),
            },
            Change::Erase => return Ok(()),
            Change::Reseal(canonical) => match (before, row) {
                (Some(before), Some(row)) => {
                    let (row, after) = (Row { body: canonical.text.clone(), ..row }, Some(Live::of(canonical.clone())));
                    Effect { key: write.key, before: Some(before), row, after, changed: true, told: true, restored: false }
                }
                _ => return Ok(()),
            },
            Change::Restore => match (before, row) {
                (None, Some(row)) => self.restored(unit, now, write, row)?,
                _ => return Ok(()),
            },
        };
        effects.add(effect);
        Ok(())
    }

    fn check_expected(&self, write: &PreparedWrite, live: bool, row: Option<&Row>) -> Result<(), Error> {
        let noun = self.kinds.at(write.key.0).name().replace('_', " ");
        if matches!(write.change, Change::Restore) {
            return restore::check_expected(&noun, write.expect, row);
        }
        match (write.expect, live, row) {
            (Expect::Absent, true, _) => {
                Err(Error::new(ErrorKind::Conflict, "already_exists", format!("There is already a {noun} with this id.")))
            }
            (Expect::Version(_), false, _) | (Expect::Version(_), true, None) => Err(Error::not_found(&noun)),
            (Expect::Version(expected), true, Some(row)) if row.version != expected => Err(version_conflict(&noun, row.version)),
            _ => Ok(()),
        }
    }

    fn put(
        &self,
        unit: &Prepared,
        now: i64,
        write: &PreparedWrite,
        before: Option<Live>,
        row: Option<Row>,
        canonical: &Canonical,
    ) -> Effect {
        let after = Some(Live::of(canonical.clone()));
        let (row, changed) = match (row, &before) {
            (Some(row), Some(_)) => {
                let parent = write.parent.or(row.parent);
                let changed = row.body != canonical.text || row.parent != parent;
                let written = Row {
                    version: row.version + 1,
                    parent,
                    body: canonical.text.clone(),
                    updated_at: now,
                    updated_by: unit.actor.clone(),
                    ..row.clone()
                };
                (if changed { written } else { row }, changed)
            }
            // Over a deleted record the version goes on: an old ETag never matches a new record.
            (gone, _) => {
                let version = gone.map_or(1, |gone| gone.version + 1);
                let (created_by, updated_by) = (unit.actor.clone(), unit.actor.clone());
                let body = canonical.text.clone();
                let (parent, shape) = (write.parent, self.kinds.at(write.key.0).version());
                (Row { version, parent, body, created_at: now, created_by, updated_at: now, updated_by, deleted_at: None, shape }, true)
            }
        };
        Effect { key: write.key, before, row, after, changed, told: write.told, restored: false }
    }

    /// Claims of the unit against everyone else's; what the unit itself frees is free.
    fn check_unique(&self, state: &State, effects: &Effects) -> Result<(), Error> {
        let mut claimed: HashMap<UniqueKey, RecordId> = HashMap::new();
        for effect in &effects.list {
            let Some(after) = &effect.after else { continue };
            for (field, value) in &after.entries.unique {
                let key = (effect.key.0, *field, value.clone());
                let kept = effect.before.as_ref().is_some_and(|before| before.entries.unique.contains(&(*field, value.clone())));
                if !kept {
                    self.building.refuse(self.kinds, (effect.key.0, *field, Role::Unique))?;
                }
                let owner = state.owner(&key).filter(|owner| *owner != effect.key.1 && !effects.frees(&key, *owner));
                let twice = claimed.insert(key, effect.key.1).is_some_and(|other| other != effect.key.1);
                if (!kept && owner.is_some()) || twice {
                    let field = &self.kinds.at(effect.key.0).fields()[*field];
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "unique_taken",
                        "A value that must be unique is already used; see errors.",
                    )
                    .with_field(field.pointer(), "unique_taken", "Another record has this value: choose another one."));
                }
            }
        }
        Ok(())
    }

    fn check_targets(&self, state: &State, unit: &Prepared, effects: &Effects) -> Result<(), Error> {
        for write in &unit.writes {
            let found;
            let targets = match &write.change {
                Change::Put(_, targets) => targets,
                Change::Restore => {
                    found = self.targets_of_restored(state, write.key, effects)?;
                    &found
                }
                Change::Delete | Change::Erase | Change::Reseal(_) => continue,
            };
            for target in targets {
                let live = match effects.by_key.get(&target.key) {
                    Some(at) => effects.list[*at].after.is_some(),
                    None => state.is_live(target.key),
                };
                if !live {
                    return Err(self.missing(write.key.0, target));
                }
            }
        }
        Ok(())
    }

    fn missing(&self, kind: usize, target: &Target) -> Error {
        let field = &self.kinds.at(kind).fields()[target.field];
        let detail = format!("There is no such {}.", self.kinds.at(target.key.0).name().replace('_', " "));
        Error::invalid("One field is not valid; see errors.").with_field(field.pointer(), "reference_missing", detail)
    }

    /// Guards are judged by the state before the unit: a unit may guard what it writes.
    fn check_guard(&self, state: &State, key: Key, version: i64) -> Result<(), Error> {
        let noun = self.kinds.at(key.0).name().replace('_', " ");
        match state.live_version(key) {
            Some(known) if known == version => Ok(()),
            Some(known) => Err(version_conflict(&noun, known)),
            None => Err(Error::not_found(&noun)),
        }
    }
}

fn deleted(key: Key, before: Live, row: Row, now: i64, actor: &Arc<str>, told: bool) -> Effect {
    let row = Row { version: row.version + 1, updated_at: now, updated_by: actor.clone(), deleted_at: Some(now), ..row };
    Effect { key, before: Some(before), row, after: None, changed: true, told, restored: false }
}

fn version_conflict(noun: &str, current: i64) -> Error {
    let detail = format!("The {noun} was changed meanwhile and is at version {current}: read it again and repeat the change.");
    Error::new(ErrorKind::Conflict, "version_conflict", detail)
}

impl Effects {
    fn add(&mut self, effect: Effect) {
        self.by_key.insert(effect.key, self.list.len());
        self.list.push(effect);
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Effect> {
        self.by_key.get(&key).map(|at| &mut self.list[*at])
    }

    /// Whether the unit deletes the record.
    fn deletes(&self, key: Key) -> bool {
        self.by_key.get(&key).is_some_and(|at| self.list[*at].after.is_none())
    }

    /// Whether the unit takes the unique key away from its owner.
    fn frees(&self, key: &UniqueKey, owner: RecordId) -> bool {
        let Some(at) = self.by_key.get(&(key.0, owner)) else { return false };
        let after = self.list[*at].after.as_ref();
        !after.is_some_and(|after| after.entries.unique.iter().any(|(field, value)| *field == key.1 && *value == key.2))
    }
}
