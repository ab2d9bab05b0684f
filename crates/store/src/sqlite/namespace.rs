//! One namespace: a file, the connections to it, and the queue of units for it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use steward_base::{Error, TenantId};
use tokio::sync::{oneshot, watch};

use super::codes::{self, Codes};
use super::failure::{Failure, system};
use crate::building::Building;
use crate::engine::{Surroundings, no_namespace};
use crate::plan::Done;
use crate::prepare::Prepared;

/// Idle reader connections kept per open file.
const READERS: usize = 4;
const STATEMENTS: usize = 64;
/// A batch should take this long at most.
const BATCH_NANOS: u64 = 8_000_000;
/// Before anything was measured: a page write and a tree descent.
const FIRST_PACE: u64 = 8_000;
/// Rows that make a file hot: its writer gets a large page cache.
const HOT_ROWS: u64 = 100_000;
/// Whoever has fewer units than this waiting has them all in one batch, however slow the disk was a moment ago.
const LEAST_BUDGET: u64 = 1_000;

/// A unit of work and where its answer goes.
pub(super) struct Pending {
    pub(super) unit: Prepared,
    pub(super) answer: oneshot::Sender<Result<Done, Error>>,
}

#[derive(Default)]
struct Queue {
    units: VecDeque<Pending>,
    /// A writer has it or will take it.
    scheduled: bool,
}

/// A namespace, whether its file is open or not.
pub(super) struct Namespace {
    pub(super) tenant: TenantId,
    pub(super) path: PathBuf,
    queue: Mutex<Queue>,
    open: Mutex<Option<Arc<Open>>>,
    /// Turn of the last use, for choosing whom to close.
    used: AtomicU64,
    /// Nanoseconds per row written, smoothed.
    pace: AtomicU64,
    pub(super) heat: Heat,
    pub(super) position: Arc<watch::Sender<i64>>,
    /// The file is being removed: nobody opens it any more.
    gone: AtomicBool,
}

/// An open file.
pub(super) struct Open {
    pub(super) codes: Codes,
    pub(super) building: Arc<Building>,
    pub(super) writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    pub(super) checkpointer: Mutex<Option<Connection>>,
    pub(super) path: PathBuf,
    /// The checkpoint thread has been asked.
    pub(super) checkpoint_asked: AtomicBool,
    /// The checkpoint thread is done: what it left, the writer finishes, so that the log starts over.
    pub(super) checkpoint_finish: AtomicBool,
    pub(super) hot: AtomicBool,
    /// The same file once more, for syncing it beside SQLite. It comes last: closing any handle of a file ends the locks that SQLite holds on
    /// it, so the connections must be gone by then.
    pub(super) file: File,
}

/// How much is written lately.
#[derive(Default)]
pub(super) struct Heat(AtomicU64);

impl Heat {
    fn wrote(&self, rows: u64) {
        self.0.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn is_hot(&self) -> bool {
        self.0.load(Ordering::Relaxed) > HOT_ROWS
    }

    /// Begins a new span of time; answers whether in the last one too little was written for a large cache.
    pub(super) fn cools(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) <= HOT_ROWS
    }
}

impl Namespace {
    pub(super) fn new(tenant: TenantId, path: PathBuf, position: Arc<watch::Sender<i64>>) -> Self {
        Self {
            tenant,
            path,
            queue: Mutex::default(),
            open: Mutex::default(),
            used: AtomicU64::new(0),
            pace: AtomicU64::new(FIRST_PACE),
            heat: Heat::default(),
            position,
            gone: AtomicBool::new(false),
        }
    }

    /// Adds a unit; answers whether a writer must be told.
    pub(super) fn enqueue(&self, pending: Pending) -> bool {
        let mut queue = self.queue.lock();
        queue.units.push_back(pending);
        !std::mem::replace(&mut queue.scheduled, true)
    }

    /// The units of the next batch.
    pub(super) fn take(&self) -> Vec<Pending> {
        let budget = (BATCH_NANOS / self.pace.load(Ordering::Relaxed).max(1)).clamp(LEAST_BUDGET, 20_000) as usize;
        let mut queue = self.queue.lock();
        let (mut batch, mut weight) = (Vec::with_capacity(queue.units.len().min(256)), 0);
        while let Some(next) = queue.units.front() {
            if !batch.is_empty() && (next.unit.opens_batch || weight + next.unit.weight > budget) {
                break;
            }
            weight += next.unit.weight;
            batch.extend(queue.units.pop_front());
        }
        batch
    }

    /// Ends a writer's turn; answers whether there is more to do.
    pub(super) fn yield_turn(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.scheduled = !queue.units.is_empty();
        queue.scheduled
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.queue.lock().scheduled
    }

