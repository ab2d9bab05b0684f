//! The contract of the object store, in a folder and on a real S3 server.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use steward_base::{Clock, Error, ErrorKind, TenantId};
use steward_fabric::blob::{Blob, Bucket, Expect, Key, whole};
use steward_fabric::{Class, Scope};

use crate::bucket::{BucketServer, PASSWORD};
use crate::support::tenant;

const CLASS: Class = Class::new("test");
const OTHER: Class = Class::new("test-other");
const MOST: usize = 64 << 20;

/// Runs a test on every variant.
async fn on_each(test: impl AsyncFn(&Blob, TenantId)) {
    let dir = tempfile::tempdir().expect("a folder");
    test(&Blob::directory(&dir.path().join("new")).await.expect("opens"), tenant(1)).await;
    let server = BucketServer::start().await;
    test(&server.blob(), tenant(1)).await;
}

fn key(tenant: TenantId, name: &str) -> Key {
    Key::new(tenant, CLASS, name).expect("a key")
}

/// Bytes of which no two parts are alike.
fn pattern(length: usize) -> Bytes {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect::<Vec<_>>().into()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().expect("32 bytes")
}

/// A body that comes in pieces.
fn pieces(bytes: &Bytes, size: usize) -> impl futures_util::Stream<Item = Result<Bytes, Error>> + Send + use<> {
    let bytes = bytes.clone();
    stream::iter((0..bytes.len()).step_by(size).map(move |at| Ok(bytes.slice(at..bytes.len().min(at + size)))))
}

async fn read(blob: &Blob, key: &Key) -> Option<Bytes> {
    match blob.get(key, None).await.expect("reads") {
        Some(object) => Some(object.bytes(MOST).await.expect("arrives")),
        None => None,
    }
}

async fn names(blob: &Blob, scope: Scope, class: Class) -> Vec<String> {
    let page = blob.list(scope, class, None, 1_000).await.expect("lists");
    page.objects.iter().map(|meta| meta.key.name().to_owned()).collect()
}

#[tokio::test]
async fn objects_of_every_length_come_back() {
    on_each(async |blob, tenant| {
        let key = key(tenant, "x");
        assert!(blob.head(&key).await.expect("asks").is_none());
        assert!(read(blob, &key).await.is_none());
        // Around the length of a part, and many parts.
        for length in [0, 1, 100_000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 25 << 20] {
            let bytes = pattern(length);
            let expect = Expect { length: Some(length as u64), sha256: Some(sha256(&bytes)) };
            let stored = blob.put(&key, pieces(&bytes, 1_000_003), expect).await.expect("puts");
            assert_eq!((stored.length, stored.sha256), (length as u64, sha256(&bytes)));
            let meta = blob.head(&key).await.expect("asks").expect("is there");
            assert_eq!((meta.length, &meta.key), (length as u64, &key));
            assert!(read(blob, &key).await.expect("is there") == bytes, "{length} bytes come back");
        }
        blob.delete(&key).await.expect("deletes");
        blob.delete(&key).await.expect("is gone already");
        assert!(read(blob, &key).await.is_none());
        blob.health().await.expect("is well");
    })
    .await;
}

