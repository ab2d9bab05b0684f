//! Disks that are full or cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;

use steward_base::{Clock, ErrorKind, Random, TenantId};
use steward_store::{Backend, MasterKey, Options, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds};

/// A small disk of its own; needs the right to mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        eprintln!("this user may not mount a small disk: the test of full and read-only disks was left out");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status().expect("runs");
        assert!(done.success(), "remounts {how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

async fn open(dir: &Path) -> Result<Store, steward_base::Error> {
    Store::open(
        Options { backend: Backend::Sqlite { dir: dir.to_owned() }, master: MasterKey::new([7; 32]) },
        kinds(),
        Clock::system(),
        Random::system(),
    )
    .await
}

#[tokio::test]
async fn opening_a_file_holds_up_nobody_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await.expect("opens");
    let tenant = TenantId::new(store.clock(), store.random());
    let ctx = ctx(tenant);
    store.provision(tenant).await.expect("provisions");
    let id = store.mint_id();
    store.commit(&ctx, UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("commits");
    store.close().await;

    let store = open(dir.path()).await.expect("opens again");
    let file = rusqlite::Connection::open(dir.path().join("tenants").join(format!("{tenant}.db"))).expect("opens");
    // With something in its log: it is not read as it stands.
    file.execute_batch("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE held (x); BEGIN EXCLUSIVE").expect("takes the file");
    let mut read = std::pin::pin!(store.get(&ctx, "thing", id));
    // On this thread the first look would last until the file is let go of.
    assert!(futures_util::poll!(&mut read).is_pending());
    let watched = store.watch(tenant);
    drop(file);
    assert!(read.await.expect("reads").is_some());
    assert!(store.get(&ctx, "thing", id).await.expect("reads").is_some());
    drop(watched);
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = open(&disk.data()).await.expect("opens");
    let tenant = TenantId::new(store.clock(), store.random());
    let ctx = ctx(tenant);
    store.provision(tenant).await.expect("provisions");
    let ballast = disk.path().join("ballast");
    // More than half: when the log is copied into the file at the end, everything is there twice for a moment.
    std::fs::write(&ballast, vec![0u8; 11 << 20]).expect("fits");

    let mut thing = Thing::named("x");
    thing.place.room = Some("y".repeat(100_000));
    let mut acked = Vec::new();
    let refused = loop {
        let id = store.mint_id();
        match store.commit(&ctx, UnitOfWork::new().create(id, &thing)).await {
            Ok(_) => acked.push(id),
            Err(error) => break error,
        }
        assert!(acked.len() < 1_000, "the disk is smaller than that");
    };
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "storage_full"), "{refused:?}");
    assert!(refused.retry_after().is_some());
    assert_eq!(store.health().await.expect_err("says why").code(), "storage_full");
    for id in &acked {
        assert!(store.get(&ctx, "thing", *id).await.expect("still reads").is_some());
    }

    std::fs::remove_file(&ballast).expect("makes space");
    store.health().await.expect("recovers by itself");
    let last = store.mint_id();
    store.commit(&ctx, UnitOfWork::new().create(last, &thing)).await.expect("writes again");
    assert_eq!(store.count(&ctx, "thing", None).await.expect("counts"), acked.len() as u64 + 1);
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), acked.len() as i64 + 1);
    store.close().await;
    let store = open(&disk.data()).await.expect("opens again");
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), acked.len() as i64 + 1);
    store.close().await;
}

#[tokio::test]
async fn a_read_only_disk_says_so() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = open(&disk.data()).await.expect("opens");
    store.close().await;
    drop(store);
    disk.remount("ro");
    let refused = open(&disk.data()).await.err().expect("is refused");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "storage_read_only"));
    disk.remount("rw");
    open(&disk.data()).await.expect("opens once it can be written").close().await;
}
