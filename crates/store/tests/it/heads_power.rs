//! Power cuts of the folder of signed heads: a child signs under `strace`; the folder is rebuilt as it could be after a cut at any moment, and
//! read. Every head that was acknowledged is there and believed, and nothing looks as if somebody had tampered with it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use steward_base::{Random, RecordId, TenantId, Timestamp};
use steward_store::{HeadLog, HeadSigner, Heads, MasterKey, Position, SignedHead};

use crate::platters::Disk;
use crate::traced::{self, Act, Record, say};

/// What a child does one after the other.
const TURNS: i64 = 14;
/// How many ways of being cut each moment is tried in.
const WAYS: usize = 4;

fn tenant(number: i64) -> TenantId {
    RecordId::from_bytes([number as u8; 16]).into()
}

/// How many heads a turn signs: a few, and more than a file system writes at once.
fn many(turn: i64) -> i64 {
    [1, 3, 40][turn as usize % 3]
}

/// The heads of a turn. Half of them come in another month than the others.
fn heads(signer: &HeadSigner, turn: i64) -> Vec<SignedHead> {
    let month = 31 * 24 * 3_600_000_000 * (turn / (TURNS / 2));
    let time = Timestamp::from_micros(1_800_000_000_000_000 + month + turn);
    let head = |number| Position { position: position(turn, number), hash: format!("{turn:064x}") };
    (0..many(turn)).map(|number| signer.sign(tenant(number), head(number), time)).collect()
}

fn position(turn: i64, number: i64) -> i64 {
    turn * 100 + number + 1
}

fn open(dir: &Path) -> (HeadSigner, HeadLog) {
    let signer = HeadSigner::load_or_create(&dir.join("data/audit"), &MasterKey::new([7; 32]), &Random::system()).expect("has a key");
    let log = HeadLog::open(dir.join("data/audit"), &signer).expect("opens");
    (signer, log)
}

/// What an earlier crash left of a large append: its middle and its end never arrived.
fn tear(dir: &Path) {
    let entries = std::fs::read_dir(dir.join("data/audit")).expect("is there").map(|entry| entry.expect("an entry").path());
    let last = entries.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).max().expect("a file of heads");
    let mut file = std::fs::File::options().append(true).open(last).expect("opens");
    let torn = [&b"{\"tenant\":\"x"[..], &[0; 9_000], b"\"position\":12,\"ha"].concat();
    file.write_all(&torn).and_then(|()| file.sync_all()).expect("writes");
}

/// Started by the tests below, which hand it a folder.
#[test]
#[ignore = "started by other tests"]
fn signs() {
    let Some(dir) = traced::folder() else { return };
    let mut opened = open(&dir);
    for turn in 0..TURNS {
        if turn % 4 == 3 {
            opened = open(&dir);
        }
        if turn % 5 == 4 {
            tear(&dir);
        }
        say(&format!("sent {turn} with {}", opened.0.id()));
        opened.1.append(&heads(&opened.0, turn)).expect("appends");
        say(&format!("acked {turn} with {}", opened.0.id()));
    }
}

/// The turns of which was said so.
fn turns(said: &[String], what: &str) -> BTreeSet<i64> {
    said.iter().filter_map(|line| line.strip_prefix(what)?.split(' ').nth(1)?.parse().ok()).collect()
}

/// Reads the folder, goes on, and reads it again.
fn inspect(dir: &Path, said: &[String], when: &str) {
    let (sent, acked) = (turns(said, "sent"), turns(said, "acked"));
    let read = |acked: &BTreeSet<i64>, sent: &BTreeSet<i64>| {
        let heads = Heads::read(&dir.join("data/audit")).expect("reads");
        assert_eq!(heads.problems, Vec::<String>::new(), "{when}: nobody tampered");
        let positions = |number| heads.of(tenant(number)).iter().map(|head| head.head.position).collect::<Vec<_>>();
        for &turn in acked {
            for number in 0..many(turn) {
                assert!(positions(number).contains(&position(turn, number)), "{when}: head {number} of turn {turn} is lost");
            }
        }
        let unsent = (0..40).flat_map(positions).find(|position| !sent.contains(&(position / 100)));
        assert_eq!(unsent, None, "{when}: nothing is there that was not signed");
    };
    read(&acked, &sent);
    let (signer, log) = open(dir);
    if let Some(id) = said.iter().rev().find_map(|line| line.strip_prefix("acked")?.rsplit(' ').next()) {
        assert_eq!(signer.id(), id, "{when}: the key is the one that signed");
    }
    log.append(&heads(&signer, TURNS)).expect("goes on");
    read(&acked.into_iter().chain([TURNS]).collect(), &sent.into_iter().chain([TURNS]).collect());
}

fn cuts(disk: &Disk, dir: &Path, ways: usize, random: &Random, look: impl Fn(&Path, &str)) {
    for way in 0..ways {
        let after = tempfile::tempdir().expect("a folder");
        disk.cut(dir, after.path(), random);
        look(after.path(), &format!("way {way}"));
    }
}

#[test]
fn no_power_cut_loses_a_head_or_looks_like_tampering() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(Record { acts, said }) = traced::run("heads_power::signs", dir.path(), &[&[]]) else { return };
    assert_eq!(turns(&said, "acked").len() as i64, TURNS, "{said:?}");
    let (mut disk, mut said, random) = (Disk::default(), Vec::new(), Random::seeded(7));
    for (number, act) in acts.iter().enumerate() {
        disk.take(act);
        if let Act::Said(line) = act {
            said.push(line.clone());
        }
        cuts(&disk, dir.path(), WAYS, &random, |after, way| inspect(after, &said, &format!("act {number}, {way}")));
    }
}

/// Processes that are killed right before a sync leave names and lines that nobody made durable; the next one must.
#[test]
fn no_power_cut_after_a_kill_loses_a_head() {
    for sync in 1..=9 {
        let dir = tempfile::tempdir().expect("a folder");
        let inject = format!("inject=fsync:signal=SIGKILL:when={sync}");
        let Some(Record { acts, .. }) = traced::run("heads_power::signs", dir.path(), &[&["-e", &inject], &[]]) else { return };
        let mut disk = Disk::default();
        acts.iter().for_each(|act| disk.take(act));
        let said: Vec<String> = acts.iter().filter_map(|act| if let Act::Said(line) = act { Some(line.clone()) } else { None }).collect();
        cuts(&disk, dir.path(), WAYS * 4, &Random::seeded(sync), |after, way| inspect(after, &said, &format!("sync {sync}, {way}")));
    }
}