#[tokio::test]
async fn ranges_are_cut_at_the_end() {
    on_each(async |blob, tenant| {
        let (key, bytes) = (key(tenant, "x"), pattern(1_000));
        blob.put(&key, whole(bytes.clone()), Expect::default()).await.expect("puts");
        for range in [0..1, 0..1_000, 10..20, 999..1_000, 500..5_000, 5..5, 1_000..1_000, 1_000..2_000] {
            let object = blob.get(&key, Some(range.clone())).await.expect("reads").expect("is there");
            let wanted = range.start..range.end.min(1_000);
            assert_eq!((object.meta.length, &object.range), (1_000, &wanted));
            let got = object.bytes(MOST).await.expect("arrives");
            assert_eq!(got, bytes.slice(wanted.start as usize..wanted.end as usize), "{range:?}");
        }
        for range in [1_001..2_000, u64::MAX..u64::MAX] {
            let error = blob.get(&key, Some(range)).await.expect_err("begins behind the end");
            assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "blob_range"));
        }
        assert!(blob.get(&Key::new(tenant, CLASS, "none").expect("a key"), Some(0..1)).await.expect("asks").is_none());
        let object = blob.get(&key, None).await.expect("reads").expect("is there");
        assert_eq!(object.bytes(999).await.expect_err("is too large").code(), "blob_too_large");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_as_announced_changes_nothing() {
    on_each(async |blob, tenant| {
        let key = key(tenant, "x");
        blob.put(&key, whole("before"), Expect::default()).await.expect("puts");
        for length in [10usize, 20 << 20] {
            let bytes = pattern(length);
            let right = sha256(&bytes);
            let announced = |length: usize, sha256| Expect { length: Some(length as u64), sha256: Some(sha256) };
            for (expect, code) in [
                (announced(length + 1, right), "blob_length"),
                (announced(length - 1, right), "blob_length"),
                (announced(length, [0; 32]), "blob_digest"),
            ] {
                let error = blob.put(&key, pieces(&bytes, 1 << 20), expect).await.expect_err("is refused");
                assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, code));
            }
            let broken = pieces(&bytes, 1 << 20).chain(stream::iter([Err(Error::invalid("the sender went"))]));
            assert_eq!(blob.put(&key, broken, Expect::default()).await.expect_err("breaks off").detail(), "the sender went");
            // A sender that is waited for no longer.
            let endless = pieces(&bytes, 1 << 20).chain(stream::pending());
            let given_up = tokio::time::timeout(Duration::from_millis(300), blob.put(&key, endless, Expect::default())).await;
            assert!(given_up.is_err());
        }
        assert_eq!(read(blob, &key).await.as_deref(), Some(&b"before"[..]));
        assert_eq!(names(blob, tenant.into(), CLASS).await, ["x"]);
        assert!(blob.list(tenant.into(), CLASS, None, 10).await.expect("lists").objects[0].length == 6);
    })
    .await;
}

