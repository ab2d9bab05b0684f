//! What every engine promises about one record and one unit of work.

use serde_json::json;
use steward_base::{ErrorKind, RecordId, TenantId};
use steward_store::{EventDraft, Expect, Sealed, UnitOfWork};

use crate::support::{Team, Thing, members, object, on_each};

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        let thing = Thing { size: Some(3), tags: vec!["b".into(), "a".into()], ..Thing::named("Lamp") };
        let made = store.commit(ctx, UnitOfWork::new().create(id, &thing)).await.expect("creates");
        assert_eq!((made.records.len(), made.position), (1, 1));
        let read = store.get(ctx, "thing", id).await.expect("reads").expect("is there");
        assert_eq!(read, made.records[0]);
        assert_eq!((read.version, read.decode::<Thing>().expect("decodes")), (1, thing));
        assert_eq!((&*read.created_by, &*read.updated_by), ("system:test", "system:test"));

        let changed = store
            .update::<Thing>(ctx, id, |thing| {
                thing.size = Some(4);
                Ok(())
            })
            .await
            .expect("changes");
        assert_eq!((changed.version, members(&changed)["size"].clone()), (2, json!(4)));
        assert_eq!(changed.created_at, read.created_at);

        let gone = store.commit(ctx, UnitOfWork::new().delete("thing", id, Expect::Version(2))).await.expect("deletes");
        assert_eq!((gone.records[0].version, gone.records[0].deleted_at.is_some(), gone.position), (3, true, 3));
        assert_eq!(store.get(ctx, "thing", id).await.expect("reads"), None);
        // A record under the id of a deleted one goes on from its version.
        let again = store.commit(ctx, UnitOfWork::new().create(id, &Thing::named("Lamp"))).await.expect("creates again");
        assert_eq!(again.records[0].version, 4);
    })
    .await;
}

#[tokio::test]
async fn expectations_are_kept() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        let put = |name: &str, expect| UnitOfWork::new().put("team", id, object(json!({ "name": name })), expect);
        let code = async |unit| store.commit(ctx, unit).await.map(|done| done.records[0].version).map_err(|error| error.code());
        assert_eq!(code(put("a", Expect::Version(1))).await, Err("not_found"));
        assert_eq!(code(UnitOfWork::new().delete("team", id, Expect::Version(1))).await, Err("not_found"));
        assert_eq!(code(put("a", Expect::Any)).await, Ok(1));
        assert_eq!(code(put("a", Expect::Absent)).await, Err("already_exists"));
        assert_eq!(code(put("b", Expect::Version(2))).await, Err("version_conflict"));
        assert_eq!(code(put("b", Expect::Version(1))).await, Ok(2));
        assert_eq!(code(put("c", Expect::Any)).await, Ok(3));
        assert_eq!(code(UnitOfWork::new().delete("team", id, Expect::Version(2))).await, Err("version_conflict"));
        // Nothing changes, so nothing is written.
        assert_eq!(code(put("c", Expect::Version(3))).await, Ok(3));
        assert_eq!(store.events(ctx, 0, 100).await.expect("events").len(), 3);
        let nothing = store.commit(ctx, UnitOfWork::new().delete("team", store.mint_id(), Expect::Any)).await.expect("nothing to delete");
        assert_eq!((nothing.records.len(), nothing.position), (0, 3));
    })
    .await;
}

#[tokio::test]
async fn a_unit_is_all_or_nothing() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (kept, taken, other) = (store.mint_id(), store.mint_id(), store.mint_id());
        let serial = |name: &str| Thing { serial: Some("S-1".into()), ..Thing::named(name) };
        store.commit(ctx, UnitOfWork::new().create(kept, &serial("first"))).await.expect("creates");
        let unit = UnitOfWork::new().create(other, &Thing::named("second")).create(taken, &serial("third"));
        let refused = store.commit(ctx, unit).await.expect_err("is taken");
        assert_eq!(
            (refused.kind(), refused.code(), refused.fields()[0].pointer.as_str()),
            (ErrorKind::Conflict, "unique_taken", "/serial")
        );
        assert_eq!(store.get(ctx, "thing", other).await.expect("reads"), None);
        assert_eq!(store.events(ctx, 0, 10).await.expect("events").len(), 1);
        assert_eq!(store.count(ctx, "thing", None).await.expect("counts"), 1);
    })
    .await;
}

