//! What a failing disk looks like from outside.

use std::path::Path;
use std::time::Duration;

use rusqlite::ErrorCode;
use steward_base::{Error, ErrorKind};

const RETRY: Duration = Duration::from_secs(5);

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database said so.
    Sql(rusqlite::Error),
    /// We did.
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    /// Whether the disk is to blame, so that trying the units one by one is pointless.
    pub(super) fn is_storage(&self) -> bool {
        matches!(self, Self::Sql(rusqlite::Error::SqliteFailure(failure, _)) if code_of(failure.code).is_some())
    }

    pub(super) fn into_error(self, dir: &Path) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Sql(error) => explain(error, dir),
        }
    }
}

pub(super) fn explain(error: rusqlite::Error, dir: &Path) -> Error {
    let code = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => code_of(failure.code),
        _ => None,
    };
    match code {
        // SQLite reports a full disk under several names, depending on which file could not grow.
        Some("storage_failed") if is_full(dir) => unavailable("storage_full").with_source(error),
        Some(code) => unavailable(code).with_source(error),
        None => Error::internal(error),
    }
}

fn code_of(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::DiskFull => Some("storage_full"),
        ErrorCode::ReadOnly => Some("storage_read_only"),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some("storage_corrupt"),
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::DatabaseBusy
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory => Some("storage_failed"),
        _ => None,
    }
}

/// The error of something that the operating system refused.
pub(super) fn system(error: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let code = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => "storage_full",
        Io::ReadOnlyFilesystem => "storage_read_only",
        _ => "storage_failed",
    };
    unavailable(code).with_source(error)
}

fn unavailable(code: &'static str) -> Error {
    let detail = match code {
        "storage_full" => "The disk is full: free some space and it goes on by itself.",
        "storage_read_only" => "The disk cannot be written: make it writable and it goes on by itself.",
        "storage_corrupt" => "A database file is damaged: restore it from a backup.",
        _ => "The disk does not work as it should: see the server's log.",
    };
    Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(RETRY)
}

fn is_full(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|found| found.f_bavail * found.f_frsize < 64 * 1024)
}
