//! References between records.

use serde_json::json;
use steward_store::{Expect, UnitOfWork};

use crate::support::{Team, Thing, members, object, on_each};

#[tokio::test]
async fn a_reference_leads_to_a_live_record() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (team, thing) = (store.mint_id(), store.mint_id());
        let refers = Thing { team_id: Some(team.wire("tea")), ..Thing::named("x") };
        let missing = store.commit(ctx, UnitOfWork::new().create(thing, &refers)).await.expect_err("nobody there");
        assert_eq!(
            (missing.code(), missing.fields()[0].code.as_ref(), missing.fields()[0].pointer.as_str()),
            ("invalid", "reference_missing", "/team_id")
        );
        let wrong = object(json!({ "name": "x", "team_id": thing.wire("thg") }));
        let wrong = store.commit(ctx, UnitOfWork::new().put("thing", thing, wrong, Expect::Any)).await.expect_err("another kind's id");
        assert_eq!(wrong.fields()[0].code.as_ref(), "reference");
        // Both in one unit, in either order.
        let unit = UnitOfWork::new().create(thing, &refers).create(team, &Team { name: "t".into() });
        store.commit(ctx, unit).await.expect("creates both");
    })
    .await;
}

#[tokio::test]
async fn deleting_what_is_referred_to() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (team, helper) = (store.mint_id(), store.mint_id());
        let unit = UnitOfWork::new().create(team, &Team { name: "t".into() }).create(helper, &Team { name: "h".into() });
        store.commit(ctx, unit).await.expect("creates");
        let (outer, inner, innermost) = (store.mint_id(), store.mint_id(), store.mint_id());
        let inside = |id: steward_base::RecordId| Some(id.wire("thg"));
        let unit = UnitOfWork::new()
            .create(outer, &Thing { team_id: Some(team.wire("tea")), helper_id: Some(helper.wire("tea")), ..Thing::named("outer") })
            .create(inner, &Thing { inside_id: inside(outer), ..Thing::named("inner") })
            .create(innermost, &Thing { inside_id: inside(inner), ..Thing::named("innermost") });
        store.commit(ctx, unit).await.expect("creates");

        let refused = store.commit(ctx, UnitOfWork::new().delete("team", team, Expect::Any)).await.expect_err("is used");
        assert_eq!(refused.code(), "referenced");
        store.commit(ctx, UnitOfWork::new().delete("team", helper, Expect::Any)).await.expect("clears");
        let cleared = store.get(ctx, "thing", outer).await.expect("reads").expect("is there");
        assert_eq!((cleared.version, members(&cleared).get("helper_id").cloned()), (2, None));

        store.commit(ctx, UnitOfWork::new().delete("thing", outer, Expect::Version(2))).await.expect("cascades");
        assert_eq!(store.count(ctx, "thing", None).await.expect("counts"), 0);
        let events = store.events(ctx, 7, 10).await.expect("events");
        let types: Vec<_> = events.iter().map(|event| (event.event_type.as_str(), event.subject.clone())).collect();
        let deleted = |id: steward_base::RecordId| ("thing.deleted", id.wire("thg"));
        assert_eq!(types, [deleted(outer), deleted(inner), deleted(innermost)]);
        store.commit(ctx, UnitOfWork::new().delete("team", team, Expect::Any)).await.expect("is free now");
        assert!(store.verify_chain(ctx).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn what_is_cleared_first_and_deleted_later_takes_its_own_with_it() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (helper, outer, inner, helped, leaf) = (store.mint_id(), store.mint_id(), store.mint_id(), store.mint_id(), store.mint_id());
        let inside = |id: steward_base::RecordId| Some(id.wire("thg"));
        let unit = UnitOfWork::new()
            .create(helper, &Team { name: "h".into() })
            .create(outer, &Thing::named("outer"))
            .create(inner, &Thing { inside_id: inside(outer), ..Thing::named("inner") })
            .create(helped, &Thing { inside_id: inside(inner), helper_id: Some(helper.wire("tea")), ..Thing::named("helped") })
            .create(leaf, &Thing { inside_id: inside(helped), ..Thing::named("leaf") });
        store.commit(ctx, unit).await.expect("creates");
        // The helper's end clears `helped` before the cascade from `outer` comes to it by way of `inner`.
        let unit = UnitOfWork::new().delete("team", helper, Expect::Any).delete("thing", outer, Expect::Any);
        store.commit(ctx, unit).await.expect("deletes");
        assert_eq!(store.count(ctx, "thing", None).await.expect("counts"), 0, "on {}", bench.engine);
        let events = store.events(ctx, 5, 10).await.expect("events");
        let gone: Vec<_> = events.iter().filter(|event| event.event_type == "thing.deleted").map(|event| event.subject.clone()).collect();
        assert_eq!(gone.len(), 4);
        assert!(gone.contains(&leaf.wire("thg")));
        assert!(store.verify_chain(ctx).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_cascade_has_an_end() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let outer = store.mint_id();
        store.commit(ctx, UnitOfWork::new().create(outer, &Thing::named("outer"))).await.expect("creates");
        let inside = Thing { inside_id: Some(outer.wire("thg")), ..Thing::named("inner") };
        for _ in 0..2 {
            let unit = (0..600).fold(UnitOfWork::new(), |unit, _| unit.create(store.mint_id(), &inside));
            store.commit(ctx, unit).await.expect("creates");
        }
        let refused = store.commit(ctx, UnitOfWork::new().delete("thing", outer, Expect::Any)).await.expect_err("too many");
        assert_eq!(refused.code(), "cascade_too_large");
        assert_eq!(store.count(ctx, "thing", None).await.expect("counts"), 1201);
    })
    .await;
}

#[tokio::test]
async fn a_unit_may_rearrange_what_it_deletes() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (old, new, thing) = (store.mint_id(), store.mint_id(), store.mint_id());
        let refers = |team: steward_base::RecordId| Thing { team_id: Some(team.wire("tea")), ..Thing::named("x") };
        let unit = UnitOfWork::new()
            .create(old, &Team { name: "old".into() })
            .create(new, &Team { name: "new".into() })
            .create(thing, &refers(old));
        store.commit(ctx, unit).await.expect("creates");
        let still =
            UnitOfWork::new().delete("team", old, Expect::Any).put_model(thing, &Thing { size: Some(1), ..refers(old) }, Expect::Any);
        assert_eq!(store.commit(ctx, still).await.expect_err("still refers").fields()[0].code.as_ref(), "reference_missing");
        let unit = UnitOfWork::new().delete("team", old, Expect::Any).put_model(thing, &refers(new), Expect::Any);
        store.commit(ctx, unit).await.expect("moves over");
    })
    .await;
}