#[tokio::test]
async fn unique_keys_ignore_case_and_move_within_a_unit() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (one, two) = (store.mint_id(), store.mint_id());
        let team = |name: &str| Team { name: name.into() };
        store.commit(ctx, UnitOfWork::new().create(one, &team("Blau")).create(two, &team("Grün"))).await.expect("creates");
        let refused = store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &team("GRÜN"))).await.expect_err("is taken");
        assert_eq!(refused.code(), "unique_taken");
        // NFD of the same name.
        let found = store.find(ctx, "team", "name", "gru\u{308}n").await.expect("finds").expect("is there");
        assert_eq!(found.id, two);
        let swap = UnitOfWork::new().put_model(one, &team("Grün"), Expect::Version(1)).put_model(two, &team("Blau"), Expect::Version(1));
        store.commit(ctx, swap).await.expect("swaps");
        assert_eq!(store.find(ctx, "team", "name", "blau").await.expect("finds").expect("is there").id, two);
        store.commit(ctx, UnitOfWork::new().delete("team", two, Expect::Any)).await.expect("deletes");
        assert!(store.find(ctx, "team", "name", "blau").await.expect("finds").is_none());
        store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &team("Blau"))).await.expect("is free again");
        let long = |end: &str| team(&format!("{}{end}", "x".repeat(190)));
        store
            .commit(ctx, UnitOfWork::new().create(store.mint_id(), &long("1")).create(store.mint_id(), &long("2")))
            .await
            .expect("differ at the end");
        let twice = UnitOfWork::new().create(store.mint_id(), &team("zwei")).create(store.mint_id(), &team("ZWEI"));
        assert_eq!(store.commit(ctx, twice).await.expect_err("twice in one unit").code(), "unique_taken");
    })
    .await;
}

