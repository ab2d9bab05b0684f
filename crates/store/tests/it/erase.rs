//! A tenant that is erased: what it wrote anywhere is nowhere any more.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use steward_base::{Clock, Random, TenantId, Timestamp};
use steward_store::{Backend, EventDraft, Expect, JobDraft, MasterKey, Options, Store, UnitOfWork};

use crate::support::{Bench, Thing, ctx, kinds, on_each_engine, postgres_url, until};

const CANARY: &str = "kanarienvogel";

/// The word in every table that keeps words.
async fn plant(bench: &Bench) {
    let (store, ctx) = (&bench.store, &bench.ctx);
    let (id, gone) = (store.mint_id(), store.mint_id());
    let late = Timestamp::from_micros(Clock::system().now().micros() + 3_600_000_000);
    let thing = || Thing { serial: Some(CANARY.into()), tags: vec![CANARY.into()], ..Thing::named(CANARY) };
    let unit = UnitOfWork::new()
        .create(id, &thing())
        .create(gone, &Thing::named(&format!("{CANARY} two")))
        .event(EventDraft::new("thing.sang", id, json!({ "song": CANARY })))
        .enqueue(store.mint_id(), JobDraft::new(CANARY, json!({ "cage": CANARY })).unique(CANARY))
        .add(CANARY, 3, steward_store::Bounds::NONE)
        .advance(CANARY, 0, 1)
        .receive(CANARY, CANARY, late);
    store.commit(ctx, unit).await.expect("commits");
    store.commit(ctx, UnitOfWork::new().delete("thing", gone, Expect::Any)).await.expect("deletes");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_tenant_is_left() {
    on_each_engine(async |bench| {
        plant(bench).await;
        let tenant = bench.ctx.tenant();
        let control = if bench.engine == "sqlite" { Some(bench.dir().to_owned()) } else { None };
        assert!(traces(bench, control.as_deref(), CANARY).await > 0, "it is there before");
        bench.store.erase(tenant).await.expect("is erased");
        for word in [CANARY.to_owned(), tenant.to_string()] {
            assert_eq!(traces(bench, control.as_deref(), &word).await, 0, "{word} on {}", bench.engine);
        }
        let code = async |unit| bench.store.commit(&bench.ctx, unit).await.expect_err("is gone").code();
        assert_eq!(code(UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("x"))).await, "not_found");
        assert_eq!(bench.store.head(&bench.ctx).await.expect_err("is gone").code(), "not_found");
        // Again, as whoever was interrupted would, and then anew.
        bench.store.erase(tenant).await.expect("is erased");
        assert!(bench.store.marked().await.expect("reads").iter().all(|(marked, _)| *marked != tenant));
        bench.store.provision(tenant).await.expect("provisions");
        assert_eq!(bench.store.head(&bench.ctx).await.expect("begins anew"), 0);
        assert_eq!(bench.store.erase(steward_base::TenantId::OPERATOR).await.expect_err("stays").code(), "tenant_fixed");
        bench.store.erase(tenant).await.expect("is erased");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_reads_stays_until_that_has_ended() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(Clock::system().now()));
    let options = Options { backend: Backend::Sqlite { dir: dir.path().to_owned() }, master: MasterKey::new([7; 32]) };
    let store = Store::open(options, kinds(), clock.clone(), Random::system()).await.expect("opens");
    let its = ctx(TenantId::new(store.clock(), store.random()));
    let (tenant, id) = (its.tenant(), store.mint_id());
    store.provision(tenant).await.expect("provisions");
    store.commit(&its, UnitOfWork::new().create(id, &Thing::named("read"))).await.expect("creates");
    // Whose parts nobody takes.
    let dump = store.dump(tenant, None).await.expect("begins");
    for attempt in 0..2 {
        let (store, clock) = (store.clone(), clock.clone());
        let erasing = tokio::spawn({
            let store = store.clone();
            async move { store.erase(tenant).await }
        });
        until(async || {
            clock.advance(Duration::from_secs(61));
            erasing.is_finished()
        })
        .await;
        let refused = erasing.await.expect("no panic").expect_err("it is read");
        assert_eq!(refused.code(), "tenant_busy", "attempt {attempt}");
        assert!(store.get(&its, "thing", id).await.expect("is there still").is_some());
    }
    drop(dump);
    store.erase(tenant).await.expect("is erased");
    assert_eq!(in_files(dir.path(), &tenant.to_string()), 0);
    store.close().await;
}

/// In how many files or tables a word is.
async fn traces(bench: &Bench, folder: Option<&Path>, word: &str) -> usize {
    match folder {
        Some(folder) => in_files(folder, word),
        None => in_tables(bench.ctx.tenant().record().uuid(), word).await,
    }
}

fn in_files(folder: &Path, word: &str) -> usize {
    let entries = std::fs::read_dir(folder).expect("is there").map(|entry| entry.expect("reads").path());
    entries
        .map(|path| {
            if path.is_dir() {
                return in_files(&path, word);
            }
            let named = path.to_string_lossy().contains(word);
            let holds = std::fs::read(&path).expect("reads").windows(word.len()).any(|part| part == word.as_bytes());
            usize::from(named || holds)
        })
        .sum()
}

/// Every text of every table of ours; other tests use the same server, so rows of control count only when they name the word.
async fn in_tables(tenant: uuid::Uuid, word: &str) -> usize {
    let url = postgres_url().expect("is set");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.query("SELECT set_config('steward.tenant', $1, false)", &[&tenant.to_string()]).await.expect("sets");
    let schema = steward_base::RecordId::from_bytes(tenant.into_bytes()).wire("t");
    let sql = "SELECT table_schema::text, table_name::text FROM information_schema.tables WHERE table_schema IN ($1, 'tenants', 'control')";
    let mut found = client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await.expect("asks").len();
    for row in client.query(sql, &[&schema]).await.expect("asks") {
        let (schema, table): (&str, &str) = (row.get(0), row.get(1));
        // Bytes are shown as hexadecimal digits.
        let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!("SELECT 1 FROM \"{schema}\".\"{table}\" t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0 LIMIT 1");
        found += client.query(&sql, &[&word, &hex]).await.expect("asks").len();
    }
    found
}
