//! The cache: one load per key, nothing untrue after an invalidation, bounded, and shared between processes while the feed is fresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use steward_base::{Clock, Error, ErrorKind, Random, Result, TenantId};
use steward_fabric::Class;
use steward_fabric::cache::{Cache, Codec, Counters, FRESH_FOR, Freshness, Loaded, MAX_SHARED_TTL, Options, Shelf};
use steward_fabric::kv::{Capacity, Kv};
use tokio::sync::{Notify, Semaphore};

use crate::redis_server::{RedisServer, kv, redis_url};
use crate::support::{fresh_tenant, manual, tenant, until};

const CLASS: Class = Class::new("test");
const OTHER: Class = Class::new("test-other");
const MINUTE: Duration = Duration::from_secs(60);

fn alone(clock: &Clock, bytes: u64) -> Cache {
    Cache::new(Options { bytes, freshness: Freshness::only_process(), second: None }, clock.clone(), Random::seeded(1))
}

fn loaded(value: &str, version: i64) -> Result<Loaded<String>> {
    Ok(Loaded { value: value.to_owned(), version, bytes: value.len() })
}

async fn get(shelf: &Shelf<String>, tenant: TenantId, key: &str, value: &'static str) -> String {
    shelf.get(tenant, key, move || async move { loaded(value, 1) }).await.expect("loads").value.as_str().to_owned()
}

fn counters(cache: &Cache, class: Class) -> Counters {
    cache.counters().into_iter().find(|counters| counters.class == class).expect("is counted")
}

#[tokio::test]
async fn what_was_loaded_stays_until_its_time_is_up() {
    let clock = manual();
    let cache = alone(&clock, 1 << 20);
    let (shelf, other) = (cache.class::<String>(CLASS, MINUTE), cache.class::<String>(OTHER, MINUTE));
    assert_eq!(get(&shelf, tenant(1), "k", "first").await, "first");
    assert_eq!(get(&shelf, tenant(1), "k", "second").await, "first");
    assert_eq!(get(&shelf, tenant(2), "k", "another tenant's").await, "another tenant's");
    assert_eq!(get(&other, tenant(1), "k", "another class's").await, "another class's");
    let cached = shelf.get(tenant(1), "v", || async { loaded("x", 42) }).await.expect("loads");
    assert_eq!(cached.version, 42);
    assert!(Arc::ptr_eq(&cached.value, &shelf.get(tenant(1), "v", || async { loaded("y", 43) }).await.expect("hits").value));
    clock.advance(MINUTE - Duration::from_micros(1));
    assert_eq!(get(&shelf, tenant(1), "k", "second").await, "first");
    clock.advance(Duration::from_micros(1));
    assert_eq!(get(&shelf, tenant(1), "k", "second").await, "second");
    let told = counters(&cache, CLASS);
    assert_eq!((told.hits, told.loads, told.failures, told.second_hits), (3, 4, 0, 0));
}

