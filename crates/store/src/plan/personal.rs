//! Personal data in events: sealed under a key of the record they are about, so that without that key they are gone wherever the event went.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::{Error, RecordId};

use super::Planner;
use crate::keys::{DataKey, KeyRow, bound_to_subject, sealed, withheld};
use crate::kind::{InEvents, Kind};

/// The keys of the subjects that a batch tells of, as its units so far leave them.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    known: HashMap<RecordId, Option<Subject>>,
    /// Subjects whose keys the unit at hand needs.
    used: Vec<RecordId>,
    fresh: Vec<KeyRow>,
    gone: Vec<RecordId>,
}

#[derive(Debug)]
struct Subject {
    row: KeyRow,
    key: Option<Arc<DataKey>>,
    /// It is in the database, or will be with this batch.
    kept: bool,
}

impl Subjects {
    /// What the database has of those that were asked for.
    pub(crate) fn loaded(&mut self, asked: &HashSet<RecordId>, rows: Vec<KeyRow>) {
        for subject in asked {
            self.known.entry(*subject).or_default();
        }
        for row in rows {
            if let Some(subject) = row.subject {
                self.known.insert(subject, Some(Subject { row, key: None, kept: true }));
            }
        }
    }

    pub(super) fn is_loaded(&self, subject: RecordId) -> bool {
        self.known.contains_key(&subject)
    }

    /// Whether anything was ever sealed for it and not erased since.
    pub(super) fn has_key(&self, subject: RecordId) -> bool {
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
    pub(super) fn forget(&mut self, subject: RecordId) {
        self.known.insert(subject, None);
        self.fresh.retain(|row| row.subject != Some(subject));
        self.gone.push(subject);
    }

    /// New keys, and subjects whose keys go.
    pub(super) fn changed(&mut self) -> (Vec<KeyRow>, Vec<RecordId>) {
        (std::mem::take(&mut self.fresh), std::mem::take(&mut self.gone))
    }

    fn key(&mut self, planner: &Planner<'_>, subject: RecordId) -> Result<Arc<DataKey>, Error> {
        self.used.push(subject);
        let slot = self.known.entry(subject).or_default();
        if let Some(known) = slot {
            if let Some(key) = &known.key {
                return Ok(key.clone());
            }
            let key = Arc::new(DataKey::unwrap(planner.master, planner.tenant, &known.row)?);
            known.key = Some(key.clone());
            return Ok(key);
        }
        let (row, key) = DataKey::make(planner.master, planner.tenant, Some(subject), planner.clock, planner.random);
        let key = Arc::new(key);
        *slot = Some(Subject { row, key: Some(key.clone()), kept: false });
        Ok(key)
    }
}

impl Planner<'_> {
    /// The members of a body as an event tells them: secrets named only, personal data sealed.
    pub(super) fn told(
        &self,
        subjects: &mut Subjects,
        kind: &Kind,
        subject: RecordId,
        told: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
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
                    sealed(&subjects.key(self, subject)?.seal(&bound_to_subject(subject, &name), &text, self.random))
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
        kind: &Kind,
        subject: RecordId,
        data: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        let mut shown = self.told(subjects, kind, subject, data.clone())?;
        for side in ["before", "after"] {
            if let Some(Value::Object(told)) = shown.get_mut(side) {
                *told = self.told(subjects, kind, subject, std::mem::take(told))?;
            }
        }
        Ok(shown)
    }
}
