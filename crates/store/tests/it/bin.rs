//! The recycle bin: what is in it, what comes out of it, and when it is emptied; and the history that outlives it.

use std::time::Duration;

use serde_json::json;
use steward_base::filter::parse;
use steward_base::{Clock, Random, Secret, TenantId, Timestamp};
use steward_store::{Among, Backend, EventDraft, Expect, ListQuery, MasterKey, Options, Order, Store, UnitOfWork};

use crate::support::{Bench, Team, Thing, ctx, filter, kinds, members, on_each, postgres_url};

async fn code(bench: &Bench, unit: UnitOfWork) -> Result<i64, &'static str> {
    bench.store.commit(&bench.ctx, unit).await.map(|done| done.records[0].version).map_err(|error| error.code())
}

fn bin(kind: &str) -> ListQuery {
    ListQuery { kind: kind.into(), among: Among::Deleted, ..ListQuery::default() }
}

#[tokio::test]
async fn a_record_comes_back_as_it_was() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        let thing = Thing { size: Some(3), serial: Some("S-1".into()), tags: vec!["a".into()], ..Thing::named("Lamp") };
        let restore = |expect| UnitOfWork::new().restore("thing", id, expect);
        assert_eq!(code(bench, restore(Expect::Any)).await, Err("not_found"));
        let made = store.commit(ctx, UnitOfWork::new().create(id, &thing)).await.expect("creates").records.remove(0);
        assert_eq!(code(bench, restore(Expect::Version(1))).await, Err("already_exists"));
        assert_eq!(code(bench, UnitOfWork::new().delete("thing", id, Expect::Any)).await, Ok(2));
        assert_eq!(code(bench, restore(Expect::Version(1))).await, Err("version_conflict"));
        let page = store.list(ctx, bin("thing")).await.expect("lists");
        assert_eq!((page.records.len(), page.records[0].id, page.records[0].deleted_at.is_some()), (1, id, true));
        let shown = page.records[0].to_json(store.kinds().get("thing").expect("a kind")).expect("shows");
        assert_eq!(shown["deleted_at"], json!(page.records[0].deleted_at.expect("is deleted").to_string()));

        assert_eq!(code(bench, restore(Expect::Version(2))).await, Ok(3));
        let back = store.get(ctx, "thing", id).await.expect("reads").expect("is back");
        assert_eq!((&back.body, back.created_at, back.deleted_at), (&made.body, made.created_at, None));
        assert!(store.list(ctx, bin("thing")).await.expect("lists").records.is_empty());
        assert_eq!(store.find(ctx, "thing", "serial", "s-1").await.expect("finds").map(|found| found.id), Some(id));
        assert_eq!(store.count(ctx, "thing", Some(filter(store, "thing", "tags:a AND size = 3"))).await.expect("counts"), 1);
        let nothing = store.commit(ctx, restore(Expect::Any)).await.expect("is live already");
        assert_eq!(nothing.position, 3);
        let types: Vec<_> = store.events(ctx, 0, 10).await.expect("events").into_iter().map(|event| event.event_type).collect();
        assert_eq!(types, ["thing.created", "thing.deleted", "thing.restored"]);
        let told = &store.events(ctx, 2, 1).await.expect("events")[0].data;
        assert_eq!((told.get("before"), &told["after"]["name"]), (None, &json!("Lamp")));
    })
    .await;
}

