//! Undoing what one request did: all of it or nothing, and nothing that came after.

use std::sync::Arc;

use serde_json::{Value, json};
use steward_base::{Ctx, Error, ErrorKind, Parts, Principal, RecordId};
use steward_store::{Act, EventDraft, Expect, Sealed, UnitOfWork};

use crate::support::{Bench, Team, Thing, members, object, on_each, on_each_engine, sqlite};

/// The tenant's context in a request of this id.
fn during(bench: &Bench, request: &str) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant: bench.ctx.tenant(),
        grants: Arc::new([]),
        reason: "test".into(),
        origin: None,
        trace_id: None,
        request_id: Some(request.into()),
    })
}

async fn commit(bench: &Bench, request: &str, unit: UnitOfWork) {
    bench.store.commit(&during(bench, request), unit).await.expect("commits");
}

async fn undo(bench: &Bench, request: &str) -> Result<Vec<(Act, RecordId)>, &'static str> {
    let undone = bench.store.undo(&during(bench, &format!("undo of {request}")), request, |_| Ok(())).await;
    undone.map(|undone| undone.into_iter().map(|(act, record)| (act, record.id)).collect()).map_err(|error| error.code())
}

async fn body(bench: &Bench, id: RecordId) -> Option<Value> {
    bench.store.get(&bench.ctx, "thing", id).await.expect("reads").map(|record| Value::Object(members(&record)))
}

