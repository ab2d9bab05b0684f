//! What a failing database server looks like from outside.

use std::time::Duration;

use deadpool_postgres::PoolError;
use steward_base::{Error, ErrorKind};
use tokio_postgres::error::SqlState;

use crate::engine::no_namespace;

/// Why a transaction did not happen, or may not have.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused a statement: nothing happened.
    Refused(tokio_postgres::Error),
    /// The connection broke: what was in flight may have happened.
    Lost(tokio_postgres::Error),
    /// No answer in time: what was in flight may have happened.
    TimedOut,
    /// There was no connection to begin with.
    Unreachable(PoolError),
    /// We refused.
    Ours(Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // A server that is stopped says so, and may have committed just before.
            Some(said) if !is_going_down(said.code()) => Self::Refused(error),
            _ if error.is_closed() || error.as_db_error().is_some() || is_io(&error) => Self::Lost(error),
            _ => Self::Refused(error),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Unreachable(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::TimedOut => unavailable("database_unavailable").with_source("the database did not answer in time"),
            Self::Lost(error) => unavailable("database_unavailable").with_source(error),
            Self::Unreachable(error) if is_distrusted(&error) => unavailable("database_certificate").with_source(error),
            Self::Unreachable(error) => unavailable("database_unavailable").with_source(error),
            Self::Refused(error) => match error.code() {
                Some(&SqlState::DISK_FULL) => unavailable("storage_full").with_source(error),
                Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => unavailable("storage_read_only").with_source(error),
                Some(code) if is_limit(code) => unavailable("database_unavailable").with_source(error),
                Some(code) if is_missing(code) => no_namespace().with_source(error),
                Some(code) if code.code().starts_with("53") || code.code().starts_with("58") => {
                    unavailable("storage_failed").with_source(error)
                }
                _ => Error::internal(error),
            },
        }
    }

    /// Whether a tenant is not there any more: another process may remove it at any time.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Ours(error) => error.kind() == ErrorKind::NotFound,
            Self::Refused(error) => error.code().is_some_and(is_missing),
            Self::Lost(_) | Self::TimedOut | Self::Unreachable(_) => false,
        }
    }

    /// Whether the server or its disk is to blame, so that trying the units one by one is pointless.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Ours(_) => false,
            Self::Lost(_) | Self::TimedOut | Self::Unreachable(_) => true,
            Self::Refused(error) => {
                error.code().is_some_and(|code| is_limit(code) || ["53", "58", "25"].iter().any(|class| code.code().starts_with(class)))
            }
        }
    }
}

/// Nobody knows whether a unit was committed, and the server does not come back to be asked.
pub(super) fn outcome_unknown() -> Error {
    let detail = "The database went away while this was being written: look whether it happened before trying again.";
    Error::new(ErrorKind::Unavailable, "outcome_unknown", detail).with_retry_after(Duration::from_secs(5))
}

pub(super) fn unavailable(code: &'static str) -> Error {
    let detail = match code {
        "storage_full" => "The database's disk is full: free some space and it goes on by itself.",
        "storage_read_only" => "The database takes no writes: point Steward at the primary server.",
        "storage_failed" => "The database is out of resources: see its log.",
        "database_certificate" => {
            "The database's certificate is not trusted: name its authority in the database URL (sslrootcert=FILE), or turn TLS off (sslmode=disable)."
        }
        _ => "The database cannot be reached: it is tried again all the time.",
    };
    Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(Duration::from_secs(1))
}

/// Shut-down, crash of another backend, not yet started, and connection errors the server itself reports.
fn is_going_down(code: &SqlState) -> bool {
    let code = code.code();
    code.starts_with("57P") || code.starts_with("08")
}

/// The server ended it for taking too long: on a lock, in a statement, or between two.
fn is_limit(code: &SqlState) -> bool {
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT].contains(code)
}

/// The schema was removed, and its tables with it.
fn is_missing(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code)
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// TLS itself failed, most likely at the certificate.
fn is_distrusted(error: &PoolError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(known) = cause {
        let inner = known.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if known.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = known.source();
    }
    false
}
