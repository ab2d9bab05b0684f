//! The SQLite engine: one file per namespace in a folder that this process alone opens.

mod attempts;
mod codes;
mod dialect;
mod failure;
mod jobs;
mod keys;
mod namespace;
mod read;
mod reader;
mod remove;
mod shelf;
mod spans;
mod tables;
mod write;
mod writer;
mod writers;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use rusqlite::wal::CheckpointMode;
use rustix::fs::FlockOperation;
use steward_base::{AttemptKey, Error, ErrorKind, RecordId, TenantId};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::attempt::Remembered;
use crate::building::Building;
use crate::durable;
use crate::engine::{Surroundings, closed, no_namespace};
use crate::job::{Job, JobQuery};
use crate::keys::{KeyRow, Which};
use crate::list::{Counted, Find, Range, Scan, Scanned};
use crate::prepare::Prepared;
use crate::rows::{EventRow, IndexField, Row};
use crate::unit::Committed;
use codes::Codes;
use failure::{Failure, system};
use namespace::{Namespace, Open, Pending};
pub(crate) use reader::Reader;
use shelf::Shelf;
pub(crate) use writer::Writer;
use writers::Line;

/// Lists, counts and event reads that run at once; point reads and short scans run where they are asked for.
const LONG_READS: usize = 8;
/// The folder of files that are not whole.
const LOADING: &str = "loading";
/// What shows that a folder is one of records; held by the process that has it open.
const LOCK: &str = "lock";
/// Rows of a scan that costs less than handing it to another thread and back.
const SHORT_SCAN: usize = 128;

pub(crate) struct Sqlite {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    dir: PathBuf,
    surroundings: Surroundings,
    namespaces: RwLock<HashMap<TenantId, Arc<Namespace>>>,
    ready: Line,
    checkpoints: Line,
    builds: Line,
    shelf: Shelf,
    codes: codes::Known,
    long_reads: Semaphore,
    /// Namespaces whose last write the disk refused, and why.
    failing: Mutex<HashMap<TenantId, &'static str>>,
    /// Tenants whose files are being loaded or removed: nobody opens them.
    aside: Mutex<HashSet<TenantId>>,
    closed: AtomicBool,
    /// The threads have ended.
    gone: CancellationToken,
    /// Held for as long as the files may be open.
    lock: Mutex<Option<File>>,
}