#[tokio::test]
async fn what_a_record_needs_must_be_free_and_there() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (team, thing, other) = (store.mint_id(), store.mint_id(), store.mint_id());
        let serial = Thing { serial: Some("S-1".into()), team_id: Some(team.wire("tea")), ..Thing::named("Lamp") };
        store.commit(ctx, UnitOfWork::new().create(team, &Team { name: "red".into() }).create(thing, &serial)).await.expect("creates");
        store.commit(ctx, UnitOfWork::new().delete("thing", thing, Expect::Any)).await.expect("deletes");
        let taken = Thing { serial: Some("s-1".into()), ..Thing::named("Torch") };
        store.commit(ctx, UnitOfWork::new().create(other, &taken)).await.expect("the value is free");
        let restore = || UnitOfWork::new().restore("thing", thing, Expect::Any);
        let refused = store.commit(ctx, restore()).await.expect_err("is taken");
        assert_eq!((refused.code(), refused.fields()[0].pointer.as_str()), ("unique_taken", "/serial"));
        // In one unit the other gives it up.
        store.commit(ctx, UnitOfWork::new().delete("team", team, Expect::Any)).await.expect("nobody uses it");
        let refused = store.commit(ctx, restore().delete("thing", other, Expect::Any)).await.expect_err("has no team");
        assert_eq!((refused.fields()[0].pointer.as_str(), refused.fields()[0].code.as_ref()), ("/team_id", "reference_missing"));
        let both = restore().restore("team", team, Expect::Any).delete("thing", other, Expect::Any);
        assert_eq!(store.commit(ctx, both).await.expect("comes with what it needs").records.len(), 3);
        // Restoring what is live does not excuse it from what happens in the unit.
        let kept = store.commit(ctx, restore().delete("team", team, Expect::Any)).await.expect_err("is still used");
        assert_eq!(kept.fields().first().map(|field| field.code.as_ref()), Some("reference_missing"));
    })
    .await;
}

#[tokio::test]
async fn the_bin_is_listed_from_the_newest_deletion_on() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let ids: Vec<_> = (0..7).map(|_| store.mint_id()).collect();
        for (size, id) in ids.iter().enumerate() {
            let thing = Thing { size: Some(size as i64), ..Thing::named("x") };
            store
                .commit(ctx, UnitOfWork::new().create(*id, &thing).create(store.mint_id(), &Team { name: size.to_string() }))
                .await
                .expect("creates");
        }
        // Two at once: the later id comes first then.
        for some in [&ids[2..3], &ids[0..2], &ids[5..6]] {
            let unit = some.iter().fold(UnitOfWork::new(), |unit, id| unit.delete("thing", *id, Expect::Any));
            store.commit(ctx, unit).await.expect("deletes");
        }
        let expected = [ids[5], ids[1], ids[0], ids[2]];
        for limit in [1, 2, 3, 4, 10] {
            let (mut got, mut after) = (Vec::new(), None);
            loop {
                let page = store.list(ctx, ListQuery { limit, after, ..bin("thing") }).await.expect("lists");
                got.extend(page.records.iter().map(|record| record.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(got, expected, "{limit}");
        }
        let some = ListQuery { filter: Some(filter(store, "thing", "size < 2 AND deleted_at > now-1h")), ..bin("thing") };
        assert_eq!(
            store.list(ctx, some).await.expect("lists").records.iter().map(|record| record.id).collect::<Vec<_>>(),
            [ids[1], ids[0]]
        );
        assert!(store.list(ctx, bin("team")).await.expect("lists").records.is_empty());
        let ordered = ListQuery { order: vec![Order::ascending("size")], ..bin("thing") };
        assert_eq!(store.list(ctx, ordered).await.expect_err("has one order").code(), "order_unsupported");
        assert!(parse("deleted_at:*").is_ok());
        assert_eq!(store.count(ctx, "thing", Some(filter(store, "thing", "deleted_at:*"))).await.expect("counts"), 0);
    })
    .await;
}

#[tokio::test]
async fn history_is_the_records_own() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        // Two kinds under one id: each has a history of its own.
        let (id, other) = (store.mint_id(), store.mint_id());
        let both = UnitOfWork::new().create(id, &Thing::named("a")).create(id, &Team { name: "a".into() });
        store.commit(ctx, both).await.expect("creates");
        for round in 0..5 {
            let unit = UnitOfWork::new().put_model(id, &Thing { size: Some(round), ..Thing::named("a") }, Expect::Any);
            let unit = unit.put_model(other, &Thing { size: Some(round), ..Thing::named("b") }, Expect::Any);
            store.commit(ctx, unit).await.expect("changes");
            let met = EventDraft::new("team.met", id, json!({ "round": round }));
            store.commit(ctx, UnitOfWork::new().event(met)).await.expect("tells");
        }
        let types = async |kind: &str, before, limit| {
            let events = store.history(ctx, kind, id, before, limit).await.expect("reads");
            events.into_iter().map(|event| (event.position, event.event_type)).collect::<Vec<_>>()
        };
        let whole = types("thing", None, 100).await;
        assert_eq!(whole.len(), 6, "{whole:?}");
        assert!(whole.is_sorted_by(|(one, _), (other, _)| one > other) && whole[5].1 == "thing.created");
        assert_eq!(types("thing", None, 2).await, whole[..2]);
        assert_eq!(types("thing", Some(whole[1].0), 3).await, whole[2..5]);
        assert_eq!(types("thing", Some(whole[5].0), 3).await, []);
        assert_eq!(types("team", None, 1).await[0].1, "team.met");
        assert_eq!(types("team", None, 100).await.len(), 6);
    })
    .await;
}

