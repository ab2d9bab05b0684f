//! The writer threads: four for all namespaces, each taking one namespace's batch at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, MappedMutexGuard, Mutex};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, TransactionBehavior};

use super::failure::{Failure, system};
use super::namespace::{BUSY, Copier, Namespace, Open, Pending};
use super::{Shared, write};
use crate::plan::Planner;
use crate::prepare::Prepared;

pub(super) const THREADS: usize = 4;
const PAGE: i64 = 4096;
/// From here on the checkpoint thread works: rarely enough that a page written often is copied once.
const SOFT_LOG: i64 = 64 << 20;
/// So little of the log may be left for the writer, which copies it while everybody waits.
const LAST_PART: i64 = 2 << 20;
/// How often the checkpoint thread goes after what was written while it was copying.
const PASSES: usize = 8;
/// How long a failed build of keys waits.
const BUILD_AGAIN: Duration = Duration::from_secs(10);
/// How long nothing happens before files that are no longer written get a small cache again.
const COOLING: Duration = Duration::from_secs(30);
/// From here on writers wait for a checkpoint.
const HARD_LOG: i64 = 256 << 20;
/// For so long.
const READERS_PATIENCE: Duration = Duration::from_millis(200);
/// How soon they do again when somebody reads for longer.
const LOG_ANEW_AGAIN: Duration = Duration::from_secs(5);

/// Whose turn it is.
enum Turn {
    Of(Arc<Namespace>),
    Nobody,
    Ended,
}

/// Namespaces waiting for a thread.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<(VecDeque<Arc<Namespace>>, bool)>,
    moved: Condvar,
}

impl Line {
    pub(super) fn push(&self, namespace: Arc<Namespace>) {
        self.state.lock().0.push_back(namespace);
        self.moved.notify_one();
    }

    /// The next namespace; `None` once the line was ended and is empty.
    pub(super) fn next(&self) -> Option<Arc<Namespace>> {
        loop {
            match self.next_within(Duration::MAX) {
                Turn::Of(namespace) => return Some(namespace),
                Turn::Ended => return None,
                Turn::Nobody => {}
            }
        }
    }

    /// The same, for whoever has something else to do when nobody comes for a while.
    fn next_within(&self, patience: Duration) -> Turn {
        let mut state = self.state.lock();
        loop {
            if let Some(namespace) = state.0.pop_front() {
                return Turn::Of(namespace);
            }
            if state.1 {
                return Turn::Ended;
            }
            if self.moved.wait_for(&mut state, patience).timed_out() {
                return Turn::Nobody;
            }
        }
    }

    /// Puts a namespace at the end of the line; when there is no line it comes back: whoever has it keeps it, and its pages stay in that
    /// processor's cache.
    fn again(&self, namespace: Arc<Namespace>) -> Option<Arc<Namespace>> {
        let mut state = self.state.lock();
        if state.0.is_empty() {
            return Some(namespace);
        }
        state.0.push_back(namespace);
        self.moved.notify_one();
        None
    }

    pub(super) fn end(&self) {
        self.state.lock().1 = true;
        self.moved.notify_all();
    }
}

/// The life of a writer thread.
pub(super) fn run(shared: &Arc<Shared>) {
    while let Some(mut namespace) = shared.ready.next() {
        loop {
            let batch = namespace.take();
            if !batch.is_empty() {
                serve(shared, &namespace, batch);
            }
            if !namespace.yield_turn() {
                break;
            }
            match shared.ready.again(namespace) {
                Some(kept) => namespace = kept,
                None => break,
            }
        }
    }
}

fn serve(shared: &Arc<Shared>, namespace: &Arc<Namespace>, batch: Vec<Pending>) {
    let open = match shared.open(namespace) {
        Ok(open) => open,
        Err(failure) => return refuse(shared, namespace, batch, failure),
    };
    let writer = match open.writer() {
        Ok(writer) => writer,
        Err(failure) => return refuse(shared, namespace, batch, failure),
    };
    if open.checkpoint_finish.swap(false, Ordering::AcqRel) {
        // A passive checkpoint waits for nobody; with the rest of the log copied, the next commit begins it anew.
        let _ = writer.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE);
    }
    if namespace.heat.is_hot() && !open.hot.swap(true, Ordering::Relaxed) {
        let _ = writer.execute_batch("PRAGMA cache_size = -65536");
    }
    let planner = Planner {
        kinds: &shared.surroundings.kinds,
        clock: &shared.surroundings.clock,
        random: &shared.surroundings.random,
        master: &shared.surroundings.master,
        tenant: namespace.tenant,
        building: &open.building,
    };
    let units: Vec<&Prepared> = batch.iter().map(|pending| &pending.unit).collect();
    match write::batch(&writer, &open.codes, &planner, &units) {
        Ok(committed) => {
            namespace.paced(committed.rows, committed.worked);
            shared.healthy(namespace.tenant);
            answer(shared, namespace, batch, committed);
        }
        Err(failure) if batch.len() > 1 && !failure.is_storage() => one_by_one(shared, namespace, &open, &writer, &planner, batch),
        Err(failure) => refuse(shared, namespace, batch, failure),
    }
    keep_log_short(shared, namespace, &open, &writer);
}

