//! The spool: order, limit, and what is left after a crash at any byte.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use steward_agent::spool::{Batch, Signal, Spool};
use steward_base::RecordId;

fn batch(number: u8, size: usize) -> Batch {
    let signal = if number.is_multiple_of(2) { Signal::Logs } else { Signal::Metrics };
    Batch { signal, id: RecordId::from_bytes([number; 16]), rows: u32::from(number), payload: vec![number; size] }
}

fn drain(spool: &mut Spool) -> Vec<Batch> {
    let mut all = Vec::new();
    while let Some((position, batch)) = spool.oldest().expect("reads") {
        spool.sent(position, &batch);
        all.push(batch);
    }
    all
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("reads").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

#[test]
fn batches_come_out_in_order_across_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens");
    assert!(spool.oldest().expect("reads").is_none());
    for number in 0..100 {
        spool.append(&batch(number, 3000)).expect("appends");
    }
    for number in 0..40 {
        let (position, found) = spool.oldest().expect("reads").expect("a batch");
        assert_eq!(found, batch(number, 3000));
        assert_eq!(spool.oldest().expect("reads").expect("the same until it is sent").1, found);
        spool.sent(position, &found);
    }
    drop(spool);
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens again");
    spool.append(&batch(100, 10)).expect("appends");
    let rest: Vec<u8> = drain(&mut spool).iter().map(|batch| batch.id.bytes()[0]).collect();
    assert_eq!(rest, (40..=100).collect::<Vec<u8>>());
    assert_eq!(spool.figures().dropped_rows, 0);
    drop(spool);
    assert!(Spool::open(folder.path(), 1 << 20).expect("opens").oldest().expect("reads").is_none(), "what is sent stays sent");
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = 64 * 1024;
    let mut spool = Spool::open(folder.path(), limit).expect("opens");
    for number in 1..=100 {
        spool.append(&batch(number, 2000)).expect("appends");
        assert!(spool.figures().bytes <= limit);
        let on_disk: u64 = segments(folder.path()).iter().map(|path| path.metadata().expect("is there").len()).sum();
        assert_eq!(on_disk, spool.figures().bytes);
    }
    let (held, _) = spool.oldest().expect("reads").expect("a batch");
    let dropped = spool.figures().dropped_rows;
    let left = drain(&mut spool);
    let first = u64::from(left[0].rows);
    assert_eq!(left.len() as u64, 100 - first + 1, "the newest, without a gap");
    assert_eq!(dropped, (1..first).sum::<u64>());
    spool.sent(held, &left[0]);
    assert_eq!(spool.figures().dropped_rows, dropped, "a position that is gone is no matter");

    spool.append(&batch(7, 1 << 20)).expect("a batch above the limit is dropped itself");
    assert_eq!((spool.oldest().expect("reads"), spool.figures().dropped_rows), (None, dropped + 7));
}

#[test]
fn a_sent_position_that_cannot_be_written_is_outlived() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Spool::open(folder.path(), 1 << 20).expect("opens");
    let mut spool = open();
    for number in 1..=3 {
        spool.append(&batch(number, 1000)).expect("appends");
    }
    let (position, first) = spool.oldest().expect("reads").expect("a batch");
    spool.sent(position, &first);
    fs::create_dir(folder.path().join("sent.new")).expect("stands in the way of the position");
    assert_eq!(drain(&mut spool), [batch(2, 1000), batch(3, 1000)], "this run goes on");
    drop(spool);
    let mut spool = open();
    assert_eq!(drain(&mut spool), [batch(2, 1000), batch(3, 1000)], "the next sends again what the disk does not know to be sent");
    assert!(segments(folder.path()).is_empty());
    drop(spool);
    open().append(&batch(4, 10)).expect("appends");
    assert_eq!(drain(&mut open()), [batch(4, 10)], "the old position does not speak of a new segment");
}

#[test]
fn a_segment_that_cannot_be_made_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens");
    fs::write(folder.path().join(format!("{:016x}.segment", 0)), "").expect("is there already");
    assert_eq!(spool.append(&batch(1, 10)).expect_err("is taken").code(), "state_unusable");
    spool.append(&batch(2, 10)).expect("appends to the next one");
    assert_eq!(drain(&mut spool), [batch(2, 10)]);
}

#[test]
fn what_cannot_be_read_for_the_moment_is_not_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens");
    spool.append(&batch(1, 10)).expect("appends");
    let path = segments(folder.path()).remove(0);
    let aside = folder.path().join("aside");
    fs::rename(&path, &aside).expect("moves");
    fs::create_dir(&path).expect("fails every read");
    assert_eq!(spool.oldest().expect_err("cannot be read").code(), "state_unusable");
    assert!(Spool::open(folder.path(), 1 << 20).is_err(), "nor is it cut off by a start");
    fs::remove_dir(&path).expect("removes");
    fs::rename(&aside, &path).expect("moves back");
    assert_eq!(drain(&mut spool), [batch(1, 10)]);
    assert_eq!(spool.figures().dropped_rows, 0);
}

fn crashed(cut: impl FnOnce(&Path)) -> (Vec<u8>, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens");
    for number in 0..8 {
        spool.append(&batch(number, 100)).expect("appends");
    }
    drop(spool);
    cut(&segments(folder.path())[0]);
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opens after the crash");
    spool.append(&batch(200, 5)).expect("appends after the crash");
    let found = drain(&mut spool);
    assert!(found.iter().all(|found| *found == batch(found.id.bytes()[0], found.payload.len())), "whole or not at all");
    (found.iter().map(|found| found.id.bytes()[0]).collect(), found.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_torn_tail_costs_only_what_was_torn(cut in 0u64..8 * 129 + 1) {
        let frame = 8 + 21 + 100;
        let (found, _) = crashed(|path| OpenOptions::new().write(true).open(path).expect("opens").set_len(cut).expect("cuts"));
        let whole = (cut / frame) as u8;
        prop_assert_eq!(found, (0..whole).chain([200]).collect::<Vec<u8>>());
    }

    #[test]
    fn a_flipped_bit_never_comes_out(at in 0usize..8 * 129, bit in 0u8..8) {
        let (found, count) = crashed(|path| {
            let mut bytes = fs::read(path).expect("reads");
            bytes[at] ^= 1 << bit;
            fs::write(path, bytes).expect("writes");
        });
        prop_assert_eq!(count, at / 129 + 1);
        prop_assert_eq!(found.last(), Some(&200));
    }
}
