//! Jobs and numbers of one connection.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use serde_json::Value;
use steward_base::{Clock, Error, RecordId, Timestamp};

use super::codes::{Codes, id_at};
use super::dialect;
use super::failure::Failure;
use crate::job::{DEAD_KEPT, Job, JobQuery, JobState, KEPT, Priority};
use crate::plan::{State, Wanted};
use crate::prepare::{DELETED_KEPT, SWEPT};
use crate::rows::Writes;

/// See [`crate::Mark`].
const CLEAN: i64 = i64::MAX;

pub(super) fn load(connection: &Connection, codes: &Codes, clock: &Clock, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    for id in &wanted.jobs.ids {
        if let Some(job) = job(connection, codes, *id)? {
            state.jobs.loaded(job);
        }
    }
    for (kind, key) in &wanted.jobs.keys {
        let mut statement = connection.prepare_cached(dialect::JOBS_BY_KEY)?;
        for job in statement.query_map(params![codes.tenant, kind, key], job_of)? {
            state.jobs.loaded(job?);
        }
    }
    state.jobs.loaded_keys(wanted.jobs.keys.iter().cloned());
    if let Some((kinds, most)) = &wanted.jobs.due {
        let names = names(kinds.iter().map(String::as_str));
        let mut due = Vec::new();
        for priority in Priority::ALL {
            let mut statement = connection.prepare_cached(dialect::JOBS_DUE)?;
            let bound = params![codes.tenant, priority.number(), clock.now().micros(), names, (most - due.len()) as i64];
            for job in statement.query_map(bound, job_of)? {
                due.push(job?);
            }
        }
        state.jobs.loaded_due(due);
    }
    for key in &wanted.tallies {
        if let Some(value) = tally(connection, codes, &key.text())? {
            state.tallies.loaded(key.clone(), value);
        }
    }
    for message in &wanted.messages {
        let mut statement = connection.prepare_cached(dialect::RECEIVED)?;
        if let Some(until) = statement.query_row(params![codes.tenant, message.0, message.1], |row| row.get(0)).optional()? {
            state.tallies.loaded_message(message.clone(), until);
        }
    }
    Ok(())
}

pub(super) fn write(connection: &Connection, codes: &Codes, writes: &Writes) -> Result<(), Failure> {
    let tenant = codes.tenant;
    let mut put = connection.prepare_cached(dialect::PUT_JOB)?;
    for job in &writes.jobs {
        put.execute(params![
            tenant,
            &job.id.bytes()[..],
            job.kind,
            job.state.as_str(),
            job.priority.number(),
            job.run_at.micros(),
            job.due_at.map(Timestamp::micros),
            job.unique_key,
            job.attempts,
            job.epoch,
            job.payload.to_string(),
            job.progress.as_ref().map(Value::to_string),
            job.last_error,
            job.cancel_requested,
            job.actor,
            job.request_id,
            job.trace_id,
            job.created_at.micros(),
            job.finished_at.map(Timestamp::micros),
        ])?;
    }
    for (key, value) in &writes.tallies {
        connection.prepare_cached(dialect::PUT_TALLY)?.execute(params![tenant, key.text(), value])?;
    }
    for key in &writes.tallies_gone {
        connection.prepare_cached(dialect::DROP_TALLY)?.execute(params![tenant, key.text()])?;
    }
    for (source, message, until) in &writes.received {
        connection.prepare_cached(dialect::RECEIVE)?.execute(params![tenant, source, message, until])?;
    }
    if let Some(now) = writes.sweep {
        let (done, dead, most) = (now.minus(KEPT).micros(), now.minus(DEAD_KEPT).micros(), SWEPT as i64);
        connection.prepare_cached(dialect::SWEEP_JOBS)?.execute(params![tenant, done, dead, most])?;
        connection.prepare_cached(dialect::PURGE)?.execute(params![tenant, now.minus(DELETED_KEPT).micros(), most])?;
        connection.prepare_cached(dialect::SWEEP_INBOX)?.execute(params![tenant, now.micros(), most])?;
        connection.prepare_cached(dialect::SWEEP_REQUESTS)?.execute(params![tenant, now.micros(), most])?;
    }
    Ok(())
}

