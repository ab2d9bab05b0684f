//! A PostgreSQL server that goes away under load: nothing answered is lost, nothing is doubled, and it goes on by itself.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{ErrorKind, RecordId, Secret};
use steward_store::{Backend, UnitOfWork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Thing, bench_on, everything, postgres_url};

const SOON: Duration = Duration::from_secs(60);

/// A server of its own, to be stopped and started.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    programs: PathBuf,
    user: (u32, u32),
    port: u16,
}

impl Server {
    /// None where tests run without PostgreSQL.
    pub(crate) fn start() -> Option<Self> {
        postgres_url()?;
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
        let programs = versions.filter_map(Result::ok).map(|version| version.path().join("bin")).max().expect("some version");
        let dir = tempfile::tempdir().expect("a folder");
        let users = std::fs::read_to_string("/etc/passwd").expect("lists users");
        let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the package made a user");
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("is a number"));
        let user = (numbers.next().expect("has a user id"), numbers.next().expect("has a group id"));
        // PostgreSQL refuses to run as root; everyone else runs it as they are.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(user.0), Some(user.1)).expect("is handed over");
        }
        let port = crate::ports::own();
        let server = Self { dir, programs, user, port };
        server.run("initdb", &["--username=steward", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        server.control("start", "fast");
        Some(server)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(arguments).current_dir(self.dir.path());
        if rustix::process::geteuid().is_root() {
            command.gid(self.user.1).uid(self.user.0);
        }
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("programs.log")).expect("a log");
        let done = command.stdout(log.try_clone().expect("a log")).stderr(log).status().expect("runs");
        assert!(done.success(), "{program} {arguments:?}: {:?}", std::fs::read_to_string(self.dir.path().join("programs.log")));
    }

    pub(crate) fn control(&self, what: &str, mode: &str) {
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1", self.port, self.dir.path().display());
        let log = self.dir.path().join("server.log").display().to_string();
        self.run("pg_ctl", &["-w", "-m", mode, "-l", &log, "-o", &options, what]);
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://steward@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.control("stop", "immediate");
        }
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) acked: Mutex<BTreeSet<RecordId>>,
    pub(crate) refused: Mutex<BTreeSet<RecordId>>,
    pub(crate) unknown: Mutex<BTreeSet<RecordId>>,
    answers: AtomicUsize,
    pub(crate) stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn restarts_under_load_lose_and_double_nothing() {
    let Some(server) = Server::start() else { return };
    let bench = bench_on(Backend::Postgres { url: Secret::new(server.url()), connections: 6 }, "postgres", None).await;
    let ledger = Arc::new(Ledger::default());
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        writers.spawn(write(bench.store.clone(), bench.ctx.clone(), ledger.clone()));
    }
    let server = Arc::new(server);
    for (what, mode) in [("restart", "fast"), ("restart", "immediate"), ("restart", "fast"), ("restart", "immediate")] {
        answered_again(&ledger, 40).await;
        let server = server.clone();
        tokio::task::spawn_blocking(move || server.control(what, mode)).await.expect("restarts");
    }
    answered_again(&ledger, 40).await;
    ledger.stop.store(true, Ordering::Relaxed);
    while writers.join_next().await.transpose().expect("no panic").is_some() {}

    bench.store.health().await.expect("is well again");
    let found = everything(&bench.store, &bench.ctx).await;
    let (acked, refused) = (ledger.acked.lock().clone(), ledger.refused.lock().clone());
    assert!(acked.is_subset(&found), "{:?} were answered and are gone", acked.difference(&found));
    assert!(refused.is_disjoint(&found), "{:?} were refused and are there", refused.intersection(&found));
    let events = bench.store.verify_chain(&bench.ctx).await.expect("holds");
    assert_eq!(events, found.len() as i64, "one event per record");

    let stopped = server.clone();
    tokio::task::spawn_blocking(move || stopped.control("stop", "fast")).await.expect("stops");
    let down =
        bench.store.commit(&bench.ctx, UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("x"))).await.expect_err("is down");
    assert_eq!((down.kind(), down.code(), down.retry_after().is_some()), (ErrorKind::Unavailable, "database_unavailable", true));
    assert_eq!(bench.store.health().await.expect_err("says why").code(), "database_unavailable");
    bench.store.close().await;
}

