//! Personal data in events: sealed under a key of the record they are about, so that without that key they are gone wherever the event went.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::{Error, RecordId};

use super::Planner;
use crate::keys::{DataKey, KeyRow, bound_to_subject, sealed, subject_of, withheld};
use crate::kind::{InEvents, Kinds};
use crate::rows::Key;

/// The keys of the subjects that a batch tells of, as its units so far leave them.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    known: HashMap<Key, Option<Subject>>,
    /// Subjects whose keys the unit at hand needs.
    used: Vec<Key>,
    fresh: Vec<KeyRow>,
    gone: Vec<RecordId>,
}

#[derive(Debug)]
struct Subject {
    /// As which the key names the record.
    name: RecordId,
    row: KeyRow,
    key: Option<Arc<DataKey>>,
    /// It is in the database, or will be with this batch.
    kept: bool,
}

impl Subjects {
    /// The names under which the database may have keys of these: keys that were made before kinds were told apart have the bare id.
    pub(crate) fn names(kinds: &Kinds, asked: &HashSet<Key>) -> Vec<RecordId> {
        asked.iter().flat_map(|key| [subject_of(kinds.at(key.0), key.1), key.1]).collect()
    }

    /// What the database has of those that were asked for.
    pub(crate) fn loaded(&mut self, kinds: &Kinds, asked: &HashSet<Key>, rows: &[KeyRow]) {
        for key in asked {
            let under = |name: RecordId| rows.iter().find(|row| row.subject == Some(name)).map(|row| (name, row.clone()));
            let found = under(subject_of(kinds.at(key.0), key.1)).or_else(|| under(key.1));
            self.known.entry(*key).or_insert(found.map(|(name, row)| Subject { name, row, key: None, kept: true }));
        }
    }

    pub(super) fn is_loaded(&self, subject: Key) -> bool {
        self.known.contains_key(&subject)
    }

    /// Whether anything was ever sealed for it and not erased since.
    pub(super) fn has_key(&self, subject: Key) -> bool {
        self.known.get(&subject).is_some_and(|known| known.as_ref().is_some_and(|known| known.kept))
    }

    /// Begins with a unit: what one before it needed and was refused is not kept.
    pub(super) fn begin(&mut self) {
        self.used.clear();
    }

    /// Takes over what the unit needed.
    pub(super) fn apply(&mut self) {
        for subject in self.used.drain(..) {
            if let Some(Some(known)) = self.known.get_mut(&subject)
                && !std::mem::replace(&mut known.kept, true)
            {
                self.fresh.push(known.row.clone());
            }
        }
    }

    /// From here on nothing that was sealed for it opens.
    pub(super) fn forget(&mut self, subject: Key) {
        if let Some(Some(known)) = self.known.insert(subject, None) {
            self.fresh.retain(|row| row.id != known.row.id);
            self.gone.push(known.name);
        }
    }

    /// New keys, and subjects whose keys go.
    pub(super) fn changed(&mut self) -> (Vec<KeyRow>, Vec<RecordId>) {
        (std::mem::take(&mut self.fresh), std::mem::take(&mut self.gone))
    }

    /// The key, and as which it names the record.
    fn key(&mut self, planner: &Planner<'_>, subject: Key) -> Result<(Arc<DataKey>, RecordId), Error> {
        self.used.push(subject);
        let slot = self.known.entry(subject).or_default();
        if let Some(known) = slot {
            if let Some(key) = &known.key {
                return Ok((key.clone(), known.name));
            }
            let key = Arc::new(DataKey::unwrap(planner.master, planner.tenant, &known.row)?);
            known.key = Some(key.clone());
            return Ok((key, known.name));
        }
        let name = subject_of(planner.kinds.at(subject.0), subject.1);
        let (row, key) = DataKey::make(planner.master, planner.tenant, Some(name), planner.clock, planner.random);
        let key = Arc::new(key);
        *slot = Some(Subject { name, row, key: Some(key.clone()), kept: false });
        Ok((key, name))
    }
}

impl Planner<'_> {
    /// The members of a body as an event tells them: secrets named only, personal data sealed.
    pub(super) fn told(&self, subjects: &mut Subjects, subject: Key, told: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let kind = self.kinds.at(subject.0);
        if !kind.is_confidential() {
            return Ok(told);
        }
        let mut shown = Map::new();
        for (name, value) in told {
            let value = match kind.shown_in_events(&name) {
                InEvents::Openly => value,
                // Whether it is there may be known.
                InEvents::Never => withheld(),
                InEvents::Sealed if value.is_null() => value,
                InEvents::Sealed => {
                    let text = serde_json::to_vec(&value).map_err(Error::internal)?;
                    let (key, whose) = subjects.key(self, subject)?;
                    sealed(&key.seal(&bound_to_subject(whose, &name), &text, self.random))
                }
            };
            shown.insert(name, value);
        }
        Ok(shown)
    }

    /// The data of an explicit event, which may tell of fields by name, at the top or as `before` and `after`.
    pub(super) fn told_explicitly(
        &self,
        subjects: &mut Subjects,
        subject: Key,
        data: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        let mut shown = self.told(subjects, subject, data.clone())?;
        for side in ["before", "after"] {
            if let Some(Value::Object(told)) = shown.get_mut(side) {
                *told = self.told(subjects, subject, std::mem::take(told))?;
            }
        }
        Ok(shown)
    }
}