#[tokio::test]
async fn invalidating_forgets_one_or_all_of_a_tenant() {
    let cache = alone(&manual(), 1 << 20);
    let (shelf, other) = (cache.class::<String>(CLASS, MINUTE), cache.class::<String>(OTHER, MINUTE));
    for (who, key) in [(1, "a"), (1, "b"), (2, "a")] {
        get(&shelf, tenant(who), key, "old").await;
        get(&other, tenant(who), key, "old").await;
    }
    cache.invalidate(tenant(1), CLASS, "a").await;
    cache.invalidate(tenant(1), CLASS, "never there").await;
    cache.invalidate(tenant(1), Class::new("unknown"), "a").await;
    assert_eq!(get(&shelf, tenant(1), "a", "new").await, "new");
    assert_eq!(get(&shelf, tenant(1), "b", "new").await, "old");
    assert_eq!(get(&other, tenant(1), "a", "new").await, "old");
    cache.invalidate_tenant(tenant(1)).await;
    for (key, shelf) in [("a", &shelf), ("b", &shelf), ("a", &other)] {
        assert_eq!(get(shelf, tenant(1), key, "newer").await, "newer");
        assert_eq!(get(shelf, tenant(2), key, "newer").await, if key == "a" { "old" } else { "newer" });
    }
    assert_eq!(counters(&cache, CLASS).invalidations, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_at_once_cause_one_load() {
    let cache = alone(&Clock::system(), 1 << 20);
    let shelf = cache.class::<String>(CLASS, MINUTE);
    let (gate, loads) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (shelf, gate, loads) = (shelf.clone(), gate.clone(), loads.clone());
        tasks.spawn(async move {
            let load = move || async move {
                loads.fetch_add(1, Ordering::SeqCst);
                let _pass = gate.acquire().await.expect("is open");
                loaded("x", 1)
            };
            shelf.get(tenant(1), "k", load).await.expect("loads").value.to_string()
        });
    }
    until("everybody's waiting", async || counters(&cache, CLASS).joined == 99).await;
    gate.add_permits(1);
    assert!(tasks.join_all().await.iter().all(|value| value == "x"));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    let told = counters(&cache, CLASS);
    assert_eq!((told.loads, told.joined, told.hits), (1, 99, 0));
}

#[tokio::test]
async fn a_failure_is_everybodys_answer_and_is_not_kept() {
    let cache = alone(&Clock::system(), 1 << 20);
    let shelf = cache.class::<String>(CLASS, MINUTE);
    let failing = || async {
        tokio::task::yield_now().await;
        let error = Error::new(ErrorKind::Unavailable, "database_unavailable", "It is away.").with_retry_after(MINUTE);
        Err(error.with_field("/x", "code", "detail").with_source("the cause"))
    };
    let (left, right) = tokio::join!(shelf.get(tenant(1), "k", failing), shelf.get(tenant(1), "k", failing));
    for error in [left.expect_err("fails"), right.expect_err("fails")] {
        assert_eq!((error.kind(), error.code(), error.detail()), (ErrorKind::Unavailable, "database_unavailable", "It is away."));
        assert_eq!((error.retry_after(), error.fields().len()), (Some(MINUTE), 1));
        assert!(error.causes().contains("the cause"));
    }
    assert_eq!(counters(&cache, CLASS).failures, 1);
    assert_eq!(get(&shelf, tenant(1), "k", "x").await, "x");
}

#[tokio::test]
async fn who_goes_away_takes_the_load_along_only_when_alone() {
    let cache = alone(&Clock::system(), 1 << 20);
    let shelf = cache.class::<String>(CLASS, MINUTE);
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let waiting = move || async move {
        opened.notified().await;
        loaded("the first's", 1)
    };
    let mut leader = Box::pin(shelf.get(tenant(1), "k", waiting));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut follower = Box::pin(shelf.get(tenant(1), "k", || async { loaded("the second's", 1) }));
    assert!(futures_util::poll!(&mut follower).is_pending());
    drop(leader);
    gate.notify_one();
    assert_eq!(*follower.await.expect("goes on").value, "the first's");

    let mut leader = Box::pin(shelf.get(tenant(1), "alone", std::future::pending));
    assert!(futures_util::poll!(&mut leader).is_pending());
    drop(leader);
    assert_eq!(get(&shelf, tenant(1), "alone", "anew").await, "anew");
}

#[tokio::test]
async fn a_load_that_an_invalidation_overtook_is_neither_kept_nor_joined() {
    let cache = alone(&Clock::system(), 1 << 20);
    let shelf = cache.class::<String>(CLASS, MINUTE);
    for whole_tenant in [false, true] {
        let gate = Arc::new(Notify::new());
        let opened = gate.clone();
        let old = move || async move {
            opened.notified().await;
            loaded("old", 1)
        };
        let mut before = Box::pin(shelf.get(tenant(1), "k", old));
        assert!(futures_util::poll!(&mut before).is_pending());
        if whole_tenant {
            cache.invalidate_tenant(tenant(1)).await
        } else {
            cache.invalidate(tenant(1), CLASS, "k").await
        }
        assert_eq!(get(&shelf, tenant(1), "k", "new").await, "new", "does not wait for the old load");
        gate.notify_one();
        assert_eq!(*before.await.expect("loads").value, "old", "who asked before may get what was true then");
        assert_eq!(get(&shelf, tenant(1), "k", "newer").await, "new", "the old value was not kept over the new one");
        cache.invalidate(tenant(1), CLASS, "k").await;
    }
}

#[tokio::test]
async fn memory_is_bounded_in_bytes() {
    let cache = alone(&Clock::system(), 1 << 20);
    let shelf = cache.class::<Vec<u8>>(CLASS, MINUTE);
    for number in 0..2_000 {
        let load = || async { Ok(Loaded { value: vec![0; 4_000], version: 1, bytes: 4_000 }) };
        shelf.get(tenant(1), &number.to_string(), load).await.expect("loads");
        assert!(cache.bytes() <= 1 << 20);
    }
    assert!(cache.bytes() > 1 << 19, "what fits is kept");
}

#[test]
#[should_panic(expected = "two owners")]
fn a_class_has_one_owner() {
    let cache = alone(&manual(), 1 << 20);
    let _first = cache.class::<String>(CLASS, MINUTE);
    let _second = cache.class::<u64>(CLASS, MINUTE);
}

/// Another process over the same key-value store.
struct Process {
    cache: Cache,
    shelf: Shelf<String>,
    freshness: Freshness,
}

const CODEC: Codec<String> = Codec {
    encode: |value| value.as_bytes().to_vec(),
    decode: |bytes| String::from_utf8(bytes.to_vec()).ok().filter(|text| text != "unreadable"),
};

fn process(kv: &Kv, clock: &Clock) -> Process {
    let freshness = Freshness::of_feed(clock.clone());
    let second = Some(kv.clone());
    let cache = Cache::new(Options { bytes: 1 << 20, freshness: freshness.clone(), second }, clock.clone(), Random::system());
    freshness.seen();
    Process { shelf: cache.shared_class(CLASS, MINUTE, CODEC), cache, freshness }
}

/// Runs a test over every key-value store there is.
async fn on_each(test: impl AsyncFn(&Kv, &Clock, TenantId)) {
    let clock = manual();
    test(&Kv::memory(Capacity::default(), clock.clone()), &clock, fresh_tenant()).await;
    if let Some(url) = redis_url() {
        test(&kv(&url, None), &clock, fresh_tenant()).await;
    }
}

#[tokio::test]
async fn processes_share_what_they_loaded() {
    on_each(async |kv, clock, tenant| {
        let (one, two) = (process(kv, clock), process(kv, clock));
        assert_eq!(get(&one.shelf, tenant, "k", "one's").await, "one's");
        assert_eq!(get(&two.shelf, tenant, "k", "two's").await, "one's");
        assert_eq!(get(&two.shelf, tenant, "k", "two's").await, "one's");
        let told = counters(&two.cache, CLASS);
        assert_eq!((told.second_hits, told.hits, told.loads), (1, 1, 0));

        two.cache.invalidate(tenant, CLASS, "k").await;
        let three = process(kv, clock);
        assert_eq!(get(&three.shelf, tenant, "k", "three's").await, "three's", "what was invalidated is on neither level");
        get(&one.shelf, tenant, "other", "one's").await;
        two.cache.invalidate_tenant(tenant).await;
        assert_eq!(get(&process(kv, clock).shelf, tenant, "k", "new").await, "new");
        assert_eq!(get(&process(kv, clock).shelf, tenant, "other", "new").await, "new");
        assert_eq!(get(&process(kv, clock).shelf, tenant, "other", "newer").await, "new", "and is shared again");

        get(&one.shelf, tenant, "odd", "unreadable").await;
        assert_eq!(get(&process(kv, clock).shelf, tenant, "odd", "loaded").await, "loaded", "what is not understood is loaded");
        clock.advance(MINUTE - Duration::from_secs(1));
        one.freshness.seen();
        let late = process(kv, clock);
        assert_eq!(get(&late.shelf, tenant, "other", "late").await, "new");
        clock.advance(Duration::from_secs(1));
        late.freshness.seen();
        assert_eq!(get(&late.shelf, tenant, "other", "late").await, "late", "a copy lives no longer than the first");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_trusted_while_the_feed_is_not_fresh() {
    on_each(async |kv, clock, tenant| {
        let (one, two) = (process(kv, clock), process(kv, clock));
        get(&one.shelf, tenant, "k", "old").await;
        get(&two.shelf, tenant, "k", "old").await;
        clock.advance(FRESH_FOR - Duration::from_micros(1));
        assert_eq!(get(&one.shelf, tenant, "k", "new").await, "old");
        clock.advance(Duration::from_micros(1));
        assert_eq!(get(&one.shelf, tenant, "k", "new").await, "new", "on the first level");
        assert_eq!(get(&process(kv, clock).shelf, tenant, "k", "new").await, "old", "a fresh one still trusts");
        one.freshness.seen();
        assert_eq!(get(&one.shelf, tenant, "k", "newer").await, "old", "what was loaded meanwhile was kept nowhere");
        let never = Freshness::of_feed(clock.clone());
        assert!(!never.is_fresh(), "nothing was heard yet");
    })
    .await;
}

#[tokio::test]
async fn an_old_value_never_returns_through_the_second_level() {
    on_each(async |kv, clock, tenant| {
        for whole_tenant in [false, true] {
            let (slow, quick) = (process(kv, clock), process(kv, clock));
            let gate = Arc::new(Notify::new());
            let (opened, begun) = (gate.clone(), Arc::new(Notify::new()));
            let began = begun.clone();
            let old = move || async move {
                began.notify_one();
                opened.notified().await;
                loaded("old", 1)
            };
            let shelf = slow.shelf.clone();
            let before = tokio::spawn(async move { shelf.get(tenant, "k", old).await });
            begun.notified().await;
            if whole_tenant {
                quick.cache.invalidate_tenant(tenant).await
            } else {
                quick.cache.invalidate(tenant, CLASS, "k").await
            }
            gate.notify_one();
            assert_eq!(*before.await.expect("ends").expect("loads").value, "old");
            assert_eq!(get(&process(kv, clock).shelf, tenant, "k", "new").await, "new");
            quick.cache.invalidate(tenant, CLASS, "k").await;
        }
    })
    .await;
}

/// A truth that writers raise, invalidating in each process after each step, and readers that never see less than what they knew to be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_go_back_behind_an_invalidation() {
    let stores = [Some(Kv::memory(Capacity::default(), Clock::system())), redis_url().map(|url| kv(&url, None))];
    for kv in stores.into_iter().flatten() {
        let (clock, tenant) = (Clock::system(), fresh_tenant());
        let processes: Arc<Vec<Process>> = Arc::new((0..3).map(|_| process(&kv, &clock)).collect());
        let (truth, told) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (processes, truth, told) = (processes.clone(), truth.clone(), told.clone());
            tasks.spawn(async move {
                let process = &processes[number % 3];
                loop {
                    // A hit waits for nothing, and others want to run, too.
                    tokio::task::yield_now().await;
                    let floor = told.load(Ordering::SeqCst);
                    let source = truth.clone();
                    let load = move || async move {
                        let now = source.load(Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        loaded(&now.to_string(), now)
                    };
                    let seen = process.shelf.get(tenant, "k", load).await.expect("loads").version;
                    assert!(seen >= floor, "saw {seen} after {floor} was told");
                    if seen >= 300 {
                        return;
                    }
                }
            });
        }
        for step in 1..=300 {
            truth.store(step, Ordering::SeqCst);
            for process in processes.iter() {
                process.freshness.seen();
                process.cache.invalidate(tenant, CLASS, "k").await;
            }
            told.store(step, Ordering::SeqCst);
        }
        tasks.join_all().await;
    }
}

#[tokio::test]
async fn without_redis_the_first_level_goes_on_and_what_may_be_untrue_is_not_read() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (kv, clock, tenant) = (server.kv(), manual(), fresh_tenant());
    let one = process(&kv, &clock);
    get(&one.shelf, tenant, "k", "old").await;
    server.freeze();
    assert_eq!(get(&one.shelf, tenant, "k", "new").await, "old", "a hit needs no Redis");
    assert_eq!(get(&one.shelf, tenant, "other", "x").await, "x", "a load neither");
    one.cache.invalidate(tenant, CLASS, "k").await;
    server.thaw();
    until("Redis", async || server.kv().health().await.is_ok()).await;
    assert_eq!(get(&one.shelf, tenant, "k", "new").await, "new", "the invalidation that Redis did not get still counts here");
    clock.advance(MAX_SHARED_TTL);
    let mut turn = 0;
    until("the second level's return", async || {
        turn += 1;
        let key = format!("later-{turn}");
        get(&process(&kv, &clock).shelf, tenant, &key, "shared").await;
        get(&process(&kv, &clock).shelf, tenant, &key, "its own").await == "shared"
    })
    .await;
    server.stop();
    let fresh = process(&kv, &clock);
    assert_eq!(get(&fresh.shelf, tenant, "k", "x").await, "x", "no Redis at all");
}