/// Something unexpected: whichever unit causes it must not take the others with it.
fn one_by_one(shared: &Shared, namespace: &Namespace, open: &Open, writer: &Connection, planner: &Planner<'_>, batch: Vec<Pending>) {
    for pending in batch {
        match write::batch(writer, &open.codes, planner, &[&pending.unit]) {
            Ok(committed) => answer(shared, namespace, vec![pending], committed),
            Err(failure) => refuse(shared, namespace, vec![pending], failure),
        }
    }
}

fn answer(shared: &Shared, namespace: &Namespace, batch: Vec<Pending>, committed: write::Committed) {
    shared.surroundings.generations.changed(namespace.tenant, committed.kinds.into_iter());
    if namespace.position.send_if_modified(|known| std::mem::replace(known, committed.position) != committed.position) {
        shared.surroundings.told.add(namespace.tenant);
    }
    if committed.answers.iter().flatten().any(crate::plan::Done::touches_jobs) {
        shared.surroundings.stirred.add(namespace.tenant);
    }
    for (mut pending, answer) in batch.into_iter().zip(committed.answers) {
        // Whoever is answered may look at the mark at once.
        drop(pending.unit.using.take());
        // Whoever asked may have gone; the unit is committed all the same.
        let _ = pending.answer.send(answer);
    }
}

fn refuse(shared: &Shared, namespace: &Namespace, batch: Vec<Pending>, failure: Failure) {
    let storage = failure.is_storage();
    // Whether it was written nobody knows.
    shared.surroundings.generations.forget(namespace.tenant);
    let error = failure.into_error(&shared.dir);
    if storage {
        shared.failing(namespace.tenant, &error);
    }
    for pending in batch {
        let _ = pending.answer.send(Err(crate::engine::copy(&error)));
    }
}

fn keep_log_short(shared: &Shared, namespace: &Arc<Namespace>, open: &Open, writer: &Connection) {
    let Ok((frames, _)) = writer.wal_checkpoint_v2(Some("main"), CheckpointMode::NOOP) else { return };
    let bytes = i64::from(frames) * PAGE;
    if bytes > HARD_LOG {
        begin_log_anew(shared, namespace, open, writer);
    } else if bytes > SOFT_LOG && !open.checkpoint_asked.swap(true, Ordering::AcqRel) {
        shared.checkpoints.push(namespace.clone());
    }
}

/// Waits a moment for those who read, and tries again later when one of them reads for long: others write meanwhile, and have the same threads.
fn begin_log_anew(shared: &Shared, namespace: &Namespace, open: &Open, writer: &Connection) {
    let now = shared.surroundings.clock.monotonic();
    let mut next = open.log_anew_after.lock();
    if now < *next {
        return;
    }
    let done = writer.busy_timeout(READERS_PATIENCE).and_then(|()| writer.wal_checkpoint_v2(Some("main"), CheckpointMode::RESTART));
    if let Err(error) = done.and_then(|_| writer.busy_timeout(BUSY)) {
        *next = now + LOG_ANEW_AGAIN;
        let _ = writer.busy_timeout(BUSY);
        tracing::warn!(storage.path = %namespace.path.display(), error = %error, "the write-ahead log is over its cap and cannot be checkpointed");
    }
}

/// The life of the checkpoint thread.
pub(super) fn checkpoint(shared: &Arc<Shared>) {
    let mut cooled = shared.surroundings.clock.monotonic();
    loop {
        match shared.checkpoints.next_within(COOLING) {
            // A file that was closed meanwhile was checkpointed by that.
            Turn::Of(namespace) => {
                if let Some(open) = namespace.opened() {
                    copy_log(&namespace, &open);
                }
            }
            Turn::Nobody => {}
            Turn::Ended => return,
        }
        let now = shared.surroundings.clock.monotonic();
        if now.saturating_sub(cooled) >= COOLING {
            cooled = now;
            shared.namespaces.read().values().for_each(|namespace| cool(namespace));
        }
    }
}