/// A way to the server on which the answer to one commit gets lost without the connection breaking.
struct Way {
    port: u16,
    lose_next_commit: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: (String, u16)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let (lose_next_commit, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let way = Self { port, lose_next_commit: lose_next_commit.clone(), lost: lost.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = tokio::net::TcpStream::connect(&server).await.expect("connects");
                tokio::spawn(carry(client, server, lose_next_commit.clone(), lost.clone()));
            }
        });
        way
    }
}

async fn carry(client: tokio::net::TcpStream, server: tokio::net::TcpStream, lose_next_commit: Arc<AtomicBool>, lost: Arc<AtomicBool>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let silent = Arc::new(AtomicBool::new(false));
    let silenced = silent.clone();
    let forth = async move {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            let commits = bytes[..count].windows(6).any(|word| word == b"COMMIT");
            if commits && lose_next_commit.swap(false, Ordering::SeqCst) {
                silenced.store(true, Ordering::SeqCst);
                lost.store(true, Ordering::SeqCst);
            }
            to_server.write_all(&bytes[..count]).await.expect("passes on");
        }
    };
    let back = async move {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if !silent.load(Ordering::SeqCst) && to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(forth, back);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_never_comes_is_asked_about() {
    let Some(url) = postgres_url() else { return };
    let (before, place) = url.rsplit_once('@').expect("names a user");
    let (server, database) = place.split_once('/').expect("names a database");
    let (host, port) = server.split_once(':').expect("names a port");
    let way = Way::to((host.to_owned(), port.parse().expect("is a number"))).await;
    let url = format!("{before}@127.0.0.1:{}/{database}", way.port);
    let bench = bench_on(Backend::Postgres { url: Secret::new(url), connections: 4 }, "postgres", None).await;
    let (store, ctx) = (&bench.store, &bench.ctx);
    store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("before"))).await.expect("commits");

    way.lose_next_commit.store(true, Ordering::SeqCst);
    let id = store.mint_id();
    let unit = UnitOfWork::new().create(id, &Thing::named("asked about"));
    let done = tokio::time::timeout(SOON, store.commit(ctx, unit)).await.expect("does not wait for the answer for ever");
    assert_eq!(done.expect("turns out to be committed").records[0].id, id);
    assert!(way.lost.load(Ordering::SeqCst), "an answer was lost");
    store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Thing::named("after"))).await.expect("goes on");
    assert_eq!(store.verify_chain(ctx).await.expect("holds"), 3, "once each");
    store.close().await;
}

#[tokio::test]
async fn a_connection_has_limits() {
    let Some(url) = postgres_url() else { return };
    let bench = bench_on(Backend::Postgres { url: Secret::new(url.clone()), connections: 4 }, "postgres", None).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    let schema = bench.ctx.tenant().record().wire("t");
    client.batch_execute(&format!("BEGIN; SELECT * FROM {schema}.tenant_head FOR UPDATE")).await.expect("holds the head");
    let unit = || UnitOfWork::new().create(bench.store.mint_id(), &Thing::named("x"));
    let held = tokio::time::timeout(SOON, bench.store.commit(&bench.ctx, unit())).await.expect("is not held for ever");
    let held = held.expect_err("the head is held");
    assert_eq!((held.kind(), held.code(), held.retry_after().is_some()), (ErrorKind::Unavailable, "database_unavailable", true));
    client.batch_execute("ROLLBACK").await.expect("lets go");
    bench.store.commit(&bench.ctx, unit()).await.expect("goes on");
    bench.store.close().await;
}

pub(crate) async fn write(store: steward_store::Store, ctx: steward_base::Ctx, ledger: Arc<Ledger>) {
    while !ledger.stop.load(Ordering::Relaxed) {
        let id = store.mint_id();
        match store.commit(&ctx, UnitOfWork::new().create(id, &Thing::named("x"))).await {
            Ok(_) => {
                ledger.acked.lock().insert(id);
                ledger.answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                let known = error.code() == "database_unavailable";
                if known { &ledger.refused } else { &ledger.unknown }.lock().insert(id);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Waits until so many more units were committed.
pub(crate) async fn answered_again(ledger: &Ledger, more: usize) {
    let wanted = ledger.answers.load(Ordering::Relaxed) + more;
    let reached = async {
        while ledger.answers.load(Ordering::Relaxed) < wanted {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, reached).await.expect("commits go on by themselves");
}
