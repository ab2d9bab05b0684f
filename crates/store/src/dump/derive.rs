//! What is derived from records and events that are loaded or removed: the same that a commit would derive.

use std::collections::HashSet;
use std::sync::Arc;

use steward_base::{Error, RecordId, Timestamp};

use super::table::TABLES;
use super::{Cell, damaged};
use crate::chain;
use crate::kind::Kinds;
use crate::plan::State;
use crate::rows::{Key, Row, UniqueKey, Writes};
use crate::span::{self, Span};

/// A unique key and the record that holds it.
pub(crate) type Claim = (UniqueKey, RecordId);

/// What records that were not there before add to the tables beside their own, and the unique keys that they take from whoever has them.
pub(crate) fn entered(kinds: &Kinds, rows: &[Vec<Cell>]) -> Result<(Writes, Vec<Claim>), Error> {
    let mut state = State::new(0, [0; 32]);
    for cells in rows {
        // Of a kind that is gone nothing is derived.
        if let Some((key, row)) = known(kinds, cells)? {
            state.overwrite(kinds, key, row)?;
        }
    }
    let mut writes = state.writes(kinds);
    writes.records.clear();
    let claims = std::mem::take(&mut writes.unique_new);
    Ok((writes, claims))
}

/// What goes with records that are removed.
pub(crate) fn left(kinds: &Kinds, rows: &[Vec<Cell>]) -> Result<Writes, Error> {
    let mut state = State::new(0, [0; 32]);
    for cells in rows {
        if let Some((key, row)) = known(kinds, cells)? {
            state.loaded_record(kinds, key, row.clone());
            state.overwrite(kinds, key, Row { deleted_at: row.deleted_at.or(Some(0)), ..row })?;
        }
    }
    let mut writes = state.writes(kinds);
    writes.records.clear();
    Ok(writes)
}

/// Takes apart claims of which two are for one key, for the later one counts: no part holds a key twice.
pub(crate) fn in_turns(claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut turns = Vec::new();
    let mut left = claims;
    while !left.is_empty() {
        let mut seen = HashSet::new();
        let (now, later): (Vec<Claim>, Vec<Claim>) = left.into_iter().partition(|(key, _)| seen.insert(key.clone()));
        turns.push(now);
        left = later;
    }
    turns
}

/// Which of some events the requests of the last day left.
pub(crate) fn spans(rows: &[Vec<Cell>], now: Timestamp) -> Vec<Span> {
    let oldest = now.minus(span::DAY);
    let mut spans: Vec<Span> = Vec::new();
    for row in rows {
        let (Some(position), Some((request_id, time))) = (row[0].int(), row[3].bytes().and_then(chain::during)) else { continue };
        let next = Span { hour: span::hour(time), request: span::named(&request_id), first: position, last: position };
        if time >= oldest && !spans.last_mut().is_some_and(|last| last.grow(next)) {
            spans.push(next);
        }
    }
    spans
}

fn known(kinds: &Kinds, cells: &[Cell]) -> Result<Option<(Key, Row)>, Error> {
    let at = |name: &str| TABLES[0].column(name).map(|(at, _)| &cells[at]);
    let int = |name: &str| at(name).and_then(Cell::int);
    let text = |name: &str| at(name).and_then(Cell::text);
    let read = || -> Option<(Option<usize>, RecordId, Row)> {
        let row = Row {
            version: int("version")?,
            parent: at("parent").and_then(Cell::id),
            body: Arc::from(text("body")?),
            created_at: int("created_at")?,
            created_by: Arc::from(text("created_by")?),
            updated_at: int("updated_at")?,
            updated_by: Arc::from(text("updated_by")?),
            deleted_at: int("deleted_at"),
            shape: int("shape")?.try_into().ok()?,
        };
        Some((kinds.index(text("kind")?), at("id")?.id()?, row))
    };
    let (kind, id, row) = read().ok_or_else(|| damaged("a record is not of its form"))?;
    Ok(kind.map(|kind| ((kind, id), kinds.at(kind).current(row))))
}
