//! The data keys of a file.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use steward_base::RecordId;

use super::codes::{Codes, id_at};
use super::dialect;
use super::failure::Failure;
use crate::keys::{KeyRow, Which};
use crate::rows::Writes;

pub(super) fn keys(connection: &Connection, codes: &Codes, which: &Which) -> Result<Vec<KeyRow>, Failure> {
    match which {
        Which::Secrets => {
            let mut statement = connection.prepare_cached(dialect::SECRET_KEYS)?;
            let rows = statement.query_map([codes.tenant], row_of)?;
            Ok(rows.collect::<Result<_, _>>()?)
        }
        Which::Ids(ids) => {
            let mut statement = connection.prepare_cached(dialect::DATA_KEY)?;
            let one = |id: &RecordId| statement.query_row(params![codes.tenant, &id.bytes()[..]], row_of).optional();
            let found = ids.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().flatten().collect())
        }
        Which::After(after, limit) => {
            let after = after.map(|id| id.bytes().to_vec()).unwrap_or_default();
            let mut statement = connection.prepare_cached(dialect::DATA_KEYS)?;
            let rows = statement.query_map(params![codes.tenant, after, *limit as i64], row_of)?;
            Ok(rows.collect::<Result<_, _>>()?)
        }
    }
}

pub(super) fn write(connection: &Connection, codes: &Codes, writes: &Writes) -> Result<(), Failure> {
    for subject in &writes.keys_gone {
        connection.prepare_cached(dialect::FORGET_DATA_KEY)?.execute(params![codes.tenant, &subject.bytes()[..]])?;
    }
    for key in &writes.rewrapped {
        let bound = params![codes.tenant, &key.id.bytes()[..], &*key.from, &*key.to];
        connection.prepare_cached(dialect::REWRAP_DATA_KEY)?.execute(bound)?;
    }
    if writes.keys.is_empty() {
        return Ok(());
    }
    let mut put = connection.prepare_cached(dialect::PUT_DATA_KEY)?;
    for key in &writes.keys {
        let subject = key.subject.map(|subject| subject.bytes());
        let subject = subject.as_ref().map(|bytes| &bytes[..]);
        put.execute(params![codes.tenant, &key.id.bytes()[..], subject, &*key.wrapped, key.created_at])?;
    }
    Ok(())
}

/// The keys under these names, where there are such.
pub(super) fn subjects(connection: &Connection, codes: &Codes, subjects: &[RecordId]) -> Result<Vec<KeyRow>, Failure> {
    let mut statement = connection.prepare_cached(dialect::SUBJECT_KEY)?;
    let one = |subject: &RecordId| statement.query_row(params![codes.tenant, &subject.bytes()[..]], row_of).optional();
    let found = subjects.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<KeyRow> {
    let subject = row.get::<_, Option<[u8; 16]>>(1)?.map(RecordId::from_bytes);
    Ok(KeyRow { id: id_at(row, 0)?, subject, wrapped: row.get(2)?, created_at: row.get(3)? })
}
