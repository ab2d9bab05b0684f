//! A process that is killed between an effect and its answer: whoever repeats the request under its key doubles nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use steward_base::{Attempt, AttemptKey, Ctx};
use steward_store::{Store, UnitOfWork};

use crate::kill::{FOLDER, open, tenant};
use crate::support::{Thing, ctx};

/// Where each client goes on, separated by commas.
const STARTS: &str = "STEWARD_TEST_STARTS";
const CLIENTS: usize = 8;
const ROUNDS: usize = 5;

fn attempt(store: &Store, name: &str) -> Ctx {
    let key = AttemptKey { principal: "key_1".into(), operation: "things.create".into(), key: name.into() };
    let until = store.clock().now().plus(Duration::from_secs(3_600));
    let attempt = Attempt { tenant: tenant(), key, request: [1; 32], formerly: Vec::new(), nonce: store.random().bytes(), until };
    ctx(tenant()).attempting(Some(Arc::new(attempt)))
}

/// What a server does with one request: its answer again, nothing where the answer is lost, or the effect and then the answer.
async fn serve(store: &Store, name: &str) {
    let ctx = attempt(store, name);
    if store.remembered(&ctx).await.expect("reads").is_some() {
        return;
    }
    let unit = UnitOfWork::new().create(store.mint_id(), &Thing::named(name));
    store.commit(&ctx, unit).await.expect("commits");
    store.answer(&ctx, 201, Some(name.as_bytes().to_vec())).await.expect("is kept");
}

/// Not a test of its own: the other one starts it as a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the victim of the test below"]
#[expect(clippy::disallowed_methods, reason = "the folder comes from the process that started this one")]
async fn victim() {
    let dir = std::env::var(FOLDER).expect("a folder");
    let starts = std::env::var(STARTS).expect("numbers");
    let store = open(dir.as_ref()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for (client, start) in starts.split(',').map(|start| start.parse::<u64>().expect("a number")).enumerate() {
        let store = store.clone();
        tasks.spawn(async move {
            for number in start.. {
                serve(&store, &format!("{client}-{number}")).await;
                let mut out = std::io::stdout().lock();
                writeln!(out, "answered {client} {number}").and_then(|()| out.flush()).expect("is read");
            }
        });
    }
    tasks.join_next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_repeated_after_a_kill_has_one_effect() {
    let dir = tempfile::tempdir().expect("a folder");
    // Every client repeats the request that it has no answer to, and goes on.
    let mut next = [0u64; CLIENTS];
    for round in 0..ROUNDS {
        let starts: Vec<String> = next.iter().map(u64::to_string).collect();
        let mut child = Command::new(std::env::current_exe().expect("is a file"))
            .args(["--exact", "kill_repeats::victim", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .env(STARTS, starts.join(","))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut enough = 40 + round * 23;
        for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
            let line = line.expect("reads");
            let Some((client, number)) = line.strip_prefix("answered ").and_then(|rest| rest.split_once(' ')) else { continue };
            let client: usize = client.parse().expect("a number");
            next[client] = number.parse::<u64>().expect("a number") + 1;
            enough = enough.saturating_sub(1);
            if enough == 0 {
                child.kill().expect("is killed");
            }
        }
        child.wait().expect("is gone");
    }
    let store = open(dir.path()).await;
    // The last request of each client once more, as it would come after the last kill.
    for (client, number) in next.iter().enumerate() {
        serve(&store, &format!("{client}-{number}")).await;
    }
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for event in store.events(&ctx(tenant()), 0, 10_000).await.expect("are read") {
        *effects.entry(event.data["after"]["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let asked: BTreeMap<String, usize> =
        next.iter().enumerate().flat_map(|(client, last)| (0..=*last).map(move |number| (format!("{client}-{number}"), 1))).collect();
    assert_eq!(effects, asked, "every request has one effect");
    store.close().await;
}
