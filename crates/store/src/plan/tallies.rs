//! What a unit does to counters, sequences, cursors and the inbox.

use std::collections::{HashMap, HashSet};

use steward_base::{Error, RecordId, Timestamp};

use super::Planner;
use crate::kind::Canonical;
use crate::marks::Mark;
use crate::prepare::{Change, Prepared};
use crate::tally::{Tally, TallyKey, already_committed, already_received, cursor_moved, out_of_bounds};

/// Source and message.
pub(crate) type Message = (String, String);

/// The numbers of a batch, as its units so far leave them.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    values: HashMap<TallyKey, i64>,
    changed: HashSet<TallyKey>,
    gone: HashSet<TallyKey>,
    received: HashMap<Message, i64>,
    newly: HashSet<Message>,
}

impl Tallies {
    pub(crate) fn loaded(&mut self, key: TallyKey, value: i64) {
        self.values.insert(key, value);
    }

    pub(crate) fn loaded_message(&mut self, message: Message, until: i64) {
        self.received.insert(message, until);
    }

    pub(super) fn changed(&mut self) -> Vec<(TallyKey, i64)> {
        let mut changed: Vec<(TallyKey, i64)> =
            self.changed.drain().filter_map(|key| self.values.get(&key).map(|value| (key.clone(), *value))).collect();
        changed.sort_unstable();
        changed
    }

    pub(super) fn gone(&mut self) -> Vec<TallyKey> {
        self.gone.drain().collect()
    }

    pub(super) fn newly_received(&mut self) -> Vec<(String, String, i64)> {
        let newly = std::mem::take(&mut self.newly);
        newly.into_iter().filter_map(|message| self.received.get(&message).map(|until| (message.0, message.1, *until))).collect()
    }

    /// Takes over what a unit did.
    pub(super) fn apply(&mut self, changes: TallyChanges) {
        for (key, value) in changes.values {
            self.values.insert(key.clone(), value);
            self.gone.remove(&key);
            self.changed.insert(key);
        }
        for key in changes.gone {
            self.values.remove(&key);
            self.changed.remove(&key);
            self.gone.insert(key);
        }
        for (message, until) in changes.received {
            self.received.insert(message.clone(), until);
            self.newly.insert(message);
        }
    }
}

/// What one unit makes of numbers; dropped when the unit is refused.
#[derive(Debug, Default)]
pub(super) struct TallyChanges {
    values: HashMap<TallyKey, i64>,
    gone: Vec<TallyKey>,
    received: HashMap<Message, i64>,
    /// Bodies with their numbers filled in.
    pub(super) numbered: HashMap<RecordId, Canonical>,
}

impl TallyChanges {
    fn get(&self, tallies: &Tallies, key: &TallyKey) -> i64 {
        self.values.get(key).or_else(|| tallies.values.get(key)).copied().unwrap_or(0)
    }
}

impl Planner<'_> {
    pub(super) fn tallies(&self, tallies: &Tallies, unit: &Prepared, now: Timestamp) -> Result<TallyChanges, Error> {
        let mut changes = TallyChanges::default();
        for tally in &unit.tallies {
            match tally {
                Tally::Add { name, by, bounds } => {
                    let key = TallyKey::Counter(name.to_string());
                    let value = changes.get(tallies, &key).saturating_add(*by);
                    // One that is out of bounds already may come nearer.
                    if (*by > 0 && value > bounds.max) || (*by < 0 && value < bounds.min) {
                        return Err(out_of_bounds(name, value, *bounds));
                    }
                    changes.values.insert(key, value);
                }
                Tally::Number { sequence, record, field } => {
                    let key = TallyKey::Sequence(sequence.to_string());
                    let number = changes.get(tallies, &key) + 1;
                    self.fill_in(unit, *record, field, number, &mut changes)?;
                    changes.values.insert(key, number);
                }
                Tally::Advance { consumer, from, to } => {
                    let key = TallyKey::Cursor(consumer.to_string());
                    let at = changes.get(tallies, &key);
                    if at != *from {
                        return Err(cursor_moved(consumer, at));
                    }
                    changes.values.insert(key, *to);
                }
                Tally::Mark { tenant, number, instead_of } => {
                    let key = TallyKey::Mark(*tenant);
                    let is = changes.get(tallies, &key);
                    match instead_of.is_none_or(|wanted| wanted == is) {
                        // Of what is clean, or gone, nothing is kept.
                        true if Mark::of(*number).is_none() => changes.gone.push(key),
                        true => {
                            if Mark::of(*number) == Some(Mark::Dirty) {
                                changes.gone.push(TallyKey::Calm(*tenant));
                            }
                            changes.values.insert(key, *number);
                        }
                        false => {}
                    }
                }
                // What is dirty is so since a time, as a number below zero.
                Tally::Calm { tenant, number } if changes.get(tallies, &TallyKey::Mark(*tenant)) >= 0 => {
                    changes.values.insert(TallyKey::Calm(*tenant), *number);
                }
                Tally::Calm { .. } => {}
                Tally::Lane(lane) => {
                    let message = lane.message();
                    if tallies.received.get(&message).is_some_and(|until| *until >= lane.until()) {
                        return Err(already_committed());
                    }
                    changes.received.insert(message, lane.until());
                }
                Tally::Note { key, value: Some(value) } => {
                    changes.values.insert(key.clone(), *value);
                }
                Tally::Note { key, value: None } => changes.gone.push(key.clone()),
                Tally::Receive { source, message, until } => {
                    let message = (source.to_string(), message.clone());
                    let known = changes.received.get(&message).or_else(|| tallies.received.get(&message));
                    if known.is_some_and(|until| *until > now.micros()) {
                        return Err(already_received());
                    }
                    changes.received.insert(message, until.micros());
                }
            }
        }
        Ok(changes)
    }

    fn fill_in(&self, unit: &Prepared, record: RecordId, field: &str, number: i64, changes: &mut TallyChanges) -> Result<(), Error> {
        let write = unit.writes.iter().find(|write| write.key.1 == record);
        let Some((kind, Change::Put(canonical, _))) = write.map(|write| (write.key.0, &write.change)) else {
            return Err(Error::internal("a number was asked for a record that the unit does not write"));
        };
        let mut body = (*changes.numbered.get(&record).unwrap_or(canonical).body).clone();
        body.insert(field.to_owned(), number.into());
        let sealing = canonical.sealing.clone();
        changes.numbered.insert(record, Canonical { sealing, ..self.kinds.at(kind).canonical(body)? });
        Ok(())
    }
}