/// Copies the log into the file until little of it is left. SQLite itself syncs the file only when nothing was written meanwhile, which under
/// load is never: the writer would then wait for the disk to take everything that was copied here.
fn copy_log(namespace: &Namespace, open: &Open) {
    let mut slot = open.copier.lock();
    let ready = match slot.take() {
        Some(copier) => Ok(copier),
        None => copier(&namespace.path),
    };
    let done = ready.and_then(|copier| {
        for _ in 0..PASSES {
            copier.connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE)?;
            copier.file.sync_data().map_err(system)?;
            if left(&copier.connection)? <= LAST_PART {
                break;
            }
        }
        *slot = Some(copier);
        Ok(())
    });
    match done {
        Ok(()) => open.checkpoint_finish.store(true, Ordering::Release),
        Err(error) => tracing::warn!(storage.path = %namespace.path.display(), error = ?error, "a checkpoint failed"),
    }
    open.checkpoint_asked.store(false, Ordering::Release);
}

/// Bytes of the log that were not copied yet. A checkpoint that copies answers how long the log was when it began.
fn left(connection: &Connection) -> rusqlite::Result<i64> {
    let (frames, copied) = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::NOOP)?;
    Ok(i64::from(frames - copied) * PAGE)
}

/// A connection that can copy the log: one that has read nothing does not know of it, and its checkpoint copies nothing without a word.
fn copier(path: &Path) -> Result<Copier, Failure> {
    let connection = super::namespace::connect(path)?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    Ok(Copier { connection, file: File::open(path).map_err(system)? })
}

/// The life of the thread that builds keys. What failed is tried again after a while.
pub(super) fn build(shared: &Arc<Shared>) {
    let mut failed: Vec<Arc<Namespace>> = Vec::new();
    loop {
        match shared.builds.next_within(BUILD_AGAIN) {
            Turn::Of(namespace) => {
                if let Err(failure) = build_keys(shared, &namespace) {
                    tracing::warn!(storage.path = %namespace.path.display(), error = ?failure, "keys could not be built; this is tried again");
                    failed.push(namespace);
                }
            }
            Turn::Nobody => failed.drain(..).for_each(|namespace| shared.builds.push(namespace)),
            Turn::Ended => return,
        }
    }
}

fn build_keys(shared: &Arc<Shared>, namespace: &Arc<Namespace>) -> Result<(), Failure> {
    // A file that was closed meanwhile comes again when it is opened.
    let Some(open) = namespace.opened() else { return Ok(()) };
    let mut after = None;
    while let Some((kind, keys)) = open.building.next() {
        if shared.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writer = open.writer()?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        after = super::codes::build(&transaction, &open.codes, &shared.surroundings.kinds, kind, &keys, after)?;
        transaction.commit()?;
        keep_log_short(shared, namespace, &open, &writer);
        // Commits that wait go first.
        MappedMutexGuard::unlock_fair(writer);
        if after.is_none() {
            open.building.done(kind);
            tracing::info!(tenant.id = %namespace.tenant, record.kind = shared.surroundings.kinds.at(kind).name(), "new keys are built");
        }
    }
    Ok(())
}

/// Takes the large cache back from a file that is not written much any more.
fn cool(namespace: &Namespace) {
    if !namespace.heat.cools() {
        return;
    }
    if let Some(open) = namespace.opened()
        && open.hot.swap(false, Ordering::Relaxed)
    {
        let _ = open.writer().and_then(|writer| Ok(writer.execute_batch("PRAGMA cache_size = -2048; PRAGMA shrink_memory")?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_connection_copies_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let writer = super::super::namespace::connect(&path).expect("opens");
        writer
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            .expect("writes");
        let copier = copier(&path).expect("opens").connection;
        assert!(left(&copier).expect("looks") > 0);
        let copied = copier.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE).expect("copies");
        assert!(copied.0 > 0 && copied.0 == copied.1, "{copied:?}");
        assert_eq!(left(&copier).expect("looks"), 0);
        // What is written while it copies is left, and it knows.
        writer.execute_batch("INSERT INTO t VALUES (2)").expect("writes");
        assert!(left(&copier).expect("looks") > 0);
    }
}
