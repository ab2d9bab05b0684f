//! The contract of the key-value store, in memory and on Redis; and what only the memory promises.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use steward_base::{ErrorKind, Secret, TenantId};
use steward_fabric::kv::{Capacity, Key, Kv, MAX_VALUE, Server, When};
use steward_fabric::{Class, Scope};

use crate::redis_server::{RedisServer, kv, redis_url};
use crate::support::{fresh_tenant, manual, tenant, until};

const CLASS: Class = Class::new("test");
const OTHER: Class = Class::new("test-other");
const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(30);

/// Runs a test on every variant there is, with a tenant of its own.
async fn on_each(test: impl AsyncFn(&Kv, TenantId)) {
    test(&Kv::memory(Capacity::default(), steward_base::Clock::system()), fresh_tenant()).await;
    if let Some(url) = redis_url() {
        test(&kv(&url, None), fresh_tenant()).await;
    }
}

fn key(tenant: TenantId, name: &str) -> Key {
    Key::new(tenant, CLASS, name).expect("a key")
}

#[tokio::test]
async fn values_are_set_read_and_deleted() {
    on_each(async |kv, tenant| {
        let (one, two) = (key(tenant, "one"), key(tenant, "two"));
        assert_eq!(kv.get(&one).await.expect("reads"), None);
        for value in [&b"first"[..], b"", b"\0\xff binary\r\n"] {
            assert!(kv.set(&one, Bytes::copy_from_slice(value), When::Always, HOUR).await.expect("sets"));
            assert_eq!(kv.get(&one).await.expect("reads").as_deref(), Some(value));
        }
        assert_eq!(kv.get(&two).await.expect("reads"), None);
        assert!(kv.delete(&one).await.expect("deletes"));
        assert!(!kv.delete(&one).await.expect("is gone"));
        assert_eq!(kv.get(&one).await.expect("reads"), None);
        kv.health().await.expect("is well");
    })
    .await;
}

#[tokio::test]
async fn conditions_are_checked_and_applied_at_once() {
    on_each(async |kv, tenant| {
        let key = key(tenant, "x");
        assert!(!kv.set(&key, "b".into(), When::Equals(b"a"), HOUR).await.expect("asks"));
        assert!(kv.set(&key, "a".into(), When::Absent, HOUR).await.expect("sets"));
        assert!(!kv.set(&key, "b".into(), When::Absent, HOUR).await.expect("asks"));
        assert!(!kv.set(&key, "b".into(), When::Equals(b"c"), HOUR).await.expect("asks"));
        assert_eq!(kv.get(&key).await.expect("reads").as_deref(), Some(&b"a"[..]));
        assert!(kv.set(&key, "b".into(), When::Equals(b"a"), HOUR).await.expect("sets"));
        assert_eq!(kv.get(&key).await.expect("reads").as_deref(), Some(&b"b"[..]));

        // Of many who swap at once, as many get through as the value counts.
        kv.set(&key, "0".into(), When::Always, HOUR).await.expect("sets");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (kv, key) = (kv.clone(), key.clone());
            tasks.spawn(async move {
                let mut won = 0u64;
                for _ in 0..50 {
                    let now = kv.get(&key).await.expect("reads").expect("is there");
                    let next = (std::str::from_utf8(&now).expect("text").parse::<u64>().expect("a number") + 1).to_string();
                    won += u64::from(kv.set(&key, next.into(), When::Equals(&now), HOUR).await.expect("asks"));
                }
                won
            });
        }
        let won: u64 = tasks.join_all().await.into_iter().sum();
        let last = kv.get(&key).await.expect("reads").expect("is there");
        assert_eq!(last, won.to_string());
    })
    .await;
}