/// A store whose time the test sets.
async fn at(backend: Backend, clock: &Clock) -> (Store, steward_base::Ctx) {
    let store =
        Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds(), clock.clone(), Random::system()).await.expect("opens");
    let tenant = TenantId::new(clock, store.random());
    store.provision(tenant).await.expect("provisions");
    (store, ctx(tenant))
}

async fn is_emptied(backend: Backend) {
    let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
    let (store, ctx) = at(backend, &clock).await;
    let (first, second, kept) = (store.mint_id(), store.mint_id(), store.mint_id());
    let unit =
        UnitOfWork::new().create(first, &Thing::named("a")).create(second, &Team { name: "b".into() }).create(kept, &Thing::named("c"));
    store.commit(&ctx, unit).await.expect("creates");
    store.commit(&ctx, UnitOfWork::new().delete("thing", first, Expect::Any)).await.expect("deletes");
    let day = Duration::from_secs(86_400);
    clock.advance(day * 20);
    store.commit(&ctx, UnitOfWork::new().delete("team", second, Expect::Any)).await.expect("deletes");
    clock.advance(day * 10);
    store.sweep(&ctx).await.expect("sweeps");
    assert!(store.get_with_deleted(&ctx, "thing", first).await.expect("reads").is_some(), "thirty days are not over");
    clock.advance(day);
    store.sweep(&ctx).await.expect("sweeps");
    assert_eq!(store.get_with_deleted(&ctx, "thing", first).await.expect("reads"), None);
    assert!(store.get_with_deleted(&ctx, "team", second).await.expect("reads").is_some());
    assert_eq!(members(&store.get(&ctx, "thing", kept).await.expect("reads").expect("is live"))["name"], json!("c"));
    let restored = store.commit(&ctx, UnitOfWork::new().restore("thing", first, Expect::Any)).await.expect_err("is gone");
    assert_eq!(restored.code(), "not_found");
    assert_eq!(store.history(&ctx, "thing", first, None, 10).await.expect("reads").len(), 2, "what happened stays");
    assert_eq!(store.verify_chain(&ctx).await.expect("holds"), 5);
    store.close().await;
}

#[tokio::test]
async fn the_bin_is_emptied_after_thirty_days() {
    let dir = tempfile::tempdir().expect("a folder");
    is_emptied(Backend::Sqlite { dir: dir.path().to_owned() }).await;
    if let Some(url) = postgres_url() {
        is_emptied(Backend::Postgres { url: Secret::new(url), connections: 4 }).await;
    }
}

#[tokio::test]
async fn what_is_purged_is_what_was_looked_at_in_the_bin() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (gone, back, live) = (store.mint_id(), store.mint_id(), store.mint_id());
        for id in [gone, back, live] {
            store.commit(ctx, UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("creates");
        }
        let unit = UnitOfWork::new().delete("thing", gone, Expect::Any).delete("thing", back, Expect::Any);
        store.commit(ctx, unit).await.expect("deletes");
        store.commit(ctx, UnitOfWork::new().restore("thing", back, Expect::Any)).await.expect("restores");
        // Two of them are not what they were when somebody looked.
        let unit = UnitOfWork::new().purge("thing", gone, 2).purge("thing", back, 2).purge("thing", live, 1);
        store.commit(ctx, unit).await.expect("purges");
        assert_eq!(store.get_with_deleted(ctx, "thing", gone).await.expect("reads"), None);
        for id in [back, live] {
            assert!(store.get(ctx, "thing", id).await.expect("reads").is_some());
        }
        let told = store.history(ctx, "thing", gone, None, 1).await.expect("reads");
        assert_eq!(told[0].event_type, "thing.erased");
    })
    .await;
}
