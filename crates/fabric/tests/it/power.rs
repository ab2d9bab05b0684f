//! Power cuts: a child puts, deletes and sends under `strace`; the folder is rebuilt as it could be after a cut at any moment, and opened.

use std::collections::BTreeMap;
use std::path::Path;

use steward_base::{Clock, Random};
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_fabric::mail::{Mail, Message, Sender};
use steward_fabric::{Class, Scope};
use tokio::runtime::Runtime;

use crate::platters::Disk;
use crate::support::tenant;
use crate::traced::{self, Act, Record, say};

const CLASS: Class = Class::new("test");
/// What a child does one after the other.
const STEPS: usize = 40;
/// Of this many bytes an object is sent in parts.
const LARGE: usize = (8 << 20) + 100_000;
/// How many ways of being cut each moment is tried in.
const WAYS: usize = 6;
const KEPT: usize = 3;

/// What the `turn`th step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Put(u8),
    Delete(u8),
    /// Everything of the second tenant, which has the last key.
    Erase,
}

/// Keys 0 to 2 are the first tenant's, 3 is the second's.
const OTHERS: u8 = 3;

fn step(turn: usize) -> Step {
    match turn % 10 {
        4 => Step::Delete(((turn / 10) % 3) as u8),
        6 => Step::Put(OTHERS),
        9 => Step::Erase,
        other => Step::Put((other % 3) as u8),
    }
}

fn key(number: u8) -> Key {
    Key::new(tenant(if number == OTHERS { 2 } else { 1 }), CLASS, &format!("object-{number}")).expect("a key")
}

fn body(turn: usize) -> Vec<u8> {
    let length = if turn == STEPS - 3 { LARGE } else { [0, 10, 700, 70_000][turn % 4] };
    let mut bytes = format!("{turn}/{length}\n").into_bytes();
    bytes.resize(bytes.len() + length, turn as u8);
    bytes
}

/// Started by the tests below, which hand it a folder.
#[test]
#[ignore = "started by other tests"]
fn puts() {
    let Some(dir) = traced::folder() else { return };
    // `strace` counts the calls of each thread by itself: with several, what is to fail once would fail once in each.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let blob = match Blob::directory(&dir).await {
            Ok(blob) => blob,
            Err(error) => {
                say(&format!("refused opening {}", error.code()));
                Blob::directory(&dir).await.expect("opens when asked again")
            }
        };
        for turn in 0..STEPS {
            say(&format!("sent {turn}"));
            let outcome = match step(turn) {
                Step::Put(number) => blob.put(&key(number), whole(body(turn)), Expect::default()).await.map(drop),
                Step::Delete(number) => blob.delete(&key(number)).await,
                Step::Erase => blob.erase(Scope::Tenant(tenant(2))).await,
            };
            match outcome {
                Ok(()) => say(&format!("acked {turn}")),
                Err(error) => say(&format!("refused {turn} {}", error.code())),
            }
        }
    });
}

/// What is known of one key: what it certainly holds, and what it may hold instead. A turn stands for its body.
#[derive(Clone, Debug, Default)]
struct Known {
    certain: Option<usize>,
    possible: Vec<Option<usize>>,
}

/// Takes down what the child said, and answers the codes of what was refused.
fn note(ledger: &mut BTreeMap<u8, Known>, said: &str) -> Option<String> {
    let mut words = said.split(' ');
    let (what, turn) = (words.next()?, words.next()?);
    if turn == "opening" {
        return words.next().map(str::to_owned);
    }
    let turn: usize = turn.parse().ok()?;
    let (number, after) = match step(turn) {
        Step::Put(number) => (number, Some(turn)),
        Step::Delete(number) => (number, None),
        Step::Erase => (OTHERS, None),
    };
    let known = ledger.entry(number).or_default();
    match what {
        "sent" => known.possible.push(after),
        "acked" => *known = Known { certain: after, possible: Vec::new() },
        "refused" => return words.next().map(str::to_owned),
        _ => {}
    }
    None
}

