//! Sixteen writers in four processes on one PostgreSQL, of which one is killed: readers in this process, who begin at different times, each get
//! every event once and in order.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Store, UnitOfWork};

use crate::support::{Thing, ctx, kinds, postgres_url, reopened};

const WRITERS: usize = 4;
const PROCESSES: usize = 4;
const COMMITS: usize = 60;
const WHERE: &str = "STEWARD_TEST_WRITE_INTO";

fn backend(url: String) -> Backend {
    Backend::Postgres { url: Secret::new(url), connections: 6 }
}

/// Not a test of its own: the other one starts it as a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a writer for the test below"]
#[expect(clippy::disallowed_methods, reason = "the tenant comes from the process that started this one")]
async fn writer() {
    let tenant: TenantId = std::env::var(WHERE).expect("a tenant").parse().expect("is one");
    let store = reopened(backend(postgres_url().expect("is set")), kinds()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..COMMITS {
                let id = store.mint_id();
                store.commit(&ctx(tenant), UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("commits");
                let mut out = std::io::stdout().lock();
                writeln!(out, "acked {}", id.wire("thg")).and_then(|()| out.flush()).expect("is read");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
}

fn start(tenant: TenantId) -> Child {
    Command::new(std::env::current_exe().expect("is a file"))
        .args(["--exact", "readers::writer", "--ignored", "--nocapture"])
        .env(WHERE, tenant.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

/// Reads on from a position whenever there is more, until it has seen `last`; answers the subjects.
async fn follow(store: Store, tenant: TenantId, from: i64, last: Arc<AtomicI64>) -> Vec<RecordId> {
    let (mut watch, mut position, mut subjects) = (store.watch(tenant), from, Vec::new());
    loop {
        for event in store.events(&ctx(tenant), position, 7).await.expect("reads") {
            assert_eq!(event.position, position + 1, "none is missed, none comes twice or late");
            position = event.position;
            subjects.push(event.subject_record().expect("is a record"));
        }
        if position >= last.load(Ordering::SeqCst) {
            return subjects;
        }
        if *watch.borrow_and_update() <= position {
            // The end is told by no event.
            let _ = tokio::time::timeout(Duration::from_millis(100), watch.changed()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_miss_nothing_that_many_processes_write() {
    let Some(url) = postgres_url() else { return };
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let store = reopened(backend(url.clone()), kinds()).await;
    store.provision(tenant).await.expect("provisions");
    let last = Arc::new(AtomicI64::new(i64::MAX));
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(follow(store.clone(), tenant, 0, last.clone()));

    let mut children: Vec<Child> = (0..PROCESSES).map(|_| start(tenant)).collect();
    let outs: Vec<_> = children.iter_mut().map(|child| child.stdout.take().expect("is piped")).collect();
    let listening = outs.into_iter().map(|out| {
        std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.filter_map(|line| RecordId::parse("thg", line.strip_prefix("acked ")?)).collect::<BTreeSet<_>>()
        })
    });
    let listening: Vec<_> = listening.collect();
    let reached = async |position: i64| {
        let mut watch = store.watch(tenant);
        let waited = watch.wait_for(|seen| *seen >= position).await.map(|_| ());
        waited.expect("the store is open");
    };
    tokio::time::timeout(Duration::from_secs(60), reached(100)).await.expect("they write");
    readers.spawn(follow(store.clone(), tenant, 0, last.clone()));
    readers.spawn(follow(store.clone(), tenant, 50, last.clone()));
    children[0].kill().expect("is killed");
    for child in &mut children {
        child.wait().expect("ends");
    }
    let acked: BTreeSet<RecordId> = listening.into_iter().flat_map(|thread| thread.join().expect("listens")).collect();
    let head = store.head(&ctx(tenant)).await.expect("reads");
    last.store(head, Ordering::SeqCst);

    let mut lengths = Vec::new();
    while let Some(subjects) = readers.join_next().await {
        let subjects = subjects.expect("follows");
        let distinct: BTreeSet<RecordId> = subjects.iter().copied().collect();
        assert_eq!(distinct.len(), subjects.len());
        if subjects.len() == usize::try_from(head).expect("is small") {
            assert!(acked.is_subset(&distinct), "what was answered was told");
        }
        lengths.push(subjects.len());
    }
    lengths.sort_unstable();
    let head = usize::try_from(head).expect("is small");
    assert_eq!(lengths, [head - 50, head, head]);
    assert_eq!(store.verify_chain(&ctx(tenant)).await.expect("holds"), head as i64);
    assert!(acked.len() >= 3 * WRITERS * COMMITS, "three processes wrote to their end: {}", acked.len());
    store.close().await;
}
