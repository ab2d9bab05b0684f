//! Keys of repeatable requests, of one connection.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use steward_base::{AttemptKey, Error, Timestamp};

use super::codes::Codes;
use super::dialect;
use super::failure::Failure;
use crate::attempt::Remembered;
use crate::plan::{State, Wanted};
use crate::rows::Writes;

pub(super) fn load(connection: &Connection, codes: &Codes, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    for key in &wanted.attempts {
        if let Some(row) = remembered(connection, codes, key)? {
            state.attempts.loaded(key.clone(), row);
        }
    }
    Ok(())
}

pub(super) fn remembered(connection: &Connection, codes: &Codes, key: &AttemptKey) -> Result<Option<Remembered>, Failure> {
    let mut statement = connection.prepare_cached(dialect::REMEMBERED)?;
    Ok(statement.query_row(params![codes.tenant, &*key.principal, &*key.operation, &*key.key], row_of).optional()?)
}

pub(super) fn write(connection: &Connection, codes: &Codes, writes: &Writes) -> Result<(), Failure> {
    for (key, row) in &writes.attempts {
        let (status, rest) = row.answer.as_ref().map_or((None, None), |(status, rest)| (Some(*status), rest.as_deref()));
        connection.prepare_cached(dialect::REMEMBER)?.execute(params![
            codes.tenant,
            &*key.principal,
            &*key.operation,
            &*key.key,
            &row.request[..],
            &row.nonce[..],
            row.claimed_at.micros(),
            row.written.join(" "),
            status,
            rest,
            row.until.micros(),
        ])?;
    }
    Ok(())
}

fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<Remembered> {
    let written: String = row.get(3)?;
    let (status, rest): (Option<u16>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
    Ok(Remembered {
        request: bytes(row, 0)?,
        nonce: bytes(row, 1)?,
        claimed_at: Timestamp::from_micros(row.get(2)?),
        written: written.split_whitespace().map(str::to_owned).collect(),
        answer: status.map(|status| (status, rest)),
        until: Timestamp::from_micros(row.get(6)?),
    })
}

fn bytes<const N: usize>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<[u8; N]> {
    let bytes: Vec<u8> = row.get(column)?;
    bytes.try_into().map_err(|_| {
        let error = Error::internal("the key of a request has a digest of another length");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
    })
}
