//! A disk that says no.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::ErrorKind;
use steward_telemetry::{Disk, DiskFile, Folder, Options};
use tempfile::tempdir;

use crate::support::{batch, eventually, messages, open, options, tenant};

/// A folder that can be told to be full, or to fail the next syncs.
#[derive(Debug)]
struct Faulty {
    folder: Folder,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    full: AtomicBool,
    failing_syncs: AtomicUsize,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl Faults {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.folder.read(name)
    }
    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        self.faults.room()?;
        Ok(Box::new(FaultyFile { file: self.folder.create(name, size)?, faults: Arc::clone(&self.faults) }))
    }
    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.folder.truncate(name, len)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.folder.sync()
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.room()?;
        self.file.write_at(offset, bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        let failing = self.faults.failing_syncs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if failing.is_ok() { Err(io::Error::from_raw_os_error(5)) } else { self.file.sync() }
    }
}

fn faulty(dir: &std::path::Path) -> (Options, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let folder = Folder::open(dir.join("wal")).expect("a folder");
    let options = Options { disk: Some(Arc::new(Faulty { folder, faults: Arc::clone(&faults) })), ..options(dir) };
    (options, faults)
}

#[tokio::test]
async fn a_full_disk_refuses_says_why_and_recovers_by_itself() {
    let dir = tempdir().expect("a folder");
    let (options, faults) = faulty(dir.path());
    let telemetry = open(options).await;
    telemetry.append_logs(tenant(1), None, batch(["before"])).await.expect("stored");
    faults.full.store(true, Ordering::SeqCst);
    let refused = telemetry.append_logs(tenant(1), None, batch(["lost"])).await.expect_err("refused");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "telemetry_full"));
    assert!(telemetry.health().ingest.is_some_and(|why| why.starts_with("telemetry_full")));
    assert_eq!(messages(&telemetry, tenant(1)).await, ["before"]);
    faults.full.store(false, Ordering::SeqCst);
    // Nobody sends anything: the engine finds out on its own.
    eventually(|| telemetry.health().ingest.is_none()).await;
    telemetry.append_logs(tenant(1), None, batch(["after"])).await.expect("stored");
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    assert_eq!(found, ["after", "before"]);
    let used = telemetry.health().memory_bytes;
    telemetry.flush().await.expect("flushes");
    assert!(used > 0 && telemetry.health().memory_bytes == 0, "a refused batch keeps no memory");
}

#[tokio::test]
async fn a_file_whose_sync_failed_is_left_for_a_new_one() {
    let dir = tempdir().expect("a folder");
    let (options, faults) = faulty(dir.path());
    let telemetry = open(options).await;
    telemetry.append_logs(tenant(1), None, batch(["one"])).await.expect("stored");
    faults.failing_syncs.store(1, Ordering::SeqCst);
    telemetry.append_logs(tenant(1), None, batch(["two"])).await.expect("stored in a new file");
    telemetry.append_logs(tenant(1), None, batch(["three"])).await.expect("stored");
    // Two failures in a row: the file and its successor.
    faults.failing_syncs.store(2, Ordering::SeqCst);
    let refused = telemetry.append_logs(tenant(1), None, batch(["four"])).await.expect_err("refused");
    assert_eq!(refused.code(), "telemetry_failed");
    telemetry.append_logs(tenant(1), None, batch(["five"])).await.expect("stored again");
    drop(telemetry);
    let folder = eventually_free(dir.path()).await;
    drop(folder);
    let telemetry = open(crate::support::options(dir.path())).await;
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    // The copy of `two` in the failed file does not count again, nor does `four`.
    assert_eq!(found, ["five", "one", "three", "two"]);
    assert!(telemetry.health().damage.is_empty());
}

async fn eventually_free(dir: &std::path::Path) -> Folder {
    let mut folder = None;
    eventually(|| {
        folder = Folder::open(dir.join("wal")).ok();
        folder.is_some()
    })
    .await;
    folder.expect("just opened")
}

#[tokio::test]
async fn beyond_the_budget_senders_are_told_to_wait_and_nothing_is_lost() {
    let dir = tempdir().expect("a folder");
    let mut options = options(dir.path());
    options.memory_bytes = 400_000;
    options.tenant_memory_bytes = 300_000;
    options.patience = Duration::ZERO;
    let telemetry = open(options).await;
    let text = "x".repeat(1000);
    let wide = || batch(std::iter::repeat_n(text.as_str(), 50));
    let mut stored = 0;
    let refused = loop {
        match telemetry.append_logs(tenant(1), None, wide()).await {
            Ok(ack) => stored += ack.rows as usize,
            Err(error) => break error,
        }
        assert!(stored < 1_000_000, "the budget must bite");
        // Without upkeep in between: the tick is a second away and half the budget wakes it, so go on at once.
    };
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Limited, "telemetry_budget"));
    assert!(refused.retry_after().is_some());
    telemetry.flush().await.expect("flushes");
    telemetry.append_logs(tenant(1), None, wide()).await.expect("there is room again");
    assert_eq!(messages(&telemetry, tenant(1)).await.len(), stored + 50);
    let huge = batch(std::iter::repeat_n(text.as_str(), 1000));
    assert_eq!(telemetry.append_logs(tenant(1), None, huge).await.expect_err("never fits").code(), "telemetry_batch_too_large");
}

#[tokio::test]
async fn senders_that_wait_for_room_are_all_served() {
    let dir = tempdir().expect("a folder");
    let mut options = options(dir.path());
    options.memory_bytes = 2_000_000;
    options.tenant_memory_bytes = 300_000;
    let telemetry = open(options).await;
    let text = "x".repeat(1000);
    let (senders, batches) = (6, 10);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..senders {
        let (telemetry, text) = (telemetry.clone(), text.clone());
        running.spawn(async move {
            for _ in 0..batches {
                telemetry.append_logs(tenant(1), None, batch(std::iter::repeat_n(text.as_str(), 50))).await.expect("stored after a while");
            }
        });
    }
    running.join_all().await;
    assert_eq!(messages(&telemetry, tenant(1)).await.len(), senders * batches * 50);
    telemetry.flush().await.expect("flushes");
    assert_eq!(telemetry.health().memory_bytes, 0);
}
