//! PostgreSQL crashing and restarting under load: what is not acknowledged says why, what is acknowledged is there once, and nobody has to
//! lend a hand.

use std::process::Command;

use crate::database::{database_alone, psql};
use crate::ledger::{Load, agree, assert_positions_are_gapless, pages};
use crate::support::{OWNER, PASSWORD, Served, succeed};

/// What a write may be refused with while the database is away.
const EXCUSES: [&str; 2] = ["database_unavailable", "outcome_unknown"];

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_under_load_loses_nothing_and_is_found_again() {
    let Some(database) = database_alone("restart").await else { return };
    let data = tempfile::tempdir().expect("a folder");
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("database_url = \"{}\"\n", database.url)).expect("is written");
    let config = config.to_str().expect("is text");
    let folder = data.path().to_str().expect("is text");
    let bootstrap = ["admin", "bootstrap", "--config", config, "--data", folder, "--tenant", "acme", "--owner", OWNER, "--password-stdin"];
    succeed(&bootstrap, PASSWORD);
    let key = succeed(&["admin", "api-key", "--config", config, "--data", folder, "--tenant", "acme", "--permissions", "admin:*"], "");
    let served = Served::start(data.path(), &["--config", config]);

    let load = Load::begin(&served, &key, &EXCUSES);
    for _ in 0..3 {
        load.goes_on("before a crash").await;
        crash(&database.url);
        load.goes_on("after the restart").await;
    }
    let sent = load.end().await;
    let ready = served.client.get(format!("{}/readyz", served.url)).send().await.expect("is answered");
    assert_eq!(ready.status(), 200);
    let records = pages(&served, &key, "/api/v1/projects?limit=500", "name").await;
    agree("records", &sent, &records);
    assert_positions_are_gapless(&served, &key).await;
}

/// As a crash of the database: one of its processes is killed, and it throws everybody out and recovers.
fn crash(url: &str) {
    let busy = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1";
    let pid = psql(url, busy).expect("the database answers");
    assert!(Command::new("kill").args(["-KILL", &pid]).status().expect("runs").success());
}
