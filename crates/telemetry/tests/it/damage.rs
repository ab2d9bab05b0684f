//! A log that came back from the disk changed.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use steward_base::{Clock, Random};
use steward_telemetry::Telemetry;
use tempfile::tempdir;

use crate::support::{batch, messages, options, tenant};

fn log_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("wal")).expect("the log").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    files.sort();
    files
}

/// Where each frame begins.
fn frames(bytes: &[u8]) -> Vec<usize> {
    bytes.windows(4).enumerate().filter(|(_, window)| window == b"STWF").map(|(at, _)| at).collect()
}

async fn write(dir: &Path, texts: &[&str]) {
    let telemetry = Telemetry::open(options(dir), Clock::system(), Random::system()).await.expect("opens");
    for text in texts {
        telemetry.append_logs(tenant(1), None, batch([*text])).await.expect("stored");
    }
    // Dropped, not closed: the rows are in the log only.
    drop(telemetry);
}

async fn reopen(dir: &Path) -> Telemetry {
    let mut opened = Telemetry::open(options(dir), Clock::system(), Random::seeded(7)).await;
    for _ in 0..1000 {
        if opened.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        opened = Telemetry::open(options(dir), Clock::system(), Random::seeded(7)).await;
    }
    opened.expect("opens")
}

#[tokio::test]
async fn a_torn_tail_is_cut_without_a_word_of_damage() {
    let dir = tempdir().expect("a folder");
    write(dir.path(), &["one", "two", "three"]).await;
    wait_free(dir.path()).await;
    let file = log_files(dir.path()).pop().expect("a file");
    let mut bytes = fs::read(&file).expect("reads");
    let last = *frames(&bytes).last().expect("frames");
    // Half of the last frame never reached the disk.
    bytes[last + 100..].fill(0);
    fs::write(&file, &bytes).expect("writes");
    let telemetry = reopen(dir.path()).await;
    assert_eq!(messages(&telemetry, tenant(1)).await, ["one", "two"]);
    assert!(telemetry.health().damage.is_empty());
    telemetry.append_logs(tenant(1), None, batch(["four"])).await.expect("stored");
    drop(telemetry);
    let telemetry = reopen(dir.path()).await;
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    assert_eq!(found, ["four", "one", "two"]);
    assert!(telemetry.health().damage.is_empty());
}

#[tokio::test]
async fn damage_to_an_acknowledged_batch_is_reported_and_kept() {
    let dir = tempdir().expect("a folder");
    write(dir.path(), &["one", "two", "three", "four"]).await;
    wait_free(dir.path()).await;
    let file = log_files(dir.path()).pop().expect("a file");
    let mut bytes = fs::read(&file).expect("reads");
    let second = frames(&bytes)[1];
    bytes[second + 90] ^= 0x40;
    fs::write(&file, &bytes).expect("writes");
    let telemetry = reopen(dir.path()).await;
    let mut found = messages(&telemetry, tenant(1)).await;
    found.sort();
    assert_eq!(found, ["four", "one", "three"]);
    let damage = telemetry.health().damage;
    assert_eq!(damage.len(), 1);
    assert!(damage[0].contains("1 batches (from 2)"), "{damage:?}");
    let kept = dir.path().join("wal").join(format!("{}.quarantined", file.file_name().expect("a name").to_string_lossy()));
    assert_eq!(fs::read(kept).expect("the evidence"), bytes);
    assert!(telemetry.append_logs(tenant(1), None, batch(["five"])).await.is_ok());
}

/// Reserved room may hold what an earlier file left there; the frames continue the sequence, and only the salt tells them from this file's.
#[tokio::test]
async fn frames_of_an_earlier_file_are_never_replayed() {
    let earlier = tempdir().expect("a folder");
    write(earlier.path(), &["old 1", "old 2", "old 3", "old 4"]).await;
    wait_free(earlier.path()).await;
    let old = fs::read(log_files(earlier.path()).pop().expect("a file")).expect("reads");
    let dir = tempdir().expect("a folder");
    write(dir.path(), &["new 1", "new 2"]).await;
    wait_free(dir.path()).await;
    let file = log_files(dir.path()).pop().expect("a file");
    let mut bytes = fs::read(&file).expect("reads");
    let third = frames(&old)[2];
    assert_eq!(frames(&old)[..2], frames(&bytes)[..]);
    let len = bytes.len();
    bytes[third..].copy_from_slice(&old[third..len]);
    fs::write(&file, &bytes).expect("writes");
    let telemetry = reopen(dir.path()).await;
    assert_eq!(messages(&telemetry, tenant(1)).await, ["new 1", "new 2"]);
    assert!(telemetry.health().damage.is_empty());
}

#[tokio::test]
async fn the_log_of_a_later_version_is_refused() {
    let dir = tempdir().expect("a folder");
    write(dir.path(), &["one"]).await;
    wait_free(dir.path()).await;
    let file = log_files(dir.path()).pop().expect("a file");
    let mut bytes = fs::read(&file).expect("reads");
    bytes[8] = 9;
    fs::write(&file, &bytes).expect("writes");
    let opened = Telemetry::open(options(dir.path()), Clock::system(), Random::seeded(7)).await;
    assert_eq!(opened.expect_err("refused").code(), "telemetry_version");
}

/// Waits until the former engine has let go of the folder.
async fn wait_free(dir: &Path) {
    drop(steward_telemetry_free(dir).await);
}

async fn steward_telemetry_free(dir: &Path) -> steward_telemetry::Folder {
    for _ in 0..1000 {
        if let Ok(folder) = steward_telemetry::Folder::open(dir.join("wal")) {
            return folder;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the folder stays locked");
}

proptest! {
    #![proptest_config(crate::support::cases(48))]

    /// Whatever happens to the bytes of the log, what comes back was sent, once; and what is missing from before the last frame is reported.
    #[test]
    fn no_harm_to_the_log_invents_rows_or_hides_a_loss(harm in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let dir = tempdir().expect("a folder");
            let texts = ["one", "two", "three", "four", "five"];
            write(dir.path(), &texts).await;
            wait_free(dir.path()).await;
            let file = log_files(dir.path()).pop().expect("a file");
            let mut bytes = fs::read(&file).expect("reads");
            let end = frames(&bytes).last().copied().expect("frames") + 600;
            let end = end.min(bytes.len());
            for (place, byte) in harm {
                // Byte 8 is the format: a later one is refused, which a test of its own looks at.
                bytes[12 + place.index(end - 12)] = byte;
            }
            fs::write(&file, &bytes).expect("writes");
            let telemetry = reopen(dir.path()).await;
            let mut found = messages(&telemetry, tenant(1)).await;
            found.sort();
            let distinct = found.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(distinct && found.iter().all(|text| texts.contains(&text.as_str())), "{found:?}");
            let told = !telemetry.health().damage.is_empty();
            let kept = texts.iter().take_while(|text| found.iter().any(|found| found == *text)).count();
            // With nothing whole behind it, a loss looks like a torn tail.
            assert!(told || kept == found.len(), "{found:?} without a word");
        });
    }
}
