//! What a unit does to the keys of repeatable requests.

use std::collections::{HashMap, HashSet};

use steward_base::{AttemptKey, Error, Timestamp};

use super::{Effect, Planner};
use crate::attempt::{MAX_WRITTEN, Remembered};
use crate::job::{JOB_PREFIX, Job};
use crate::prepare::Prepared;

/// The keys of a batch, as its units so far leave them.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    known: HashMap<AttemptKey, Remembered>,
    changed: HashSet<AttemptKey>,
}

impl Attempts {
    pub(crate) fn loaded(&mut self, key: AttemptKey, remembered: Remembered) {
        self.known.insert(key, remembered);
    }

    pub(super) fn changed(&mut self) -> Vec<(AttemptKey, Remembered)> {
        let changed = std::mem::take(&mut self.changed);
        let mut rows: Vec<_> = changed.into_iter().filter_map(|key| self.known.get(&key).map(|row| (key.clone(), row.clone()))).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        rows
    }

    /// Takes over what a unit did.
    pub(super) fn apply(&mut self, claim: Option<Remembered>, unit: &Prepared) {
        if let (Some(row), Some(attempt)) = (claim, unit.ctx.attempt()) {
            self.known.insert(attempt.key.clone(), row);
            self.changed.insert(attempt.key.clone());
        }
    }
}

impl Planner<'_> {
    /// What becomes of the key that the unit's request came with; `None` when it came with none, or its answer is settled.
    pub(super) fn claim(&self, attempts: &Attempts, unit: &Prepared, now: Timestamp) -> Result<Option<Remembered>, Error> {
        let Some(attempt) = unit.ctx.attempt() else { return Ok(None) };
        let mut row = match attempts.known.get(&attempt.key).filter(|row| row.until > now) {
            Some(row) => {
                row.refuse_others(attempt)?;
                // What goes on after the answer is no part of it.
                if row.answer.is_some() {
                    return Ok(None);
                }
                row.clone()
            }
            None => Remembered::claimed(attempt, now),
        };
        if let Some(answer) = &unit.answer {
            row.answer = Some(answer.clone());
        }
        Ok(Some(row))
    }

    /// Notes in the row of a key what its request wrote.
    pub(super) fn note_written(&self, claim: &mut Option<Remembered>, effects: &[Effect], jobs: &[Job]) {
        let Some(row) = claim else { return };
        let records = effects.iter().filter(|effect| effect.changed).map(|effect| effect.key.1.wire(self.kinds.at(effect.key.0).prefix()));
        for id in records.chain(jobs.iter().map(|job| job.id.wire(JOB_PREFIX))) {
            if row.written.len() < MAX_WRITTEN && !row.written.contains(&id) {
                row.written.push(id);
            }
        }
    }
}
