//! What a batch knows: the records, keys and references it asked for, as they are after its units so far.

use std::collections::{HashMap, HashSet};

use steward_base::{AttemptKey, Error, RecordId, Timestamp};

use super::attempts::Attempts;
use super::jobs::{Jobs, WantedJobs};
use super::personal::Subjects;
use super::secrets::Secrets;
use super::tallies::{Message, Tallies};
use super::{Effects, Live};
use crate::keys::{KeyRow, Rewrapped};
use crate::kind::{Entries, Kinds};
use crate::prepare::{Change, Prepared, inbound};
use crate::rows::{EventRow, IndexField, IndexKey, Key, Row, UniqueKey, Writes};
use crate::span::Span;
use crate::tally::{Tally, TallyKey};
use crate::value;

/// What is to be loaded before a batch can be decided.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) records: HashSet<Key>,
    pub(crate) unique: HashSet<UniqueKey>,
    /// Records about to be deleted whose referrers are looked for.
    pub(crate) inbound: HashSet<Key>,
    /// Records about to be restored, whose unique keys and references are looked for.
    pub(crate) restored: HashSet<Key>,
    /// The keys for the secrets of the tenant.
    pub(crate) secrets: bool,
    /// Records whose personal data will stand in events.
    pub(crate) subjects: HashSet<Key>,
    pub(crate) jobs: WantedJobs,
    pub(crate) tallies: HashSet<TallyKey>,
    pub(crate) messages: HashSet<Message>,
    pub(crate) attempts: HashSet<AttemptKey>,
}

impl Wanted {
    /// What a batch needs at first.
    pub(crate) fn by<'u>(kinds: &Kinds, units: impl Iterator<Item = &'u Prepared>) -> Self {
        let mut wanted = Self::default();
        for unit in units {
            wanted.records.extend(unit.guards.iter().map(|(key, _)| *key));
            wanted.attempts.extend(unit.ctx.attempt().map(|attempt| attempt.key.clone()));
            WantedJobs::by(unit, &mut wanted.jobs);
            for tally in &unit.tallies {
                wanted.tallies.extend(tally.key());
                match tally {
                    Tally::Receive { source, message, .. } => drop(wanted.messages.insert((source.to_string(), message.clone()))),
                    Tally::Lane(lane) => drop(wanted.messages.insert(lane.message())),
                    _ => {}
                }
            }
            let about = unit.events.iter().map(|event| (event.kind, event.subject)).chain(unit.writes.iter().map(|write| write.key));
            wanted.subjects.extend(about.filter(|(kind, _)| kinds.at(*kind).is_confidential()));
            for write in &unit.writes {
                wanted.records.insert(write.key);
                if matches!(write.change, Change::Erase) {
                    // Its kind may have held personal data once.
                    wanted.subjects.insert(write.key);
                }
                match &write.change {
                    Change::Put(canonical, targets) => {
                        wanted.secrets |= canonical.sealing.is_some();
                        wanted.records.extend(targets.iter().map(|target| target.key));
                        wanted.unique.extend(canonical.entries.unique.iter().map(|(field, value)| (write.key.0, *field, value.clone())));
                    }
                    Change::Delete | Change::Erase if inbound(kinds, write.key.0).next().is_some() => {
                        wanted.inbound.insert(write.key);
                    }
                    Change::Delete | Change::Erase | Change::Reseal(_) => {}
                    Change::Restore => {
                        wanted.restored.insert(write.key);
                    }
                }
            }
        }
        wanted
    }

    pub(crate) fn is_empty(&self) -> bool {
        let records = self.records.is_empty() && !self.secrets && self.unique.is_empty() && self.inbound.is_empty();
        let rest = self.messages.is_empty() && self.attempts.is_empty() && self.subjects.is_empty();
        records && rest && self.jobs.is_empty() && self.tallies.is_empty()
    }
}

/// A record that refers to another one.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    pub(crate) key: Key,
    pub(crate) field: usize,
}

#[derive(Debug, Default)]
struct Slot {
    stored: Option<Row>,
    /// Keys of the stored row, read off its body when they are needed.
    stored_live: Option<Live>,
    /// As the units so far leave it, when they touch it.
    now: Option<(Row, Option<Live>)>,
    /// As the units so far leave it, there is none.
    erased: bool,
}

