//! The store in another process: who may ask, what a lost answer means, and how it comes back.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::json;
use steward_base::{Clock, ErrorKind, Random, RecordId, TenantId};
use steward_store::{Backend, Claim, Expect, JobDraft, JobState, Kind, Kinds, LinkKey, MasterKey, Options, Store, UnitOfWork, serve_port};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, Served, Team, Thing, ctx, everything, kinds, link_key, remote, reopened};
use crate::wire::{Wire, between};

const SOON: Duration = Duration::from_secs(60);
const FOLDER: &str = "STEWARD_TEST_DATA_ROLE";
const ADDRESS: &str = "STEWARD_TEST_DATA_ADDRESS";

fn free_address() -> String {
    format!("127.0.0.1:{}", crate::ports::own())
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(SOON, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} does not come"))
}

async fn open(url: &str, key: LinkKey, kinds: Kinds, master: u8) -> Result<Store, &'static str> {
    let backend = Backend::Remote { url: url.to_owned(), key };
    let options = Options { backend, master: MasterKey::new([master; 32]) };
    Store::open(options, kinds, Clock::system(), Random::system()).await.map_err(|error| error.code())
}

fn tenant() -> TenantId {
    RecordId::from_bytes([9; 16]).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_processes_of_the_installation_are_let_in() {
    let bench = remote().await;
    let served = bench.served.as_ref().expect("is served");
    let stranger = LinkKey::derived(&MasterKey::new([8; 32]));
    assert_eq!(open(&served.url, stranger, kinds(), 7).await.err(), Some("data_refused"));
    assert_eq!(open(&served.url, link_key(), kinds(), 8).await.err(), Some("master_key_wrong"));
    let other = Kinds::new().with(Kind::of::<Team>()).with(
        Kind::from_schema("thing", "thg", json!({ "type": "object", "properties": { "name": { "type": "integer" } } })).expect("a kind"),
    );
    assert_eq!(open(&served.url, link_key(), other, 7).await.err(), Some("kinds_differ"));
    let fewer = open(&served.url, link_key(), Kinds::new().with(Kind::of::<Team>()), 7).await.expect("knows fewer kinds");
    fewer.close().await;
    assert_eq!(open("ftp://127.0.0.1:1", link_key(), kinds(), 7).await.err(), Some("data_url_invalid"));

    // What is not signed is not looked at, whatever it asks for.
    for path in ["/data/v1/get", "/data/v1/greet", "/data/v1/nothing", "/"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}");
        let answer = raw(&served.url, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("data_unsigned"), "{path}: {answer}");
    }
    bench.close().await;
}

async fn raw(url: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").expect("is plain")).await.expect("connects");
    stream.write_all(request).await.expect("sends");
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)).await.expect("in time").expect("answers");
    String::from_utf8(answer).expect("is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_somebody_recorded_is_nothing_a_second_time() {
    let bench = remote().await;
    let served = bench.served.as_ref().expect("is served");
    let wire = Arc::new(Wire::default());
    let store = open(&between(served, wire.clone()).await, link_key(), kinds(), 7).await.expect("opens");
    store.commit(&bench.ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("once"))).await.expect("commits");
    let recorded = wire.heard.lock().clone();
    let recorded = String::from_utf8(recorded).expect("is text").replacen("host:", "connection: close\r\nhost:", 1);
    let before = everything_of(&bench).await;
    let answer = raw(&served.url, recorded.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("data_replayed"), "{answer}");
    let elsewhere = recorded.replacen("/data/v1/commit", "/data/v1/list", 1);
    assert!(raw(&served.url, elsewhere.as_bytes()).await.contains("data_signature"));
    assert_eq!(everything_of(&bench).await, before);
    store.close().await;
    bench.close().await;
}