#[tokio::test]
async fn guards_hold_records_still() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (owner, thing) = (store.mint_id(), store.mint_id());
        store.commit(ctx, UnitOfWork::new().create(owner, &Team { name: "owners".into() })).await.expect("creates");
        let guarded = |version| UnitOfWork::new().guard("team", owner, version).put_model(thing, &Thing::named("x"), Expect::Any);
        store.commit(ctx, guarded(1)).await.expect("still at 1");
        store.commit(ctx, UnitOfWork::new().put_model(owner, &Team { name: "others".into() }, Expect::Any)).await.expect("moves on");
        assert_eq!(store.commit(ctx, guarded(1)).await.expect_err("moved on").code(), "version_conflict");
        assert_eq!(
            store.commit(ctx, UnitOfWork::new().guard("team", store.mint_id(), 1)).await.expect_err("is not there").code(),
            "not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn events_tell_what_changed_and_are_chained() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (id, team) = (store.mint_id(), store.mint_id());
        let thing = Thing {
            pin: Some(Sealed::new("1234")),
            contact: Some("ann@example.org".into()),
            tags: vec!["t".into()],
            ..Thing::named("Lamp")
        };
        let watch = store.watch(ctx.tenant());
        store.commit(ctx, UnitOfWork::new().create(id, &thing)).await.expect("creates");
        store
            .update::<Thing>(ctx, id, |thing| {
                thing.name = "Torch".into();
                Ok(())
            })
            .await
            .expect("changes");
        let unit = UnitOfWork::new()
            .create(team, &Team { name: "a".into() })
            .event(EventDraft::new("team.founded", team, json!({ "by": "hand" })).caused_by("evt_1"));
        store.commit(ctx, unit).await.expect("creates");
        store.commit(ctx, UnitOfWork::new().delete("thing", id, Expect::Any)).await.expect("deletes");

        let events = store.events(ctx, 0, 100).await.expect("events");
        let types: Vec<_> = events.iter().map(|event| (event.position, event.event_type.as_str())).collect();
        assert_eq!(types, [(1, "thing.created"), (2, "thing.updated"), (3, "team.founded"), (4, "thing.deleted")]);
        assert_eq!(events[1].data["before"], json!({ "name": "Lamp" }));
        assert_eq!(events[1].data["after"], json!({ "name": "Torch" }));
        assert_eq!(events[0].data["after"]["pin"], json!({ "$sealed": null }));
        assert!(events[0].data["after"]["contact"]["$sealed"].is_string(), "personal data is there for who may read it");
        assert_eq!(events[0].scope["tags"], json!(["t"]));
        assert_eq!(events[0].subject, id.wire("thg"));
        assert_eq!((events[2].causation_id.as_deref(), events[2].data["by"].clone()), (Some("evt_1"), json!("hand")));
        assert_eq!((events[0].actor.as_str(), events[0].correlation_id.as_deref()), ("system:test", Some("req-1")));
        assert_eq!(events[0].origin.as_ref().and_then(|origin| origin.ip.as_deref()), Some("192.0.2.1"));
        assert_eq!(store.events(ctx, 2, 1).await.expect("events")[0].position, 3);
        assert_eq!(store.verify_chain(ctx).await.expect("holds"), 4);
        let mut watch = watch;
        let reached = tokio::time::timeout(std::time::Duration::from_secs(60), watch.wait_for(|position| *position == 4)).await;
        assert!(reached.is_ok(), "the watch reaches the last position");
    })
    .await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let other = TenantId::new(store.clock(), store.random());
        let stranger = crate::support::ctx(other);
        assert_eq!(store.get(&stranger, "team", store.mint_id()).await.expect_err("no such tenant").code(), "not_found");
        assert_eq!(store.commit(&stranger, UnitOfWork::new()).await.expect_err("no such tenant").code(), "not_found");
        store.provision(other).await.expect("provisions");
        store.provision(other).await.expect("provisions again");
        let id = store.mint_id();
        store.commit(ctx, UnitOfWork::new().create(id, &Team { name: "mine".into() })).await.expect("creates");
        assert_eq!(store.get(&stranger, "team", id).await.expect("reads"), None);
        assert!(store.find(&stranger, "team", "name", "mine").await.expect("finds").is_none());
        assert_eq!(store.count(&stranger, "team", None).await.expect("counts"), 0);
        assert!(store.events(&stranger, 0, 10).await.expect("events").is_empty());
        let theirs = store.commit(&stranger, UnitOfWork::new().create(id, &Team { name: "mine".into() })).await.expect("creates");
        assert_eq!(theirs.position, 1, "positions are per tenant");
    })
    .await;
}

#[tokio::test]
async fn limits_are_kept() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let code = async |body| {
            let unit = UnitOfWork::new().put("thing", store.mint_id(), object(body), Expect::Absent);
            store
                .commit(ctx, unit)
                .await
                .map(|_| ())
                .map_err(|error| (error.kind(), error.fields().first().map_or(error.code().to_owned(), |field| field.code.to_string())))
        };
        let invalid = |code: &str| Err((ErrorKind::Invalid, code.to_owned()));
        assert_eq!(
            code(json!({ "name": "x", "extra": "y".repeat(300 << 10) })).await,
            Err((ErrorKind::TooLarge, "record_too_large".into()))
        );
        assert_eq!(code(json!({ "name": "a\0b" })).await, invalid("null_character"));
        assert_eq!(code(json!({ "name": "x", "extra": { "a\0": 1 } })).await, invalid("null_character"));
        assert_eq!(code(json!({ "name": "x", "size": (1i64 << 53) + 1 })).await, invalid("number_range"));
        assert_eq!(code(json!({ "name": "x", "weight": 1e300 })).await, invalid("number_range"));
        assert_eq!(code(json!({ "name": "x", "size": 1i64 << 53 })).await, Ok(()));
        assert_eq!(code(json!({ "name": "x", "extra": { "$sealed": 1 } })).await, invalid("reserved_name"));
        let tags: Vec<String> = (0..201).map(|number| number.to_string()).collect();
        assert_eq!(code(json!({ "name": "x", "tags": tags })).await, invalid("too_many_index_entries"));
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(code(json!({ "name": "x", "extra": nested(31) })).await, Ok(()));
        assert_eq!(code(json!({ "name": "x", "extra": nested(32) })).await, invalid("too_deep"));
        let many = (0..1001).fold(UnitOfWork::new(), |unit, _| unit.create(store.mint_id(), &Thing::named("x")));
        assert_eq!(store.commit(ctx, many).await.expect_err("too many").code(), "unit_too_large");
        let most = (0..1000).fold(UnitOfWork::new(), |unit, _| unit.create(store.mint_id(), &Thing::named("x")));
        assert_eq!(store.commit(ctx, most).await.expect("just enough").records.len(), 1000);
    })
    .await;
}