/// The state of a batch.
#[derive(Debug)]
pub(crate) struct State {
    position: i64,
    hash: [u8; 32],
    slots: HashMap<Key, Slot>,
    owners: HashMap<UniqueKey, Option<RecordId>>,
    pub(super) inbound: HashMap<Key, Vec<Inbound>>,
    pub(crate) subjects: Subjects,
    pub(crate) secrets: Secrets,
    /// Records to be restored whose own needs are not known yet.
    pub(super) restoring: Vec<Key>,
    pub(crate) jobs: Jobs,
    pub(crate) tallies: Tallies,
    pub(crate) attempts: Attempts,
    pub(super) sweep: Option<Timestamp>,
    /// Data keys that came with the units so far.
    pub(super) keys: Vec<KeyRow>,
    pub(super) rewrapped: Vec<Rewrapped>,
    events: Vec<EventRow>,
    /// Which of them requests left.
    pub(super) spans: Vec<Span>,
    /// Records in the order in which they were first touched.
    touched: Vec<Key>,
}

impl State {
    pub(crate) fn new(position: i64, hash: [u8; 32]) -> Self {
        let (slots, owners, inbound) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (jobs, tallies, attempts) = (Jobs::default(), Tallies::default(), Attempts::default());
        Self {
            position,
            hash,
            slots,
            owners,
            inbound,
            subjects: Subjects::default(),
            secrets: Secrets::default(),
            restoring: Vec::new(),
            jobs,
            tallies,
            attempts,
            sweep: None,
            keys: Vec::new(),
            rewrapped: Vec::new(),
            events: Vec::new(),
            spans: Vec::new(),
            touched: Vec::new(),
        }
    }

    pub(crate) fn loaded_record(&mut self, kinds: &Kinds, key: Key, row: Row) {
        let row = kinds.at(key.0).current(row);
        self.slots.entry(key).or_insert(Slot { stored: Some(row), ..Slot::default() });
    }

    pub(crate) fn loaded_owner(&mut self, key: UniqueKey, owner: RecordId) {
        self.owners.insert(key, Some(owner));
    }

    pub(crate) fn loaded_inbound(&mut self, key: Key, referrers: Vec<Inbound>) {
        self.inbound.insert(key, referrers);
    }

    /// Notes what will be restored, once those records are loaded.
    pub(crate) fn loaded_restored(&mut self, wanted: &Wanted) {
        self.restoring.extend(&wanted.restored);
    }

    /// What the answers so far make necessary: the referrers, the referrers of those that are deleted with them, and what restored records need.
    pub(crate) fn wants_more(&mut self, kinds: &Kinds) -> Wanted {
        let mut wanted = self.wanted_by_restored(kinds);
        for referrer in self.inbound.values().flatten() {
            if !self.slots.contains_key(&referrer.key) {
                wanted.records.insert(referrer.key);
            }
            let reference = kinds.at(referrer.key.0).fields()[referrer.field].reference.as_ref();
            let cascades = reference.is_some_and(|reference| reference.on_delete == crate::OnDelete::Cascade);
            if cascades && !self.inbound.contains_key(&referrer.key) && inbound(kinds, referrer.key.0).next().is_some() {
                wanted.inbound.insert(referrer.key);
            }
        }
        // Events will tell of the referrers that are changed.
        let told = self.slots.keys().filter(|key| kinds.at(key.0).is_confidential() && !self.subjects.is_loaded(**key));
        wanted.subjects.extend(told);
        self.jobs.wants_more(&mut wanted.jobs);
        wanted
    }

    pub(super) fn row(&self, key: Key) -> Option<Row> {
        let slot = self.slots.get(&key).filter(|slot| !slot.erased)?;
        slot.now.as_ref().map(|(row, _)| row).or(slot.stored.as_ref()).cloned()
    }

    pub(super) fn live_version(&self, key: Key) -> Option<i64> {
        let slot = self.slots.get(&key)?;
        let row = slot.now.as_ref().map(|(row, _)| row).or(slot.stored.as_ref())?;
        row.deleted_at.is_none().then_some(row.version)
    }

    pub(super) fn is_live(&self, key: Key) -> bool {
        self.live_version(key).is_some()
    }

    /// The record's body and keys, when it is live.
    pub(super) fn live(&mut self, kinds: &Kinds, key: Key) -> Result<Option<Live>, Error> {
        let Some(slot) = self.slots.get_mut(&key) else { return Ok(None) };
        if let Some((_, live)) = &slot.now {
            return Ok(live.clone());
        }
        if slot.stored_live.is_none()
            && let Some(row) = slot.stored.as_ref().filter(|row| row.deleted_at.is_none())
        {
            slot.stored_live = Some(Live::stored(kinds.at(key.0), row.parse()?));
        }
        Ok(slot.stored_live.clone())
    }

