//! Two processes over SQLite: one has the records, the other everything else.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::ledger::{Load, agree, assert_positions_are_gapless, pages};
use crate::support::{Served, bootstrapped, client, eventually, run};

/// What a request may be refused with while the data role is away.
const EXCUSES: [&str; 2] = ["data_unreachable", "outcome_unknown"];
const PATIENCE: Duration = Duration::from_secs(60);

fn data_role(data: &Path, address: &str) -> Served {
    Served::start(data, &["--roles", "data", "--data-listen", address])
}

fn rest(data: &Path, data_url: &str) -> Served {
    Served::start(data, &["--roles", "api,identity,telemetry,worker", "--data-url", data_url])
}

/// Where a data role listened, for the next one to listen there too.
fn address(served: &Served) -> String {
    served.url.strip_prefix("http://").expect("is plain HTTP").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_role_killed_under_load_loses_nothing_and_is_found_again() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let mut records = data_role(data.path(), &format!("127.0.0.1:{}", crate::ports::own()));
    let place = address(&records);
    let served = rest(data.path(), &records.url);

    let load = Load::begin(&served, &key, &EXCUSES);
    for _ in 0..3 {
        load.goes_on("before a kill").await;
        records.kill();
        records = data_role(data.path(), &place);
    }
    load.goes_on("after the last kill").await;
    let sent = load.end().await;
    let found = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    agree("records", &sent, &found);
    assert_positions_are_gapless(&served, &key).await;
    assert_eq!(served.terminate().code(), Some(0));
    assert_eq!(records.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_arrives_live_and_readiness_says_when_the_records_are_away() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let records = data_role(data.path(), &format!("127.0.0.1:{}", crate::ports::own()));
    let place = address(&records);
    let served = rest(data.path(), &records.url);
    let mut stream = served.get(&key, "/api/v1/events/stream").send().await.expect("is answered").bytes_stream();
    served.json(served.post(&key, "/api/v1/projects").json(&json!({ "name": "told" }))).await;
    let mut seen = String::new();
    let told = tokio::time::timeout(PATIENCE, async {
        while !seen.contains("project.created") {
            let bytes = stream.next().await.expect("goes on").expect("arrives");
            seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    });
    told.await.expect("the event arrives");
    drop(stream);

    let stranger = client().post(format!("{}/data/v1/marks", records.url)).body("{}").send().await.expect("is answered");
    assert_eq!(stranger.status(), 401, "records are for processes of the installation");
    let public = served.client.post(format!("{}/data/v1/marks", served.url)).body("{}").send().await.expect("is answered");
    assert_eq!(public.status(), 404, "the public address has no such door");
    let second = run(&["serve", "--data", data.path().to_str().expect("is text"), "--listen", "127.0.0.1:0"], "");
    assert_eq!(second.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&second.stderr).contains("data_dir_locked"), "one process has the files");

    records.kill();
    let ready = async || served.client.get(format!("{}/readyz", served.url)).send().await.expect("is answered").status().as_u16();
    eventually("that it is not ready", PATIENCE, async || (ready().await == 503).then_some(())).await;
    let refused = served.get(&key, "/api/v1/projects").send().await.expect("is answered");
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    let records = data_role(data.path(), &place);
    eventually("that it is ready again", PATIENCE, async || (ready().await == 200).then_some(())).await;
    let found = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    assert_eq!(found.len(), 1);
    drop(records);
}
