//! Many at once, and again after a restart.

use std::sync::Arc;

use steward_base::{Clock, Random, TenantId};
use steward_store::{Backend, Expect, MasterKey, Options, Store, UnitOfWork};

use crate::support::{Team, Thing, ctx, kinds, members, on_each};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_leave_one_gapless_chain() {
    on_each(async |bench| {
        let (store, ctx) = (bench.store.clone(), bench.ctx.clone());
        let counter = store.mint_id();
        store.commit(&ctx, UnitOfWork::new().create(counter, &Thing { size: Some(0), ..Thing::named("counter") })).await.expect("creates");
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..64 {
            let (store, ctx) = (store.clone(), ctx.clone());
            tasks.spawn(async move {
                let mut positions = Vec::new();
                for round in 0..10 {
                    let thing = Thing { serial: Some(format!("{writer}-{round}")), ..Thing::named("w") };
                    let done = store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &thing)).await.expect("creates");
                    positions.push(done.position);
                }
                store
                    .update::<Thing>(&ctx, counter, |thing| {
                        thing.size = thing.size.map(|size| size + 1);
                        Ok(())
                    })
                    .await
                    .map(|_| positions)
            });
        }
        let mut positions = Vec::new();
        let mut counted = 0;
        while let Some(done) = tasks.join_next().await {
            match done.expect("no panic") {
                Ok(mut some) => {
                    counted += 1;
                    positions.append(&mut some);
                }
                // Sixty-four at once on one record: some give up, and say so.
                Err(error) => assert_eq!(error.code(), "version_conflict"),
            }
        }
        let unique: std::collections::BTreeSet<_> = positions.iter().collect();
        assert_eq!(unique.len(), positions.len(), "no position is given twice");
        let size = members(&store.get(&ctx, "thing", counter).await.expect("reads").expect("is there"))["size"].clone();
        assert_eq!(size, counted, "no update is lost");
        let last = store.verify_chain(&ctx).await.expect("holds");
        assert_eq!(last, 1 + 640 + counted);
        let events = store.events(&ctx, 0, 10_000).await.expect("events");
        assert!(events.iter().zip(1..).all(|(event, position)| event.position == position), "gapless");
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().expect("a folder");
    let backend = Backend::Sqlite { dir: dir.path().to_owned() };
    let open =
        || Store::open(Options { backend: backend.clone(), master: MasterKey::new([7; 32]) }, kinds(), Clock::system(), Random::system());
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let ctx = ctx(tenant);
    let store = open().await.expect("opens");
    store.provision(tenant).await.expect("provisions");
    let id = store.mint_id();
    store.commit(&ctx, UnitOfWork::new().create(id, &Team { name: "kept".into() })).await.expect("creates");

    let locked = open().await.err().expect("is locked");
    assert_eq!(locked.code(), "data_dir_locked");
    store.close().await;
    assert_eq!(store.commit(&ctx, UnitOfWork::new().delete("team", id, Expect::Any)).await.expect_err("is closed").code(), "shutting_down");

    let store = open().await.expect("opens again");
    store.watch(tenant).wait_for(|position| *position == 1).await.expect("learns the position");
    let record = store.get(&ctx, "team", id).await.expect("reads").expect("is there");
    assert_eq!(record.decode::<Team>().expect("decodes").name, "kept");
    store.commit(&ctx, UnitOfWork::new().delete("team", id, Expect::Version(1))).await.expect("deletes");
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), 2);
    drop(store);
    let store = open().await.expect("opens after a drop");
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tenants_share_few_open_files() {
    let bench = crate::support::sqlite().await;
    let store = Arc::new(bench.store.clone());
    let tenants: Vec<TenantId> = (0..200).map(|_| TenantId::new(store.clock(), store.random())).collect();
    for tenant in &tenants {
        store.provision(*tenant).await.expect("provisions");
    }
    let id = store.mint_id();
    for round in 1..=2 {
        for tenant in &tenants {
            let team = Team { name: format!("{round}") };
            store.commit(&ctx(*tenant), UnitOfWork::new().put_model(id, &team, Expect::Any)).await.expect("writes");
        }
    }
    for tenant in &tenants {
        assert_eq!(store.get(&ctx(*tenant), "team", id).await.expect("reads").expect("is there").version, 2);
    }
    let ours = || {
        let open = std::fs::read_dir("/proc/self/fd").expect("lists").filter_map(Result::ok);
        let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.filter(|path| path.starts_with(bench.dir()) && path.to_string_lossy().ends_with(".db")).count()
    };
    // Files are closed beside the requests.
    let few = async {
        while ours() > 3 * 130 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), few).await.expect("the others are closed");
    bench.store.close().await;
}
