//! A database that somebody changed behind the store's back.

use std::time::Duration;

use aws_lc_rs::digest;
use rusqlite::Connection;
use steward_base::{Random, TenantId};
use steward_store::{Backend, HeadLog, HeadSigner, Heads, MasterKey, UnitOfWork};

use crate::support::{Bench, Team, kinds, reopened, sqlite};

const SOON: Duration = Duration::from_secs(60);

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

/// Five events, of which the heads at 3 and 5 are signed; then somebody with the database at hand, and what verification says.
async fn signed_then(tamper: impl FnOnce(&Connection)) -> Result<i64, String> {
    let bench: Bench = sqlite().await;
    let (store, ctx) = (&bench.store, &bench.ctx);
    let audit = bench.dir().join("audit");
    let signer = HeadSigner::load_or_create(&audit, &MasterKey::new([7; 32]), &Random::system()).expect("makes a key");
    let log = HeadLog::open(&audit, &signer).expect("opens");
    for number in 1..=5 {
        store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Team { name: format!("team {number}") })).await.expect("creates");
        if number == 3 || number == 5 {
            assert!(store.moved().contains(&ctx.tenant()));
            let head = store.chain_head(ctx).await.expect("has one");
            let position = head.position;
            log.append(&[signer.sign(ctx.tenant(), head, store.clock().now())]).expect("appends");
            store.signed(ctx.tenant(), Some(position));
        }
    }
    assert!(store.moved().is_empty(), "nothing moved since");
    store.close().await;
    let file = bench.dir().join("tenants").join(format!("{}.db", ctx.tenant()));
    tamper(&Connection::open(file).expect("opens"));
    let store = reopened(Backend::Sqlite { dir: bench.dir().to_owned() }, kinds()).await;
    let heads = Heads::read(&audit).expect("reads");
    assert_eq!((heads.problems.len(), heads.of(ctx.tenant()).len(), heads.of(TenantId::OPERATOR).len()), (0, 2, 0));
    let told = store.verify_trail(ctx, heads.of(ctx.tenant())).await;
    store.close().await;
    told.map_err(|error| format!("{}: {}", error.code(), error.detail()))
}

/// Makes every event follow from the one before, and the head from the last: what verification of the chain alone cannot see.
fn link_anew(connection: &Connection) {
    let mut statement = connection.prepare("SELECT position, body FROM event ORDER BY position").expect("is a statement");
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("asks");
    let rows = rows.collect::<Result<Vec<_>, _>>().expect("reads");
    let (mut hash, mut last) = (vec![0u8; 32], 0);
    for (position, body) in rows {
        hash = digest::digest(&digest::SHA256, &[hash, body].concat()).as_ref().to_vec();
        connection.execute("UPDATE event SET hash = ?1 WHERE position = ?2", rusqlite::params![hash, position]).expect("changes");
        last = position;
    }
    connection.execute("UPDATE tenant_head SET position = ?1, hash = ?2", rusqlite::params![last, hash]).expect("changes");
}

#[tokio::test]
async fn signed_heads_find_what_the_chain_alone_does_not() {
    const OTHER_WORDS: &str = "UPDATE event SET body = CAST(replace(CAST(body AS TEXT), 'team 2', 'team X') AS BLOB)";
    assert_eq!(signed_then(|_| {}).await, Ok(5));
    let told = signed_then(|connection| connection.execute_batch(OTHER_WORDS).expect("changes")).await.expect_err("one event was changed");
    assert!(told.starts_with("chain_broken") && told.contains("position 2:"), "{told}");
    let rewritten = |connection: &Connection| {
        connection.execute_batch(OTHER_WORDS).expect("changes");
        link_anew(connection);
    };
    let told = signed_then(rewritten).await.expect_err("the whole chain was written anew");
    assert!(told.starts_with("chain_rewritten") && told.contains("position 3"), "{told}");
    let cut = |connection: &Connection| {
        connection.execute_batch("DELETE FROM event WHERE position > 4").expect("cuts");
        link_anew(connection);
    };
    let told = signed_then(cut).await.expect_err("the end was cut off");
    assert!(told.starts_with("chain_cut") && told.contains("position 4") && told.contains("reached 5"), "{told}");
    // What came after the last signature nobody can hold against it.
    let emptied = |connection: &Connection| {
        connection.execute_batch("DELETE FROM event").expect("cuts");
        connection.execute("UPDATE tenant_head SET position = 0, hash = zeroblob(32)", []).expect("changes");
    };
    assert!(signed_then(emptied).await.expect_err("all of it is gone").starts_with("chain_cut"));
}

/// A process that crashes before it signed must leave behind whose heads are to be signed.
#[tokio::test]
async fn who_waits_for_a_signature_stays_marked() {
    let bench: Bench = sqlite().await;
    let (store, ctx) = (&bench.store, &bench.ctx);
    let write = async |name: &str| {
        store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Team { name: name.to_owned() })).await.expect("creates");
        store.chain_head(ctx).await.expect("has one").position
    };
    let marked = async || {
        store.settle(Duration::ZERO, |_| i64::MAX).await.expect("settles");
        store.marked().await.expect("reads").iter().any(|(tenant, _)| *tenant == ctx.tenant())
    };
    let settled = async || {
        // A unit counts as under way until a moment after its answer.
        while marked().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = write("before anybody signs").await;
    tokio::time::timeout(SOON, settled()).await.expect("nobody waits for a signature that nobody makes");
    assert_eq!(store.moved(), [ctx.tenant()]);
    store.signed(ctx.tenant(), Some(first));
    assert!(store.moved().is_empty());
    let second = write("not signed yet").await;
    assert!(marked().await);
    store.signed(ctx.tenant(), Some(first));
    assert!(marked().await, "another head was signed");
    store.signed(ctx.tenant(), Some(second));
    tokio::time::timeout(SOON, settled()).await.expect("nothing is left to be signed");
    write("and gone").await;
    assert!(marked().await);
    store.signed(ctx.tenant(), None);
    tokio::time::timeout(SOON, settled()).await.expect("whoever is gone is signed no more");
    store.close().await;
}
