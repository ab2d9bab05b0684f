//! kill -9 in the middle of puts and deletes, again and again: every object is whole, what was promised is there, nothing unfinished stays.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use steward_fabric::Class;
use steward_fabric::blob::{Blob, Expect, Key, whole};
use tokio::runtime::Runtime;

use crate::support::tenant;

const ROUNDS: usize = 8;
const WRITERS: usize = 3;
const CLASS: Class = Class::new("test");

fn key(writer: usize, slot: u64) -> Key {
    Key::new(tenant(1), CLASS, &format!("{writer}-{slot}")).expect("a key")
}

/// What is put under a key the `turn`th time: of one byte each, and long enough for several parts now and then.
fn body(writer: usize, turn: u64) -> Vec<u8> {
    let length = if turn.is_multiple_of(9) { 17 << 20 } else { 1_000 + (turn as usize * 7_919) % 300_000 };
    let mut bytes = format!("{writer}/{turn}/{length}\n").into_bytes();
    bytes.resize(length, turn as u8);
    bytes
}

/// Killed by its parent, which hands it a folder; alone it has nothing to do.
#[test]
#[ignore = "started by a_kill_leaves_whole_objects_only"]
fn child() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a line");
    let Some((round, dir)) = line.trim().split_once(' ') else { return };
    let round: u64 = round.parse().expect("a number");
    Runtime::new().expect("a runtime").block_on(async {
        let blob = Blob::directory(Path::new(dir)).await.expect("opens");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let blob = blob.clone();
            writers.spawn(async move {
                for turn in round * 1_000_000.. {
                    let key = key(writer, turn % 5);
                    say("sent", writer, turn);
                    if turn % 7 == 6 {
                        blob.delete(&key).await.expect("deletes");
                        say("deleted", writer, turn);
                    } else {
                        blob.put(&key, whole(body(writer, turn)), Expect::default()).await.expect("puts");
                        say("acked", writer, turn);
                    }
                }
            });
        }
        writers.join_next().await;
    });
}

fn say(what: &str, writer: usize, turn: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {writer} {turn}").and_then(|()| out.flush()).expect("the parent listens");
}

/// What is known of one key: the last that was acknowledged, or its deletion, and what was sent after that.
#[derive(Debug, Default)]
struct Known {
    certain: Option<u64>,
    possible: Vec<u64>,
}

#[test]
fn a_kill_leaves_whole_objects_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut ledger: BTreeMap<(usize, u64), Known> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "blob_kill::child", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        writeln!(child.stdin.take().expect("piped"), "{round} {}", dir.path().display()).expect("listens");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut promised = 0;
        while promised < 20 + round * 11 {
            let line = lines.next().expect("keeps talking").expect("reads");
            promised += usize::from(!line.starts_with("sent"));
            note(&mut ledger, &line);
        }
        child.kill().expect("dies");
        child.wait().expect("is gone");
        // What it said before it died counts; a line cut in half does not.
        lines.map_while(Result::ok).for_each(|line| note(&mut ledger, &line));
        inspect(dir.path(), &mut ledger);
    }
}

fn note(ledger: &mut BTreeMap<(usize, u64), Known>, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let [what @ ("sent" | "acked" | "deleted"), writer, turn] = words[..] else { return };
    let (Ok(writer), Ok(turn)) = (writer.parse(), turn.parse::<u64>()) else { return };
    let known = ledger.entry((writer, turn % 5)).or_default();
    match what {
        "sent" => known.possible.push(turn),
        // A writer does one thing at a time, so what is answered is what was sent last; anything else is half a line.
        _ if known.possible.last() == Some(&turn) => {
            *known = Known { certain: (what == "acked").then_some(turn), possible: Vec::new() };
        }
        _ => {}
    }
}

fn inspect(dir: &Path, ledger: &mut BTreeMap<(usize, u64), Known>) {
    Runtime::new().expect("a runtime").block_on(async {
        let blob = Blob::directory(dir).await.expect("opens");
        for (&(writer, slot), known) in ledger {
            let found = match blob.get(&key(writer, slot), None).await.expect("reads") {
                Some(object) => Some(object.bytes(32 << 20).await.expect("arrives")),
                None => None,
            };
            let possible = known.possible.iter().copied().map(|turn| (turn % 7 != 6).then_some(turn)).chain([known.certain]);
            let mut matching = possible.filter(|turn| turn.map(|turn| body(writer, turn)).as_deref() == found.as_deref());
            let settled =
                matching.next().unwrap_or_else(|| panic!("{writer}-{slot} is neither what was promised nor what was sent: {known:?}"));
            *known = Known { certain: settled, possible: Vec::new() };
        }
        let listed = blob.list(tenant(1).into(), CLASS, None, 1_000).await.expect("lists").objects.len();
        let files = std::fs::read_dir(dir.join(tenant(1).to_string()).join("test")).expect("lists").count();
        assert_eq!(listed, files, "nothing unfinished is left");
    });
}
