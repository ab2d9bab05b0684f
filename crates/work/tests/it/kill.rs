//! Workers that are killed and frozen: no job is lost, none takes effect twice, none is ended by a lease that ran out.
//!
//! On SQLite one process holds four workers and is killed whole; on PostgreSQL four processes share the jobs, and one after another is killed or
//! stopped for longer than its lease.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use steward_auth::system;
use steward_base::{Clock, Ctx, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Job, JobDraft, JobQuery, JobState, Kind, Kinds, ListQuery, MasterKey, Options, Store, UnitOfWork};
use steward_work::{Running, Work};

use crate::support::{Handle, Number, Trace, options, trace, until};

const PLACE: &str = "STEWARD_TEST_WORKERS";
const ROUNDS: &str = "STEWARD_TEST_CRASH_ROUNDS";
/// Workers that share the jobs.
const WORKERS: usize = 4;
/// Jobs that are queued in a round.
const PER_ROUND: i64 = 40;
/// Short, so that many run out.
const LEASE: Duration = Duration::from_millis(600);
/// For longer than a lease.
const FROZEN: Duration = Duration::from_millis(900);

#[expect(clippy::disallowed_methods, reason = "tests are told by the script or the test that runs them")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn rounds() -> i64 {
    told(ROUNDS).and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

fn tenant() -> Ctx {
    let tenant: TenantId = RecordId::from_bytes([7; 16]).into();
    system(tenant, "test")
}

async fn open(backend: Backend) -> Store {
    let kinds = steward_work::kinds().into_iter().fold(Kinds::new().with(Kind::of::<Trace>()), Kinds::with);
    let store =
        Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds, Clock::system(), Random::system()).await.expect("opens");
    store.provision(tenant().tenant()).await.expect("provisions");
    store
}

fn place(text: &str) -> Backend {
    match text.strip_prefix("postgres") {
        Some(_) => Backend::Postgres { url: Secret::new(text.to_owned()), connections: 8 },
        None => Backend::Sqlite { dir: text.into() },
    }
}

/// Takes a while with every third job, so that some are in hand whenever a process is killed.
fn work(store: &Store) -> Work {
    let own = store.clone();
    let handle = move |_: Running, payload: Number| {
        let store = own.clone();
        async move {
            if payload.number % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(payload.number.unsigned_abs() % 50)).await;
            }
            Ok(trace(&store, payload.number))
        }
    };
    Work::new(store.clone(), steward_work::Options { lease: LEASE, ..options() }).with(Handle(handle))
}

fn say(word: &str, number: i64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {number}").and_then(|()| out.flush()).expect("is read");
}

async fn queue(store: &Store, number: i64) {
    say("sent", number);
    let unit = UnitOfWork::new().enqueue(store.mint_id(), JobDraft::new("work", json!(Number { number })));
    store.commit(&tenant(), unit).await.expect("queues");
    say("acked", number);
}

/// Not a test of its own: the others start it as a process and kill that. It works, and queues the numbers it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the victim of the tests below"]
async fn victim() {
    let store = open(place(&told(PLACE).expect("a place"))).await;
    let (count, from): (usize, i64) = serde_json::from_str(&told("STEWARD_TEST_SHARE").expect("a share")).expect("two numbers");
    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(work(&store).start().await.expect("starts"));
    }
    say("ready", 0);
    if from >= 0 {
        for number in from..from + PER_ROUND {
            queue(&store, number).await;
        }
    }
    std::future::pending::<()>().await;
}

/// A victim; it is killed when it is dropped.
struct Victim(Child);

impl Victim {
    fn start(place: &str, workers: usize, from: i64) -> (Self, std::process::ChildStdout) {
        let mut child = Command::new(std::env::current_exe().expect("is a file"))
            .args(["--exact", "kill::victim", "--ignored", "--nocapture"])
            .env(PLACE, place)
            .env("STEWARD_TEST_SHARE", json!([workers, from]).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let out = child.stdout.take().expect("is piped");
        (Self(child), out)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().expect("is killed");
        self.0.wait().expect("is gone");
    }
}

#[derive(Default)]
struct Ledger {
    sent: BTreeSet<i64>,
    acked: BTreeSet<i64>,
}

impl Ledger {
    fn note(&mut self, line: &str) {
        let (word, number) = line.split_once(' ').unwrap_or_default();
        match (word, number.parse()) {
            ("sent", Ok(number)) => drop(self.sent.insert(number)),
            ("acked", Ok(number)) => drop(self.acked.insert(number)),
            _ => {}
        }
    }

