//! How fast the parts are on this machine: `rates DIR [REDIS-URL]`. Prints one line per figure.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key as BlobKey, whole};
use steward_fabric::cache::{Cache, Freshness, Loaded, Options};
use steward_fabric::kv::{Capacity, Key, Kv, Server, When};

const CLASS: Class = Class::new("rates");
const HOUR: Duration = Duration::from_secs(3600);
const CLIENTS: usize = 64;

fn tenant() -> TenantId {
    RecordId::from_bytes([1; 16]).into()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("a folder to write into");
    let clock = Clock::system();
    kv("memory", &Kv::memory(Capacity::default(), clock.clone()), 100_000, &clock).await;
    if let Some(url) = arguments.next() {
        let server = Server { url: Secret::new(url), authority: None };
        let redis = Kv::redis(&server, clock.clone()).expect("a URL");
        redis.health().await.expect("is reached");
        kv("redis", &redis, 2_000, &clock).await;
    }
    hits(&clock).await;
    blob(Path::new(&dir), &clock).await;
}

async fn kv(name: &str, kv: &Kv, each: usize, clock: &Clock) {
    for clients in [1, CLIENTS] {
        for what in ["get", "set", "increment", "swap"] {
            let began = clock.monotonic();
            let mut tasks = tokio::task::JoinSet::new();
            let turns = if clients == 1 { each } else { each * 4 / clients };
            for client in 0..clients {
                let kv = kv.clone();
                tasks.spawn(async move {
                    for turn in 0..turns {
                        let key = Key::new(tenant(), CLASS, format!("{what}-{client}-{}", turn % 1_000)).expect("a key");
                        match what {
                            "get" => drop(kv.get(&key).await.expect("reads")),
                            "set" => drop(kv.set(&key, Bytes::from_static(&[7; 100]), When::Always, HOUR).await.expect("sets")),
                            "increment" => drop(kv.increment(&key, 1, HOUR).await.expect("counts")),
                            _ => drop(kv.set(&key, "x".into(), When::Equals(b"x"), HOUR).await.expect("asks")),
                        }
                    }
                });
            }
            tasks.join_all().await;
            let rate = (clients * turns) as f64 / (clock.monotonic() - began).as_secs_f64();
            println!("kv {name} {what} clients={clients} ops_per_s={rate:.0}");
        }
    }
}

async fn hits(clock: &Clock) {
    let options = Options { bytes: 64 << 20, freshness: Freshness::only_process(), second: None };
    let shelf = Cache::new(options, clock.clone(), Random::system()).class::<u64>(CLASS, HOUR);
    let load = || async { Ok(Loaded { value: 7, version: 1, bytes: 8 }) };
    shelf.get(tenant(), "k", load).await.expect("loads");
    let (began, turns) = (clock.monotonic(), 1_000_000);
    for _ in 0..turns {
        shelf.get(tenant(), "k", load).await.expect("hits");
    }
    println!("cache hit ns={}", (clock.monotonic() - began).as_nanos() / turns);
}

async fn blob(dir: &Path, clock: &Clock) {
    let blob = Blob::directory(dir).await.expect("opens");
    let key = |number: usize| BlobKey::new(tenant(), CLASS, &number.to_string()).expect("a key");
    let body = Bytes::from(vec![7; 256 << 20]);
    let pieces = futures_util::stream::iter((0..256).map(|at| Ok(body.slice(at << 20..(at + 1) << 20))));
    let began = clock.monotonic();
    blob.put(&key(0), pieces, Expect::default()).await.expect("puts");
    println!("blob directory put mb_per_s={:.0}", 268.4 / (clock.monotonic() - began).as_secs_f64());
    let began = clock.monotonic();
    let object = blob.get(&key(0), None).await.expect("reads").expect("is there");
    let read = object.body.try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) }).await.expect("arrives");
    assert_eq!(read, body.len());
    println!("blob directory get mb_per_s={:.0}", 268.4 / (clock.monotonic() - began).as_secs_f64());
    let (began, count) = (clock.monotonic(), 200);
    for number in 0..count {
        blob.put(&key(number), whole(vec![7; 10_000]), Expect::default()).await.expect("puts");
    }
    println!("blob directory put 10 kB one after the other per_s={:.0}", count as f64 / (clock.monotonic() - began).as_secs_f64());
    blob.erase(tenant().into()).await.expect("erases");
}