    /// Learns what a row costs. The sync at the end is left out: it costs the same for any number of rows, and making batches smaller after a
    /// slow one would make the next ones slower.
    pub(super) fn paced(&self, rows: usize, worked: Duration) {
        if rows >= 16 {
            let known = self.pace.load(Ordering::Relaxed);
            self.pace.store((known * 7 + worked.as_nanos() as u64 / rows as u64) / 8, Ordering::Relaxed);
        }
        self.heat.wrote(rows as u64);
    }

    /// The open file; opens it when it is not. Answers also whether it was opened just now.
    pub(super) fn open(&self, surroundings: &Surroundings, turn: u64) -> Result<(Arc<Open>, bool), Failure> {
        self.used.store(turn, Ordering::Relaxed);
        let mut slot = self.open.lock();
        if let Some(open) = &*slot {
            return Ok((open.clone(), false));
        }
        if self.gone.load(Ordering::Acquire) || !self.path.exists() {
            return Err(no_namespace().into());
        }
        let open = Arc::new(self.open_file(surroundings)?);
        *slot = Some(open.clone());
        Ok((open, true))
    }

    /// The file when it is open and nobody is about to open or close it.
    pub(super) fn at_hand(&self, turn: u64) -> Option<Arc<Open>> {
        let open = self.open.try_lock()?.clone()?;
        self.used.store(turn, Ordering::Relaxed);
        Some(open)
    }

    /// Makes the file when there is none.
    pub(super) fn create(&self, surroundings: &Surroundings) -> Result<(), Failure> {
        let mut slot = self.open.lock();
        if slot.is_none() {
            *slot = Some(Arc::new(self.open_file(surroundings)?));
            // The file's name is part of what must survive.
            let folder = self.path.parent().unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(system)?;
        }
        Ok(())
    }

    fn open_file(&self, surroundings: &Surroundings) -> Result<Open, Failure> {
        let writer = connect(&self.path)?;
        writer.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -2048; PRAGMA secure_delete = ON;",
        )?;
        // After a burst the log file shrinks back to this.
        writer.execute_batch("PRAGMA journal_size_limit = 67108864")?;
        let (codes, building) = codes::migrate(&writer, &surroundings.kinds, &surroundings.clock, self.tenant)?;
        let (position, _) = super::read::head(&writer, &codes)?;
        self.position.send_if_modified(|known| std::mem::replace(known, position) != position);
        Ok(Open {
            codes,
            building: Arc::new(building),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            checkpointer: Mutex::default(),
            path: self.path.clone(),
            checkpoint_asked: AtomicBool::new(false),
            checkpoint_finish: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            file: File::open(&self.path).map_err(system)?,
        })
    }

    /// The turn of its last use, when the file is open and nobody is using it.
    pub(super) fn closable(&self) -> Option<u64> {
        let slot = self.open.try_lock()?;
        let unused = slot.as_ref().is_some_and(|open| Arc::strong_count(open) == 1);
        (unused && self.is_idle()).then(|| self.used.load(Ordering::Relaxed))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// The open file without opening it.
    pub(super) fn opened(&self) -> Option<Arc<Open>> {
        self.open.lock().clone()
    }

    /// Lets go of the file for good.
    pub(super) fn leave(&self) -> Option<Arc<Open>> {
        let mut slot = self.open.lock();
        self.gone.store(true, Ordering::Release);
        slot.take()
    }

    /// Takes back a file that it was to let go of.
    pub(super) fn stay(&self, open: Arc<Open>) {
        let mut slot = self.open.lock();
        self.gone.store(false, Ordering::Release);
        *slot = Some(open);
    }

    /// Lets go of the file; whoever drops the answer last closes it.
    pub(super) fn close(&self) -> Option<Arc<Open>> {
        self.open.lock().take()
    }
}

impl Open {
    /// Runs a read on a connection of its own.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection, &Codes) -> Result<T, Failure>) -> Result<T, Failure> {
        let pooled = self.readers.lock().pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                // A writer's commit empties the cache anyway: a large one would only cost memory.
                connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -256")?;
                connection
            }
        };
        let answer = read(&connection, &self.codes);
        let mut readers = self.readers.lock();
        if readers.len() < READERS {
            readers.push(connection);
        }
        answer
    }
}

pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Otherwise every execution with another value in a range is planned anew: a tenth of a list's time, and the plans here are fixed anyway.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_much_cools_once_it_is_not() {
        let heat = Heat::default();
        heat.wrote(HOT_ROWS + 1);
        assert!(heat.is_hot());
        assert!(!heat.cools(), "it was hot until now");
        heat.wrote(1);
        assert!(!heat.is_hot());
        assert!(heat.cools());
    }
}