#[tokio::test]
async fn everything_ends_by_itself() {
    on_each(async |kv, tenant| {
        let (value, counter, swapped, lease) = (key(tenant, "v"), key(tenant, "c"), key(tenant, "s"), key(tenant, "l"));
        kv.set(&value, "x".into(), When::Always, MOMENT).await.expect("sets");
        kv.increment(&counter, 5, MOMENT).await.expect("counts");
        kv.set(&swapped, "a".into(), When::Absent, HOUR).await.expect("sets");
        kv.set(&swapped, "b".into(), When::Equals(b"a"), MOMENT).await.expect("sets");
        let first = kv.acquire(&lease, "one", MOMENT).await.expect("asks").expect("is free");
        for key in [&value, &counter, &swapped] {
            until("an end", async || kv.get(key).await.expect("reads").is_none()).await;
        }
        assert_eq!(kv.increment(&counter, 1, HOUR).await.expect("counts"), 1, "a new window begins at zero");
        until("another holder", async || match kv.acquire(&lease, "two", HOUR).await.expect("asks") {
            Some(second) => second.epoch > first.epoch,
            None => false,
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn counters_count_in_windows() {
    on_each(async |kv, tenant| {
        let key = key(tenant, "x");
        assert_eq!(kv.increment(&key, 3, Duration::from_secs(2)).await.expect("counts"), 3);
        assert_eq!(kv.increment(&key, -5, HOUR).await.expect("counts"), -2);
        assert_eq!(kv.get(&key).await.expect("reads").as_deref(), Some(&b"-2"[..]));
        // The window ends when the first step said, whatever later ones say.
        until("the window's end", async || kv.get(&key).await.expect("reads").is_none()).await;

        assert_eq!(kv.increment(&key, i64::MAX, HOUR).await.expect("counts"), i64::MAX);
        assert_eq!(kv.increment(&key, 1, HOUR).await.expect_err("does not fit").code(), "kv_not_a_number");
        assert_eq!(kv.increment(&key, 0, HOUR).await.expect("is as it was"), i64::MAX);
        for text in ["", "x", "+1", "01", " 1", "1 ", "-0", "1.0", "9223372036854775808"] {
            kv.set(&key, text.into(), When::Always, HOUR).await.expect("sets");
            let error = kv.increment(&key, 1, HOUR).await.expect_err(text);
            assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "kv_not_a_number"), "{text:?}");
        }

        kv.delete(&key).await.expect("deletes");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (kv, key) = (kv.clone(), key.clone());
            tasks.spawn(async move { kv.increment(&key, 1, HOUR).await.expect("counts") });
        }
        let mut sums = tasks.join_all().await;
        sums.sort_unstable();
        assert_eq!(sums, (1..=16).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test]
async fn a_lease_has_one_holder_per_epoch() {
    on_each(async |kv, tenant| {
        let key = key(tenant, "x");
        let first = kv.acquire(&key, "one", HOUR).await.expect("asks").expect("is free");
        assert!(first.epoch > 0);
        assert_eq!(kv.acquire(&key, "two", HOUR).await.expect("asks"), None);
        let again = kv.acquire(&key, "one", HOUR).await.expect("asks").expect("is its own");
        assert_eq!(again.epoch, first.epoch, "prolonged, not taken anew");
        assert!(again.until >= first.until);
        assert!(!kv.release(&key, "two", first).await.expect("asks"));
        assert!(kv.release(&key, "one", first).await.expect("gives back"));
        assert!(!kv.release(&key, "one", first).await.expect("asks"));
        let second = kv.acquire(&key, "two", HOUR).await.expect("asks").expect("is free");
        assert!(second.epoch > first.epoch);
        assert!(!kv.release(&key, "two", first).await.expect("asks"), "an old lease ends no new one");
        assert_eq!(kv.get(&key).await.expect("reads"), None, "a value of the same key is another thing");

        let mut tasks = tokio::task::JoinSet::new();
        let contested = Key::new(tenant, CLASS, "contested").expect("a key");
        for number in 0..16 {
            let (kv, key) = (kv.clone(), contested.clone());
            tasks.spawn(async move { kv.acquire(&key, &format!("holder-{number}"), HOUR).await.expect("asks") });
        }
        assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 1);
        for holder in ["", &"x".repeat(201)] {
            assert_eq!(kv.acquire(&key, holder, HOUR).await.expect_err("is refused").code(), "kv_holder");
        }
    })
    .await;
}

#[tokio::test]
async fn scopes_and_classes_are_apart_and_a_scope_is_erased_alone() {
    on_each(async |kv, tenant| {
        let other = fresh_tenant();
        let keys = [
            key(tenant, "x"),
            Key::new(tenant, OTHER, "x").expect("a key"),
            key(other, "x"),
            Key::new(Scope::Platform, CLASS, tenant.to_string()).expect("a key"),
        ];
        for (number, key) in keys.iter().enumerate() {
            kv.set(key, number.to_string().into(), When::Always, HOUR).await.expect("sets");
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(kv.get(key).await.expect("reads").expect("is there"), number.to_string());
        }
        // More than one step of erasing looks at.
        for number in 0..2_500 {
            kv.set(&key(tenant, &format!("many-{number}")), "x".into(), When::Always, HOUR).await.expect("sets");
        }
        let lease = kv.acquire(&keys[0], "one", HOUR).await.expect("asks").expect("is free");
        kv.erase(tenant.into()).await.expect("erases");
        for key in &keys[..2] {
            assert_eq!(kv.get(key).await.expect("reads"), None);
        }
        for number in 0..2_500 {
            assert_eq!(kv.get(&key(tenant, &format!("many-{number}"))).await.expect("reads"), None);
        }
        for key in &keys[2..] {
            assert!(kv.get(key).await.expect("reads").is_some(), "is another's");
        }
        let next = kv.acquire(&keys[0], "two", HOUR).await.expect("asks").expect("is free");
        assert!(next.epoch > lease.epoch, "also when the last one is forgotten");
        kv.delete(&keys[3]).await.expect("deletes");
    })
    .await;
}

#[tokio::test]
async fn limits_are_the_same_everywhere() {
    on_each(async |kv, tenant| {
        let key = key(tenant, "x");
        let longest = Bytes::from(vec![7; MAX_VALUE]);
        kv.set(&key, longest.clone(), When::Always, HOUR).await.expect("fits");
        assert_eq!(kv.get(&key).await.expect("reads"), Some(longest));
        let error = kv.set(&key, vec![7; MAX_VALUE + 1].into(), When::Always, HOUR).await.expect_err("is too long");
        assert_eq!((error.kind(), error.code()), (ErrorKind::TooLarge, "kv_value_too_large"));
        for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(91 * 24 * 3600)] {
            assert_eq!(kv.set(&key, "x".into(), When::Always, ttl).await.expect_err("is refused").code(), "kv_ttl");
            assert_eq!(kv.increment(&key, 1, ttl).await.expect_err("is refused").code(), "kv_ttl");
            assert_eq!(kv.acquire(&key, "one", ttl).await.expect_err("is refused").code(), "kv_ttl");
        }
    })
    .await;
}

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Set(u8, u8),
    Add(u8, u8),
    Swap(u8, u8, u8),
    Delete(u8),
    Increment(u8, i64),
    Acquire(u8, u8),
    Release(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, value) = (0u8..3, 0u8..4);
    prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), value.clone()).prop_map(|(key, value)| Step::Set(key, value)),
        (key.clone(), value.clone()).prop_map(|(key, value)| Step::Add(key, value)),
        (key.clone(), value.clone(), value.clone()).prop_map(|(key, old, new)| Step::Swap(key, old, new)),
        key.clone().prop_map(Step::Delete),
        (key.clone(), -3i64..4).prop_map(|(key, by)| Step::Increment(key, by)),
        (key.clone(), 0u8..3).prop_map(|(key, holder)| Step::Acquire(key, holder)),
        (key, 0u8..3).prop_map(|(key, holder)| Step::Release(key, holder)),
    ]
}

