//! Jobs and numbers of one connection.

use deadpool_postgres::Client;
use serde_json::Value;
use steward_base::{Clock, Error, RecordId, Timestamp};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::namespace::Namespace;
use super::read::{id_at, is_there, query};
use crate::job::{DEAD_KEPT, Job, JobQuery, JobState, KEPT, Priority};
use crate::plan::{State, Wanted};
use crate::prepare::{DELETED_KEPT, SWEPT};
use crate::tally::TallyKey;

type Bound<'a> = &'a (dyn ToSql + Sync);

/// Inside the transaction of a batch, which is the tenant's already.
pub(super) async fn load(client: &Client, namespace: &Namespace, clock: &Clock, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    let (statements, tenant) = (&namespace.statements.jobs, namespace.tenant.record().uuid());
    let run = async |sql: &str, bound: &[Bound<'_>]| -> Result<Vec<SqlRow>, Failure> {
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, bound).await?)
    };
    if !wanted.jobs.ids.is_empty() {
        let ids: Vec<Uuid> = wanted.jobs.ids.iter().map(|id| id.uuid()).collect();
        for row in run(&statements.some, &[&tenant, &ids]).await? {
            state.jobs.loaded(job_of(&row)?);
        }
    }
    if !wanted.jobs.keys.is_empty() {
        let (kinds, keys): (Vec<&str>, Vec<&str>) = wanted.jobs.keys.iter().map(|(kind, key)| (kind.as_str(), key.as_str())).unzip();
        for row in run(&statements.by_keys, &[&tenant, &kinds, &keys]).await? {
            state.jobs.loaded(job_of(&row)?);
        }
        state.jobs.loaded_keys(wanted.jobs.keys.iter().cloned());
    }
    if let Some((kinds, most)) = &wanted.jobs.due {
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let rows = run(&statements.due, &[&tenant, &clock.now().micros(), &kinds, &(*most as i64)]).await?;
        state.jobs.loaded_due(rows.iter().map(job_of).collect::<Result<_, _>>()?);
    }
    if !wanted.tallies.is_empty() {
        let keys: Vec<&TallyKey> = wanted.tallies.iter().collect();
        let names: Vec<String> = keys.iter().map(|key| key.text()).collect();
        for row in run(&statements.tallies, &[&tenant, &names]).await? {
            if let Some(at) = names.iter().position(|name| name == row.get::<_, &str>(0)) {
                state.tallies.loaded(keys[at].clone(), row.get(1));
            }
        }
    }
    if !wanted.messages.is_empty() {
        let (sources, messages): (Vec<&str>, Vec<&str>) =
            wanted.messages.iter().map(|(source, message)| (source.as_str(), message.as_str())).unzip();
        for row in run(&statements.received, &[&tenant, &sources, &messages]).await? {
            state.tallies.loaded_message((row.get(0), row.get(1)), row.get(2));
        }
    }
    Ok(())
}

pub(super) async fn job(client: &Client, namespace: &Namespace, id: RecordId) -> Result<Option<Job>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.jobs.some, &[&tenant, &vec![id.uuid()]]).await?;
    Ok(rows.first().map(job_of).transpose()?)
}

pub(super) async fn jobs(client: &Client, namespace: &Namespace, asked: &JobQuery) -> Result<Vec<Job>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let (before, state, most) = (asked.before.map(|id| id.uuid()), asked.state.map(JobState::as_str), asked.limit as i64);
    let rows = query(client, namespace, &namespace.statements.jobs.list, &[&tenant, &before, &state, &asked.kind, &most]).await?;
    Ok(rows.iter().map(job_of).collect::<Result<_, _>>()?)
}

pub(super) async fn next_due(client: &Client, namespace: &Namespace, kinds: Option<&[String]>) -> Result<Option<i64>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.jobs.next_due, &[&tenant, &kinds]).await?;
    let due: Option<i64> = rows.first().and_then(|row| row.get(0));
    if due.is_none() {
        is_there(client, namespace).await?;
    }
    Ok(due)
}

/// Numbers whose names begin with a prefix, and what comes behind it.
pub(super) async fn notes(client: &Client, namespace: &Namespace, prefix: &str) -> Result<Vec<(String, i64)>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.jobs.notes, &[&tenant, &prefix, &i64::MAX]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

pub(super) async fn tally(client: &Client, namespace: &Namespace, name: &str) -> Result<Option<i64>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.jobs.tallies, &[&tenant, &vec![name]]).await?;
    Ok(rows.first().map(|row| row.get(1)))
}

fn job_of(row: &SqlRow) -> Result<Job, Error> {
    let time = Timestamp::from_micros;
    let json = |text: Option<&str>| text.map(serde_json::from_str::<Value>).transpose().map_err(Error::internal);
    let state: &str = row.get(2);
    Ok(Job {
        id: id_at(row, 0),
        kind: row.get(1),
        state: JobState::parse(state).ok_or_else(|| Error::internal(format!("a job is {state}")))?,
        priority: Priority::from_number(row.get(3)),
        run_at: time(row.get(4)),
        due_at: row.get::<_, Option<i64>>(5).map(time),
        unique_key: row.get(6),
        attempts: row.get(7),
        epoch: row.get(8),
        payload: json(row.get(9))?.unwrap_or_default(),
        progress: json(row.get(10))?,
        last_error: row.get(11),
        cancel_requested: row.get(12),
        actor: row.get(13),
        request_id: row.get(14),
        trace_id: row.get(15),
        created_at: time(row.get(16)),
        finished_at: row.get::<_, Option<i64>>(17).map(time),
    })
}