/// Opens the folder and compares: every object is whole and one that it may be, and nothing unfinished stays.
async fn inspect(dir: &Path, ledger: &BTreeMap<u8, Known>, when: &str) {
    let blob = Blob::directory(dir).await.expect("opens");
    for (&number, known) in ledger {
        let found = match blob.get(&key(number), None).await.expect("reads") {
            Some(object) => Some(object.bytes(32 << 20).await.expect("arrives")),
            None => None,
        };
        let fits = known.possible.iter().chain([&known.certain]).any(|turn| turn.map(body).as_deref() == found.as_deref());
        let begins = found.as_ref().map(|found| String::from_utf8_lossy(&found[..found.len().min(12)]).into_owned());
        assert!(fits, "{when}: object-{number} begins with {begins:?}, has {:?} bytes, and is: {known:?}", found.map(|found| found.len()));
    }
    for owner in [1, 2] {
        let listed = blob.list(tenant(owner).into(), CLASS, None, 1_000).await.expect("lists").objects.len();
        let files = std::fs::read_dir(dir.join(tenant(owner).to_string()).join(CLASS.name())).map_or(0, Iterator::count);
        assert_eq!(listed, files, "{when}: nothing unfinished is left");
    }
    blob.put(&key(0), whole("again"), Expect::default()).await.expect("goes on");
}

/// Every moment at which something happened, each cut in several ways.
fn each_cut(dir: &Path, acts: &[Act], random: &Random, mut look: impl FnMut(&Path, &[String], &str)) {
    let (mut disk, mut said) = (Disk::default(), Vec::new());
    for (number, act) in acts.iter().enumerate() {
        disk.take(act);
        if let Act::Said(line) = act {
            said.push(line.clone());
        }
        for way in 0..WAYS {
            let after = tempfile::tempdir().expect("a folder");
            disk.cut(dir, after.path(), random);
            look(after.path(), &said, &format!("act {number}, way {way}"));
        }
    }
}

/// Only the end, in more ways.
fn last_cuts(dir: &Path, acts: &[Act], random: &Random, mut look: impl FnMut(&Path, &[String], &str)) {
    let mut disk = Disk::default();
    acts.iter().for_each(|act| disk.take(act));
    let said: Vec<String> = acts.iter().filter_map(|act| if let Act::Said(line) = act { Some(line.clone()) } else { None }).collect();
    for way in 0..WAYS * 4 {
        let after = tempfile::tempdir().expect("a folder");
        disk.cut(dir, after.path(), random);
        look(after.path(), &said, &format!("the end, way {way}"));
    }
}

#[test]
fn no_power_cut_loses_or_tears_an_object() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(Record { acts, .. }) = traced::run("power::puts", dir.path(), &[&[]]) else { return };
    assert!(acts.iter().filter(|act| matches!(act, Act::Said(said) if said.starts_with("acked"))).count() == STEPS, "{acts:?}");
    let runtime = Runtime::new().expect("a runtime");
    each_cut(dir.path(), &acts, &Random::seeded(7), |after, said, when| {
        let mut ledger = BTreeMap::new();
        for line in said {
            assert_eq!(note(&mut ledger, line), None, "nothing is refused");
        }
        runtime.block_on(inspect(after, &ledger, when));
    });
}

/// Processes that are killed right before a sync leave names that nobody made durable; the next one must.
#[test]
fn no_power_cut_after_a_kill_loses_an_object() {
    let runtime = Runtime::new().expect("a runtime");
    for sync in 2..=5 {
        let dir = tempfile::tempdir().expect("a folder");
        let inject = format!("inject=fsync:signal=SIGKILL:when={sync}");
        let Some(Record { acts, .. }) = traced::run("power::puts", dir.path(), &[&["-e", &inject], &[]]) else { return };
        last_cuts(dir.path(), &acts, &Random::seeded(sync), |after, said, when| {
            let mut ledger = BTreeMap::new();
            for line in said {
                assert_eq!(note(&mut ledger, line), None, "nothing is refused");
            }
            runtime.block_on(inspect(after, &ledger, when));
        });
    }
}