/// What a variant answers to steps; epochs as their rank, since they are times.
async fn answers(kv: &Kv, tenant: TenantId, steps: &[Step]) -> Vec<String> {
    let name = |number: &u8| key(tenant, &number.to_string());
    let text = |value: &u8| if *value == 3 { Bytes::from("x") } else { Bytes::from(value.to_string()) };
    let mut leases = [None; 3];
    let mut epochs = Vec::new();
    let mut answers = Vec::new();
    for step in steps {
        answers.push(match step {
            Step::Get(key) => format!("{:?}", kv.get(&name(key)).await),
            Step::Set(key, value) => format!("{:?}", kv.set(&name(key), text(value), When::Always, HOUR).await),
            Step::Add(key, value) => format!("{:?}", kv.set(&name(key), text(value), When::Absent, HOUR).await),
            Step::Swap(key, old, new) => format!("{:?}", kv.set(&name(key), text(new), When::Equals(&text(old)), HOUR).await),
            Step::Delete(key) => format!("{:?}", kv.delete(&name(key)).await),
            Step::Increment(key, by) => format!("{:?}", kv.increment(&name(key), *by, HOUR).await),
            Step::Acquire(key, holder) => {
                let lease = kv.acquire(&name(key), &holder.to_string(), HOUR).await.expect("asks");
                leases[*key as usize] = lease.or(leases[*key as usize]);
                let rank = lease.map(|lease| {
                    epochs.push((*key, lease.epoch));
                    epochs.iter().filter(|(known, epoch)| known == key && *epoch < lease.epoch).count()
                });
                format!("{rank:?}")
            }
            Step::Release(key, holder) => match leases[*key as usize] {
                Some(lease) => format!("{:?}", kv.release(&name(key), &holder.to_string(), lease).await),
                None => "never held".to_owned(),
            },
        });
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_redis_answer_alike(steps in proptest::collection::vec(step(), 1..60)) {
        let Some(url) = redis_url() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (left, right) = runtime.block_on(async {
            let memory = Kv::memory(Capacity::default(), steward_base::Clock::system());
            (answers(&memory, fresh_tenant(), &steps).await, answers(&kv(&url, None), fresh_tenant(), &steps).await)
        });
        prop_assert_eq!(left, right);
    }
}

#[tokio::test]
async fn the_memory_follows_the_injected_clock() {
    let clock = manual();
    let kv = Kv::memory(Capacity::default(), clock.clone());
    let key = key(tenant(1), "x");
    kv.set(&key, "x".into(), When::Always, HOUR).await.expect("sets");
    let lease = kv.acquire(&key, "one", HOUR).await.expect("asks").expect("is free");
    assert_eq!(lease.until, clock.monotonic() + HOUR);
    clock.advance(HOUR - Duration::from_micros(1));
    assert!(kv.get(&key).await.expect("reads").is_some());
    assert_eq!(kv.acquire(&key, "two", HOUR).await.expect("asks"), None);
    clock.advance(Duration::from_micros(1));
    assert_eq!(kv.get(&key).await.expect("reads"), None);
    let next = kv.acquire(&key, "two", HOUR).await.expect("asks").expect("has ended");
    assert!(next.epoch > lease.epoch);
}

#[tokio::test]
async fn a_full_memory_drops_what_ends_soonest_and_no_lease() {
    let clock = manual();
    let kv = Kv::memory(Capacity { entries: 4, bytes: 10_000 }, clock.clone());
    for number in 0..4u64 {
        let ttl = HOUR + Duration::from_secs(10 - number);
        kv.set(&key(tenant(1), &number.to_string()), "x".into(), When::Always, ttl).await.expect("sets");
        kv.acquire(&key(tenant(1), &number.to_string()), "one", HOUR).await.expect("asks").expect("is free");
    }
    kv.set(&key(tenant(1), "new"), "x".into(), When::Always, HOUR).await.expect("makes room");
    let mut left = Vec::new();
    for name in ["0", "1", "2", "3", "new"] {
        left.extend(kv.get(&key(tenant(1), name)).await.expect("reads").map(|_| name));
    }
    assert_eq!(left, ["0", "1", "2", "new"]);
    // Bytes count too: this one needs nearly all there are.
    kv.set(&key(tenant(1), "big"), vec![0; 9_700].into(), When::Always, HOUR).await.expect("makes room");
    assert_eq!(kv.get(&key(tenant(1), "0")).await.expect("reads"), None);
    let error = kv.set(&key(tenant(1), "huge"), vec![0; 10_001].into(), When::Always, HOUR).await.expect_err("never fits");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "kv_full"));
    assert!(kv.get(&key(tenant(1), "big")).await.expect("reads").is_some(), "nothing was dropped for it");

    for number in 0..4 {
        assert_eq!(kv.acquire(&key(tenant(1), &number.to_string()), "two", HOUR).await.expect("asks"), None, "leases stay");
    }
    assert_eq!(kv.acquire(&key(tenant(1), "more"), "one", HOUR).await.expect_err("no lease makes room").code(), "kv_full");
    clock.advance(HOUR * 3);
    assert!(kv.acquire(&key(tenant(1), "more"), "one", HOUR).await.expect("ended ones do").is_some());
}