pub(super) fn job(connection: &Connection, codes: &Codes, id: RecordId) -> Result<Option<Job>, Failure> {
    let mut statement = connection.prepare_cached(dialect::JOB)?;
    Ok(statement.query_row(params![codes.tenant, &id.bytes()[..]], job_of).optional()?)
}

pub(super) fn jobs(connection: &Connection, codes: &Codes, query: &JobQuery) -> Result<Vec<Job>, Failure> {
    let before = query.before.map(|id| id.bytes().to_vec()).unwrap_or_else(|| vec![0xff; 17]);
    let most = query.limit as i64;
    let collected = |rows: rusqlite::Result<Vec<Job>>| rows.map_err(Failure::from);
    if query.state == Some(JobState::Dead) {
        let mut statement = connection.prepare_cached(dialect::DEAD_JOBS)?;
        return collected(statement.query_map(params![codes.tenant, before, query.kind, most], job_of)?.collect());
    }
    let mut statement = connection.prepare_cached(dialect::JOBS)?;
    collected(statement.query_map(params![codes.tenant, before, query.state.map(JobState::as_str), query.kind, most], job_of)?.collect())
}

pub(super) fn next_due(connection: &Connection, codes: &Codes, kinds: Option<&[String]>) -> Result<Option<i64>, Failure> {
    let names = kinds.map(|kinds| names(kinds.iter().map(String::as_str)));
    let mut next: Option<i64> = None;
    let mut statement = connection.prepare_cached(dialect::NEXT_DUE)?;
    for priority in Priority::ALL {
        let due = statement.query_row(params![codes.tenant, priority.number(), names], |row| row.get(0)).optional()?;
        next = next.into_iter().chain(due).min();
    }
    Ok(next)
}

/// Numbers whose names begin with a prefix, and what comes behind it.
pub(super) fn notes(connection: &Connection, codes: &Codes, prefix: &str) -> Result<Vec<(String, i64)>, Failure> {
    let mut statement = connection.prepare_cached(dialect::NOTES)?;
    // `;` is the character behind the colon that a prefix ends with.
    let end = format!("{};", prefix.trim_end_matches(':'));
    let rows = statement.query_map(params![codes.tenant, prefix, end, CLEAN], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn tally(connection: &Connection, codes: &Codes, name: &str) -> Result<Option<i64>, Failure> {
    Ok(connection.prepare_cached(dialect::TALLY)?.query_row(params![codes.tenant, name], |row| row.get(0)).optional()?)
}

/// As a JSON list: the statement stays one, however many there are.
fn names<'a>(kinds: impl Iterator<Item = &'a str>) -> String {
    Value::from_iter(kinds).to_string()
}

fn job_of(row: &SqlRow<'_>) -> rusqlite::Result<Job> {
    let time = Timestamp::from_micros;
    let json = |text: Option<String>| -> rusqlite::Result<Option<Value>> {
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| unreadable(Error::internal(error)))
    };
    let state: String = row.get(2)?;
    Ok(Job {
        id: id_at(row, 0)?,
        kind: row.get(1)?,
        state: JobState::parse(&state).ok_or_else(|| unreadable(Error::internal(format!("a job is {state}"))))?,
        priority: Priority::from_number(row.get(3)?),
        run_at: time(row.get(4)?),
        due_at: row.get::<_, Option<i64>>(5)?.map(time),
        unique_key: row.get(6)?,
        attempts: row.get(7)?,
        epoch: row.get(8)?,
        payload: json(row.get(9)?)?.unwrap_or_default(),
        progress: json(row.get(10)?)?,
        last_error: row.get(11)?,
        cancel_requested: row.get(12)?,
        actor: row.get(13)?,
        request_id: row.get(14)?,
        trace_id: row.get(15)?,
        created_at: time(row.get(16)?),
        finished_at: row.get::<_, Option<i64>>(17)?.map(time),
    })
}

fn unreadable(error: Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}