impl Sqlite {
    pub(crate) async fn open(dir: PathBuf, surroundings: Surroundings) -> Result<Self, Error> {
        let prepared = tokio::task::spawn_blocking(move || lock(&dir).map(|lock| (dir, lock))).await;
        let (dir, lock) = prepared.map_err(Error::internal)??;
        let shared = Arc::new(Shared {
            dir,
            surroundings,
            namespaces: RwLock::default(),
            ready: Line::default(),
            checkpoints: Line::default(),
            builds: Line::default(),
            shelf: Shelf::default(),
            codes: codes::Known::default(),
            long_reads: Semaphore::new(LONG_READS),
            failing: Mutex::default(),
            aside: Mutex::default(),
            closed: AtomicBool::new(false),
            gone: CancellationToken::new(),
            lock: Mutex::new(Some(lock)),
        });
        let mut threads = Vec::new();
        for number in 0..writers::THREADS {
            threads.push(spawn(format!("store-writer-{number}"), &shared, writers::run)?);
        }
        threads.push(spawn("store-checkpoint".into(), &shared, writers::checkpoint)?);
        threads.push(spawn("store-build".into(), &shared, writers::build)?);
        threads.push(spawn("store-close".into(), &shared, shelf::run)?);
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    pub(crate) async fn provision(&self, tenant: TenantId) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(move || {
            has_file(&shared.path(tenant)).map_err(system)?;
            let namespace = shared.new_namespace(tenant)?;
            if namespace.create(&shared.surroundings, &shared.codes).map_err(|failure| failure.into_error(&shared.dir))? {
                shared.opened(namespace);
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn get(&self, tenant: TenantId, kind: usize, id: RecordId) -> Result<Option<Row>, Error> {
        self.point_read(tenant, move |connection, codes| read::record(connection, codes, kind, id)).await
    }

    pub(crate) async fn find(&self, tenant: TenantId, kind: usize, field: usize, key: Vec<u8>) -> Result<Option<(RecordId, Row)>, Error> {
        self.point_read(tenant, move |connection, codes| read::find(connection, codes, kind, field, &key)).await
    }

    pub(crate) async fn count(
        &self,
        tenant: TenantId,
        kind: usize,
        field: IndexField,
        range: Range,
        most: Option<i64>,
    ) -> Result<i64, Error> {
        self.long_read(tenant, move |connection, codes| read::count(connection, codes, kind, field, &range, most)).await
    }

    pub(crate) async fn building(&self, tenant: TenantId) -> Result<Arc<Building>, Error> {
        if let Some(open) = self.shared.at_hand(tenant) {
            return Ok(open.building.clone());
        }
        let shared = self.shared.clone();
        blocking(move || {
            let namespace = shared.namespace(tenant)?;
            shared.open(&namespace).map(|open| open.building.clone()).map_err(|failure| failure.into_error(&shared.dir))
        })
        .await
    }

    pub(crate) async fn unclaimed(&self, tenant: TenantId) -> Result<Vec<(usize, usize, RecordId)>, Error> {
        self.long_read(tenant, read::unclaimed).await
    }

    pub(crate) async fn scan(&self, tenant: TenantId, scan: Scan) -> Result<Scanned, Error> {
        if scan.rows <= SHORT_SCAN {
            return self.point_read(tenant, move |connection, codes| read::scan(connection, codes, &scan)).await;
        }
        self.long_read(tenant, move |connection, codes| read::scan(connection, codes, &scan)).await
    }

    pub(crate) async fn events(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        self.long_read(tenant, move |connection, codes| read::events(connection, codes, after, limit)).await
    }

    pub(crate) async fn recent(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        self.point_read(tenant, move |connection, codes| read::events(connection, codes, after, limit)).await
    }

    pub(crate) async fn position(&self, tenant: TenantId) -> Result<i64, Error> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let known = self.shared.namespaces.read().get(&tenant).map_or(0, |namespace| *namespace.position.borrow());
        // Not known until the file was opened once.
        if known > 0 { Ok(known) } else { self.head(tenant).await.map(|(position, _)| position) }
    }

    pub(crate) async fn history(&self, tenant: TenantId, subject: RecordId, before: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        self.long_read(tenant, move |connection, codes| read::history(connection, codes, subject, before, limit)).await
    }

    pub(crate) async fn spans(&self, tenant: TenantId, request: i64, hours: Vec<i64>) -> Result<Vec<(i64, i64)>, Error> {
        self.point_read(tenant, move |connection, codes| spans::spans(connection, codes, request, &hours)).await
    }

    pub(crate) async fn values(&self, tenant: TenantId, kind: usize, field: IndexField, most: usize) -> Result<Vec<Counted>, Error> {
        self.long_read(tenant, move |connection, codes| read::values(connection, codes, kind, field, most)).await
    }

    pub(crate) async fn count_found(&self, tenant: TenantId, kind: usize, start: Box<str>, most: i64) -> Result<i64, Error> {
        self.long_read(tenant, move |connection, codes| read::count_found(connection, codes, kind, &start, most)).await
    }

    pub(crate) async fn found(&self, tenant: TenantId, find: Find) -> Result<Vec<RecordId>, Error> {
        self.long_read(tenant, move |connection, codes| read::found(connection, codes, &find)).await
    }

    pub(crate) async fn some(&self, tenant: TenantId, kind: usize, ids: Vec<RecordId>) -> Result<Vec<(RecordId, Row)>, Error> {
        self.long_read(tenant, move |connection, codes| read::some(connection, codes, kind, &ids)).await
    }

    pub(crate) async fn head(&self, tenant: TenantId) -> Result<(i64, [u8; 32]), Error> {
        self.point_read(tenant, read::head).await
    }

    pub(crate) async fn job(&self, tenant: TenantId, id: RecordId) -> Result<Option<Job>, Error> {
        self.point_read(tenant, move |connection, codes| jobs::job(connection, codes, id)).await
    }

    pub(crate) async fn jobs(&self, tenant: TenantId, query: JobQuery) -> Result<Vec<Job>, Error> {
        self.long_read(tenant, move |connection, codes| jobs::jobs(connection, codes, &query)).await
    }

    pub(crate) async fn next_due(&self, tenant: TenantId, kinds: Option<Vec<String>>) -> Result<Option<i64>, Error> {
        self.point_read(tenant, move |connection, codes| jobs::next_due(connection, codes, kinds.as_deref())).await
    }

    pub(crate) async fn data_keys(&self, tenant: TenantId, which: Which) -> Result<Vec<KeyRow>, Error> {
        self.long_read(tenant, move |connection, codes| keys::keys(connection, codes, &which)).await
    }

    /// Writes the file anew and empties the log. Overwriting what is deleted is not enough: when SQLite moves rows between pages, copies stay
    /// behind in space that no row has. Commits of the tenant wait for it, some seconds per gigabyte.
    pub(crate) async fn scrub(&self, tenant: TenantId) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(move || {
            let namespace = shared.namespace(tenant)?;
            let open = shared.open(&namespace).map_err(|failure| failure.into_error(&shared.dir))?;
            let emptied = open.writer().and_then(|writer| {
                writer.execute_batch("VACUUM")?;
                Ok(writer.wal_checkpoint_v2(Some("main"), CheckpointMode::TRUNCATE)?)
            });
            emptied.map(drop).map_err(|failure| failure.into_error(&shared.dir))
        })
        .await
    }

    pub(crate) async fn notes(&self, prefix: String) -> Result<Vec<(String, i64)>, Error> {
        self.long_read(TenantId::OPERATOR, move |connection, codes| jobs::notes(connection, codes, &prefix)).await
    }

    /// Removes a tenant's file once nobody reads it any more.
    pub(crate) async fn remove(&self, tenant: TenantId) -> Result<(), Error> {
        remove::run(&self.shared, tenant).await
    }

    /// Brings what was deleted in control out of its log.
    pub(crate) async fn empty_log(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(move || remove::empty_log(&shared)).await
    }

    pub(crate) async fn tally(&self, tenant: TenantId, name: String) -> Result<Option<i64>, Error> {
        self.point_read(tenant, move |connection, codes| jobs::tally(connection, codes, &name)).await
    }

    pub(crate) async fn remembered(&self, tenant: TenantId, key: AttemptKey) -> Result<Option<Remembered>, Error> {
        self.point_read(tenant, move |connection, codes| attempts::remembered(connection, codes, &key)).await
    }

    pub(crate) async fn commit(&self, tenant: TenantId, unit: Prepared) -> Result<Committed, Error> {
        let namespace = self.shared.namespace(tenant)?;
        let (answer, answered) = oneshot::channel();
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        if namespace.enqueue(Pending { unit, answer }) {
            self.shared.ready.push(namespace);
        }
        // Once the writers are gone nobody answers any more.
        let done = tokio::select! {
            biased;
            answer = answered => answer.map_err(Error::internal)??,
            () = self.shared.gone.cancelled() => return Err(closed()),
        };
        Ok(done.into_committed(&self.shared.surroundings.kinds))
    }

    /// For reading all of a tenant.
    pub(crate) async fn reader(&self, tenant: TenantId) -> Result<Reader, Error> {
        let shared = self.shared.clone();
        blocking(move || {
            let namespace = shared.namespace(tenant)?;
            let reader = shared.open(&namespace).and_then(|open| Reader::new(open, shared.dir.clone()));
            reader.map_err(|failure| failure.into_error(&shared.dir))
        })
        .await
    }

    /// For loading a tenant that has no file.
    pub(crate) async fn writer(&self, tenant: TenantId) -> Result<Writer, Error> {
        let shared = self.shared.clone();
        blocking(move || Writer::begin(&shared, tenant)).await
    }

    pub(crate) fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        match self.shared.namespace(tenant) {
            Ok(namespace) => {
                let receiver = namespace.position.subscribe();
                // Opening learns the position; one that cannot be opened has none yet.
                if self.shared.at_hand(tenant).is_none() {
                    let shared = self.shared.clone();
                    tokio::task::spawn_blocking(move || {
                        if !shared.closed.load(Ordering::Acquire) {
                            let _ = shared.open(&namespace);
                        }
                    });
                }
                receiver
            }
            Err(_) => self.shared.surroundings.positions.of(tenant).subscribe(),
        }
    }

    /// Writes for real: to control, or beside the tenants where that is elsewhere, and wherever the disk refused the last write.
    pub(crate) async fn health(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(move || {
            if shared.closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            let mut asked: Vec<TenantId> = shared.failing.lock().keys().copied().collect();
            if has_file(&shared.path(TenantId::OPERATOR)).map_err(system)? {
                asked.push(TenantId::OPERATOR);
            } else {
                probe(&shared.dir).map_err(system)?;
            }
            for tenant in asked {
                let namespace = shared.namespace(tenant)?;
                let probe = |open: Arc<Open>| Ok(open.writer()?.execute(dialect::PROBE, [])?);
                if let Err(failure) = shared.open(&namespace).and_then(probe) {
                    let error = failure.into_error(&shared.dir);
                    shared.failing(tenant, &error);
                    return Err(error);
                }
                shared.healthy(tenant);
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock());
        let shared = self.shared.clone();
        let _ = tokio::task::spawn_blocking(move || shared.shut(threads)).await;
    }

    /// Runs where it is asked for when the file is open: it takes 3 µs, a page of 50 some 40, and handing it to another thread 30. Opening a
    /// file may migrate it or wait for the disk, and goes to a thread that may wait.
    async fn point_read<T: Send + 'static>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&rusqlite::Connection, &Codes) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        if let Some(open) = self.shared.at_hand(tenant)
            && let Some(stillness) = open.as_it_is()
        {
            return open.read_as(&stillness, read).map_err(|failure| failure.into_error(&self.shared.dir));
        }
        let shared = self.shared.clone();
        blocking(move || shared.read(tenant, read)).await
    }

    async fn long_read<T: Send + 'static>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&rusqlite::Connection, &Codes) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.shared.long_reads.acquire().await.map_err(|_| closed())?;
        let shared = self.shared.clone();
        blocking(move || shared.read(tenant, read)).await
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        let threads = std::mem::take(self.threads.get_mut());
        if !threads.is_empty() {
            self.shared.shut(threads);
        }
    }
}

impl Shared {
    /// The namespace of a tenant that has a file.
    fn namespace(&self, tenant: TenantId) -> Result<Arc<Namespace>, Error> {
        if let Some(namespace) = self.namespaces.read().get(&tenant) {
            return Ok(namespace.clone());
        }
        // Strangers' ids must not fill the map.
        if has_file(&self.path(tenant)).map_err(system)? { self.new_namespace(tenant) } else { Err(no_namespace()) }
    }

