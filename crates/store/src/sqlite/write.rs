//! One batch in one transaction: load what is wanted, decide, write each table once.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use steward_base::Error;

use super::codes::{Codes, id_at};
use super::failure::Failure;
use super::{attempts, dialect, jobs, keys, read, spans};
use crate::keys::Which;
use crate::kind::Kinds;
use crate::plan::{Done, Inbound, Planner, State, Subjects, Wanted};
use crate::prepare::{MAX_WRITES, Prepared, inbound};
use crate::rows::{Key, Writes};
use crate::value;

/// What a committed batch came to.
pub(super) struct Committed {
    pub(super) answers: Vec<Result<Done, Error>>,
    pub(super) position: i64,
    pub(super) rows: usize,
    /// The kinds of the records that were changed, each once.
    pub(super) kinds: BTreeSet<usize>,
    /// How long it took without the commit.
    pub(super) worked: Duration,
}

/// Runs the units as one transaction; on an error nothing of it happened.
pub(super) fn batch(connection: &Connection, codes: &Codes, planner: &Planner<'_>, units: &[&Prepared]) -> Result<Committed, Failure> {
    let began = planner.clock.monotonic();
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    // A defect that one unit brings to light must end neither the thread nor the other units.
    let done = catch_unwind(AssertUnwindSafe(|| inside(connection, codes, planner, units, began)))
        .unwrap_or_else(|_| Err(Error::internal("a unit of work made its batch panic").into()));
    let done = match done {
        Ok(done) => connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map(|_| done).map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

fn inside(
    connection: &Connection,
    codes: &Codes,
    planner: &Planner<'_>,
    units: &[&Prepared],
    began: Duration,
) -> Result<Committed, Failure> {
    let (position, hash) = read::head(connection, codes)?;
    let mut state = State::new(position, hash);
    let mut wanted = Wanted::by(planner.kinds, units.iter().copied());
    while !wanted.is_empty() {
        load(connection, codes, planner, &wanted, &mut state)?;
        jobs::load(connection, codes, planner.clock, &wanted, &mut state)?;
        attempts::load(connection, codes, &wanted, &mut state)?;
        wanted = state.wants_more(planner.kinds);
    }
    let (answers, writes) = planner.batch(&mut state, units.iter().copied());
    let (position, rows) = (writes.head.0, writes.rows());
    let kinds = writes.records.iter().map(|(key, _)| key.0).chain(writes.records_gone.iter().map(|key| key.0)).collect();
    if !writes.is_empty() {
        write(connection, codes, planner.kinds, writes)?;
    }
    Ok(Committed { answers, position, rows, kinds, worked: planner.clock.monotonic().saturating_sub(began) })
}

fn load(connection: &Connection, codes: &Codes, planner: &Planner<'_>, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    for key in &wanted.records {
        if let Some(row) = read::record(connection, codes, key.0, key.1)? {
            state.loaded_record(planner.kinds, *key, row);
        }
    }
    let mut owners = connection.prepare_cached(dialect::OWNER)?;
    for key in &wanted.unique {
        let (kind, field, value) = key;
        let bound = params![codes.tenant, codes.kind(*kind), codes.field(*kind, *field), value];
        if let Some(owner) = owners.query_row(bound, |row| id_at(row, 0)).optional()? {
            state.loaded_owner(key.clone(), owner);
        }
    }
    if !wanted.subjects.is_empty() {
        let names = Subjects::names(planner.kinds, &wanted.subjects);
        state.subjects.loaded(planner.kinds, &wanted.subjects, &keys::subjects(connection, codes, &names)?);
    }
    if wanted.secrets {
        state.secrets.loaded(keys::keys(connection, codes, &Which::Secrets)?);
    }
    state.loaded_restored(wanted);
    for key in &wanted.inbound {
        state.loaded_inbound(*key, referrers(connection, codes, planner, *key)?);
    }
    Ok(())
}

/// The records that refer to one, up to more than a unit may delete.
fn referrers(connection: &Connection, codes: &Codes, planner: &Planner<'_>, target: Key) -> Result<Vec<Inbound>, Failure> {
    let wire = value::text(&target.1.wire(planner.kinds.at(target.0).prefix()));
    let mut found = Vec::new();
    let mut statement = connection.prepare_cached(dialect::REFERRERS)?;
    for (kind, field) in inbound(planner.kinds, target.0) {
        let bound = params![codes.tenant, codes.kind(kind), codes.field(kind, field), wire, MAX_WRITES as i64 + 1];
        for id in statement.query_map(bound, |row| id_at(row, 0))? {
            found.push(Inbound { key: (kind, id?), field });
        }
    }
    Ok(found)
}

/// Writes each table once.
pub(super) fn write(connection: &Connection, codes: &Codes, kinds: &Kinds, mut writes: Writes) -> Result<(), Failure> {
    let tenant = codes.tenant;
    let mut put = connection.prepare_cached(dialect::PUT_RECORD)?;
    for ((kind, id), row) in &writes.records {
        let parent = row.parent.map(|parent| parent.bytes());
        put.execute(params![
            tenant,
            codes.kind(*kind),
            &id.bytes()[..],
            row.version,
            parent.as_ref().map(|bytes| &bytes[..]),
            &*row.body,
            row.created_at,
            &*row.created_by,
            row.updated_at,
            &*row.updated_by,
            row.deleted_at,
            row.shape
        ])?;
    }
    for (kind, id) in &writes.records_gone {
        connection.prepare_cached(dialect::ERASE_RECORD)?.execute(params![tenant, codes.kind(*kind), &id.bytes()[..]])?;
        connection.prepare_cached(dialect::FORGET_ANSWERS)?.execute(params![tenant, id.wire(kinds.at(*kind).prefix())])?;
    }
    for (sql, entries) in [(dialect::LEAVE, &mut writes.index_gone), (dialect::ENTER, &mut writes.index_new)] {
        // In the order of the tree, so that neighbours share pages while they are hot.
        entries.sort_unstable();
        let mut statement = connection.prepare_cached(sql)?;
        for (kind, field, value, id) in entries.iter() {
            statement.execute(params![tenant, codes.kind(*kind), codes.index_field(*kind, *field), value, &id.bytes()[..]])?;
        }
    }
    for (sql, terms) in [(dialect::UNTELL, &mut writes.terms_gone), (dialect::TELL, &mut writes.terms_new)] {
        terms.sort_unstable();
        let mut statement = connection.prepare_cached(sql)?;
        for (kind, term, id) in terms.iter() {
            statement.execute(params![tenant, codes.kind(*kind), term.as_bytes(), &id.bytes()[..]])?;
        }
    }
    let mut free = connection.prepare_cached(dialect::FREE)?;
    for ((kind, field, value), id) in &writes.unique_gone {
        free.execute(params![tenant, codes.kind(*kind), codes.field(*kind, *field), value, &id.bytes()[..]])?;
    }
    let mut claim = connection.prepare_cached(dialect::CLAIM)?;
    for ((kind, field, value), id) in &writes.unique_new {
        claim.execute(params![tenant, codes.kind(*kind), codes.field(*kind, *field), value, &id.bytes()[..]])?;
    }
    let mut append = connection.prepare_cached(dialect::APPEND)?;
    for event in &writes.events {
        append.execute(params![tenant, event.position, &event.subject.bytes()[..], &event.hash[..], event.body])?;
    }
    if !writes.events.is_empty() {
        connection.prepare_cached(dialect::MOVE_HEAD)?.execute(params![tenant, writes.head.0, &writes.head.1[..]])?;
    }
    keys::write(connection, codes, &writes)?;
    spans::write(connection, codes, &writes)?;
    attempts::write(connection, codes, &writes)?;
    jobs::write(connection, codes, &writes)
}