    /// Works off what is left, then compares.
    async fn settle(&self, store: &Store) {
        let worker = work(store).start().await.expect("starts");
        let open =
            async |state| store.jobs(&tenant(), JobQuery { state: Some(state), limit: 500, ..JobQuery::default() }).await.expect("lists");
        let finished = async || open(JobState::Queued).await.is_empty() && open(JobState::Running).await.is_empty();
        until(&finished).await;
        // Whose processes were killed every time is given up, and not lost: somebody queues it again.
        let mut given_up = 0;
        loop {
            let dead: Vec<Job> = open(JobState::Dead).await;
            if dead.is_empty() {
                break;
            }
            given_up += dead.len();
            let again = dead.iter().fold(UnitOfWork::new(), |unit, job| unit.redrive(job.id));
            store.commit(&tenant(), again).await.expect("queues");
            until(&finished).await;
        }
        worker.stop(Duration::from_secs(5)).await;
        let mut effects: BTreeMap<i64, usize> = BTreeMap::new();
        let mut query = ListQuery { kind: "trace".into(), limit: 500, ..ListQuery::default() };
        loop {
            let page = store.list(&tenant(), query.clone()).await.expect("lists");
            for record in page.records {
                *effects.entry(record.decode::<Trace>().expect("decodes").number).or_default() += 1;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let doubled: Vec<_> = effects.iter().filter(|(_, times)| **times > 1).collect();
        assert!(doubled.is_empty(), "took effect more than once: {doubled:?}");
        let done: BTreeSet<i64> = effects.into_keys().collect();
        assert!(self.acked.is_subset(&done), "lost: {:?}", self.acked.difference(&done));
        assert!(done.is_subset(&self.sent), "never asked for: {:?}", done.difference(&self.sent));
        println!("{} jobs acked, {} done, each once; {} of them dead letters in between", self.acked.len(), done.len(), given_up);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_of_a_process_that_is_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::default();
    for round in 0..rounds() {
        let (mut victim, out) = Victim::start(&dir.path().display().to_string(), WORKERS, round * PER_ROUND);
        let mut enough = 1 + (round * 13) % PER_ROUND;
        for line in BufReader::new(out).lines() {
            let line = line.expect("reads");
            ledger.note(&line);
            enough -= i64::from(line.starts_with("acked"));
            if enough == 0 {
                // The lines that were written before the end are still read.
                victim.0.kill().expect("is killed");
            }
        }
    }
    let store = open(Backend::Sqlite { dir: Path::new(dir.path()).to_owned() }).await;
    ledger.settle(&store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_of_which_one_is_killed_or_frozen() {
    let Some(server) = told("STEWARD_TEST_POSTGRES") else {
        println!("not run: STEWARD_TEST_POSTGRES names no server; make test brings one up");
        return;
    };
    let name = format!("workers_{}", std::process::id());
    let made = Command::new("psql").args([&server, "-XAtqc", &format!("CREATE DATABASE {name}")]).status().expect("psql is there");
    assert!(made.success());
    let url = server.replacen("/postgres?", &format!("/{name}?"), 1);
    let store = open(place(&url)).await;
    let mut ledger = Ledger::default();
    let fresh = || {
        let (victim, out) = Victim::start(&url, 1, -1);
        let ready = BufReader::new(out).lines().any(|line| line.is_ok_and(|line| line.starts_with("ready")));
        assert!(ready, "it works");
        victim
    };
    let mut victims: Vec<Victim> = (0..WORKERS).map(|_| fresh()).collect();
    for round in 0..rounds() {
        let at = usize::try_from(round).expect("is small") % WORKERS;
        for number in round * PER_ROUND..(round + 1) * PER_ROUND {
            ledger.sent.insert(number);
            let unit = UnitOfWork::new().enqueue(store.mint_id(), JobDraft::new("work", json!(Number { number })));
            store.commit(&tenant(), unit).await.expect("queues");
            ledger.acked.insert(number);
            if number % PER_ROUND == (round * 7) % PER_ROUND {
                if round % 3 == 0 {
                    victims[at].signal("-STOP");
                } else {
                    victims[at] = fresh();
                }
            }
        }
        if round % 3 == 0 {
            // Its leases run out while others work; then it goes on as if nothing had been.
            tokio::time::sleep(FROZEN).await;
            victims[at].signal("-CONT");
        }
    }
    drop(victims);
    ledger.settle(&store).await;
    store.close().await;
}