    pub(super) fn owner(&self, key: &UniqueKey) -> Option<RecordId> {
        self.owners.get(key).copied().flatten()
    }

    pub(super) fn head(&self) -> (i64, [u8; 32]) {
        (self.position, self.hash)
    }

    /// Takes over a unit that was decided; answers the position after it.
    pub(super) fn apply(&mut self, effects: &mut Effects, events: Vec<EventRow>) -> i64 {
        self.subjects.apply();
        effects.erased.iter().for_each(|erased| self.subjects.forget(erased.key));
        let changed = || effects.list.iter().filter(|effect| effect.changed);
        for effect in changed() {
            for (field, value) in effect.before.iter().flat_map(|live| &live.entries.unique) {
                // A record may have a value that another one claimed before the field became unique.
                let key = (effect.key.0, *field, value.clone());
                if self.owners.get(&key).is_none_or(|owner| *owner == Some(effect.key.1)) {
                    self.owners.insert(key, None);
                }
            }
        }
        for effect in changed() {
            for (field, value) in effect.after.iter().flat_map(|live| &live.entries.unique) {
                let key = (effect.key.0, *field, value.clone());
                self.owners.entry(key).or_default().get_or_insert(effect.key.1);
            }
            let slot = self.slots.entry(effect.key).or_default();
            if slot.now.is_none() {
                self.touched.push(effect.key);
            }
            slot.now = Some((effect.row.clone(), effect.after.clone()));
            slot.erased = effects.erases(effect.key);
        }
        if let Some(last) = events.last() {
            (self.position, self.hash) = (last.position, last.hash);
        }
        self.events.extend(events);
        self.position
    }

    /// Puts a row without judging it: it was judged where it comes from.
    pub(crate) fn overwrite(&mut self, kinds: &Kinds, key: Key, row: Row) -> Result<(), Error> {
        // What it replaces leaves its keys.
        self.live(kinds, key)?;
        let body = if row.deleted_at.is_none() { Some(row.parse()?) } else { None };
        let live = body.map(|body| Live::stored(kinds.at(key.0), body));
        self.slots.entry(key).or_default().now = Some((row, live));
        self.touched.push(key);
        Ok(())
    }

    /// The rows that bring the database to this state.
    pub(crate) fn writes(&mut self, kinds: &Kinds) -> Writes {
        let (mut keys, keys_gone) = self.subjects.changed();
        keys.append(&mut self.keys);
        let mut writes = Writes {
            events: std::mem::take(&mut self.events),
            spans: std::mem::take(&mut self.spans),
            head: self.head(),
            jobs: self.jobs.changed(),
            tallies: self.tallies.changed(),
            attempts: self.attempts.changed(),
            tallies_gone: self.tallies.gone(),
            received: self.tallies.newly_received(),
            sweep: self.sweep,
            keys,
            keys_gone,
            rewrapped: std::mem::take(&mut self.rewrapped),
            ..Writes::default()
        };
        for key in &self.touched {
            let Some(Slot { stored, stored_live, now: Some((row, live)), erased }) = self.slots.get(key) else { continue };
            let nothing = Entries::default();
            let before = stored_live.as_ref().map_or(&nothing, |live| &live.entries);
            let after = live.as_ref().map_or(&nothing, |live| &live.entries);
            let index = |(field, value): &(usize, Vec<u8>)| -> IndexKey { (key.0, IndexField::Body(*field), value.clone(), key.1) };
            let unique = |(field, value): &(usize, Vec<u8>)| ((key.0, *field, value.clone()), key.1);
            writes.index_gone.extend(before.index.iter().filter(|entry| !after.index.contains(entry)).map(index));
            writes.index_new.extend(after.index.iter().filter(|entry| !before.index.contains(entry)).map(index));
            writes.unique_gone.extend(before.unique.iter().filter(|entry| !after.unique.contains(entry)).map(unique));
            writes.unique_new.extend(after.unique.iter().filter(|entry| !before.unique.contains(entry)).map(unique));
            let created =
                |row: &Row| -> IndexKey { (key.0, IndexField::CreatedAt, value::time(Timestamp::from_micros(row.created_at)), key.1) };
            let was = stored.as_ref().filter(|row| row.deleted_at.is_none()).map(created);
            let is = live.as_ref().map(|_| created(row));
            if was != is {
                writes.index_gone.extend(was);
                writes.index_new.extend(is);
            }
            super::search::changed(kinds, *key, (stored_live.as_ref(), live.as_ref()), &mut writes);
            if *erased {
                writes.records_gone.push(*key);
            } else {
                writes.records.push((*key, row.clone()));
            }
        }
        writes
    }
}
