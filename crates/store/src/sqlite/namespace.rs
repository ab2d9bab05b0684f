//! One namespace: a file, the connections to it, and the queue of units for it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use steward_base::{Error, TenantId};
use tokio::sync::{oneshot, watch};

use super::codes::{self, Codes, Known};
use super::failure::{Failure, system};
use crate::building::Building;
use crate::durable;
use crate::engine::{Surroundings, no_namespace};
use crate::plan::Done;
use crate::prepare::Prepared;

/// Idle reader connections kept per open file.
const READERS: usize = 4;
const STATEMENTS: usize = 64;
/// How long SQLite waits for a lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Of a connection that writes. After a burst the log file shrinks back to its limit.
const WRITING: &str = "PRAGMA query_only = OFF; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -2048; \
                       PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 100663296";
/// Of one that reads. A writer's commit empties the cache anyway: a large one would only cost memory.
const READING: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -256";
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
    /// Of a file that was found to be up to date: nobody else changes it, so it need not be read again.
    codes: OnceLock<Arc<Codes>>,
    /// Whether it was used after it was opened, or since it was last asked whether it can be closed.
    used: AtomicBool,
    /// Nanoseconds per row written, smoothed.
    pace: AtomicU64,
    pub(super) heat: Heat,
    pub(super) position: Arc<watch::Sender<i64>>,
    /// The file is being removed: nobody opens it any more.
    gone: AtomicBool,
}

/// An open file.
pub(super) struct Open {
    pub(super) codes: Arc<Codes>,
    pub(super) building: Arc<Building>,
    /// None before anything is written: most openings are for one read, and a connection is half of their cost.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    /// Held by whoever reads; whoever ends the stillness waits for them.
    stillness: RwLock<Stillness>,
    pub(super) copier: Mutex<Option<Copier>>,
    pub(super) path: PathBuf,
    /// The checkpoint thread has been asked.
    pub(super) checkpoint_asked: AtomicBool,
    /// The checkpoint thread is done: what it left, the writer finishes, so that the log starts over.
    pub(super) checkpoint_finish: AtomicBool,
    pub(super) hot: AtomicBool,
    /// Before that, by the monotonic clock, the log is not begun anew: somebody reads for long.
    pub(super) log_anew_after: Mutex<Duration>,
}

/// Whether a file is as it was closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stillness {
    /// It has no log and nobody writes: it is read without one, its index and locks. To make and remove those costs more than most reads.
    Still,
    Written,
}

/// What the checkpoint thread has of a file.
pub(super) struct Copier {
    pub(super) connection: Connection,
    /// The same file once more, for syncing it beside SQLite. It is the last of the last: closing any handle of a file ends the locks that
    /// SQLite holds on it, so the connections must be gone by then.
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
            codes: OnceLock::new(),
            used: AtomicBool::new(false),
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
    pub(super) fn open(&self, surroundings: &Surroundings, known: &Known) -> Result<(Arc<Open>, bool), Failure> {
        let mut slot = self.open.lock();
        if let Some(open) = &*slot {
            self.used.store(true, Ordering::Relaxed);
            return Ok((open.clone(), false));
        }
        if self.gone.load(Ordering::Acquire) || !super::has_file(&self.path).map_err(system)? {
            return Err(no_namespace().into());
        }
        let open = Arc::new(self.open_file(surroundings, known)?);
        *slot = Some(open.clone());
        Ok((open, true))
    }

    /// The file when it is open and nobody is about to open or close it.
    pub(super) fn at_hand(&self) -> Option<Arc<Open>> {
        let open = self.open.try_lock()?.clone()?;
        self.used.store(true, Ordering::Relaxed);
        Some(open)
    }

    /// Makes the file when there is none, and opens it; answers whether it was opened just now.
    pub(super) fn create(&self, surroundings: &Surroundings, known: &Known) -> Result<bool, Failure> {
        let mut slot = self.open.lock();
        if slot.is_some() {
            return Ok(false);
        }
        *slot = Some(Arc::new(self.open_file(surroundings, known)?));
        // The file's name is part of what must survive.
        durable::sync_name(&self.path).map_err(system)?;
        Ok(true)
    }

    fn open_file(&self, surroundings: &Surroundings, known: &Known) -> Result<Open, Failure> {
        if is_still(&self.path) {
            let connection = connect_still(&self.path)?;
            if let Some(current) = self.current(&connection, surroundings, known)? {
                connection.execute_batch(READING)?;
                return Ok(self.opened_with(current, Stillness::Still, (None, vec![connection])));
            }
        }
        let connection = connect_logged(&self.path)?;
        if let Some(current) = self.current(&connection, surroundings, known)? {
            connection.execute_batch(READING)?;
            return Ok(self.opened_with(current, Stillness::Written, (None, vec![connection])));
        }
        connection.execute_batch(WRITING)?;
        let (codes, building) = codes::migrate(&connection, &surroundings.kinds, &surroundings.clock, self.tenant)?;
        self.learn_position(&connection, &codes)?;
        Ok(self.opened_with((known.keep(codes), building), Stillness::Written, (Some(connection), Vec::new())))
    }