#[tokio::test]
async fn lists_are_in_order_and_paged() {
    on_each(async |blob, tenant| {
        let mut wanted: Vec<String> =
            (0..25).map(|number| format!("{}{number}", ["a", "B", "c.", "d-", "e_=", "a."][number % 6])).collect();
        for name in &wanted {
            blob.put(&key(tenant, name), whole(name.clone()), Expect::default()).await.expect("puts");
        }
        let elsewhere =
            [Key::new(tenant, OTHER, "z"), Key::new(crate::support::tenant(2), CLASS, "z"), Key::new(Scope::Platform, CLASS, "z")];
        for key in elsewhere {
            blob.put(&key.expect("a key"), whole("z"), Expect::default()).await.expect("puts");
        }
        wanted.sort();
        for limit in [1, 7, 24, 25, 26] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = blob.list(tenant.into(), CLASS, after.as_deref(), limit).await.expect("lists");
                assert!(page.objects.len() <= limit);
                assert!(page.objects.iter().all(|meta| meta.length == meta.key.name().len() as u64));
                found.extend(page.objects.into_iter().map(|meta| meta.key.name().to_owned()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, wanted, "{limit} at a time");
        }
        assert_eq!(names(blob, tenant.into(), OTHER).await, ["z"]);
        assert!(names(blob, crate::support::tenant(3).into(), CLASS).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn many_are_deleted_at_once_and_no_others() {
    on_each(async |blob, tenant| {
        let keys: Vec<Key> = (0..40)
            .map(|number| Key::new(tenant, if number % 2 == 0 { CLASS } else { OTHER }, &number.to_string()))
            .map(|key| key.expect("a key"))
            .collect();
        for key in &keys {
            blob.put(key, whole("some bytes"), Expect::default()).await.expect("puts");
        }
        blob.delete_all(&[]).await.expect("none is fine");
        let never = Key::new(tenant, CLASS, "never").expect("a key");
        for turn in 0..2 {
            let going: Vec<Key> = keys[..30].iter().chain([&never]).cloned().collect();
            blob.delete_all(&going).await.unwrap_or_else(|error| panic!("turn {turn}: {error:?}"));
            let left = [names(blob, tenant.into(), CLASS).await, names(blob, tenant.into(), OTHER).await];
            assert_eq!(left, [["30", "32", "34", "36", "38"], ["31", "33", "35", "37", "39"]], "turn {turn}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_scope_is_erased_alone() {
    on_each(async |blob, tenant| {
        let kept = [Key::new(crate::support::tenant(2), CLASS, "x"), Key::new(Scope::Platform, CLASS, "x")].map(|key| key.expect("a key"));
        for key in &kept {
            blob.put(key, whole("kept"), Expect::default()).await.expect("puts");
        }
        for turn in 0..2 {
            for number in 0..30 {
                let class = if number % 2 == 0 { CLASS } else { OTHER };
                let key = Key::new(tenant, class, &number.to_string()).expect("a key");
                blob.put(&key, whole("gone"), Expect::default()).await.expect("puts, again too");
            }
            blob.erase(tenant.into()).await.unwrap_or_else(|error| panic!("turn {turn}: {error:?}"));
            assert!(names(blob, tenant.into(), CLASS).await.is_empty() && names(blob, tenant.into(), OTHER).await.is_empty());
        }
        for key in &kept {
            assert_eq!(read(blob, key).await.as_deref(), Some(&b"kept"[..]));
        }
    })
    .await;
}

/// A process that ends in the middle of a put leaves what it sent, which no list of objects tells of.
#[tokio::test]
async fn erasing_takes_back_what_was_never_completed() {
    let server = BucketServer::start().await;
    let (blob, doomed, other) = (server.blob(), tenant(1), tenant(2));
    let mut puts = tokio::task::JoinSet::new();
    for (owner, number) in [(doomed, 0), (doomed, 1), (doomed, 2), (doomed, 3), (doomed, 4), (other, 0)] {
        let (blob, key) = (blob.clone(), key(owner, &format!("file-{number}")));
        puts.spawn(async move {
            let sent = stream::iter([Ok(pattern(9 << 20))]).chain(stream::pending());
            blob.put(&key, sent, Expect::default()).await.map(drop)
        });
    }
    let parts = || {
        let names = std::fs::read_dir(server.folder()).expect("lists").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".upload_id-") && name.to_string_lossy().contains(".part-")).count()
    };
    let all = async {
        while server.unfinished().len() < 6 || parts() < 6 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all are begun and sent in part");
    puts.shutdown().await;
    assert_eq!(server.unfinished().len(), 6, "nobody took them back");

    blob.erase(doomed.into()).await.expect("erases");
    assert_eq!(server.unfinished(), [format!("{other}/test/file-0")]);
    assert_eq!(parts(), 1, "what was sent is gone");
    blob.erase(other.into()).await.expect("erases");
    assert!(server.unfinished().is_empty() && parts() == 0);
}

/// Whoever looks after a class can tell what is on its way into it, and end it.
#[tokio::test]
async fn what_is_on_its_way_is_told_and_can_be_taken_back() {
    let server = BucketServer::start().await;
    let (blob, slow) = (server.blob(), key(tenant(1), "slow"));
    server.stall("partNumber=");
    let put = tokio::spawn({
        let (blob, key) = (blob.clone(), slow.clone());
        async move { blob.put(&key, whole(pattern(9 << 20)), Expect::default()).await }
    });
    let begun = async {
        while server.unfinished().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun).await.expect("is begun");
    let found = blob.unfinished(tenant(1).into(), CLASS).await.expect("is told");
    assert_eq!(found.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&slow]);
    assert!(blob.unfinished(tenant(1).into(), OTHER).await.expect("is told").is_empty());
    blob.abort(&found[0]).await.expect("is taken back");
    assert!(server.unfinished().is_empty());
    blob.abort(&found[0]).await.expect("is gone already");
    server.go_on();
    assert_eq!(put.await.expect("no panic").expect_err("nothing of it is there any more").code(), "blob_unavailable");
    assert!(blob.head(&slow).await.expect("asks").is_none());
}

#[tokio::test]
async fn puts_and_reads_at_once_see_one_or_the_other() {
    on_each(async |blob, tenant| {
        let key = key(tenant, "x");
        let versions: Vec<Bytes> = (0..4).map(|number| pattern(300_000 + number).slice(number..)).collect();
        blob.put(&key, whole(versions[0].clone()), Expect::default()).await.expect("puts");
        let mut tasks = tokio::task::JoinSet::new();
        for version in &versions {
            let (blob, key, version) = (blob.clone(), key.clone(), version.clone());
            tasks.spawn(async move {
                for _ in 0..10 {
                    blob.put(&key, whole(version.clone()), Expect::default()).await.expect("puts");
                }
            });
        }
        for _ in 0..2 {
            let (blob, key, versions) = (blob.clone(), key.clone(), versions.clone());
            tasks.spawn(async move {
                for _ in 0..20 {
                    let object = blob.get(&key, None).await.expect("reads").expect("is there");
                    let Ok(bytes) = object.body.try_collect::<Vec<_>>().await else { continue };
                    assert!(versions.contains(&Bytes::from(bytes.concat())), "a mixture");
                }
            });
        }
        tasks.join_all().await;
    })
    .await;
}

#[tokio::test]
async fn a_folder_has_one_owner_and_shows_plain_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let blob = Blob::directory(dir.path()).await.expect("opens");
    let error = Blob::directory(dir.path()).await.expect_err("is in use");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "blob_in_use"));
    let beside = Blob::directory_to_read(dir.path()).await.expect("opens beside it");
    blob.put(&key(tenant(1), "x.txt"), whole("text"), Expect::default()).await.expect("puts");
    assert_eq!(read(&beside, &key(tenant(1), "x.txt")).await.as_deref(), Some(&b"text"[..]));
    assert_eq!(names(&beside, tenant(1).into(), CLASS).await, ["x.txt"]);
    let refused = beside.put(&key(tenant(1), "y.txt"), whole("text"), Expect::default()).await.map(drop);
    for refused in [refused, beside.delete(&key(tenant(1), "x.txt")).await, beside.erase(tenant(1).into()).await] {
        assert_eq!(refused.expect_err("it is only read").kind(), ErrorKind::Internal);
    }
    assert!(blob.unfinished(tenant(1).into(), CLASS).await.expect("is told").is_empty());
    let folder = dir.path().join(tenant(1).to_string()).join("test");
    assert_eq!(std::fs::read_to_string(folder.join("x.txt")).expect("is a file"), "text");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&folder).expect("is there").permissions());
    assert_eq!(mode & 0o777, 0o700, "nobody else reads it");
    // What somebody else leaves there is none of ours; what an interrupted put left is swept.
    std::fs::write(folder.join("not ours"), "x").expect("writes");
    std::fs::write(folder.join("y.txt#1"), "x").expect("writes");
    assert_eq!(names(&blob, tenant(1).into(), CLASS).await, ["x.txt"]);
    drop(blob);
    let blob = Blob::directory(dir.path()).await.expect("opens again");
    assert!(!folder.join("y.txt#1").exists());
    assert_eq!(read(&blob, &key(tenant(1), "x.txt")).await.as_deref(), Some(&b"text"[..]));
}

#[tokio::test]
async fn a_bucket_is_asked_with_its_key_and_the_key_stays_secret() {
    let server = BucketServer::start().await;
    server.blob().put(&key(tenant(1), "x"), whole("text"), Expect::default()).await.expect("puts");
    assert!(server.requests.load(Ordering::SeqCst) > 0);
    let path = server.folder().join("steward-test").join(tenant(1).to_string()).join("test").join("x");
    assert_eq!(std::fs::read_to_string(path).expect("is the server's file"), "text");
    let wrong = Bucket { secret_access_key: steward_base::Secret::new("wrong".to_owned()), ..server.bucket(Duration::from_secs(5)) };
    let wrong = Blob::s3(&wrong, Clock::system()).expect("settings");
    let error = wrong.put(&key(tenant(1), "x"), whole("other"), Expect::default()).await.expect_err("is refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "blob_credentials"), "{error:?}");
    assert_eq!(wrong.health().await.expect_err("says why").code(), "blob_credentials");
    assert!(!format!("{:?} {:?}", server.blob(), server.bucket(Duration::ZERO)).contains(PASSWORD));
    let nowhere = Bucket { authority: Some("no certificate".to_owned()), ..server.bucket(Duration::from_secs(5)) };
    assert_eq!(Blob::s3(&nowhere, Clock::system()).expect_err("no authority").code(), "blob_settings");
}