    /// Fails while the file is loaded or removed.
    fn new_namespace(&self, tenant: TenantId) -> Result<Arc<Namespace>, Error> {
        let mut namespaces = self.namespaces.write();
        if self.aside.lock().contains(&tenant) {
            return Err(no_namespace());
        }
        let fresh = || Arc::new(Namespace::new(tenant, self.path(tenant), self.surroundings.positions.of(tenant)));
        Ok(namespaces.entry(tenant).or_insert_with(fresh).clone())
    }

    fn path(&self, tenant: TenantId) -> PathBuf {
        if tenant == TenantId::OPERATOR { self.dir.join("control.db") } else { self.dir.join("tenants").join(format!("{tenant}.db")) }
    }

    fn open(&self, namespace: &Arc<Namespace>) -> Result<Arc<Open>, Failure> {
        let (open, opened_now) = namespace.open(&self.surroundings, &self.codes)?;
        if opened_now {
            self.opened(namespace.clone());
        }
        Ok(open)
    }

    fn opened(&self, namespace: Arc<Namespace>) {
        if namespace.opened().is_some_and(|open| !open.building.is_empty()) {
            self.builds.push(namespace.clone());
        }
        self.shelf.put(namespace);
    }

    /// The file of a tenant when it can be had without waiting.
    fn at_hand(&self, tenant: TenantId) -> Option<Arc<Open>> {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        let namespace = self.namespaces.read().get(&tenant)?.clone();
        namespace.at_hand()
    }