/// A disk that says no once, at each place: the answer is clear, what was there stays or what was sent is there, and the next call goes on.
#[test]
fn a_failing_call_is_answered_and_leaves_whole_objects() {
    let runtime = Runtime::new().expect("a runtime");
    let staged = |dir: &Path, number: u8| {
        dir.join(tenant(1).to_string()).join(CLASS.name()).join(format!("object-{number}#1")).display().to_string()
    };
    for (call, error, code, places) in [
        ("fsync", "EIO", "blob_unavailable", 8),
        ("fsync", "ENOSPC", "blob_full", 3),
        ("fdatasync", "EIO", "blob_unavailable", 2),
        ("rename", "EIO", "blob_unavailable", 3),
        ("rename", "ENOSPC", "blob_full", 2),
        ("mkdir", "ENOSPC", "blob_full", 3),
        ("mkdir", "EROFS", "blob_read_only", 1),
        ("unlink", "EIO", "blob_unavailable", 2),
        ("write", "EIO", "blob_unavailable", 3),
        ("write", "ENOSPC", "blob_full", 3),
    ] {
        for place in 1..=places {
            let dir = tempfile::tempdir().expect("a folder");
            let (inject, path) = (format!("inject={call}:error={error}:when={place}"), staged(dir.path(), 0));
            // Writes also wake threads; only those into the object that is being written are to fail.
            let only = ["-e", inject.as_str(), "-P", path.as_str()];
            let record = traced::run("power::puts", dir.path(), &[if call == "write" { &only } else { &only[..2] }]);
            let Some(Record { said, .. }) = record else { return };
            let mut ledger = BTreeMap::new();
            for line in &said {
                if let Some(refused) = note(&mut ledger, line) {
                    assert_eq!(refused, code, "{call} {error} {place}");
                }
            }
            runtime.block_on(inspect(dir.path(), &ledger, &format!("{call} {error} {place}")));
        }
    }
}

fn message(turn: usize) -> Message {
    let to = "a@example.org".parse().expect("an address");
    Message { to, subject: format!("Number {turn}"), text: format!("{turn} {}", "x".repeat([5, 3_000, 40_000][turn % 3])), html: None }
}

async fn mail(dir: &Path) -> Mail {
    let sender = Sender { name: None, address: "steward@example.org".parse().expect("an address") };
    Mail::folder(dir, KEPT, sender, Clock::system(), Random::system()).await.expect("opens")
}

/// As above.
#[test]
#[ignore = "started by other tests"]
fn sends() {
    let Some(dir) = traced::folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mail = mail(&dir).await;
        for turn in 0..12 {
            say(&format!("sent {turn}"));
            mail.send(tenant(1).into(), &message(turn)).await.expect("sends");
            say(&format!("acked {turn}"));
        }
    });
}

#[test]
fn no_power_cut_loses_or_tears_a_letter() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(Record { acts, .. }) = traced::run("power::sends", dir.path(), &[&[]]) else { return };
    each_cut(dir.path(), &acts, &Random::seeded(8), read_mail);
}

#[test]
fn no_power_cut_after_a_kill_loses_a_letter() {
    for sync in 1..=4 {
        let dir = tempfile::tempdir().expect("a folder");
        let inject = format!("inject=fsync:signal=SIGKILL:when={sync}");
        let Some(Record { acts, .. }) = traced::run("power::sends", dir.path(), &[&["-e", &inject], &[]]) else { return };
        last_cuts(dir.path(), &acts, &Random::seeded(sync), read_mail);
    }
}

/// Opens the folder and compares: every letter is whole, and the newest ones that were acknowledged are there.
fn read_mail(after: &Path, said: &[String], when: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let turns = |what: &str| -> Vec<usize> { said.iter().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok()).collect() };
    let (sent, acked) = (turns("sent "), turns("acked "));
    let found: Vec<usize> = runtime.block_on(async {
        let mail = mail(after).await;
        let kept = mail.kept().expect("is a folder");
        let mut found = Vec::new();
        for envelope in kept.list(tenant(1).into(), None, 100).await.expect("lists") {
            let letter = kept.read(tenant(1).into(), envelope.id).await.expect("reads").expect("is there");
            let turn: usize = letter.envelope.subject["Number ".len()..].parse().expect("a number");
            assert_eq!(letter.text.trim_end(), message(turn).text, "{when}: the letter is whole");
            found.push(turn);
        }
        mail.send(tenant(1).into(), &message(99)).await.expect("goes on");
        found
    });
    assert!(found.iter().all(|turn| sent.contains(turn)), "{when}: {found:?} of {sent:?}");
    // The oldest goes when the next one is there, acknowledged or not.
    let newest: Vec<usize> = acked.iter().rev().take(KEPT - 1).copied().collect();
    assert!(newest.iter().all(|turn| found.contains(turn)), "{when}: {found:?} lacks some of {newest:?}");
    assert!(found.len() >= acked.len().min(KEPT), "{when}: {found:?} of {acked:?}");
}
