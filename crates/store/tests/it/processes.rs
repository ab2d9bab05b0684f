//! Several processes on one PostgreSQL: here, several stores that share nothing but the server.

use std::time::Duration;

use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Store, UnitOfWork};

use crate::support::{Team, Thing, ctx, kinds, postgres_url, reopened};

const SOON: Duration = Duration::from_secs(60);

async fn stores(many: usize) -> Option<(Vec<Store>, TenantId)> {
    let url = postgres_url()?;
    let mut stores = Vec::new();
    for _ in 0..many {
        stores.push(reopened(Backend::Postgres { url: Secret::new(url.clone()), connections: 4 }, kinds()).await);
    }
    Some((stores, TenantId::new(&Clock::system(), &Random::system())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_in_several_processes_share_one_chain() {
    let Some((stores, tenant)) = stores(3).await else { return };
    // All at once: whoever is second finds the schema made.
    let made = stores.iter().map(|store| store.provision(tenant));
    for done in futures_util::future::join_all(made).await {
        done.expect("provisions");
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = stores[number % stores.len()].clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Thing::named("x"))).await.expect("creates");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    for store in &stores {
        assert_eq!(store.verify_chain(&ctx(tenant)).await.expect("holds"), 240);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_the_watchers_of_another_process() {
    let Some((stores, tenant)) = stores(2).await else { return };
    stores[0].provision(tenant).await.expect("provisions");
    let mut watch = stores[1].watch(tenant);
    for position in 1..=3 {
        stores[0].commit(&ctx(tenant), UnitOfWork::new().create(stores[0].mint_id(), &Thing::named("x"))).await.expect("creates");
        let reached = tokio::time::timeout(SOON, watch.wait_for(|seen| *seen >= position)).await;
        assert!(reached.is_ok(), "position {position} arrives");
    }
    for store in &stores {
        store.close().await;
    }
}

#[tokio::test]
async fn row_level_security_is_a_second_wall() {
    let Some((stores, tenant)) = stores(1).await else { return };
    let (store, url) = (&stores[0], postgres_url().expect("is set"));
    store.provision(tenant).await.expect("provisions");
    store.commit(&ctx(tenant), UnitOfWork::new().create(store.mint_id(), &Team { name: "hidden".into() })).await.expect("creates");
    let schema = tenant.record().wire("t");

    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    // A role that owns nothing; the one that tests run as may be above the rules.
    let role = tenant.record().wire("visitor");
    client.batch_execute(&format!("CREATE ROLE {role} NOLOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}; SET ROLE {role}")).await.expect("becomes a visitor");
    let seen = async |setting: String| -> Vec<i64> {
        client.query("SELECT set_config('steward.tenant', $1, false)", &[&setting]).await.expect("sets");
        let mut counts = Vec::new();
        for table in ["record", "record_index", "record_unique", "event", "tenant_head"] {
            counts.push(client.query_one(&format!("SELECT count(*) FROM {schema}.{table}"), &[]).await.expect("counts").get(0));
        }
        counts
    };
    assert_eq!(seen(String::new()).await, [0; 5]);
    assert_eq!(seen(RecordId::from_bytes([3; 16]).uuid().to_string()).await, [0; 5]);
    assert_eq!(seen(tenant.record().uuid().to_string()).await, [1, 2, 1, 1, 1]);
    client.batch_execute(&format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await.expect("cleans up");
    store.close().await;
}
