//! A database that somebody changed behind the store's back.

use rusqlite::Connection;
use steward_store::{Backend, UnitOfWork};

use crate::support::{Bench, Team, kinds, reopened, sqlite};

/// Five events, then the statement, then what the chain says.
async fn after(statement: &str) -> Result<i64, String> {
    let bench: Bench = sqlite().await;
    for number in 0..5 {
        let team = Team { name: format!("team {number}") };
        bench.store.commit(&bench.ctx, UnitOfWork::new().create(bench.store.mint_id(), &team)).await.expect("creates");
    }
    bench.store.close().await;
    let dir = bench.dir().to_owned();
    let file = dir.join("tenants").join(format!("{}.db", bench.ctx.tenant()));
    Connection::open(file).expect("opens").execute_batch(statement).expect("changes");
    let store = reopened(Backend::Sqlite { dir }, kinds()).await;
    let told = store.verify_chain(&bench.ctx).await.map_err(|error| format!("{}: {}", error.code(), error.detail()));
    store.close().await;
    told
}

#[tokio::test]
async fn the_chain_tells_where_it_was_broken() {
    assert_eq!(after("SELECT 1").await, Ok(5));
    let rewritten = "UPDATE event SET body = CAST(replace(CAST(body AS TEXT), 'team 2', 'team X') AS BLOB)";
    for (statement, position) in [
        (rewritten, 3),
        ("UPDATE event SET hash = zeroblob(32) WHERE position = 4", 4),
        ("DELETE FROM event WHERE position = 2", 2),
        ("DELETE FROM event WHERE position = 5", 5),
        ("DELETE FROM event", 1),
        ("UPDATE event SET position = -position; UPDATE event SET position = 6 + position", 1),
    ] {
        let told = after(statement).await.expect_err(statement);
        assert!(told.starts_with("chain_broken") && told.contains(&format!("position {position}:")), "{statement}: {told}");
    }
}
