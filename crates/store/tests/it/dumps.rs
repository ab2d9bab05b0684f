//! A tenant told as a stream and loaded elsewhere: equal, whatever happens meanwhile, or refused without a trace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use steward_base::{Clock, Ctx, Error, Random, RecordId, TenantId, Timestamp};
use steward_store::{
    Backend, Bounds, Elsewhere, EventDraft, Expect, JobDraft, JobQuery, ListQuery, MasterKey, Options, Sealed, Store, UnitOfWork,
};

use crate::support::{Bench, Team, Thing, ctx, kinds, members, on_each, postgres, remote, sqlite};

/// Chunks of a dump: one per frame.
pub(crate) async fn told(store: &Store, tenant: TenantId, after: Option<i64>) -> Vec<Bytes> {
    let dump = store.dump(tenant, after).await.expect("begins");
    dump.map(|frame| frame.expect("reads")).collect().await
}

pub(crate) fn bytes(frames: &[Bytes]) -> impl futures_util::Stream<Item = Result<Bytes, Error>> + Unpin + use<> {
    let frames = frames.to_vec();
    stream::iter(frames.into_iter().map(Ok))
}

pub(crate) async fn load(store: &Store, tenant: TenantId, frames: &[Bytes]) -> Result<i64, Error> {
    let mut loading = store.load(tenant).await?;
    match loading.apply(bytes(frames)).await {
        Ok(position) => store.publish(loading).await.map(|()| position.position),
        Err(error) => {
            loading.discard().await;
            Err(error)
        }
    }
}

/// Something in every table.
async fn fill(store: &Store, ctx: &Ctx) -> Vec<RecordId> {
    let (team, other) = (store.mint_id(), store.mint_id());
    store
        .commit(ctx, UnitOfWork::new().create(team, &Team { name: "Blau".into() }).create(other, &Team { name: "Rot".into() }))
        .await
        .expect("creates");
    let mut ids = vec![team, other];
    for number in 0..40 {
        let id = store.mint_id();
        let thing = Thing {
            serial: Some(format!("S-{number}")),
            size: Some(number),
            team_id: Some(team.wire("tea")),
            pin: Some(Sealed::new("1234")),
            ..Thing::named(&format!("thing {number} ü"))
        };
        let unit = UnitOfWork::new().create(id, &thing).parent(id, team).number("things", id, "size").add("made", 1, Bounds::NATURAL);
        store.commit(ctx, unit).await.expect("creates");
        ids.push(id);
    }
    let late = Timestamp::from_micros(Clock::system().now().micros() + 3_600_000_000);
    let unit = UnitOfWork::new()
        .delete("thing", ids[5], Expect::Any)
        .event(EventDraft::new("team.met", team, json!({ "at": "noon" })))
        .enqueue(store.mint_id(), JobDraft::new("count", json!({ "a": [1, null] })).unique("one").at(late))
        .enqueue(store.mint_id(), JobDraft::new("call", json!({})))
        .advance("reader", 0, 7)
        .receive("bank", "m-1", late);
    store.commit(ctx, unit).await.expect("commits");
    ids
}

