//! A Redis server that is stopped, restarted and frozen: clear answers within a bounded time, and it goes on by itself.

use std::time::Duration;

use steward_base::{Clock, ErrorKind};
use steward_fabric::Class;
use steward_fabric::kv::{Key, Kv, When};

use crate::redis_server::RedisServer;
use crate::support::{tenant, until};

const HOUR: Duration = Duration::from_secs(3600);
/// Far above what one call may take, far below what a hanging one would.
const BOUND: Duration = Duration::from_secs(20);

fn key(name: &str) -> Key {
    Key::new(tenant(1), Class::new("test"), name).expect("a key")
}

/// Asks until calls are refused at once, with a clear error each time.
async fn opens(kv: &Kv) {
    until("the breaker's opening", async || {
        let error = tokio::time::timeout(BOUND, kv.get(&key("x"))).await.expect("is answered").expect_err("is away");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "kv_unavailable"), "{error:?}");
        assert!(error.retry_after().is_some_and(|after| after >= Duration::from_secs(1)));
        error.causes().contains("rest")
    })
    .await;
}

async fn recovers(kv: &Kv) {
    until("recovery", async || kv.get(&key("x")).await.is_ok()).await;
    kv.health().await.expect("is well");
}

#[tokio::test]
async fn a_stopped_server_is_an_error_until_it_is_back() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let kv = server.kv();
    kv.set(&key("x"), "x".into(), When::Always, HOUR).await.expect("sets");
    let lease = kv.acquire(&key("x"), "one", HOUR).await.expect("asks").expect("is free");
    for _ in 0..2 {
        server.stop();
        opens(&kv).await;
        assert_eq!(kv.health().await.expect_err("says why").code(), "kv_unavailable");
        server.start_again();
        recovers(&kv).await;
    }
    let next = kv.acquire(&key("x"), "two", HOUR).await.expect("asks").expect("was forgotten");
    assert!(next.epoch > lease.epoch, "a server that forgot everything still hands out higher epochs");
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_up() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let kv = server.kv();
    kv.set(&key("x"), "x".into(), When::Always, HOUR).await.expect("sets");
    server.freeze();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let kv = kv.clone();
        tasks.spawn(async move { tokio::time::timeout(BOUND, kv.increment(&key(&number.to_string()), 1, HOUR)).await });
    }
    for answer in tasks.join_all().await {
        assert_eq!(answer.expect("is answered").expect_err("is frozen").code(), "kv_unavailable");
    }
    opens(&kv).await;
    server.thaw();
    recovers(&kv).await;
    assert_eq!(kv.get(&key("x")).await.expect("reads").as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_delays_nothing() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    server.stop();
    let kv = server.kv();
    assert_eq!(kv.health().await.expect_err("is down").code(), "kv_unavailable");
    server.start_again();
    recovers(&kv).await;
}

/// A way to the server on which everything vanishes without the connection breaking.
#[tokio::test]
async fn a_connection_that_went_silent_is_replaced() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let way = listener.local_addr().expect("is bound").port();
    let (silence, silent) = tokio::sync::watch::channel(0usize);
    let port = server.port;
    tokio::spawn(async move {
        for number in 1.. {
            let (mut client, _) = listener.accept().await.expect("accepts");
            let mut silent = silent.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    () = async { drop(silent.wait_for(|cut| *cut >= number).await) } => {}
                }
                // Neither end hears of it: both stay open and nothing is passed on.
                std::future::pending::<()>().await;
            });
        }
    });
    let kv = crate::redis_server::kv(&format!("redis://127.0.0.1:{way}/0"), None);
    kv.set(&key("x"), "x".into(), When::Always, HOUR).await.expect("sets");
    silence.send(1).expect("is heard");
    let clock = Clock::system();
    opens(&kv).await;
    recovers(&kv).await;
    assert!(clock.monotonic() < BOUND * 2, "the old connection was not waited for");
}