    fn opened_with(
        &self,
        (codes, building): (Arc<Codes>, Building),
        stillness: Stillness,
        (writer, readers): (Option<Connection>, Vec<Connection>),
    ) -> Open {
        Open {
            codes,
            building: Arc::new(building),
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            stillness: RwLock::new(stillness),
            copier: Mutex::default(),
            path: self.path.clone(),
            checkpoint_asked: AtomicBool::new(false),
            checkpoint_finish: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            log_anew_after: Mutex::default(),
        }
    }

    /// What is known of the file, unless it must be brought up to date. Most openings change nothing, and a file on a full or read-only disk must
    /// still open for reading.
    fn current(
        &self,
        connection: &Connection,
        surroundings: &Surroundings,
        known: &Known,
    ) -> Result<Option<(Arc<Codes>, Building)>, Failure> {
        // As one read: each statement of its own would lock the file anew, and that costs more than the statement.
        let read = connection.unchecked_transaction()?;
        let (codes, building) = match self.codes.get() {
            Some(codes) => (codes.clone(), Building::default()),
            None => {
                let Some((codes, building)) = codes::current(&read, &surroundings.kinds, self.tenant)? else { return Ok(None) };
                let codes = known.keep(codes);
                if building.is_empty() {
                    let _ = self.codes.set(codes.clone());
                }
                (codes, building)
            }
        };
        self.learn_position(&read, &codes)?;
        Ok(Some((codes, building)))
    }

    fn learn_position(&self, connection: &Connection, codes: &Codes) -> Result<(), Failure> {
        let (position, _) = super::read::head(connection, codes)?;
        self.position.send_if_modified(|known| std::mem::replace(known, position) != position);
        Ok(())
    }

    /// Closes the file, unless somebody has it or had it since this was last asked; answers whether it is closed. Whoever wants it meanwhile
    /// waits, so that it is never opened while it is being closed.
    pub(super) fn close_unused(&self) -> bool {
        let Some(mut slot) = self.open.try_lock() else { return false };
        let Some(open) = &*slot else { return true };
        let again = self.used.swap(false, Ordering::Relaxed);
        if again || Arc::strong_count(open) > 1 || !self.is_idle() {
            return false;
        }
        // Closing the last connection copies the log and removes it.
        drop(slot.take());
        true
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
    /// The one connection that writes.
    pub(super) fn writer(&self) -> Result<MappedMutexGuard<'_, Connection>, Failure> {
        let mut slot = self.writer.lock();
        if slot.is_none() {
            self.end_stillness()?;
            let idle = self.readers.lock().pop();
            let connection = idle.map_or_else(|| connect(&self.path), Ok)?;
            connection.execute_batch(WRITING)?;
            *slot = Some(connection);
        }
        Ok(MutexGuard::map(slot, |slot| slot.as_mut().expect("it was there or made just now")))
    }

    /// Gives the file a log: from here on it may change under whoever reads it.
    pub(super) fn end_stillness(&self) -> Result<(), Failure> {
        let mut stillness = self.stillness.write();
        if *stillness == Stillness::Still {
            // First: to close any handle of a file ends the locks that others have on it.
            self.readers.lock().clear();
            let connection = connect_logged(&self.path)?;
            connection.execute_batch(READING)?;
            self.readers.lock().push(connection);
            *stillness = Stillness::Written;
        }
        Ok(())
    }

    /// Runs a read on a connection of its own. It may wait for the file to get its log, which waits for other reads.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection, &Codes) -> Result<T, Failure>) -> Result<T, Failure> {
        self.read_as(&self.stillness.read(), read)
    }

    /// Leave to read without waiting.
    pub(super) fn as_it_is(&self) -> Option<RwLockReadGuard<'_, Stillness>> {
        self.stillness.try_read()
    }

    pub(super) fn read_as<T>(
        &self,
        stillness: &Stillness,
        read: impl FnOnce(&Connection, &Codes) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let pooled = self.readers.lock().pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => {
                let connection = match stillness {
                    Stillness::Still => connect_still(&self.path)?,
                    Stillness::Written => connect(&self.path)?,
                };
                connection.execute_batch(READING)?;
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
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = connect_with(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// To a file that has a log, or gets one: one that was loaded has none.
fn connect_logged(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    Ok(connection)
}

/// To a file that does not change.
fn connect_still(path: &Path) -> Result<Connection, rusqlite::Error> {
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    connect_with(Path::new(&format!("file:{name}?immutable=1")), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

fn connect_with(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Otherwise every execution with another value in a range is planned anew: a tenth of a list's time, and the plans here are fixed anyway.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Whether a file is there and all of it: what a process that was killed had written since is in the log. This process alone opens it.
fn is_still(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let is_empty = std::fs::metadata(log).map_or_else(|error| error.kind() == ErrorKind::NotFound, |log| log.len() == 0);
    is_empty && path.exists()
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