async fn everything_of(bench: &Bench) -> u64 {
    bench.store.count(&bench.ctx, "thing", None).await.expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_happens_once_and_is_answered() {
    let bench = remote().await;
    let served = bench.served.as_ref().expect("is served");
    let wire = Arc::new(Wire::default());
    let store = open(&between(served, wire.clone()).await, link_key(), kinds(), 7).await.expect("opens");
    let ctx = &bench.ctx;
    for lost in [1, 2, 3] {
        let (id, job) = (store.mint_id(), store.mint_id());
        let position = store.head(ctx).await.expect("reads");
        wire.lose.store(lost, Ordering::SeqCst);
        let unit = UnitOfWork::new().create(id, &Thing::named("x")).enqueue(job, JobDraft::new("work", json!({}))).advance(
            "c",
            lost as i64 - 1,
            lost as i64,
        );
        let done = store.commit(ctx, unit).await.expect("is answered in the end");
        wire.lose.store(0, Ordering::SeqCst);
        assert_eq!((done.records.len(), done.records[0].id, done.records[0].version), (1, id, 1));
        assert_eq!((done.jobs.len(), done.jobs[0].id, done.position), (1, job, position + 1));
    }
    // A claim, too, is answered what it took.
    wire.lose.store(1, Ordering::SeqCst);
    let claim = Claim { kinds: vec!["work".into()], limit: 10, lease: Duration::from_secs(60) };
    let taken = store.claim(ctx, claim).await.expect("is answered");
    assert_eq!(taken.iter().map(|job| (job.state, job.attempts)).collect::<Vec<_>>(), [(JobState::Running, 1); 3]);
    wire.lose.store(0, Ordering::SeqCst);
    assert_eq!(store.verify_chain(ctx).await.expect("holds"), 3);
    store.close().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_data_role_is_away_it_is_said_and_it_comes_back_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let (backend, address) = (Backend::Sqlite { dir: dir.path().to_owned() }, free_address());
    let start = async || Served::start_on(reopened(backend.clone(), kinds()).await, &address).await;
    let served = start().await;
    let store = reopened(served.backend(), kinds()).await;
    store.provision(tenant()).await.expect("provisions");
    let (ctx, id) = (ctx(tenant()), store.mint_id());
    store.commit(&ctx, UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("commits");
    let mut watched = store.watch(tenant());

    served.stop().await;
    for _ in 0..3 {
        let refused = store.get(&ctx, "thing", id).await.expect_err("is away");
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "data_unreachable"));
        assert!(refused.retry_after().is_some());
        let refused = store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("y"))).await.expect_err("is away");
        assert_eq!(refused.code(), "data_unreachable", "it is known that nothing happened");
    }
    assert_eq!(store.health().await.expect_err("is away").code(), "data_unreachable");

    let served = start().await;
    // Written past this store, before it is back.
    served.store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("z"))).await.expect("commits");
    served.store.commit(&ctx, UnitOfWork::new().enqueue(store.mint_id(), JobDraft::new("work", json!({})))).await.expect("queues");
    let back = eventually("the record", async || store.get(&ctx, "thing", id).await.ok()).await;
    assert_eq!(back.map(|record| record.version), Some(1));
    let reached = tokio::time::timeout(SOON, watched.wait_for(|position| *position == 2)).await;
    assert!(reached.is_ok(), "whoever watches is told of what was missed");
    for stirred in [store.stirred(), store.told()] {
        let woken = tokio::time::timeout(SOON, async { while !stirred.next().await.contains(&tenant()) {} }).await;
        assert!(woken.is_ok(), "and so is whoever waits for work");
    }
    assert_eq!(store.count(&ctx, "thing", None).await.expect("counts"), 2);
    store.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_commits_wakes_the_others() {
    let bench = remote().await;
    let served = bench.served.as_ref().expect("is served");
    let other = open(&served.url, link_key(), kinds(), 7).await.expect("opens");
    let (ctx, tenant) = (&bench.ctx, bench.ctx.tenant());
    let (mut here, mut there) = (bench.store.watch(tenant), other.watch(tenant));
    for position in 1..=20 {
        let by = [&bench.store, &other, &served.store][position as usize % 3];
        by.commit(ctx, UnitOfWork::new().create(by.mint_id(), &Thing::named("x"))).await.expect("commits");
        for watched in [&mut here, &mut there] {
            let reached = tokio::time::timeout(SOON, watched.wait_for(|seen| *seen >= position)).await;
            assert!(reached.is_ok(), "position {position} arrives");
        }
    }
    bench.store.commit(ctx, UnitOfWork::new().enqueue(other.mint_id(), JobDraft::new("work", json!({})))).await.expect("queues");
    let woken = tokio::time::timeout(SOON, async { while !other.stirred().next().await.contains(&tenant) {} }).await;
    assert!(woken.is_ok(), "the other process is told of the job");
    other.close().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_are_settled_by_whoever_handles_the_events() {
    let bench = remote().await;
    let (ctx, tenant) = (&bench.ctx, bench.ctx.tenant());
    let other = open(&bench.served.as_ref().expect("is served").url, link_key(), kinds(), 7).await.expect("opens");
    other.commit(ctx, UnitOfWork::new().create(other.mint_id(), &Thing::named("x"))).await.expect("commits");
    let marked = async || bench.store.marked().await.expect("reads").iter().any(|(marked, _)| *marked == tenant);
    assert!(marked().await);
    // A unit counts as under way until a moment after its answer.
    eventually("what another process wrote", async || {
        bench.store.settle(Duration::ZERO, |_| 0).await.expect("settles");
        (bench.store.in_use() == [tenant]).then_some(())
    })
    .await;
    assert!(marked().await, "an event is not handled yet");
    bench.store.settle(Duration::ZERO, |_| 1).await.expect("settles");
    assert!(!marked().await);
    other.close().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_erased_where_it_is() {
    let bench = remote().await;
    let (ctx, tenant) = (&bench.ctx, bench.ctx.tenant());
    bench.store.commit(ctx, UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("x"))).await.expect("commits");
    let refused = bench.store.relocate(tenant, "nowhere").await.expect_err("is no place");
    assert_eq!(refused.code(), "place_unknown");
    for _ in 0..2 {
        bench.store.erase(tenant).await.expect("may be repeated");
        assert_eq!(bench.store.head(ctx).await.expect_err("is gone").kind(), ErrorKind::NotFound);
    }
    assert!(!bench.dir().join("tenants").join(format!("{tenant}.db")).exists());
    bench.close().await;
}

async fn frames(dump: &mut steward_store::Dump) -> Vec<Result<bytes::Bytes, steward_base::Error>> {
    let mut frames = Vec::new();
    while let Some(frame) = dump.next().await {
        frames.push(frame);
    }
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_tenant_is_made_of_another_process_and_goes_on_where_it_ended() {
    let (bench, other) = (remote().await, crate::support::sqlite().await);
    let (ctx, tenant) = (&bench.ctx, bench.ctx.tenant());
    let fill = async |many: usize| {
        for _ in 0..many {
            let thing = Thing::named(&"words ".repeat(60));
            bench.store.commit(ctx, UnitOfWork::new().create(bench.store.mint_id(), &thing)).await.expect("commits");
        }
    };
    fill(400).await;
    assert_eq!(bench.store.load(tenant).await.err().map(|error| error.code()), Some("tenant_exists"));
    let mut loading = other.store.load(tenant).await.expect("begins");
    let mut dump = bench.store.dump(tenant, None).await.expect("begins");
    let whole = frames(&mut dump).await;
    assert_eq!(dump.end().get().map(|end| end.position), Some(400));
    loading.apply(stream::iter(whole)).await.expect("is whole");
    fill(3).await;
    let mut increment = bench.store.dump(tenant, Some(400)).await.expect("begins");
    loading.apply(stream::iter(frames(&mut increment).await)).await.expect("goes on");
    other.store.publish(loading).await.expect("is seen");
    assert_eq!(other.store.verify_chain(ctx).await.expect("holds"), 403);
    assert_eq!(other.store.count(ctx, "thing", None).await.expect("counts"), 403);

    let mut none = bench.store.dump(tenant, Some(999)).await.expect("begins");
    let refused = frames(&mut none).await.pop().expect("says something").expect_err("there is no such event");
    assert_eq!(refused.code(), "dump_position");
    other.close().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_a_tenant_hears_of_it_after_it_was_restored_as_it_was_earlier() {
    let bench = remote().await;
    let (ctx, tenant, store) = (&bench.ctx, bench.ctx.tenant(), &bench.store);
    let mut watched = store.watch(tenant);
    let mut make = async |count: i64| {
        for _ in 0..count {
            store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("x"))).await.expect("commits");
        }
        let head = store.head(ctx).await.expect("reads");
        let reached = tokio::time::timeout(SOON, watched.wait_for(|position| *position == head)).await;
        assert!(reached.is_ok(), "whoever watches is told of {head}");
    };
    make(1).await;
    let copy = frames(&mut store.dump(tenant, None).await.expect("is told")).await;
    make(5).await;
    store.erase(tenant).await.expect("erases");
    let mut loading = store.load(tenant).await.expect("begins");
    loading.apply(stream::iter(copy)).await.expect("loads");
    store.publish(loading).await.expect("publishes");
    make(1).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_deep_bodies_arrive_to_the_last_bit() {
    let bench = remote().await;
    let weights = [0.1 + 0.2, 5e-324, 2.225_073_858_507_201_4e-308, 123_456_789.123_456_79, 1.0 / 3.0];
    for weight in weights {
        let id = bench.store.mint_id();
        let thing = Thing { weight: Some(weight), ..Thing::named("exact") };
        let done = bench.store.commit(&bench.ctx, UnitOfWork::new().create(id, &thing)).await.expect("commits");
        let behind = bench.served.as_ref().expect("is served").store.get(&bench.ctx, "thing", id).await.expect("reads").expect("is there");
        assert_eq!(done.records[0].body, behind.body);
        assert_eq!(behind.decode::<Thing>().expect("decodes").weight.map(f64::to_bits), Some(weight.to_bits()));
    }
    let deep = (0..29).fold(json!(1), |inner, _| json!({ "a": inner }));
    let body = crate::support::object(json!({ "name": "deep", "extra": deep }));
    let id = bench.store.mint_id();
    bench.store.commit(&bench.ctx, UnitOfWork::new().put("thing", id, body.clone(), Expect::Absent)).await.expect("commits");
    let read = bench.store.get(&bench.ctx, "thing", id).await.expect("reads").expect("is there");
    assert_eq!(read.body.object().expect("reads")["extra"], body["extra"]);
    bench.close().await;
}

/// Not a test of its own: the one below starts it as a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the victim of the test below"]
#[expect(clippy::disallowed_methods, reason = "folder and address come from the process that started this one")]
async fn victim() {
    let (dir, address) = (std::env::var(FOLDER).expect("a folder"), std::env::var(ADDRESS).expect("an address"));
    let store = reopened(Backend::Sqlite { dir: dir.into() }, kinds()).await;
    let listener = TcpListener::bind(address).await.expect("listens");
    println!("serving");
    serve_port(store, link_key(), listener, CancellationToken::new()).await;
}

fn start_victim(dir: &Path, address: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("is a file"))
        .args(["--exact", "remote::victim", "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .env(ADDRESS, address)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("serving")), "it serves");
    child
}

#[derive(Default)]
struct Ledger {
    sent: Mutex<BTreeSet<RecordId>>,
    acked: Mutex<BTreeSet<RecordId>>,
    stop: AtomicBool,
}

/// Creates things until it is told to stop; each counts itself, so that one made twice is seen.
async fn write(store: Store, ledger: Arc<Ledger>) {
    while !ledger.stop.load(Ordering::SeqCst) {
        let id = store.mint_id();
        ledger.sent.lock().insert(id);
        let unit = UnitOfWork::new().create(id, &Thing::named("x")).add("made", 1, steward_store::Bounds::NATURAL);
        match store.commit(&ctx(tenant()), unit).await {
            Ok(done) => {
                assert_eq!((done.records.len(), done.records[0].id), (1, id));
                ledger.acked.lock().insert(id);
            }
            Err(error) => {
                // Tried again under the same id until it is known: never twice.
                assert!(["data_unreachable", "outcome_unknown"].contains(&error.code()), "{error:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_role_that_is_killed_loses_nothing_and_doubles_nothing() {
    let (dir, address) = (tempfile::tempdir().expect("a folder"), free_address());
    let mut child = start_victim(dir.path(), &address);
    let store = open(&format!("http://{address}"), link_key(), kinds(), 7).await.expect("opens");
    store.provision(tenant()).await.expect("provisions");
    let mut watched = store.watch(tenant());
    let ledger = Arc::new(Ledger::default());
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(write(store.clone(), ledger.clone()))).collect();
    for _ in 0..5 {
        let acked = ledger.acked.lock().len();
        eventually("progress", async || (ledger.acked.lock().len() > acked + 60).then_some(())).await;
        child.kill().expect("is killed");
        child.wait().expect("is gone");
        child = start_victim(dir.path(), &address);
    }
    let acked = ledger.acked.lock().len();
    eventually("progress after the last kill", async || (ledger.acked.lock().len() > acked + 20).then_some(())).await;
    ledger.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("meets no other refusal");
    }
    let found = everything(&store, &ctx(tenant())).await;
    let (sent, acked) = (ledger.sent.lock().clone(), ledger.acked.lock().clone());
    assert!(acked.is_subset(&found), "{:?} were answered and are gone", acked.difference(&found));
    assert!(found.is_subset(&sent), "{:?} were never asked for", found.difference(&sent));
    let made = i64::try_from(found.len()).expect("few");
    assert_eq!(store.counter(&ctx(tenant()), "made").await.expect("reads"), made, "each counted itself once");
    assert_eq!(store.verify_chain(&ctx(tenant())).await.expect("holds"), made, "one event each");
    let reached = tokio::time::timeout(SOON, watched.wait_for(|position| *position >= made)).await;
    assert!(reached.is_ok(), "the watcher follows through every restart");
    store.close().await;
    child.kill().expect("is killed");
    child.wait().expect("is gone");
}
