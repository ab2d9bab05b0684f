//! Keys of repeatable requests, of one connection.

use deadpool_postgres::Client;
use steward_base::{AttemptKey, Error, Timestamp};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::namespace::Namespace;
use super::read::query;
use crate::attempt::Remembered;
use crate::plan::{State, Wanted};

/// Inside the transaction of a batch, which is the tenant's already.
pub(super) async fn load(client: &Client, namespace: &Namespace, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    if wanted.attempts.is_empty() {
        return Ok(());
    }
    let tenant = namespace.tenant.record().uuid();
    let (principals, operations, keys) = columns(wanted.attempts.iter());
    let statement = client.prepare_cached(&namespace.statements.jobs.remembered).await?;
    for row in client.query(&statement, &[&tenant, &principals, &operations, &keys]).await? {
        let (key, remembered) = row_of(&row)?;
        state.attempts.loaded(key, remembered);
    }
    Ok(())
}

pub(super) async fn remembered(client: &Client, namespace: &Namespace, key: &AttemptKey) -> Result<Option<Remembered>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let (principals, operations, keys) = columns(std::iter::once(key));
    let rows = query(client, namespace, &namespace.statements.jobs.remembered, &[&tenant, &principals, &operations, &keys]).await?;
    Ok(rows.first().map(row_of).transpose()?.map(|(_, row)| row))
}

fn columns<'a>(keys: impl Iterator<Item = &'a AttemptKey>) -> (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>) {
    let (mut principals, mut operations, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        principals.push(&*key.principal);
        operations.push(&*key.operation);
        words.push(&*key.key);
    }
    (principals, operations, words)
}

fn row_of(row: &SqlRow) -> Result<(AttemptKey, Remembered), Error> {
    let text = |column: usize| row.get::<_, &str>(column).into();
    let damaged = |_| Error::internal("the key of a request has a digest of another length");
    let status: Option<i32> = row.get(7);
    let remembered = Remembered {
        request: row.get::<_, &[u8]>(3).try_into().map_err(damaged)?,
        nonce: row.get::<_, &[u8]>(4).try_into().map_err(damaged)?,
        claimed_at: Timestamp::from_micros(row.get(5)),
        written: row.get::<_, &str>(6).split_whitespace().map(str::to_owned).collect(),
        answer: status.map(|status| (status as u16, row.get(8))),
        until: Timestamp::from_micros(row.get(9)),
    };
    Ok((AttemptKey { principal: text(0), operation: text(1), key: text(2) }, remembered))
}

/// Keys by column.
pub(super) struct Remembering<'a> {
    principals: Vec<&'a str>,
    operations: Vec<&'a str>,
    keys: Vec<&'a str>,
    requests: Vec<&'a [u8]>,
    nonces: Vec<&'a [u8]>,
    claimed_at: Vec<i64>,
    written: Vec<String>,
    statuses: Vec<Option<i32>>,
    answers: Vec<Option<&'a [u8]>>,
    until: Vec<i64>,
}

impl<'a> Remembering<'a> {
    pub(super) fn of(attempts: &'a [(AttemptKey, Remembered)]) -> Self {
        let (principals, operations, keys) = columns(attempts.iter().map(|(key, _)| key));
        let rows = || attempts.iter().map(|(_, row)| row);
        Self {
            principals,
            operations,
            keys,
            requests: rows().map(|row| &row.request[..]).collect(),
            nonces: rows().map(|row| &row.nonce[..]).collect(),
            claimed_at: rows().map(|row| row.claimed_at.micros()).collect(),
            written: rows().map(|row| row.written.join(" ")).collect(),
            statuses: rows().map(|row| row.answer.as_ref().map(|(status, _)| i32::from(*status))).collect(),
            answers: rows().map(|row| row.answer.as_ref().and_then(|(_, rest)| rest.as_deref())).collect(),
            until: rows().map(|row| row.until.micros()).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![
            tenant,
            &self.principals,
            &self.operations,
            &self.keys,
            &self.requests,
            &self.nonces,
            &self.claimed_at,
            &self.written,
            &self.statuses,
            &self.answers,
            &self.until,
        ]
    }
}
