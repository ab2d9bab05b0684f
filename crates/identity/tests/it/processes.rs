//! Several processes on one PostgreSQL: what one of them ends, the others refuse within two seconds, whether they hear of it or not.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use steward_auth::{Authority, Occasion, Options, Presented, system};
use steward_base::{Clock, Random, Secret, TenantId};
use steward_fabric::cache::{Cache, FRESH_FOR, Freshness};
use steward_identity::{ApiKey, Identity, Member, NewApiKey, PersonId};
use steward_store::{Backend, Expect, Kinds, MasterKey, Model as _, Store, UnitOfWork};

struct Process {
    store: Store,
    authority: Authority,
    identity: Identity,
    cache: Cache,
}

/// Where PostgreSQL is, when the caller started one.
#[expect(clippy::disallowed_methods, reason = "tests are told by the script that runs them")]
fn postgres_url() -> Option<String> {
    let url = std::env::var("STEWARD_TEST_POSTGRES").ok();
    if url.is_none() {
        eprintln!("STEWARD_TEST_POSTGRES is not set: nothing ran");
    }
    url
}

async fn process(url: &str, clock: &Clock) -> Process {
    let (random, master) = (Random::system(), MasterKey::new([7; 32]));
    let kinds = [steward_auth::kinds(), steward_identity::kinds()].into_iter().flatten().fold(Kinds::new(), Kinds::with);
    let backend = Backend::Postgres { url: Secret::new(url.to_owned()), connections: 4 };
    let options = steward_store::Options { backend, master: master.clone() };
    let store = Store::open(options, kinds, clock.clone(), random.clone()).await.expect("opens");
    let options = steward_fabric::cache::Options { bytes: 1 << 20, freshness: Freshness::only_process(), second: None };
    let cache = Cache::new(options, clock.clone(), random.clone());
    let authority = Authority::new(Options {
        store: store.clone(),
        master,
        cache: cache.clone(),
        clock: clock.clone(),
        random: random.clone(),
        public_url: "http://localhost".to_owned(),
    });
    let options = steward_identity::Options { store: store.clone(), authority: authority.clone(), clock: clock.clone(), random, cores: 1 };
    Process { store, authority, identity: Identity::new(options), cache }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_process_ends_is_refused_within_two_seconds() {
    let Some(url) = postgres_url() else { return };
    // The second process's time stands still unless it is moved.
    let clock = Clock::manual(Clock::system().now());
    let (one, two) = (process(&url, &Clock::system()).await, process(&url, &clock).await);
    let control = system(TenantId::OPERATOR, "test");
    let slug = format!("acme-{}", &one.store.mint_id().wire("x")[2..]);
    let tenant = one.identity.create_tenant(&control, &slug, &slug).await.expect("is made");
    one.identity.activate(&control, tenant).await.expect("is opened");
    let ctx = system(tenant, "test");
    for _ in 0..3 {
        let new = NewApiKey { name: "ci".to_owned(), permissions: vec!["api-keys:read".to_owned()], scope: None, expires_at: None };
        let (key, secret) = one.identity.create_api_key(&ctx, new).await.expect("is made");
        let presented = Presented::Bearer(Secret::new(secret.expose().clone()));
        let ask = async |process: &Process| process.authority.authenticate(&presented, Occasion::default()).await;
        for _ in 0..3 {
            ask(&one).await.expect("is taken");
            ask(&two).await.expect("is taken");
        }
        let hits = two.cache.counters()[0].hits;
        clock.advance(Duration::from_millis(100));
        ask(&two).await.expect("is taken");
        assert_eq!(two.cache.counters()[0].hits, hits + 1);

        one.store.commit(&ctx, UnitOfWork::new().delete(ApiKey::KIND, key.id, Expect::Any)).await.expect("is deleted");
        assert_eq!(ask(&one).await.expect_err("is refused at once").code(), "invalid_credential");
        clock.advance(FRESH_FOR);
        assert_eq!(ask(&two).await.expect_err("is refused").code(), "invalid_credential");
    }
    one.store.close().await;
    two.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_a_restored_tenant_does_not_have_is_refused_within_two_seconds_by_every_process() {
    let Some(url) = postgres_url() else { return };
    let clock = Clock::manual(Clock::system().now());
    let (one, two) = (process(&url, &Clock::system()).await, process(&url, &clock).await);
    let control = system(TenantId::OPERATOR, "test");
    let slug = format!("acme-{}", &one.store.mint_id().wire("x")[2..]);
    let tenant = one.identity.create_tenant(&control, &slug, &slug).await.expect("is made");
    one.identity.activate(&control, tenant).await.expect("is opened");
    let ctx = system(tenant, "test");
    let member = || {
        UnitOfWork::new()
            .create(one.store.mint_id(), &Member { person_id: PersonId::from(one.store.mint_id()), roles: vec!["owner".to_owned()] })
    };
    one.store.commit(&ctx, member()).await.expect("is made");
    let copy: Vec<_> = one.store.dump(tenant, None).await.expect("begins").collect().await;

    let new = NewApiKey { name: "ci".to_owned(), permissions: vec!["api-keys:read".to_owned()], scope: None, expires_at: None };
    let (_, secret) = one.identity.create_api_key(&ctx, new).await.expect("is made");
    let presented = Presented::Bearer(Secret::new(secret.expose().clone()));
    let ask = async |process: &Process| process.authority.authenticate(&presented, Occasion::default()).await;
    for _ in 0..2 {
        ask(&one).await.expect("is taken");
        ask(&two).await.expect("is taken");
    }
    one.store.erase(tenant).await.expect("erases");
    let mut loading = one.store.load(tenant).await.expect("begins");
    loading.apply(stream::iter(copy)).await.expect("loads");
    one.store.publish(loading).await.expect("publishes");
    // It goes past where it was, and nothing of that is about keys.
    for _ in 0..20 {
        one.store.commit(&ctx, member()).await.expect("is made");
    }
    assert_eq!(ask(&one).await.expect_err("is refused at once").code(), "invalid_credential");
    clock.advance(FRESH_FOR);
    assert_eq!(ask(&two).await.expect_err("is refused").code(), "invalid_credential");
    one.store.close().await;
    two.store.close().await;
}