/// Jobs by column.
pub(super) struct Putting<'a> {
    ids: Vec<Uuid>,
    kinds: Vec<&'a str>,
    states: Vec<&'a str>,
    priorities: Vec<i32>,
    run_at: Vec<i64>,
    due_at: Vec<Option<i64>>,
    keys: Vec<Option<&'a str>>,
    attempts: Vec<i32>,
    epochs: Vec<i64>,
    payloads: Vec<String>,
    progress: Vec<Option<String>>,
    errors: Vec<Option<&'a str>>,
    cancelled: Vec<bool>,
    actors: Vec<&'a str>,
    requests: Vec<Option<&'a str>>,
    traces: Vec<Option<&'a str>>,
    created_at: Vec<i64>,
    finished_at: Vec<Option<i64>>,
}

impl<'a> Putting<'a> {
    pub(super) fn of(jobs: &'a [Job]) -> Self {
        Self {
            ids: jobs.iter().map(|job| job.id.uuid()).collect(),
            kinds: jobs.iter().map(|job| job.kind.as_str()).collect(),
            states: jobs.iter().map(|job| job.state.as_str()).collect(),
            priorities: jobs.iter().map(|job| job.priority.number()).collect(),
            run_at: jobs.iter().map(|job| job.run_at.micros()).collect(),
            due_at: jobs.iter().map(|job| job.due_at.map(Timestamp::micros)).collect(),
            keys: jobs.iter().map(|job| job.unique_key.as_deref()).collect(),
            attempts: jobs.iter().map(|job| job.attempts).collect(),
            epochs: jobs.iter().map(|job| job.epoch).collect(),
            payloads: jobs.iter().map(|job| job.payload.to_string()).collect(),
            progress: jobs.iter().map(|job| job.progress.as_ref().map(Value::to_string)).collect(),
            errors: jobs.iter().map(|job| job.last_error.as_deref()).collect(),
            cancelled: jobs.iter().map(|job| job.cancel_requested).collect(),
            actors: jobs.iter().map(|job| job.actor.as_str()).collect(),
            requests: jobs.iter().map(|job| job.request_id.as_deref()).collect(),
            traces: jobs.iter().map(|job| job.trace_id.as_deref()).collect(),
            created_at: jobs.iter().map(|job| job.created_at.micros()).collect(),
            finished_at: jobs.iter().map(|job| job.finished_at.map(Timestamp::micros)).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<Bound<'b>> {
        vec![
            tenant,
            &self.ids,
            &self.kinds,
            &self.states,
            &self.priorities,
            &self.run_at,
            &self.due_at,
            &self.keys,
            &self.attempts,
            &self.epochs,
            &self.payloads,
            &self.progress,
            &self.errors,
            &self.cancelled,
            &self.actors,
            &self.requests,
            &self.traces,
            &self.created_at,
            &self.finished_at,
        ]
    }
}

/// Numbers by column.
pub(super) struct Tallying {
    names: Vec<String>,
    values: Vec<i64>,
}

impl Tallying {
    pub(super) fn of(tallies: &[(TallyKey, i64)]) -> Self {
        Self { names: tallies.iter().map(|(key, _)| key.text()).collect(), values: tallies.iter().map(|(_, value)| *value).collect() }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<Bound<'b>> {
        vec![tenant, &self.names, &self.values]
    }
}

/// Messages by column.
pub(super) struct Receiving<'a> {
    sources: Vec<&'a str>,
    messages: Vec<&'a str>,
    until: Vec<i64>,
}

impl<'a> Receiving<'a> {
    pub(super) fn of(received: &'a [(String, String, i64)]) -> Self {
        Self {
            sources: received.iter().map(|(source, ..)| source.as_str()).collect(),
            messages: received.iter().map(|(_, message, _)| message.as_str()).collect(),
            until: received.iter().map(|(.., until)| *until).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<Bound<'b>> {
        vec![tenant, &self.sources, &self.messages, &self.until]
    }
}

/// Until when things are swept.
pub(super) struct Sweeping {
    pub(super) now: i64,
    pub(super) done: i64,
    pub(super) dead: i64,
    pub(super) deleted: i64,
    pub(super) most: i64,
}

impl Sweeping {
    pub(super) fn of(now: Option<Timestamp>) -> Self {
        let now = now.unwrap_or(Timestamp::from_micros(0));
        let before = |kept| now.minus(kept).micros();
        Self { now: now.micros(), done: before(KEPT), dead: before(DEAD_KEPT), deleted: before(DELETED_KEPT), most: SWEPT as i64 }
    }
}