#[tokio::test]
async fn what_a_request_did_is_taken_back_as_one() {
    on_each(async |bench| {
        let store = &bench.store;
        let (team, made, changed, gone, inside) = (store.mint_id(), store.mint_id(), store.mint_id(), store.mint_id(), store.mint_id());
        let put = |id, body: Value| UnitOfWork::new().put("thing", id, object(body), Expect::Any);
        commit(bench, "before", UnitOfWork::new().create(team, &Team { name: "red".into() })).await;
        commit(bench, "before", put(changed, json!({ "name": "a", "size": 1, "place": { "room": "x" }, "helper_id": team.wire("tea") })))
            .await;
        commit(bench, "before", put(gone, json!({ "name": "b", "serial": "S" }))).await;
        commit(bench, "before", put(inside, json!({ "name": "c", "inside_id": gone.wire("thg") }))).await;
        let as_it_was = [body(bench, changed).await, body(bench, gone).await, body(bench, inside).await];

        // In several units, one record twice, and with what is cleared and deleted along.
        commit(bench, "r", put(made, json!({ "name": "new" }))).await;
        commit(bench, "r", put(made, json!({ "name": "newer" }))).await;
        commit(bench, "r", put(changed, json!({ "name": "a2", "size": 1, "tags": ["t"], "helper_id": team.wire("tea") }))).await;
        commit(bench, "r", UnitOfWork::new().delete("thing", gone, Expect::Any).delete("team", team, Expect::Any)).await;
        assert_eq!(body(bench, changed).await, Some(json!({ "name": "a2", "size": 1, "tags": ["t"] })), "the team is cleared");
        assert_eq!(body(bench, inside).await, None, "what was inside went along");

        let mut undone = undo(bench, "r").await.expect("is undone");
        undone.sort_by_key(|(_, id)| *id);
        let mut expected =
            vec![(Act::Restore, team), (Act::Delete, made), (Act::Update, changed), (Act::Restore, gone), (Act::Restore, inside)];
        expected.sort_by_key(|(_, id)| *id);
        assert_eq!(undone, expected);
        assert_eq!([body(bench, changed).await, body(bench, gone).await, body(bench, inside).await], as_it_was);
        assert_eq!(body(bench, made).await, None);
        assert_eq!(undo(bench, "r").await, Err("version_conflict"), "once");
        // Undoing is a change like any other.
        assert_eq!(undo(bench, "undo of r").await.map(|undone| undone.len()), Ok(5));
        assert_eq!(body(bench, made).await, Some(json!({ "name": "newer" })));
        assert_eq!(undo(bench, "nothing").await, Err("not_found"));
        assert!(store.verify_chain(&bench.ctx).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_undone_that_others_built_on() {
    on_each(async |bench| {
        let store = &bench.store;
        let (one, two, outer, inner) = (store.mint_id(), store.mint_id(), store.mint_id(), store.mint_id());
        let thing = |name: &str| Thing::named(name);
        commit(bench, "r", UnitOfWork::new().create(one, &thing("1")).create(two, &thing("2"))).await;
        commit(bench, "later", UnitOfWork::new().put_model(two, &thing("3"), Expect::Any)).await;
        assert_eq!(undo(bench, "r").await, Err("version_conflict"));
        assert!(body(bench, one).await.is_some(), "all or nothing");

        // Deleting what a request made would take along what another put inside.
        commit(bench, "outer", UnitOfWork::new().create(outer, &thing("outer"))).await;
        commit(bench, "inner", UnitOfWork::new().create(inner, &Thing { inside_id: Some(outer.wire("thg")), ..thing("inner") })).await;
        assert_eq!(undo(bench, "outer").await, Err("referenced"));
        assert_eq!(undo(bench, "inner").await, Ok(vec![(Act::Delete, inner)]));
        assert_eq!(undo(bench, "outer").await, Ok(vec![(Act::Delete, outer)]));

        // A value that was free then is taken now.
        let (first, second) = (store.mint_id(), store.mint_id());
        let serial = |name: &str| Thing { serial: Some("S".into()), ..thing(name) };
        commit(bench, "before", UnitOfWork::new().create(first, &serial("first"))).await;
        commit(bench, "gone", UnitOfWork::new().delete("thing", first, Expect::Any)).await;
        commit(bench, "later", UnitOfWork::new().create(second, &serial("second"))).await;
        assert_eq!(undo(bench, "gone").await, Err("unique_taken"));
    })
    .await;
}

#[tokio::test]
async fn what_events_do_not_hold_cannot_be_undone() {
    on_each(async |bench| {
        let store = &bench.store;
        let (told, hidden, plain) = (store.mint_id(), store.mint_id(), store.mint_id());
        let unit = UnitOfWork::new().create(told, &Thing::named("a")).event(EventDraft::new("thing.built", told, json!({ "by": "hand" })));
        commit(bench, "told", unit.create(plain, &Thing::named("b"))).await;
        assert_eq!(undo(bench, "told").await, Err("undo_impossible"));
        let pin = |pin: &str| Thing { pin: Some(Sealed::new(pin)), ..Thing::named("x") };
        commit(bench, "made", UnitOfWork::new().create(hidden, &pin("1"))).await;
        commit(bench, "secret", UnitOfWork::new().put_model(hidden, &pin("2"), Expect::Any)).await;
        assert_eq!(undo(bench, "secret").await, Err("undo_impossible"));
        commit(bench, "gone", UnitOfWork::new().delete("thing", hidden, Expect::Any)).await;
        assert_eq!(undo(bench, "gone").await, Ok(vec![(Act::Restore, hidden)]), "the record itself holds its secret");
        let contact = |contact: &str| Thing { contact: Some(contact.into()), ..Thing::named("x") };
        let person = store.mint_id();
        commit(bench, "made", UnitOfWork::new().create(person, &contact("ann@example.org"))).await;
        commit(bench, "moved", UnitOfWork::new().put_model(person, &contact("bea@example.org"), Expect::Any)).await;
        assert_eq!(undo(bench, "moved").await, Ok(vec![(Act::Update, person)]), "what is sealed for a person is put back");
        assert_eq!(body(bench, person).await.expect("is there")["contact"], json!("ann@example.org"));
        let refuse = |_: &[_]| Err(Error::new(ErrorKind::Forbidden, "permission_denied", "Not you."));
        commit(bench, "more", UnitOfWork::new().put_model(plain, &Thing::named("c"), Expect::Any)).await;
        let refused = store.undo(&bench.ctx, "more", refuse).await.expect_err("is refused");
        assert_eq!((refused.code(), body(bench, plain).await.expect("is there")["name"].clone()), ("permission_denied", json!("c")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_far_back_is_undone_however_much_came_since() {
    on_each_engine(async |bench| {
        let (one, two, other) = (bench.store.mint_id(), bench.store.mint_id(), bench.store.mint_id());
        commit(bench, "before", UnitOfWork::new().create(other, &Thing::named("other"))).await;
        commit(bench, "far", UnitOfWork::new().create(one, &Thing::named("1"))).await;
        commit(bench, "beside", UnitOfWork::new().event(EventDraft::new("thing.seen", other, json!({})))).await;
        commit(bench, "far", UnitOfWork::new().create(two, &Thing::named("2"))).await;
        for round in 0..101 {
            let seen = |unit: UnitOfWork, _| unit.event(EventDraft::new("thing.seen", other, json!({})));
            commit(bench, &format!("later {round}"), (0..1_000).fold(UnitOfWork::new(), seen)).await;
        }
        assert!(bench.store.head(&bench.ctx).await.expect("reads") > 100_000);
        assert_eq!(undo(bench, "far").await, Ok(vec![(Act::Delete, one), (Act::Delete, two)]));
        assert_eq!((body(bench, one).await, body(bench, two).await), (None, None));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_did_too_much_is_not_undone() {
    on_each_engine(async |bench| {
        let other = bench.store.mint_id();
        commit(bench, "before", UnitOfWork::new().create(other, &Thing::named("other"))).await;
        for _ in 0..11 {
            let seen = |unit: UnitOfWork, _| unit.event(EventDraft::new("thing.seen", other, json!({})));
            commit(bench, "much", (0..1_000).fold(UnitOfWork::new(), seen)).await;
        }
        assert_eq!(undo(bench, "much").await, Err("unit_too_large"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_did_is_undone_where_its_tenant_came_to() {
    on_each(async |bench| {
        let from = sqlite().await;
        let tenant = from.ctx.tenant();
        let (made, kept) = (from.store.mint_id(), from.store.mint_id());
        commit(&from, "kept", UnitOfWork::new().create(kept, &Thing::named("kept"))).await;
        commit(&from, "made", UnitOfWork::new().create(made, &Thing::named("made"))).await;
        let mut loading = bench.store.load(tenant).await.expect("begins");
        loading.apply(from.store.dump(tenant, None).await.expect("begins")).await.expect("loads");
        bench.store.publish(loading).await.expect("is whole");
        let undone = bench.store.undo(&from.ctx, "made", |_| Ok(())).await.expect("is undone");
        assert_eq!(undone.iter().map(|(act, record)| (*act, record.id)).collect::<Vec<_>>(), [(Act::Delete, made)]);
        assert!(bench.store.get(&from.ctx, "thing", kept).await.expect("reads").is_some());
        from.close().await;
    })
    .await;
}
