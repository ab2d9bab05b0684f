//! Files of tenants: few stay open, and one that was closed is as it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use steward_base::{Clock, Random, TenantId};
use steward_store::{Backend, MasterKey, Options, Store, UnitOfWork};
use tokio::task::JoinSet;

use crate::support::{Thing, ctx, everything, kinds, sqlite};

/// More than may stay open.
const TENANTS: usize = 300;
/// What may.
const FEW: usize = 128;

async fn tenant_with_a_thing(store: Store) -> TenantId {
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    store.provision(tenant).await.expect("provisions");
    store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Thing::named("x"))).await.expect("commits");
    tenant
}

/// The tenants' files that this process has open.
fn open_files(dir: &Path) -> BTreeSet<PathBuf> {
    let fds = std::fs::read_dir("/proc/self/fd").expect("lists");
    // Between the listing and the look one may have been closed.
    let targets = fds.filter_map(|fd| std::fs::read_link(fd.expect("lists").path()).ok());
    targets.filter(|path| path.starts_with(dir.join("tenants")) && path.extension().is_some_and(|end| end == "db")).collect()
}

/// Logs beside files: a file that was closed has none.
fn logs(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir.join("tenants")).expect("lists");
    files.filter(|file| file.as_ref().expect("lists").path().extension().is_some_and(|end| end == "db-wal")).count()
}

async fn few_are_open(dir: &Path) {
    let few = async {
        while open_files(dir).len() > FEW || logs(dir) > FEW + 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), few).await.expect("the others are closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_files_stay_open_and_closed_ones_are_as_they_were() {
    let bench = sqlite().await;
    let mut made: JoinSet<TenantId> = (0..TENANTS).map(|_| tenant_with_a_thing(bench.store.clone())).collect();
    let mut tenants = Vec::new();
    while let Some(tenant) = made.join_next().await {
        tenants.push(tenant.expect("is made"));
    }
    few_are_open(bench.dir()).await;
    // Reads and writes of many at once, while their files are opened and closed around them.
    let mut asked: JoinSet<(usize, i64)> = JoinSet::new();
    for (number, tenant) in tenants.iter().cycle().take(TENANTS * 3).copied().enumerate() {
        let store = bench.store.clone();
        asked.spawn(async move {
            if number % 3 == 1 {
                store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Thing::named("y"))).await.expect("commits");
            }
            let position = store.head(&ctx(tenant)).await.expect("reads");
            (everything(&store, &ctx(tenant)).await.len(), position)
        });
    }
    while let Some(found) = asked.join_next().await {
        let (found, position) = found.expect("reads");
        assert!((1..=4).contains(&found) && (1..=4).contains(&position), "{found} things, {position} events");
    }
    for tenant in &tenants {
        let events = bench.store.verify_chain(&ctx(*tenant)).await.expect("holds");
        assert_eq!(events, everything(&bench.store, &ctx(*tenant)).await.len() as i64, "one event per thing");
    }
    few_are_open(bench.dir()).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ends_leaves_files_without_logs() {
    let bench = sqlite().await;
    tenant_with_a_thing(bench.store.clone()).await;
    bench.store.close().await;
    assert_eq!((logs(bench.dir()), open_files(bench.dir())), (0, BTreeSet::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gets_a_log_when_it_is_written_and_not_before() {
    let folder = tempfile::tempdir().expect("a folder");
    // The names of files reach SQLite as they are.
    let dir = folder.path().join("100% of ?mode=memory#1 & ü");
    let backend = Backend::Sqlite { dir: dir.clone() };
    let options = || Options { backend: backend.clone(), master: MasterKey::new([7; 32]) };
    let store = Store::open(options(), kinds(), Clock::system(), Random::system()).await.expect("opens");
    let tenant = tenant_with_a_thing(store.clone()).await;
    store.close().await;

    let store = Store::open(options(), kinds(), Clock::system(), Random::system()).await.expect("opens again");
    let ctx = ctx(tenant);
    assert_eq!(everything(&store, &ctx).await.len(), 1);
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), 1);
    let log = dir.join("tenants").join(format!("{tenant}.db-wal"));
    assert!(!log.exists(), "it was only read");
    // Whoever reads while the log begins sees all that was answered by then.
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (store, ctx) = (store.clone(), ctx.clone());
        readers.spawn(async move {
            let mut most = 0;
            while most < 21 {
                let found = everything(&store, &ctx).await.len();
                assert!(found >= most, "{found} after {most}");
                most = found;
            }
        });
    }
    for count in 2..=21 {
        store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("y"))).await.expect("commits");
        assert_eq!(everything(&store, &ctx).await.len(), count);
        assert!(log.exists());
    }
    tokio::time::timeout(Duration::from_secs(60), readers.join_all()).await.expect("all is seen");
    store.close().await;
}
