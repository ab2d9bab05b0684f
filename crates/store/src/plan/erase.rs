//! Records that are erased: the row, its keys and the key of its personal data go; history and chain stay.

use serde_json::{Map, Value};
use steward_base::Error;

use super::{Effect, Effects, Planner, State, scope_of};
use crate::prepare::{Prepared, PreparedWrite};
use crate::rows::{Key, Row};
use crate::unit::Expect;

/// A record that a unit erases, also one that is gone already and whose history is left.
#[derive(Debug)]
pub(super) struct Erased {
    pub(super) key: Key,
    pub(super) scope: Map<String, Value>,
    pub(super) told: bool,
}

impl Planner<'_> {
    /// Nothing happens where nothing is left, or where it is not the deleted version that was looked at.
    pub(super) fn erase(
        &self,
        state: &mut State,
        unit: &Prepared,
        now: i64,
        write: &PreparedWrite,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let (before, row) = (state.live(self.kinds, write.key)?, state.row(write.key));
        if row.is_none() && !state.subjects.has_key(write.key) {
            return Ok(());
        }
        let is_that = |row: &Row, version| row.version == version && row.deleted_at.is_some();
        if let Expect::Version(version) = write.expect
            && !row.as_ref().is_some_and(|row| is_that(row, version))
        {
            return Ok(());
        }
        let body = row.as_ref().map(Row::parse).transpose()?.unwrap_or_default();
        effects.erased.push(Erased { key: write.key, scope: scope_of(self.kinds.at(write.key.0), &body), told: write.told });
        if let Some(row) = row {
            let row = Row { version: row.version + 1, updated_at: now, updated_by: unit.actor.clone(), deleted_at: Some(now), ..row };
            effects.add(Effect { key: write.key, before, row, after: None, changed: true, told: true, restored: false });
        }
        Ok(())
    }
}

impl Effects {
    pub(super) fn erases(&self, key: Key) -> bool {
        self.erased.iter().any(|erased| erased.key == key)
    }
}
