//! An S3 server that is stopped, silent, failing or cutting: clear answers within a bounded time, and it goes on by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use steward_base::ErrorKind;
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};

use crate::bucket::{BucketServer, Mood};
use crate::support::{tenant, until};

/// Far above what one call may take, far below what a hanging one would.
const BOUND: Duration = Duration::from_secs(20);

fn key(name: &str) -> Key {
    Key::new(tenant(1), Class::new("test"), name).expect("a key")
}

/// Asks in every way until calls are refused at once, with a clear error each time.
async fn opens(blob: &Blob) {
    until("the breaker's opening", async || {
        let calls = async {
            [
                blob.put(&key("new"), whole("new"), Expect::default()).await.map(drop),
                blob.get(&key("x"), None).await.map(drop),
                blob.head(&key("x")).await.map(drop),
                blob.delete(&key("none")).await,
                blob.list(tenant(1).into(), Class::new("test"), None, 10).await.map(drop),
                blob.health().await,
            ]
        };
        let answers = tokio::time::timeout(BOUND, calls).await.expect("all are answered");
        let mut resting = true;
        for answer in answers {
            let error = answer.expect_err("is away");
            assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "blob_unavailable"), "{error:?}");
            assert!(error.retry_after().is_some());
            resting &= error.causes().contains("rest");
        }
        resting
    })
    .await;
}

async fn recovers(blob: &Blob) {
    until("recovery", async || blob.health().await.is_ok()).await;
    let object = blob.get(&key("x"), None).await.expect("reads").expect("is there");
    assert_eq!(object.bytes(100).await.expect("arrives"), "before");
    blob.put(&key("after"), whole("after"), Expect::default()).await.expect("puts");
}

#[tokio::test]
async fn a_stopped_server_is_an_error_until_it_is_back() {
    let mut server = BucketServer::start().await;
    let blob = server.impatient();
    server.blob().put(&key("x"), whole("before"), Expect::default()).await.expect("puts");
    server.stop().await;
    opens(&blob).await;
    server.start_again().await;
    recovers(&blob).await;
}

#[tokio::test]
async fn a_silent_server_holds_nobody_up() {
    let server = BucketServer::start().await;
    let blob = server.impatient();
    server.blob().put(&key("x"), whole("before"), Expect::default()).await.expect("puts");
    server.turn(Mood::Silent);
    opens(&blob).await;
    let asked = server.requests.load(Ordering::SeqCst);
    assert!(blob.head(&key("x")).await.is_err());
    assert!(server.requests.load(Ordering::SeqCst) <= asked + 1, "a server that rests is left alone");
    server.turn(Mood::Well);
    recovers(&blob).await;
}

#[tokio::test]
async fn a_failing_server_is_an_error_until_it_is_well() {
    let server = BucketServer::start().await;
    let blob = server.impatient();
    server.blob().put(&key("x"), whole("before"), Expect::default()).await.expect("puts");
    server.turn(Mood::Broken);
    opens(&blob).await;
    server.turn(Mood::Well);
    recovers(&blob).await;
}

#[tokio::test]
async fn an_upload_that_fails_in_the_middle_leaves_what_was_there() {
    let server = BucketServer::start().await;
    let blob = server.impatient();
    server.blob().put(&key("x"), whole("before"), Expect::default()).await.expect("puts");
    let parts = futures_util::stream::unfold(0, |number| {
        if number == 2 {
            server.turn(Mood::Broken);
        }
        let part = Bytes::from(vec![number; 8 << 20]);
        std::future::ready((number < 4).then(|| (Ok(part), number + 1)))
    });
    let error = blob.put(&key("x"), parts, Expect::default()).await.expect_err("fails");
    assert_eq!(error.code(), "blob_unavailable", "{error:?}");
    server.turn(Mood::Well);
    recovers(&blob).await;
}

#[tokio::test]
async fn an_object_that_breaks_off_is_never_taken_for_whole() {
    let server = BucketServer::start().await;
    let blob = server.impatient();
    let bytes = vec![7; 3 << 20];
    server.blob().put(&key("big"), whole(bytes.clone()), Expect::default()).await.expect("puts");
    server.turn(Mood::Cutting);
    for _ in 0..3 {
        if let Ok(Some(object)) = blob.get(&key("big"), None).await {
            let read = tokio::time::timeout(BOUND, object.bytes(4 << 20)).await.expect("is answered");
            // It is asked for again from where it broke off; either that brings all of it, or it is an error.
            match read {
                Ok(read) => assert!(read == bytes),
                Err(error) => assert_eq!(error.code(), "blob_unavailable"),
            }
        }
    }
    server.turn(Mood::Well);
    let object = blob.get(&key("big"), None).await.expect("reads").expect("is there");
    assert!(object.bytes(4 << 20).await.expect("arrives") == bytes);
}