#[tokio::test]
async fn stored_fields_that_a_type_does_not_know_survive_an_update() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        let newer = json!({ "name": "x", "colour": "red", "place": { "room": "1", "floor": 2 }, "weight": 2.0 });
        store.commit(ctx, UnitOfWork::new().put("thing", id, object(newer), Expect::Absent)).await.expect("is tolerated");
        let record = store
            .update::<Thing>(ctx, id, |thing| {
                thing.place.room = None;
                thing.size = Some(1);
                Ok(())
            })
            .await
            .expect("changes");
        assert_eq!(members(&record)["colour"], json!("red"));
        assert_eq!(members(&record)["place"], json!({ "floor": 2, "room": null, "shelf": null }));
        assert_eq!(members(&record)["weight"].to_string(), "2", "numbers have one form");
    })
    .await;
}

#[tokio::test]
async fn a_parent_is_kept_and_can_change() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let (parent, other, id): (RecordId, RecordId, RecordId) = (store.mint_id(), store.mint_id(), store.mint_id());
        let unit = UnitOfWork::new().create(id, &Thing::named("child")).parent(id, parent);
        store.commit(ctx, unit).await.expect("creates");
        store
            .update::<Thing>(ctx, id, |thing| {
                thing.size = Some(1);
                Ok(())
            })
            .await
            .expect("changes");
        assert_eq!(store.get(ctx, "thing", id).await.expect("reads").expect("is there").parent, Some(parent));
        let body = members(&store.get(ctx, "thing", id).await.expect("reads").expect("is there"));
        let moved = store.commit(ctx, UnitOfWork::new().put("thing", id, body, Expect::Any).parent(id, other)).await.expect("moves");
        assert_eq!((moved.records[0].parent, moved.records[0].version), (Some(other), 3));
    })
    .await;
}

#[tokio::test]
async fn health_is_good() {
    on_each(async |bench| bench.store.health().await.expect("is healthy")).await;
}

#[tokio::test]
async fn records_of_two_kinds_with_one_id_are_two_records() {
    on_each(async |bench| {
        let (store, ctx) = (&bench.store, &bench.ctx);
        let id = store.mint_id();
        store.commit(ctx, UnitOfWork::new().create(id, &Team { name: "one".into() })).await.expect("creates");
        store.commit(ctx, UnitOfWork::new().create(id, &Thing::named("other"))).await.expect("creates");
        store
            .update::<Thing>(ctx, id, |thing| {
                thing.size = Some(2);
                Ok(())
            })
            .await
            .expect("updates");
        let guarded = |kind, version| UnitOfWork::new().guard(kind, id, version).create(store.mint_id(), &Thing::named("x"));
        for (kind, version, held) in [("team", 1, true), ("team", 2, false), ("thing", 1, false), ("thing", 2, true)] {
            let done = store.commit(ctx, guarded(kind, version)).await;
            assert_eq!(
                done.map_err(|error| error.code().to_owned()).err(),
                (!held).then(|| "version_conflict".to_owned()),
                "{kind} {version}"
            );
        }
        // What is told of one does not silence the other.
        let told = EventDraft::new("team.named", id, json!({}));
        let unit = UnitOfWork::new().put_model(id, &Team { name: "two".into() }, Expect::Any);
        let unit = unit.put_model(id, &Thing::named("changed"), Expect::Any).event(told.about("team"));
        store.commit(ctx, unit).await.expect("commits");
        let told = store.events(ctx, 0, 100).await.expect("events");
        let types: Vec<&str> = told.iter().rev().take(2).map(|event| event.event_type.as_str()).collect();
        assert_eq!(types, ["team.named", "thing.updated"]);
    })
    .await;
}
