//! Databases in the suite's PostgreSQL server.

use std::process::Command;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Whoever makes the server crash has it alone.
static SERVER: RwLock<()> = RwLock::const_new(());

/// A fresh database, and the right to its server for as long as it is held.
pub(crate) struct Database<Turn> {
    pub(crate) url: String,
    _turn: Turn,
}

/// One beside those of other tests; `None` where there is no server.
pub(crate) async fn database(name: &str) -> Option<Database<RwLockReadGuard<'static, ()>>> {
    let server = server()?;
    let _turn = SERVER.read().await;
    Some(Database { url: made(&server, name), _turn })
}

/// One in a server that no other test uses meanwhile.
pub(crate) async fn database_alone(name: &str) -> Option<Database<RwLockWriteGuard<'static, ()>>> {
    let server = server()?;
    let _turn = SERVER.write().await;
    Some(Database { url: made(&server, name), _turn })
}

/// What a statement answers; `None` when it fails.
pub(crate) fn psql(url: &str, statement: &str) -> Option<String> {
    let output = Command::new("psql").args([url, "-XAtqc", statement]).output().expect("psql is there");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the suite's server is handed over in a variable")]
fn server() -> Option<String> {
    let server = std::env::var("STEWARD_TEST_POSTGRES").ok();
    if server.is_none() {
        println!("not run: STEWARD_TEST_POSTGRES names no server; make test brings one up");
    }
    server
}

fn made(server: &str, name: &str) -> String {
    let name = format!("{name}_{}", std::process::id());
    psql(server, &format!("CREATE DATABASE {name}")).expect("the database is made");
    let url = server.replacen("/postgres?", &format!("/{name}?"), 1);
    assert_ne!(url, server, "the database is named in the address");
    url
}
