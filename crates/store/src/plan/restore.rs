//! Records that come back from the recycle bin: what they need is read off their stored bodies.

use steward_base::{Error, ErrorKind};

use super::{Effect, Effects, Live, Planner, State, Wanted, version_conflict};
use crate::kind::Kinds;
use crate::prepare::{Prepared, PreparedWrite, Target, targets};
use crate::rows::{Key, Row};
use crate::unit::Expect;

impl Planner<'_> {
    /// The record as it was when it was deleted. Its body is not checked again: it may be from before the kind changed, as live ones may.
    pub(super) fn restored(&self, unit: &Prepared, now: i64, write: &PreparedWrite, row: Row) -> Result<Effect, Error> {
        let after = Some(Live::stored(self.kinds.at(write.key.0), row.parse()?));
        let row = Row { version: row.version + 1, updated_at: now, updated_by: unit.actor.clone(), deleted_at: None, ..row };
        Ok(Effect { key: write.key, before: None, row, after, changed: true, told: write.told, restored: true })
    }

    /// The records that a restored one refers to, also when it was live all the time.
    pub(super) fn targets_of_restored(&self, state: &State, key: Key, effects: &Effects) -> Result<Vec<Target>, Error> {
        let effect = effects.by_key.get(&key).map(|at| &effects.list[*at]);
        let row = effect.map(|effect| effect.row.clone()).or_else(|| state.row(key));
        row.map_or(Ok(Vec::new()), |row| targets(self.kinds, self.kinds.at(key.0), &row.parse()?))
    }
}

impl State {
    /// Unique keys and references of what is to be restored. A record that is live here may be deleted by a unit before the one that restores it.
    pub(super) fn wanted_by_restored(&mut self, kinds: &Kinds) -> Wanted {
        let mut wanted = Wanted::default();
        for key in std::mem::take(&mut self.restoring) {
            // What cannot be read fails the unit when it is its turn.
            let Some(Ok(body)) = self.row(key).map(|row| row.parse()) else { continue };
            let kind = kinds.at(key.0);
            wanted.unique.extend(kind.entries(&body).unique.into_iter().map(|(field, value)| (key.0, field, value)));
            wanted.records.extend(targets(kinds, kind, &body).unwrap_or_default().into_iter().map(|target| target.key));
        }
        wanted
    }
}

pub(super) fn check_expected(noun: &str, expect: Expect, row: Option<&Row>) -> Result<(), Error> {
    match (expect, row) {
        (_, None) => Err(Error::not_found(noun)),
        (Expect::Any, Some(row)) if row.deleted_at.is_none() => Ok(()),
        (_, Some(row)) if row.deleted_at.is_none() => {
            Err(Error::new(ErrorKind::Conflict, "already_exists", format!("This {noun} is not in the recycle bin.")))
        }
        (Expect::Version(expected), Some(row)) if row.version != expected => Err(version_conflict(noun, row.version)),
        _ => Ok(()),
    }
}
