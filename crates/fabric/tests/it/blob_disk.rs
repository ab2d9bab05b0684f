//! Disks that are full or cannot be written, under objects and under mail.

use std::path::PathBuf;

use steward_base::{Clock, ErrorKind, Random};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_fabric::mail::{Mail, Message, Sender};

use crate::small_disk::SmallDisk;
use crate::support::tenant;

fn key(name: &str) -> Key {
    Key::new(tenant(1), Class::new("test"), name).expect("a key")
}

/// Every file below a folder.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("reads").path();
        if path.is_dir() { found.extend(files(path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_full_disk_refuses_puts_until_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let root = disk.path().join("objects");
    let blob = Blob::directory(&root).await.expect("opens");
    blob.put(&key("x"), whole("before"), Expect::default()).await.expect("puts");
    // One that is sent whole, and one that is sent in parts.
    for length in [7 << 20, 30 << 20] {
        let ballast = disk.path().join("ballast");
        std::fs::write(&ballast, vec![0u8; 15 << 20]).expect("fits");
        let error = blob.put(&key("x"), whole(vec![1; length]), Expect::default()).await.expect_err("does not fit");
        assert_eq!((error.kind(), error.code(), error.retry_after().is_some()), (ErrorKind::Unavailable, "blob_full", true), "{error:?}");
        std::fs::remove_file(&ballast).expect("makes space");
    }
    let left = files(root.clone());
    assert_eq!(left.len(), 1, "nothing is left of what did not fit: {left:?}");
    let object = blob.get(&key("x"), None).await.expect("reads").expect("is there");
    assert_eq!(object.bytes(100).await.expect("arrives"), "before");

    let mut ballast = 1 << 20;
    while std::fs::write(disk.path().join(format!("ballast-{ballast}")), vec![0u8; 1 << 20]).is_ok() {
        ballast += 1;
    }
    assert_eq!(blob.health().await.expect_err("says why").code(), "blob_full");
    for entry in std::fs::read_dir(disk.path()).expect("lists") {
        let path = entry.expect("reads").path();
        if path.is_file() {
            std::fs::remove_file(path).expect("makes space");
        }
    }
    blob.health().await.expect("recovers by itself");
    blob.put(&key("x"), whole(vec![1; 10 << 20]), Expect::default()).await.expect("puts again");
    assert_eq!(files(root).len(), 1);
}

#[tokio::test]
async fn a_read_only_disk_says_so() {
    let Some(disk) = SmallDisk::mount() else { return };
    let blob = Blob::directory(&disk.path().join("objects")).await.expect("opens");
    blob.put(&key("x"), whole("x"), Expect::default()).await.expect("puts");
    disk.remount("ro");
    for error in [
        blob.put(&key("x"), whole("y"), Expect::default()).await.expect_err("is refused"),
        blob.delete(&key("x")).await.expect_err("is refused"),
        blob.erase(tenant(1).into()).await.expect_err("is refused"),
        blob.health().await.expect_err("says why"),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "blob_read_only"), "{error:?}");
    }
    assert!(blob.get(&key("x"), None).await.expect("reads all the same").is_some());
    disk.remount("rw");
    blob.health().await.expect("recovers by itself");
}

#[tokio::test]
async fn a_full_disk_takes_no_mail_and_keeps_what_is_there() {
    let Some(disk) = SmallDisk::mount() else { return };
    let sender = Sender { name: None, address: "steward@example.org".parse().expect("an address") };
    let mail = Mail::folder(&disk.path().join("mail"), 100, sender, Clock::system(), Random::system()).await.expect("opens");
    let message =
        Message { to: "a@example.org".parse().expect("an address"), subject: "Hello".to_owned(), text: "x".repeat(900_000), html: None };
    let mut sent = 0;
    let error = loop {
        match mail.send(tenant(1).into(), &message).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.code(), error.retry_after().is_some()), (ErrorKind::Unavailable, "mail_full", true), "{error:?}");
    let kept = mail.kept().expect("is a folder");
    assert_eq!(kept.list(tenant(1).into(), None, 100).await.expect("lists").len(), sent);
    mail.erase(tenant(1).into()).await.expect("makes space");
    mail.health().await.expect("recovers by itself");
    mail.send(tenant(1).into(), &message).await.expect("sends again");
}