    fn read<T>(&self, tenant: TenantId, read: impl FnOnce(&rusqlite::Connection, &Codes) -> Result<T, Failure>) -> Result<T, Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let namespace = self.namespace(tenant)?;
        self.open(&namespace).and_then(|open| open.read(read)).map_err(|failure| failure.into_error(&self.dir))
    }

    fn failing(&self, tenant: TenantId, error: &Error) {
        if self.failing.lock().insert(tenant, error.code()) != Some(error.code()) {
            tracing::error!(error.code = error.code(), error.causes = %error.causes(), "the store cannot write");
        }
    }

    fn healthy(&self, tenant: TenantId) {
        let mut failing = self.failing.lock();
        if !failing.is_empty() && failing.remove(&tenant).is_some() {
            tracing::info!("the store can write again");
        }
    }

    /// Ends the threads once the queues are empty, then closes the files and lets go of the folder.
    fn shut(&self, threads: Vec<JoinHandle<()>>) {
        self.ready.end();
        self.checkpoints.end();
        self.builds.end();
        self.shelf.end();
        for thread in threads {
            let _ = thread.join();
        }
        self.gone.cancel();
        for (_, namespace) in self.namespaces.write().drain() {
            // Closing the last connection checkpoints the log and removes it.
            drop(namespace.close());
        }
        self.lock.lock().take();
    }
}

