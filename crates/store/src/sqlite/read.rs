//! Reads of one connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use steward_base::{RecordId, Timestamp};

use super::codes::{Codes, id_at};
use super::dialect;
use super::failure::Failure;
use crate::list::{Counted, Drive, Find, MAX_COUNTED, Range, Scan, Scanned, past};
use crate::query::Direction;
use crate::rows::{EventRow, IndexField, Row};
use crate::value;

/// Below and above every id.
const FIRST: &[u8] = &[];
const LAST: &[u8] = &[0xff; 17];

pub(super) fn record(connection: &Connection, codes: &Codes, kind: usize, id: RecordId) -> Result<Option<Row>, Failure> {
    let mut statement = connection.prepare_cached(dialect::RECORD)?;
    Ok(statement.query_row(params![codes.tenant, codes.kind(kind), &id.bytes()[..]], row_of).optional()?)
}

pub(super) fn find(
    connection: &Connection,
    codes: &Codes,
    kind: usize,
    field: usize,
    key: &[u8],
) -> Result<Option<(RecordId, Row)>, Failure> {
    let mut statement = connection.prepare_cached(dialect::OWNER)?;
    let owner =
        statement.query_row(params![codes.tenant, codes.kind(kind), codes.field(kind, field), key], |row| id_at(row, 0)).optional()?;
    let Some(id) = owner else { return Ok(None) };
    Ok(record(connection, codes, kind, id)?.map(|row| (id, row)))
}

pub(super) fn count(
    connection: &Connection,
    codes: &Codes,
    kind: usize,
    field: IndexField,
    range: &Range,
    most: Option<i64>,
) -> Result<i64, Failure> {
    let mut statement = connection.prepare_cached(dialect::COUNT)?;
    let bound = params![codes.tenant, codes.kind(kind), codes.index_field(kind, field), range.low, range.high, most.unwrap_or(-1)];
    Ok(statement.query_row(bound, |row| row.get(0))?)
}

