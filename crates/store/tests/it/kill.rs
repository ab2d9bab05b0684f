//! A writer that is killed: what it was answered is there afterwards, and nothing it never asked for.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use steward_base::{Clock, Random, RecordId, TenantId};
use steward_store::{Backend, MasterKey, Options, Store, UnitOfWork};

use crate::support::{Thing, ctx, everything, kinds};

const TENANT: [u8; 16] = [9; 16];
pub(crate) const FOLDER: &str = "STEWARD_TEST_WRITER";
const ROUNDS: usize = 6;

pub(crate) async fn open(dir: &std::path::Path) -> Store {
    let backend = Backend::Sqlite { dir: dir.to_owned() };
    let store =
        Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds(), Clock::system(), Random::system()).await.expect("opens");
    store.provision(tenant()).await.expect("provisions");
    store
}

pub(crate) fn tenant() -> TenantId {
    RecordId::from_bytes(TENANT).into()
}

/// Not a test of its own: the other one starts it as a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the victim of the test below"]
#[expect(clippy::disallowed_methods, reason = "the folder comes from the process that started this one")]
async fn victim() {
    let dir = std::env::var(FOLDER).expect("a folder");
    let store = open(dir.as_ref()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let say = |word: &str, id: RecordId| {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{word} {}", id.wire("thg")).and_then(|()| out.flush()).expect("is read");
            };
            loop {
                let id = store.mint_id();
                say("sent", id);
                store.commit(&ctx(tenant()), UnitOfWork::new().create(id, &Thing::named("x"))).await.expect("commits");
                say("acked", id);
            }
        });
    }
    tasks.join_next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut sent, mut acked) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("is a file"))
            .args(["--exact", "kill::victim", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut enough = 60 + round * 37;
        for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
            let line = line.expect("reads");
            if let Some(id) = line.strip_prefix("sent ").and_then(|id| RecordId::parse("thg", id)) {
                sent.insert(id);
            }
            if let Some(id) = line.strip_prefix("acked ").and_then(|id| RecordId::parse("thg", id)) {
                acked.insert(id);
                enough = enough.saturating_sub(1);
                if enough == 0 {
                    // The lines that were written before the end are still read.
                    child.kill().expect("is killed");
                }
            }
        }
        child.wait().expect("is gone");
        if round % 2 == 1 {
            spoil_the_end_of_the_log(dir.path());
        }
        let store = open(dir.path()).await;
        let found = everything(&store, &ctx(tenant())).await;
        assert!(acked.is_subset(&found), "round {round}: {:?} were answered and are gone", acked.difference(&found));
        assert!(found.is_subset(&sent), "round {round}: {:?} were never asked for", found.difference(&sent));
        assert_eq!(store.verify_chain(&ctx(tenant())).await.expect("holds"), found.len() as i64, "one event per record");
        store.close().await;
    }
}

/// What a torn write leaves behind the last whole commit.
fn spoil_the_end_of_the_log(dir: &std::path::Path) {
    let log = dir.join("tenants").join(format!("{}.db-wal", tenant()));
    let mut file = std::fs::File::options().append(true).open(log).expect("a killed writer leaves its log");
    file.write_all(&[0xab; 5_000]).expect("writes");
}