/// Makes the folder and takes it for this process.
fn lock(dir: &std::path::Path) -> Result<File, Error> {
    // Nobody else on the machine reads what tenants store.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("tenants")).map_err(system)?;
    durable::sync_name(&dir.join("tenants")).and_then(|()| durable::sync_name(dir)).map_err(system)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK)).map_err(system)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        if error == rustix::io::Errno::WOULDBLOCK {
            let detail = format!("Another process serves {}: stop it first, or choose another folder.", dir.display());
            Error::new(ErrorKind::Unavailable, "data_dir_locked", detail)
        } else {
            system(error.into())
        }
    })?;
    clear_loading(&dir.join(LOADING)).map_err(system)?;
    Ok(file)
}

/// Whether there is a file at the path of a tenant. A folder that is not there, as when its disk is away, says nothing of its tenants.
fn has_file(path: &std::path::Path) -> std::io::Result<bool> {
    if path.try_exists()? {
        return Ok(true);
    }
    let is_ours = |folder: &std::path::Path| folder.join(LOCK).is_file();
    if path.parent().is_some_and(std::path::Path::is_dir) && path.ancestors().skip(1).take(2).any(is_ours) {
        return Ok(false);
    }
    Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the folder of the records is not there"))
}

/// Writes a file, for nothing but to see whether that can be done.
fn probe(dir: &std::path::Path) -> std::io::Result<()> {
    let path = dir.join(LOADING).join("probe");
    let mut file = File::create(&path)?;
    file.write_all(b"probe")?;
    file.sync_all()?;
    std::fs::remove_file(path)
}

/// What a crash left half loaded belongs to nobody.
fn clear_loading(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(())
}

fn spawn(name: String, shared: &Arc<Shared>, life: fn(&Arc<Shared>)) -> Result<JoinHandle<()>, Error> {
    let shared = shared.clone();
    std::thread::Builder::new().name(name).spawn(move || life(&shared)).map_err(system)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
