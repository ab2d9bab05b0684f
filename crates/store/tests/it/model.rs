//! The kernel's rules once more, as plainly as they can be said: the engines are compared with this.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use steward_base::RecordId;
use steward_store::{Expect, UnitOfWork};

pub(crate) const SLOTS: usize = 4;

/// Which of the few records that the tests play with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Team(usize),
    Thing(usize),
}

impl Slot {
    pub(crate) fn id(self) -> RecordId {
        let (kind, number) = match self {
            Slot::Team(number) => (1, number),
            Slot::Thing(number) => (2, number),
        };
        let mut bytes = [kind; 16];
        bytes[15] = number as u8;
        RecordId::from_bytes(bytes)
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Slot::Team(_) => "team",
            Slot::Thing(_) => "thing",
        }
    }

    fn wire(self) -> String {
        self.id().wire(if self.kind() == "team" { "tea" } else { "thg" })
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(Slot, Map<String, Value>, Expect),
    Delete(Slot, Expect),
    Restore(Slot, Expect),
    Guard(Slot, i64),
}

impl Step {
    fn slot(&self) -> Slot {
        match self {
            Step::Put(slot, ..) | Step::Delete(slot, _) | Step::Restore(slot, _) | Step::Guard(slot, _) => *slot,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) version: i64,
    pub(crate) live: Option<Map<String, Value>>,
    /// As it was when it was deleted.
    pub(crate) deleted: Option<Map<String, Value>>,
}

/// Every record that ever was, and the last position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) records: BTreeMap<Slot, Entry>,
    pub(crate) position: i64,
    /// What happened to each record, oldest first.
    pub(crate) history: BTreeMap<Slot, Vec<&'static str>>,
}

/// What a deletion does to a field that refers to the deleted record, in the order in which the kernel looks.
const REFERENCES: [(&str, &str); 3] = [("helper_id", "clear"), ("inside_id", "cascade"), ("team_id", "restrict")];

impl Memory {
    /// Commits a unit; the error is the kernel's code.
    pub(crate) fn commit(&mut self, unit: &[Step]) -> Result<i64, &'static str> {
        let mut after = self.records.clone();
        let mut changed = Vec::new();
        for step in unit {
            match step {
                Step::Put(slot, body, expect) => {
                    self.expect(*slot, *expect)?;
                    let entry = after.entry(*slot).or_default();
                    if entry.live.as_ref() != Some(body) {
                        *entry = Entry { version: entry.version + 1, live: Some(body.clone()), deleted: None };
                        changed.push(*slot);
                    }
                }
                Step::Delete(slot, expect) => {
                    self.expect(*slot, *expect)?;
                    if self.live(*slot).is_some() {
                        delete(&mut after, *slot);
                        changed.push(*slot);
                    }
                }
                Step::Restore(slot, expect) => {
                    if self.restorable(*slot, *expect)? {
                        let entry = after.get_mut(slot).expect("it was there before");
                        *entry = Entry { version: entry.version + 1, live: entry.deleted.take(), deleted: None };
                        changed.push(*slot);
                    }
                }
                Step::Guard(..) => {}
            }
        }
        let written: Vec<Slot> = unit.iter().filter_map(|step| if let Step::Guard(..) = step { None } else { Some(step.slot()) }).collect();
        self.follow(&mut after, &mut changed, &written)?;
        unique(&after)?;
        for step in unit {
            if let Step::Put(..) | Step::Restore(..) = step
                && let Some(body) = &after[&step.slot()].live
            {
                let live = |wire: &Value| after.iter().any(|(slot, entry)| entry.live.is_some() && *wire == slot.wire());
                if !REFERENCES.iter().filter_map(|(field, _)| body.get(*field)).all(live) {
                    return Err("invalid");
                }
            }
        }
        for step in unit {
            if let Step::Guard(slot, version) = step {
                match self.live(*slot) {
                    None => return Err("not_found"),
                    Some(entry) if entry.version != *version => return Err("version_conflict"),
                    Some(_) => {}
                }
            }
        }
        self.position += changed.len() as i64;
        for slot in changed {
            let restores = unit.iter().any(|step| matches!(step, Step::Restore(restored, _) if *restored == slot));
            let verb = match (self.live(slot), &after[&slot].live) {
                (None, _) if restores => "restored",
                (None, _) => "created",
                (Some(_), Some(_)) => "updated",
                (Some(_), None) => "deleted",
            };
            self.history.entry(slot).or_default().push(verb);
        }
        self.records = after;
        Ok(self.position)
    }

    fn live(&self, slot: Slot) -> Option<&Entry> {
        self.records.get(&slot).filter(|entry| entry.live.is_some())
    }

    /// Whether there is something to restore.
    fn restorable(&self, slot: Slot, expect: Expect) -> Result<bool, &'static str> {
        match (expect, self.records.get(&slot)) {
            (_, None) => Err("not_found"),
            (Expect::Any, Some(entry)) if entry.live.is_some() => Ok(false),
            (_, Some(entry)) if entry.live.is_some() => Err("already_exists"),
            (Expect::Version(version), Some(entry)) if entry.version != version => Err("version_conflict"),
            _ => Ok(true),
        }
    }

    fn expect(&self, slot: Slot, expect: Expect) -> Result<(), &'static str> {
        match (expect, self.live(slot)) {
            (Expect::Absent, Some(_)) => Err("already_exists"),
            (Expect::Version(_), None) => Err("not_found"),
            (Expect::Version(version), Some(entry)) if entry.version != version => Err("version_conflict"),
            _ => Ok(()),
        }
    }

    fn follow(&self, after: &mut BTreeMap<Slot, Entry>, changed: &mut Vec<Slot>, written: &[Slot]) -> Result<(), &'static str> {
        let mut at = 0;
        while at < changed.len() {
            let target = changed[at];
            at += 1;
            if after[&target].live.is_some() {
                continue;
            }
            for (field, on_delete) in REFERENCES {
                for (slot, before) in &self.records {
                    let refers = before.live.as_ref().is_some_and(|body| body.get(field) == Some(&json!(target.wire())));
                    if !refers || written.contains(slot) || after[slot].live.is_none() {
                        continue;
                    }
                    if on_delete == "restrict" {
                        return Err("referenced");
                    }
                    let first = !changed.contains(slot);
                    let entry = after.get_mut(slot).expect("it was there before");
                    entry.version += i64::from(first);
                    if on_delete == "clear" {
                        entry.live.as_mut().expect("it is live").remove(field);
                    } else {
                        entry.live = None;
                        entry.deleted = before.live.clone();
                    }
                    if first {
                        changed.push(*slot);
                    }
                }
            }
        }
        Ok(())
    }
}

