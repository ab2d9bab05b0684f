//! How far a tenant has come, and what the events in between are about.

use std::time::Duration;

use steward_base::{Clock, Random, Secret, TenantId};
use steward_store::{Backend, EventDraft, Expect, MAX_SKIMMED, UnitOfWork};

use crate::support::{Team, Thing, ctx, kinds, on_each, postgres_url, reopened};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn events_are_skimmed_by_what_they_are_about() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        assert_eq!(store.position(ctx.tenant(), HOUR).await.expect("answers"), 0);
        let (team, thing) = (store.mint_id(), store.mint_id());
        // A text that looks like an event's end misleads nobody.
        let sly = Thing { name: r#"x","subject":"tea_1","type":"team.created"#.to_owned(), ..Thing::default() };
        let unit = UnitOfWork::new().create(team, &Team { name: "a".into() }).create(thing, &sly);
        store.commit(ctx, unit).await.expect("creates");
        let told = EventDraft::new("thing.seen", thing, serde_json::json!({ "subject": "tea_2", "nested": { "subject": "tea_3" } }));
        store.commit(ctx, UnitOfWork::new().event(told)).await.expect("tells");
        store.commit(ctx, UnitOfWork::new().delete("team", team, Expect::Any)).await.expect("deletes");
        assert_eq!(store.position(ctx.tenant(), HOUR).await.expect("answers"), 4);

        let skim = async |after: i64| {
            let mut seen = Vec::new();
            let last = store.skim(ctx, after, |position, subject| seen.push((position, subject.to_owned()))).await.expect("reads");
            (seen, last)
        };
        let (team, thing) = (team.wire("tea"), thing.wire("thg"));
        let all = [(1, team.clone()), (2, thing.clone()), (3, thing), (4, team)];
        assert_eq!(skim(0).await, (all.to_vec(), 4));
        assert_eq!(skim(2).await, (all[2..].to_vec(), 4));
        assert_eq!(skim(4).await, (Vec::new(), 4));

        let many = (0..MAX_SKIMMED).fold(UnitOfWork::new(), |unit, _| unit.create(store.mint_id(), &Thing::named("x")));
        store.commit(ctx, many).await.expect("creates");
        assert_eq!(skim(0).await.1, MAX_SKIMMED as i64);
        assert_eq!(store.position(ctx.tenant(), HOUR).await.expect("answers"), MAX_SKIMMED as i64 + 4);

        let stranger = TenantId::new(&Clock::system(), &Random::system());
        assert_eq!(store.position(stranger, HOUR).await.expect_err("is not there").code(), "not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_as_fresh_as_it_is_asked_for() {
    let Some(url) = postgres_url() else { return };
    let open = async || reopened(Backend::Postgres { url: Secret::new(url.clone()), connections: 4 }, kinds()).await;
    let (one, two) = (open().await, open().await);
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    one.provision(tenant).await.expect("provisions");
    for position in 1..=20 {
        one.commit(&ctx(tenant), UnitOfWork::new().create(one.mint_id(), &Thing::named("x"))).await.expect("creates");
        assert_eq!(one.position(tenant, HOUR).await.expect("answers"), position, "its own commits a process knows");
        assert_eq!(two.position(tenant, Duration::ZERO).await.expect("answers"), position);
    }
    one.close().await;
    two.close().await;
}
