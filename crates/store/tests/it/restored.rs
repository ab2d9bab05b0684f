//! A tenant that one process erases and loads as it was earlier: whoever follows it in another process learns that it lives anew, at once and not
//! when it passes the position that it had.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use steward_base::{Clock, Error, Random, Secret, TenantId};
use steward_store::{Backend, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds, on_each, postgres_url, reopened, shared, until};

const SOON: Duration = Duration::from_secs(60);

async fn leave(store: &Store, tenant: TenantId, count: usize) {
    for _ in 0..count {
        store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Thing::named("x"))).await.expect("creates");
    }
}

async fn told(store: &Store, tenant: TenantId) -> Vec<Result<Bytes, Error>> {
    store.dump(tenant, None).await.expect("begins").collect().await
}

async fn load(store: &Store, tenant: TenantId, copy: Vec<Result<Bytes, Error>>) {
    let mut loading = store.load(tenant).await.expect("begins");
    loading.apply(stream::iter(copy)).await.expect("loads");
    store.publish(loading).await.expect("publishes");
}

/// Waits until whoever watches is told of a position; one whose watch ended watches again.
async fn reaches(store: &Store, tenant: TenantId, position: i64) {
    let reached = async { while store.watch(tenant).wait_for(|known| *known == position).await.is_err() {} };
    let told = tokio::time::timeout(SOON, reached).await;
    assert!(told.is_ok(), "whoever watches is told of {position}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_hears_of_a_restored_tenant_at_once() {
    let Some(url) = postgres_url() else { return };
    for backend in [Backend::Postgres { url: Secret::new(url.clone()), connections: 4 }, shared(url.clone())] {
        let (one, two) = (reopened(backend.clone(), kinds()).await, reopened(backend, kinds()).await);
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        one.provision(tenant).await.expect("provisions");
        leave(&one, tenant, 2).await;
        let copy = told(&one, tenant).await;
        leave(&one, tenant, 10).await;
        // As a stream of events does, which stays for as long as its watch lives.
        let mut watch = two.watch(tenant);
        tokio::time::timeout(SOON, watch.wait_for(|known| *known == 12)).await.expect("is told").expect("is open");
        assert_eq!(two.position(tenant, Duration::from_secs(3_600)).await.expect("is known"), 12);
        let (life, news) = (two.life(tenant), two.told().branch());

        one.erase(tenant).await.expect("erases");
        load(&one, tenant, copy).await;
        reaches(&two, tenant, 2).await;
        assert_ne!(two.life(tenant), life, "and it knows that this is another life");
        let followed = tokio::time::timeout(SOON, async { while !news.next().await.contains(&tenant) {} }).await;
        assert!(followed.is_ok(), "whoever hands events to consumers looks again");
        until(async || two.position(tenant, Duration::from_secs(3_600)).await.is_ok_and(|position| position == 2)).await;

        // From here on it is the same life, whichever of them writes.
        let life = two.life(tenant);
        leave(&one, tenant, 1).await;
        reaches(&two, tenant, 3).await;
        leave(&two, tenant, 1).await;
        reaches(&one, tenant, 4).await;
        assert_eq!(two.life(tenant), life);
        assert_eq!(two.verify_chain(&ctx(tenant)).await.expect("holds"), 4);
        one.close().await;
        two.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_that_went_past_the_old_one_before_anybody_looked_is_another_one_all_the_same() {
    let Some(url) = postgres_url() else { return };
    for backend in [Backend::Postgres { url: Secret::new(url.clone()), connections: 4 }, shared(url.clone())] {
        let (one, two) = (reopened(backend.clone(), kinds()).await, reopened(backend, kinds()).await);
        let tenant = TenantId::new(&Clock::system(), &Random::system());
        one.provision(tenant).await.expect("provisions");
        leave(&one, tenant, 1).await;
        let copy = told(&one, tenant).await;
        leave(&one, tenant, 2).await;
        reaches(&two, tenant, 3).await;
        let life = two.life(tenant);
        one.erase(tenant).await.expect("erases");
        load(&one, tenant, copy).await;
        leave(&one, tenant, 8).await;
        // Its position alone looks as if it had gone on.
        reaches(&two, tenant, 9).await;
        until(async || two.life(tenant) != life).await;
        // What this process commits is in the position that it answers.
        leave(&two, tenant, 1).await;
        assert_eq!(two.position(tenant, Duration::from_secs(3_600)).await.expect("is known"), 10);
        one.close().await;
        two.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_knows_the_lives_that_it_began_itself() {
    on_each(async |bench| {
        let (store, tenant) = (&bench.store, bench.ctx.tenant());
        leave(store, tenant, 1).await;
        let copy = told(store, tenant).await;
        leave(store, tenant, 3).await;
        let life = store.life(tenant);
        store.erase(tenant).await.expect("erases");
        load(store, tenant, copy).await;
        assert_ne!(store.life(tenant), life);
        let life = store.life(tenant);
        leave(store, tenant, 1).await;
        assert_eq!(store.position(tenant, SOON).await.expect("is known"), 2);
        assert_eq!(store.life(tenant), life);
    })
    .await;
}
