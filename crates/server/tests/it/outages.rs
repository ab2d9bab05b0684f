//! Redis and a bucket that cannot be reached or go away under the real binary: it starts, stays ready, says which part is down, and finds it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::redis::Redis;
use crate::support::{Served, bootstrapped, client, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// The line of a part in `/readyz?verbose`, which is ready whatever happens.
async fn part(served: &Served, name: &str) -> Value {
    let told = served.json(served.client.get(format!("{}/readyz?verbose", served.url))).await;
    let parts = told["parts"].as_array().expect("a list").clone();
    parts.into_iter().find(|part| part["name"] == name).expect("is listed")
}

pub(crate) async fn comes_to(served: &Served, name: &str, status: &str) {
    eventually(&format!("{name} {status}"), PATIENCE, async || (part(served, name).await["status"] == status).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_elsewhere_that_are_down_make_nothing_unready() {
    let mut redis = Redis::new();
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let settings = [
        ("STEWARD_REDIS_URL", format!("redis://127.0.0.1:{}/0", redis.port)),
        ("STEWARD_S3_BUCKET", "objects".to_owned()),
        ("STEWARD_S3_ENDPOINT", "http://127.0.0.1:1".to_owned()),
        ("STEWARD_S3_ACCESS_KEY_ID", "me".to_owned()),
        ("STEWARD_S3_SECRET_ACCESS_KEY", "secret".to_owned()),
    ];
    let served = Served::start_with(data.path(), &[], &settings);
    comes_to(&served, "keys", "down").await;
    comes_to(&served, "objects", "down").await;
    assert_eq!(part(&served, "mail").await["status"], "ready");

    // Whoever needs none of them never notices.
    let (answers, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, stopped, url, bearer) = (answers.clone(), stop.clone(), served.url.clone(), key.clone());
    let load = tokio::spawn(async move {
        let client = client();
        while !stopped.load(Ordering::SeqCst) {
            let answer = client.get(format!("{url}/api/v1/devices")).bearer_auth(&bearer).send().await.expect("is answered");
            assert_eq!(answer.status(), 200);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let goes_on = async || {
        let before = answers.load(Ordering::SeqCst);
        eventually("an answer", PATIENCE, async || (answers.load(Ordering::SeqCst) > before + 5).then_some(())).await;
    };
    for way in ["start", "stop", "start", "-STOP", "-CONT"] {
        match way {
            "start" => redis.start(),
            "stop" => redis.stop(),
            signal => redis.signal(signal),
        }
        comes_to(&served, "keys", if matches!(way, "start" | "-CONT") { "ready" } else { "down" }).await;
        goes_on().await;
    }
    for line in ["steward_circuit_open{part=\"objects\"} 1", "steward_cache_hits_total{class=\"credentials\"} "] {
        eventually(line, PATIENCE, async || {
            // Each look asks the parts.
            let _ = part(&served, "objects").await;
            let metrics = served.client.get(format!("{}/metrics", served.url)).send().await.expect("is answered");
            metrics.text().await.expect("is text").contains(line).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    load.await.expect("no answer was wrong");
    assert!(served.terminate().success());
}
