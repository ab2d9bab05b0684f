//! Two processes over SQLite: one has the records, the other everything else.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::ledger::{Load, agree, assert_positions_are_gapless, pages};
use crate::support::{Served, bootstrapped, client, eventually, files_of, run, steward, succeed};

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

/// Deletes the tenant `acme`, and waits until it is gone.
async fn delete(served: &Served, operator: &str) {
    let tenants = served.json(served.get(operator, "/api/v1/tenants?filter=slug:acme")).await;
    let tenant = tenants["data"][0]["id"].as_str().expect("an id").to_owned();
    let address = format!("{}/api/v1/tenants/{tenant}?confirm=acme", served.url);
    let begun = served.json(served.client.delete(address).bearer_auth(operator)).await;
    let saga = format!("/api/v1/sagas/{}", begun["saga"].as_str().expect("an id"));
    eventually("the end of the saga", PATIENCE, async || {
        let saga: Value = served.json(served.get(operator, &saga)).await;
        (saga["state"] == "done").then_some(())
    })
    .await;
}

/// A command that reads stdin to its end; its stdout.
fn fed(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = steward(arguments);
    let mut child = command
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("is piped").write_all(input).expect("is read");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_exported_imported_moved_and_restored_through_the_data_role() {
    let (data, beside, copies) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let config = data.path().join("data.toml");
    std::fs::write(&config, format!("places = [{{ name = \"beside\", folder = \"{}\" }}]\n", beside.path().display())).expect("is written");
    let secret = data.path().join("passphrase");
    std::fs::write(&secret, "nobody guesses this one").expect("is written");
    let text = |path: &Path| path.to_str().expect("is text").to_owned();
    let (folder, secret, copies) = (text(data.path()), text(&secret), text(copies.path()));
    let key = bootstrapped(data.path());
    let operator = succeed(&["admin", "api-key", "--data", &folder, "--tenant", "operator", "--permissions", "tenants:*,admin:*"], "");
    let address = format!("127.0.0.1:{}", crate::ports::own());
    let records = Served::start(data.path(), &["--roles", "data", "--data-listen", &address, "--config", &text(&config)]);
    let served = rest(data.path(), &records.url);

    // To another place of the data role and back, while it is written to.
    let load = Load::begin(&served, &key, &["tenant_moved"]);
    load.goes_on("before it is moved").await;
    let nowhere = run(&["admin", "tenant", "move", "--data", &folder, "--tenant", "acme", "--to", "nowhere"], "");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("place_unknown"), "{nowhere:?}");
    for place in ["beside", "home", "beside"] {
        succeed(&["admin", "tenant", "move", "--data", &folder, "--tenant", "acme", "--to", place], "");
        load.goes_on(place).await;
    }
    let sent = load.end().await;
    let agreed = async |served: &Served| {
        agree("records", &sent, &pages(served, &key, "/api/v1/projects?limit=500", "name").await);
        assert_positions_are_gapless(served, &key).await;
    };
    agreed(&served).await;
    assert!(!files_of(beside.path(), ".db").is_empty(), "it is where it was moved to");

    succeed(&["backup", "create", "--data", &folder, "--to", &copies], "");
    let file = fed(&["admin", "tenant", "export", "--data", &folder, "--tenant", "acme", "--passphrase-file", &secret], &[], &[]);
    delete(&served, &operator).await;
    assert_eq!(served.get(&key, "/api/v1/projects").send().await.expect("is answered").status(), 401);
    fed(&["admin", "tenant", "import", "--data", &folder, "--passphrase-file", &secret], &[], &file);
    agreed(&served).await;
    delete(&served, &operator).await;
    succeed(&["backup", "restore", "--data", &folder, "--from", &copies, "--tenant", "acme"], "");
    agreed(&served).await;
    assert_eq!(served.terminate().code(), Some(0));
    assert_eq!(records.terminate().code(), Some(0));

    // Everything, into a data role that has nothing but the master key.
    let empty = tempfile::tempdir().expect("a folder");
    std::fs::copy(data.path().join("master.key"), empty.path().join("master.key")).expect("is kept elsewhere");
    let records = data_role(empty.path(), &address);
    let told = [("STEWARD_ROLES", "rest"), ("STEWARD_DATA_URL", records.url.as_str())];
    let report = fed(&["backup", "restore", "--data", &text(empty.path()), "--from", &copies], &told, &[]);
    assert!(String::from_utf8_lossy(&report).contains("recovery time"));
    let served = rest(empty.path(), &records.url);
    agreed(&served).await;
    assert_eq!(served.terminate().code(), Some(0));
    assert_eq!(records.terminate().code(), Some(0));
    succeed(&["audit", "verify", "--data", &text(empty.path())], "");
}