fn delete(records: &mut BTreeMap<Slot, Entry>, slot: Slot) {
    let entry = records.get_mut(&slot).expect("it is live");
    *entry = Entry { version: entry.version + 1, live: None, deleted: entry.live.take() };
}

fn unique(records: &BTreeMap<Slot, Entry>) -> Result<(), &'static str> {
    let mut seen = std::collections::BTreeSet::new();
    for (slot, entry) in records {
        let field = if slot.kind() == "team" { "name" } else { "serial" };
        if let Some(value) = entry.live.as_ref().and_then(|body| body.get(field)).and_then(Value::as_str)
            && !seen.insert((slot.kind(), value.to_lowercase()))
        {
            return Err("unique_taken");
        }
    }
    Ok(())
}

/// The same as a unit of work.
pub(crate) fn unit_of(steps: &[Step]) -> UnitOfWork {
    steps.iter().fold(UnitOfWork::new(), |unit, step| match step {
        Step::Put(slot, body, expect) => unit.put(slot.kind(), slot.id(), body.clone(), *expect),
        Step::Delete(slot, expect) => unit.delete(slot.kind(), slot.id(), *expect),
        Step::Restore(slot, expect) => unit.restore(slot.kind(), slot.id(), *expect),
        Step::Guard(slot, version) => unit.guard(slot.kind(), slot.id(), *version),
    })
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![(0..SLOTS).prop_map(Slot::Team), (0..SLOTS).prop_map(Slot::Thing)]
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![1 => Just(Expect::Absent), 3 => Just(Expect::Any), 2 => (1..4i64).prop_map(Expect::Version)]
}

fn team() -> impl Strategy<Value = Map<String, Value>> {
    prop::sample::select(vec!["red", "Red", "blue", "Grün", "grün", "black"])
        .prop_map(|name| Map::from_iter([("name".to_owned(), json!(name))]))
}

fn thing() -> impl Strategy<Value = Map<String, Value>> {
    let reference = |slot: fn(usize) -> Slot| prop::option::weighted(0.4, (0..SLOTS).prop_map(slot));
    let serial = prop::option::weighted(0.3, prop::sample::select(vec!["a", "A", "b"]));
    let name = prop::sample::select(vec!["thing", "Red thing", "blue lamp", "Lampe Grün"]);
    (name, 0..5i64, serial, reference(Slot::Team), reference(Slot::Team), reference(Slot::Thing)).prop_map(
        |(name, size, serial, team, helper, inside)| {
            let mut body = Map::from_iter([("name".to_owned(), json!(name)), ("size".to_owned(), json!(size))]);
            for (field, slot) in [("team_id", team), ("helper_id", helper), ("inside_id", inside)] {
                body.extend(slot.map(|slot| (field.to_owned(), json!(slot.wire()))));
            }
            body.extend(serial.map(|serial| ("serial".to_owned(), json!(serial))));
            body
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => ((0..SLOTS).prop_map(Slot::Team), team(), expect()).prop_map(|(slot, body, expect)| Step::Put(slot, body, expect)),
        5 => ((0..SLOTS).prop_map(Slot::Thing), thing(), expect()).prop_map(|(slot, body, expect)| Step::Put(slot, body, expect)),
        3 => (slot(), expect()).prop_map(|(slot, expect)| Step::Delete(slot, if expect == Expect::Absent { Expect::Any } else { expect })),
        2 => (slot(), expect()).prop_map(|(slot, expect)| Step::Restore(slot, expect)),
        1 => (slot(), 1..4i64).prop_map(|(slot, version)| Step::Guard(slot, version)),
    ]
}

/// Units in which no record is written twice.
pub(crate) fn units() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let unit = prop::collection::vec(step(), 1..5).prop_map(|steps| {
        let mut written = Vec::new();
        let once = |step: &Step| match step {
            Step::Guard(..) => true,
            write if written.contains(&write.slot()) => false,
            write => {
                written.push(write.slot());
                true
            }
        };
        steps
            .into_iter()
            .filter({
                let mut once = once;
                move |step| once(step)
            })
            .collect()
    });
    prop::collection::vec(unit, 1..25)
}