/// All that the public interface tells of a tenant.
pub(crate) async fn picture(store: &Store, ctx: &Ctx) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for kind in ["team", "thing"] {
        let mut query = ListQuery { kind: kind.into(), limit: 100, ..ListQuery::default() };
        loop {
            let page = store.list(ctx, query.clone()).await.expect("lists");
            for record in page.records {
                if let Some(serial) = members(&record).get("serial").and_then(|serial| serial.as_str()) {
                    let found = store.find(ctx, "thing", "serial", serial).await.expect("finds");
                    assert_eq!(found.map(|found| found.id), Some(record.id), "whoever has {serial}");
                }
                seen.insert(format!("{kind} {:?}", record.id), format!("{record:?}"));
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        seen.insert(format!("{kind}s"), store.count(ctx, kind, None).await.expect("counts").to_string());
    }
    let jobs = store.jobs(ctx, JobQuery { limit: 500, ..JobQuery::default() }).await.expect("jobs");
    seen.insert("jobs".into(), format!("{jobs:?}"));
    let mut after = 0;
    loop {
        let events = store.events(ctx, after, 1_000).await.expect("events");
        let Some(last) = events.last() else { break };
        after = last.position;
        seen.extend(events.iter().map(|event| (format!("event {}", event.position), format!("{event:?}"))));
    }
    seen.insert("made".into(), store.counter(ctx, "made").await.expect("counts").to_string());
    seen.insert("reader".into(), store.cursor(ctx, "reader").await.expect("reads").to_string());
    seen.insert("chain".into(), store.verify_chain(ctx).await.expect("holds").to_string());
    seen
}

/// The same tenant in two stores.
pub(crate) async fn assert_equal(got: &Store, expected: &Store, ctx: &Ctx, what: &str) {
    let (got, expected) = (picture(got, ctx).await, picture(expected, ctx).await);
    for name in got.keys().chain(expected.keys()) {
        assert_eq!(got.get(name), expected.get(name), "{what}: {name}");
    }
}

/// Runs a test from each adapter to each adapter there is.
async fn from_each_to_each(test: impl AsyncFn(&Bench, &Bench)) {
    let open = async |adapter: &str| match adapter {
        "postgres" => postgres().await,
        "remote" => Some(remote().await),
        _ => Some(sqlite().await),
    };
    for from in ["sqlite", "postgres", "remote"] {
        for to in ["sqlite", "postgres", "remote"] {
            // One server holds a tenant once.
            if (from, to) == ("postgres", "postgres") {
                continue;
            }
            let (Some(from), Some(to)) = (open(from).await, open(to).await) else { continue };
            test(&from, &to).await;
            from.close().await;
            to.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_tenant_equals_the_one_that_was_told() {
    from_each_to_each(async |from, to| {
        let ids = fill(&from.store, &from.ctx).await;
        let frames = told(&from.store, from.ctx.tenant(), None).await;
        let position = load(&to.store, from.ctx.tenant(), &frames).await.expect("loads");
        assert_eq!(position, from.store.head(&from.ctx).await.expect("reads"));
        assert_equal(&to.store, &from.store, &from.ctx, &format!("{} to {}", from.engine, to.engine)).await;
        // It goes on where the other one stopped: versions, numbers, messages, unique keys and references.
        let again = async |store: &Store| {
            let unit = UnitOfWork::new().create(ids[5], &Thing::named("back")).number("things", ids[5], "size");
            let made = store.commit(&from.ctx, unit).await.expect("creates");
            (made.records[0].version, members(&made.records[0])["size"].clone(), made.position)
        };
        assert_eq!(again(&to.store).await, again(&from.store).await);
        let refused = async |unit| to.store.commit(&from.ctx, unit).await.expect_err("is refused").code();
        let late = Timestamp::from_micros(Clock::system().now().micros() + 1_000_000);
        assert_eq!(refused(UnitOfWork::new().receive("bank", "m-1", late)).await, "already_received");
        assert_eq!(refused(UnitOfWork::new().delete("team", ids[0], Expect::Any)).await, "referenced");
        let taken = Thing { serial: Some("S-7".into()), ..Thing::named("x") };
        assert_eq!(refused(UnitOfWork::new().create(to.store.mint_id(), &taken)).await, "unique_taken");
        // What is loaded knows that its jobs may be due.
        let marked = to.store.marked().await.expect("reads");
        assert!(marked.iter().any(|(tenant, _)| *tenant == from.ctx.tenant()), "{marked:?}");
        assert_eq!(to.store.load(from.ctx.tenant()).await.err().map(|error| error.code()), Some("tenant_exists"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_written_meanwhile_is_told_as_of_one_position() {
    from_each_to_each(async |from, to| {
        let tenant = from.ctx.tenant();
        let ids = fill(&from.store, &from.ctx).await;
        let ends = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for lane in 0..4usize {
            let (store, ctx, ends) = (from.store.clone(), from.ctx.clone(), ends.clone());
            let (one, two) = (ids[10 + 2 * lane], ids[11 + 2 * lane]);
            writers.spawn(async move {
                let mut round = 0;
                while !ends.load(Ordering::Relaxed) {
                    // Two things exchange their serials, and others come and go.
                    let serial = |at: usize| Thing { serial: Some(format!("L-{lane}-{at}")), ..Thing::named("moved") };
                    let (first, second) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
                    let unit = UnitOfWork::new().put_model(one, &serial(first), Expect::Any).put_model(two, &serial(second), Expect::Any);
                    store.commit(&ctx, unit.add("made", 1, Bounds::NATURAL)).await.expect("exchanges");
                    let id = store.mint_id();
                    store.commit(&ctx, UnitOfWork::new().create(id, &Thing::named("passing"))).await.expect("creates");
                    if round % 3 > 0 {
                        store.commit(&ctx, UnitOfWork::new().delete("thing", id, Expect::Any)).await.expect("deletes");
                    }
                    round += 1;
                }
            });
        }
        let mut loading = to.store.load(tenant).await.expect("begins");
        let first = loading.apply(from.store.dump(tenant, None).await.expect("begins")).await.expect("loads");
        let mut last = first.clone();
        for _ in 0..3 {
            // So that there is something to tell.
            let mut moved = from.store.watch(tenant);
            moved.wait_for(|position| *position > last.position + 20).await.expect("goes on");
            let dump = from.store.dump(tenant, Some(last.position)).await.expect("begins");
            last = loading.apply(dump).await.expect("applies");
        }
        assert!(last.position > first.position, "{first:?} {last:?}");
        ends.store(true, Ordering::Relaxed);
        while let Some(done) = writers.join_next().await {
            done.expect("wrote");
        }
        loading.apply(from.store.dump(tenant, Some(last.position)).await.expect("begins")).await.expect("applies");
        to.store.publish(loading).await.expect("is whole");
        assert_equal(&to.store, &from.store, &from.ctx, &format!("{} to {}", from.engine, to.engine)).await;
        assert_eq!(to.store.unclaimed(&from.ctx).await.expect("reads").len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_or_changed_is_refused_and_leaves_nothing() {
    on_each(async |bench| {
        let (source, tenant) = (sqlite().await, TenantId::new(&Clock::system(), &steward_base::Random::system()));
        source.store.provision(tenant).await.expect("provisions");
        let its = ctx(tenant);
        fill(&source.store, &its).await;
        let frames = told(&source.store, tenant, None).await;
        assert!(frames.len() > 8, "{}", frames.len());
        let refused = async |frames: &[Bytes], what: &str| {
            let error = load(&bench.store, tenant, frames).await.expect_err(what);
            assert!(["dump_cut", "dump_damaged", "dump_newer"].contains(&error.code()), "{what}: {}", error.code());
            assert_eq!(bench.store.head(&its).await.expect_err("is not there").code(), "not_found", "{what}");
        };
        // The form is judged by the same code for each engine; only what is left behind is the engine's.
        let stride = if bench.engine == "sqlite" { 1 } else { 11 };
        for most in (0..frames.len()).step_by(stride) {
            refused(&frames[..most], &format!("cut after {most} frames")).await;
        }
        let whole: Vec<u8> = frames.concat();
        // Some bit of every frame, and of its length and checksum.
        for (number, frame) in frames.iter().enumerate().step_by(stride) {
            let begins: usize = frames[..number].iter().map(Bytes::len).sum();
            for at in [0, 3, 5, 8, 9 + frame.len() / 3, frame.len() - 1] {
                let mut changed = whole.clone();
                changed[begins + at.min(frame.len() - 1)] ^= 1 << (at % 8);
                refused(&[changed.into()], &format!("a bit of byte {at} of the frame at {begins}")).await;
            }
            refused(&[whole[..begins + frame.len() / 2].to_vec().into()], "cut in a frame").await;
        }
        refused(&[&frames[..1], &frames[2..]].concat(), "a frame that is missing").await;
        refused(&[&frames[..2], &frames[1..]].concat(), "a frame that comes twice").await;
        refused(&[frames.concat().into(), Bytes::from_static(b"x")], "more behind its end").await;
        refused(&[crafted(r#"H{"format":2,"something":"new"}"#)], "a newer format").await;
        // The same bytes in other pieces are fine.
        let pieces: Vec<Bytes> = whole.chunks(37).map(Bytes::copy_from_slice).collect();
        load(&bench.store, tenant, &pieces).await.expect("loads");
        assert_equal(&bench.store, &source.store, &its, "in pieces").await;
        source.store.close().await;
    })
    .await;
}

/// A frame of our own making.
fn crafted(content: &str) -> Bytes {
    let length = (content.len() as u32).to_le_bytes();
    let sum = crc32fast::hash(&[&length[..], content.as_bytes()].concat()).to_le_bytes();
    [&length[..], &sum, content.as_bytes()].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_on_where_they_ended_and_stay_with_their_tenant() {
    on_each(async |bench| {
        let source = sqlite().await;
        let (tenant, its) = (source.ctx.tenant(), &source.ctx);
        fill(&source.store, its).await;
        let whole = told(&source.store, tenant, None).await;
        let head = source.store.head(its).await.expect("reads");
        let other = load(&bench.store, bench.ctx.tenant(), &whole).await.expect_err("exists");
        assert_eq!(other.code(), "tenant_exists");
        let stranger = TenantId::new(bench.store.clock(), bench.store.random());
        assert_eq!(load(&bench.store, stranger, &whole).await.expect_err("is another's").code(), "dump_foreign");
        let increment = told(&source.store, tenant, Some(head)).await;
        assert_eq!(load(&bench.store, tenant, &increment).await.expect_err("goes onto nothing").code(), "dump_position");
        let mut ahead = source.store.dump(tenant, Some(head + 1)).await.expect("begins");
        assert_eq!(ahead.next().await.expect("says so").expect_err("is not there yet").code(), "dump_position");
        source.store.commit(its, UnitOfWork::new().create(source.store.mint_id(), &Thing::named("later"))).await.expect("creates");
        let later = told(&source.store, tenant, Some(head + 1)).await;
        let mut loading = bench.store.load(tenant).await.expect("begins");
        assert_eq!(bench.store.load(tenant).await.err().map(|error| error.code()), Some("tenant_busy"));
        loading.apply(bytes(&whole)).await.expect("loads");
        assert_eq!(loading.apply(bytes(&later)).await.expect_err("leaves one out").code(), "dump_position");
        loading.discard().await;
        // Nothing stays of it, and it can be begun anew.
        assert_eq!(load(&bench.store, tenant, &whole).await.expect("loads"), head);
        source.store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_half_loaded_is_gone_at_the_next_start() {
    let source = sqlite().await;
    fill(&source.store, &source.ctx).await;
    let whole = told(&source.store, source.ctx.tenant(), None).await;
    let bench = sqlite().await;
    let mut loading = bench.store.load(source.ctx.tenant()).await.expect("begins");
    loading.apply(bytes(&whole)).await.expect("loads");
    std::mem::forget(loading);
    bench.store.close().await;
    let folder = bench.dir().join("loading");
    assert_eq!(std::fs::read_dir(&folder).expect("is there").count(), 1);
    let store = crate::support::reopened(steward_store::Backend::Sqlite { dir: bench.dir().to_owned() }, crate::support::kinds()).await;
    assert_eq!(std::fs::read_dir(&folder).expect("is there").count(), 0);
    assert_eq!(store.head(&source.ctx).await.expect_err("was never there").code(), "not_found");
    store.close().await;
    source.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_open_under_the_master_key_of_the_installation_that_a_copy_came_to() {
    on_each(async |bench| {
        let dir = tempfile::tempdir().expect("a folder");
        let options = Options { backend: Backend::Sqlite { dir: dir.path().to_owned() }, master: MasterKey::new([3; 32]) };
        let source = Store::open(options, kinds(), Clock::system(), Random::system()).await.expect("opens");
        let tenant = TenantId::new(source.clock(), source.random());
        let its = &ctx(tenant);
        source.provision(tenant).await.expect("provisions");
        let ids = fill(&source, its).await;
        let journey = Elsewhere { tenant, key: MasterKey::new([9; 32]), without: vec!["team"], never: Vec::new() };
        let dump = source.dump_for_elsewhere(&journey).await.expect("begins");
        let frames: Vec<Bytes> = Box::pin(dump).map(|frame| frame.expect("reads")).collect().await;

        let other = Elsewhere { key: MasterKey::new([8; 32]), ..journey.clone() };
        let mut loading = bench.store.load(tenant).await.expect("begins");
        let read = bench.store.dump_from_elsewhere(&other, bytes(&frames));
        assert_eq!(loading.apply(Box::pin(read)).await.expect_err("is another key").code(), "master_key_wrong");
        loading.discard().await;

        let mut loading = bench.store.load(tenant).await.expect("begins");
        let read = bench.store.dump_from_elsewhere(&journey, bytes(&frames));
        let head = loading.apply(Box::pin(read)).await.expect("loads");
        bench.store.publish(loading).await.expect("is there");
        assert_eq!(head.position, source.head(its).await.expect("reads"));
        let pin = bench.store.reveal(its, "thing", ids[2], "pin").await.expect("reveals").expect("has one");
        assert_eq!(pin.expose(), "1234");
        let listed = async |kind: &str| {
            let query = ListQuery { kind: kind.to_owned(), limit: 500, ..ListQuery::default() };
            bench.store.list(its, query).await.expect("lists").records.len()
        };
        assert_eq!(listed("team").await, 0, "what stays behind is not there");
        assert!(listed("thing").await > 30);
        bench.store.verify_chain(its).await.expect("its events are there all the same");
        source.close().await;
    })
    .await;
}