pub(super) fn events(connection: &Connection, codes: &Codes, after: i64, limit: usize) -> Result<Vec<EventRow>, Failure> {
    let mut statement = connection.prepare_cached(dialect::EVENTS)?;
    let rows = statement.query_map(params![codes.tenant, after, limit as i64], event_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn history(
    connection: &Connection,
    codes: &Codes,
    subject: RecordId,
    before: i64,
    limit: usize,
) -> Result<Vec<EventRow>, Failure> {
    let mut statement = connection.prepare_cached(dialect::HISTORY)?;
    let rows = statement.query_map(params![codes.tenant, &subject.bytes()[..], before, limit as i64], event_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn event_of(row: &SqlRow<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow { position: row.get(0)?, subject: id_at(row, 1)?, hash: row.get(2)?, body: row.get(3)? })
}

/// From value to value: what lies between two is stepped over.
pub(super) fn values(connection: &Connection, codes: &Codes, kind: usize, field: IndexField, most: usize) -> Result<Vec<Counted>, Failure> {
    let mut next = connection.prepare_cached(dialect::NEXT_VALUE)?;
    let mut count = connection.prepare_cached(dialect::COUNT)?;
    let (kind, field) = (codes.kind(kind), codes.index_field(kind, field));
    let mut found: Vec<Counted> = Vec::new();
    while found.len() < most {
        let after = found.last().map_or(FIRST, |known| known.value.as_slice());
        let bound = params![codes.tenant, kind, field, after];
        let Some((value, first)) = next.query_row(bound, |row| Ok((row.get::<_, Vec<u8>>(0)?, id_at(row, 1)?))).optional()? else { break };
        let counted = count.query_row(params![codes.tenant, kind, field, value, value, MAX_COUNTED], |row| row.get(0))?;
        found.push(Counted { value, count: counted, first });
    }
    Ok(found)
}

pub(super) fn count_found(connection: &Connection, codes: &Codes, kind: usize, start: &str, most: i64) -> Result<i64, Failure> {
    let mut statement = connection.prepare_cached(dialect::COUNT_FOUND)?;
    let bound = params![codes.tenant, codes.kind(kind), start.as_bytes(), past(start), most];
    Ok(statement.query_row(bound, |row| row.get(0))?)
}

pub(super) fn found(connection: &Connection, codes: &Codes, find: &Find) -> Result<Vec<RecordId>, Failure> {
    let mut statement = connection.prepare_cached(dialect::FOUND)?;
    let below = find.below.map_or_else(|| LAST.to_vec(), |id| id.bytes().to_vec());
    let bound = params![codes.tenant, codes.kind(find.kind), find.start.as_bytes(), past(&find.start), below, find.most];
    let ids = statement.query_map(bound, |row| id_at(row, 0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The live ones of these records, in no order.
pub(super) fn some(connection: &Connection, codes: &Codes, kind: usize, ids: &[RecordId]) -> Result<Vec<(RecordId, Row)>, Failure> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = record(connection, codes, kind, *id)?.filter(|row| row.deleted_at.is_none()) {
            found.push((*id, row));
        }
    }
    Ok(found)
}

/// Kind, field and record of claims that could not be made; of kinds and fields that are gone nothing is told.
pub(super) fn unclaimed(connection: &Connection, codes: &Codes) -> Result<Vec<(usize, usize, RecordId)>, Failure> {
    let mut statement = connection.prepare_cached(dialect::UNCLAIMED)?;
    let rows = statement.query_map([codes.tenant], |row| Ok((row.get(0)?, row.get(1)?, id_at(row, 2)?)))?;
    let rows = rows.collect::<Result<Vec<(i64, i64, RecordId)>, _>>()?;
    Ok(rows.into_iter().filter_map(|(kind, field, id)| codes.numbers(kind, field).map(|(kind, field)| (kind, field, id))).collect())
}

pub(super) fn head(connection: &Connection, codes: &Codes) -> Result<(i64, [u8; 32]), Failure> {
    let mut statement = connection.prepare_cached(dialect::HEAD)?;
    Ok(statement.query_row([codes.tenant], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(super) fn scan(connection: &Connection, codes: &Codes, scan: &Scan) -> Result<Scanned, Failure> {
    let up = scan.direction == Direction::Ascending;
    let (tenant, kind, most) = (codes.tenant, codes.kind(scan.kind), scan.rows as i64);
    let id_bytes = scan.after.as_ref().map(|(_, id)| id.bytes());
    let id: &[u8] = match &id_bytes {
        Some(bytes) => bytes,
        None if up => FIRST,
        None => LAST,
    };
    let mut scanned = Scanned::default();
    let mut authors = Authors::default();
    let mut look = |row: &SqlRow<'_>, valued: bool| -> Result<ControlFlow<()>, Failure> {
        let value = if valued { row.get(10)? } else { Vec::new() };
        let (id, row) = (id_at(row, 9)?, authors.row(row)?);
        let value = row.deleted_at.map_or(value, |at| value::time(Timestamp::from_micros(at)));
        let on = scan.look(&mut scanned, value, id, row)?;
        Ok(if on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    match &scan.drive {
        Drive::Id => {
            let sql = if up { dialect::BY_ID_UP } else { dialect::BY_ID_DOWN };
            run(connection, sql, params![tenant, kind, id, most], |row| look(row, false))?;
        }
        Drive::Deleted => {
            let from = scan.after.as_ref().and_then(|(value, _)| value::micros(value)).unwrap_or(i64::MAX);
            run(connection, dialect::DELETED, params![tenant, kind, from, id, most], |row| look(row, false))?;
        }
        Drive::Equal(field, value) => {
            let sql = if up { dialect::EQUAL_UP } else { dialect::EQUAL_DOWN };
            let field = codes.index_field(scan.kind, *field);
            // The ids alone are the order here: the place to go on has no value.
            run(connection, sql, params![tenant, kind, field, value, id, most], |row| look(row, false))?;
        }
        Drive::Index(field, range) => {
            let field = codes.index_field(scan.kind, *field);
            let (sql, edge, other) =
                if up { (dialect::RANGE_UP, &range.low, &range.high) } else { (dialect::RANGE_DOWN, &range.high, &range.low) };
            let from = scan.after.as_ref().map_or(edge, |(value, _)| value);
            run(connection, sql, params![tenant, kind, field, from, id, other, most], |row| look(row, true))?;
        }
    }
    Ok(scan.finish(scanned))
}

fn run(
    connection: &Connection,
    sql: &str,
    bound: &[&dyn rusqlite::ToSql],
    mut look: impl FnMut(&SqlRow<'_>) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(bound)?;
    while let Some(row) = rows.next()? {
        if look(row)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The nine columns that every statement for records begins with.
pub(super) fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Authors::default().row(row)
}

/// Whoever wrote the last row: rows that lie together are mostly by one hand, whose name is then kept once.
#[derive(Default)]
struct Authors(Option<Arc<str>>);

impl Authors {
    fn row(&mut self, row: &SqlRow<'_>) -> rusqlite::Result<Row> {
        Ok(Row {
            version: row.get(0)?,
            parent: row.get::<_, Option<[u8; 16]>>(1)?.map(RecordId::from_bytes),
            body: row.get(2)?,
            created_at: row.get(3)?,
            created_by: self.name(row, 4)?,
            updated_at: row.get(5)?,
            updated_by: self.name(row, 6)?,
            deleted_at: row.get(7)?,
            shape: row.get(8)?,
        })
    }

    fn name(&mut self, row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
        let text = row.get_ref(column)?.as_str()?;
        match &self.0 {
            Some(known) if **known == *text => Ok(known.clone()),
            _ => Ok(self.0.insert(text.into()).clone()),
        }
    }
}
