//! A deleted tenant leaves nothing behind: canaries planted wherever a tenant can leave something are gone from the folder and the database.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{OWNER, PASSWORD, Served, eventually, succeed};

const CANARY: &str = "kanarienvogel";

/// Files below a folder in whose bytes or name the text stands.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes())))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Files below folders that are named after the tenant.
fn files_of(dir: &Path, tenant: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_of(&path, tenant));
        } else if path.display().to_string().contains(tenant) {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn plant(served: &Served, key: &str) {
    let organization = json!({ "name": format!("{CANARY} & sons"), "slug": CANARY, "notes": format!("ask for {CANARY}") });
    let made = served.json(served.post(key, "/api/v1/organizations").json(&organization)).await;
    let id = made["id"].as_str().expect("an id");
    // Deleted ones stay in the recycle bin, and their events in the history.
    let deleted = served.client.delete(format!("{}/api/v1/organizations/{id}", served.url)).bearer_auth(key).header("if-match", "\"1\"");
    assert!(deleted.send().await.expect("is answered").status().is_success());
    served.json(served.post(key, "/api/v1/organizations").json(&organization).header("idempotency-key", CANARY)).await;
    let found = served.json(served.get(key, &format!("/api/v1/search?q={CANARY}"))).await;
    assert!(!found["data"].as_array().expect("hits").is_empty(), "it is indexed: {found}");
    let lines = format!("{{\"message\":\"{CANARY} sings\",\"service\":\"{CANARY}\"}}\n").repeat(50);
    let sent = served.post(key, "/ingest/v1/app").header("content-type", "application/x-ndjson").body(lines);
    served.json(sent).await;
    let imported: String = (0..1_200).map(|number| format!("{}\n", json!({ "name": format!("{CANARY} {number}") }))).collect();
    let sent = served.post(key, "/api/v1/projects/import").header("content-type", "application/x-ndjson").body(imported);
    let status = sent.send().await.expect("is answered").status();
    assert!(status.is_success(), "a large import is kept as an object: {status}");
}

async fn erase(served: &Served, operator: &str, tenant: &str) {
    let address = format!("{}/api/v1/tenants/{tenant}?confirm=doomed", served.url);
    let begun = served.json(served.client.delete(address).bearer_auth(operator)).await;
    let saga = begun["saga"].as_str().expect("an id").to_owned();
    eventually("the end of the saga", Duration::from_secs(60), async || {
        let saga: Value = served.json(served.get(operator, &format!("/api/v1/sagas/{saga}"))).await;
        assert!(saga["state"] != "parked" && saga["state"] != "undone", "{saga}");
        (saga["state"] == "done").then_some(())
    })
    .await;
}

async fn plant_and_erase(data: &Path, more: &[&str]) -> String {
    let folder = data.to_str().expect("is text");
    let admin = |arguments: &[&str], input: &str| {
        let mut all = vec!["admin"];
        all.extend(arguments);
        all.extend(["--data", folder]);
        all.extend(more);
        succeed(&all, input)
    };
    admin(&["bootstrap", "--tenant", "acme", "--owner", OWNER, "--password-stdin"], PASSWORD);
    let operator = admin(&["api-key", "--tenant", "operator", "--permissions", "tenants:*,admin:*"], "");
    let served = Served::start(data, more);
    let made = served.json(served.post(&operator, "/api/v1/tenants").json(&json!({ "name": "Doomed", "slug": "doomed" }))).await;
    let tenant = made["id"].as_str().expect("an id").to_owned();
    let key = admin(&["api-key", "--tenant", "doomed", "--permissions", "admin:*"], "");
    let neighbour = admin(&["api-key", "--tenant", "acme", "--permissions", "admin:*"], "");
    plant(&served, &key).await;
    served.json(served.post(&neighbour, "/api/v1/organizations").json(&json!({ "name": "A neighbour" }))).await;
    erase(&served, &operator, &tenant).await;
    assert_eq!(served.get(&key, "/api/v1/organizations").send().await.expect("is answered").status(), 401);
    let left = served.json(served.get(&neighbour, "/api/v1/organizations")).await;
    assert_eq!(left["data"].as_array().map(Vec::len), Some(1), "the neighbour is untouched");
    assert_eq!((holding(data, CANARY), files_of(data, &tenant)), (Vec::new(), Vec::new()), "while it serves");
    assert!(served.terminate().success());
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_tenant_is_left_in_the_folder() {
    let data = tempfile::tempdir().expect("a folder");
    let tenant = plant_and_erase(data.path(), &[]).await;
    assert_eq!((holding(data.path(), CANARY), files_of(data.path(), &tenant)), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the suite's server is handed over in a variable")]
async fn nothing_of_a_deleted_tenant_is_left_in_the_database() {
    let Ok(server) = std::env::var("STEWARD_TEST_POSTGRES") else {
        println!("not run: STEWARD_TEST_POSTGRES names no server; make test brings one up");
        return;
    };
    let data = tempfile::tempdir().expect("a folder");
    let name = format!("erased_{}", std::process::id());
    let made = Command::new("psql").args([&server, "-XAtqc", &format!("CREATE DATABASE {name}")]).status().expect("psql is there");
    assert!(made.success());
    let url = server.replacen("/postgres?", &format!("/{name}?"), 1);
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("database_url = \"{url}\"\n")).expect("is written");
    plant_and_erase(data.path(), &["--config", config.to_str().expect("is text")]).await;
    let dump = Command::new("pg_dump").arg(&url).output().expect("pg_dump is there");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8_lossy(&dump.stdout).to_lowercase();
    let hexadecimal: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(CANARY) || line.contains(&hexadecimal)).collect();
    assert!(lines.is_empty(), "{lines:?}");
}