#[tokio::test]
async fn redis_is_reached_by_tls_with_the_named_authority_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).expect("signs");
    let (certificate, secret) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, signed.cert.pem()).expect("writes");
    std::fs::write(&secret, signed.signing_key.serialize_pem()).expect("writes");
    let (certificate, secret) = (certificate.display().to_string(), secret.display().to_string());
    let settings = ["--tls-port", "PORT", "--tls-auth-clients", "no", "--tls-cert-file", &certificate, "--tls-key-file", &secret];
    let Some(server) = RedisServer::start(&settings) else { return };
    let url = format!("rediss://127.0.0.1:{}/0", server.port);
    kv(&url, Some(signed.cert.pem())).health().await.expect("is trusted");
    let error = kv(&url, None).health().await.expect_err("nobody trusts it");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "kv_unavailable"));
}

#[tokio::test]
async fn what_redis_refuses_is_told_apart() {
    let Some(server) = RedisServer::start(&["--requirepass", "right", "--maxmemory", "1mb"]) else { return };
    let url = |password: &str| format!("redis://default:{password}@127.0.0.1:{}/0", server.port);
    let error = kv(&url("wrong"), None).health().await.expect_err("is refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "kv_credentials"), "{error:?}");
    let kv = kv(&url("right"), None);
    assert!(!format!("{kv:?}").contains("right"), "the password is in no log");
    let key = key(tenant(1), "x");
    for _ in 0..20 {
        let error = kv.set(&key, vec![0; MAX_VALUE].into(), When::Always, HOUR).await.expect_err("does not fit");
        assert_eq!((error.kind(), error.code(), error.retry_after().is_some()), (ErrorKind::Unavailable, "kv_full", true), "{error:?}");
    }
    kv.get(&key).await.expect("a full server is no broken one");
}

#[test]
fn unreadable_urls_are_refused_without_quoting_them() {
    for url in ["", "hunter2", "http://u:hunter2@host", "redis://u:hunter2@host:port", "redis://u:hunter2@host/x"] {
        let server = Server { url: Secret::new(url.to_owned()), authority: None };
        let error = Kv::redis(&server, manual()).expect_err(url);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "kv_url"));
        assert!(!format!("{error:?} {}", error.causes()).contains("hunter2"));
    }
    let server = Server { url: Secret::new("rediss://host".to_owned()), authority: Some("no certificate".to_owned()) };
    assert_eq!(Kv::redis(&server, manual()).expect_err("no certificate").code(), "kv_url");
}
