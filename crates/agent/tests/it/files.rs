//! Log files through everything that happens to them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use crate::peer::{Agent, Peer, options};

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).create(true).open(path).expect("opens").write_all(bytes).expect("writes");
}

/// Every message so far, exactly these, in this order.
async fn until_exactly(peer: &Peer, wanted: &[&str]) {
    peer.until(&format!("{wanted:?}"), |seen| seen.messages().len() >= wanted.len()).await;
    assert_eq!(peer.seen(|seen| seen.messages().iter().map(|&message| message.to_owned()).collect::<Vec<_>>()), wanted);
}

#[tokio::test]
async fn lines_survive_rotation_truncation_and_restart() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let log = folder.path().join("app.log");
    append(&log, "before the agent\nhalf a ".as_bytes());
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["before the agent"]).await;

    append(&log, "line, caf\u{e9}".as_bytes().split_last().expect("not empty").1);
    append(&log, b"\xa9 open\r\nERROR second\n");
    until_exactly(&peer, &["before the agent", "half a line, café open", "ERROR second"]).await;
    peer.seen(|seen| {
        let line = &seen.lines[2];
        assert_eq!((line.service.as_str(), line.severity), ("app", 17));
        assert!(line.attributes.contains(&("log.file.path".to_owned(), log.to_string_lossy().into_owned())));
        seen.lines.clear();
    });

    // Renamed, still written to, and its successor.
    fs::rename(&log, folder.path().join("app.log.1")).expect("renames");
    append(&folder.path().join("app.log.1"), b"late in the old file\n");
    append(&log, b"first in the new file\n");
    peer.until("both files", |seen| seen.lines.len() == 2).await;
    peer.seen(|seen| {
        let mut messages = seen.messages();
        messages.sort_unstable();
        assert_eq!(messages, ["first in the new file", "late in the old file"]);
        seen.lines.clear();
    });

    // Copied away and truncated in place, at once longer than before.
    File::options().write(true).open(&log).expect("opens").set_len(0).expect("truncates");
    append(&log, b"a much longer first line after the truncation\n");
    until_exactly(&peer, &["a much longer first line after the truncation"]).await;
    agent.stop().await;
    peer.seen(|seen| seen.lines.clear());

    // While nobody looks: more lines, then a rotation, then a new file.
    append(&log, b"unseen\n");
    fs::rename(&log, folder.path().join("app.log.2")).expect("renames");
    append(&log, b"new after the stop\n");
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("what happened meanwhile", |seen| seen.lines.len() == 2).await;
    peer.seen(|seen| {
        let mut messages = seen.messages();
        messages.sort_unstable();
        assert_eq!(messages, ["new after the stop", "unseen"]);
        seen.lines.clear();
    });
    append(&log, b"the end\n");
    until_exactly(&peer, &["the end"]).await;
    agent.stop().await;
}

#[tokio::test]
async fn long_lines_are_cut_between_characters() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let log = folder.path().join("long.log");
    // 64 KiB fall into the middle of a three-byte character.
    let long = "€".repeat(50_000);
    append(&log, b"short\n");
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("a line", |seen| seen.lines.len() == 1).await;
    append(&log, long.as_bytes());
    peer.until("the beginning of the long line", |seen| seen.lines.len() == 2).await;
    append(&log, long.as_bytes());
    append(&log, b"\nafter\n");
    peer.until("the line after", |seen| seen.lines.len() == 3).await;
    peer.seen(|seen| {
        let line = &seen.lines[1];
        assert_eq!(line.message, "€".repeat(65_536 / 3));
        assert!(line.attributes.contains(&("log.truncated".to_owned(), "true".to_owned())));
        assert_eq!(seen.lines[2].message, "after");
    });
    agent.stop().await;
}

#[tokio::test]
async fn a_large_old_file_is_shown_from_near_its_end() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let many: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    fs::write(folder.path().join("old.log"), many).expect("writes");
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("the last line", |seen| seen.messages().contains(&"line 19999")).await;
    agent.stop().await;
    let messages = peer.seen(|seen| seen.lines.len());
    assert!(messages > 1000 && messages < 5000, "{messages}");
    assert!(peer.seen(|seen| seen.messages()[0].starts_with("line 1")), "begins with a whole line");
}

#[tokio::test]
async fn a_file_that_was_rewritten_while_nobody_looked_is_read_from_its_start() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let (log, other) = (folder.path().join("app.log"), folder.path().join("other.log"));
    append(&log, b"old\n");
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["old"]).await;
    agent.stop().await;
    // A run that sees nothing new in the file still knows afterwards how it begins.
    append(&other, b"other\n");
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["old", "other"]).await;
    agent.stop().await;
    fs::write(&log, "new, and longer than before\n").expect("rewrites in place");
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["old", "other", "new, and longer than before"]).await;
    agent.stop().await;
}

#[tokio::test]
async fn damaged_checkpoints_cost_lines_sent_twice_and_none_skipped() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let (log, saved) = (folder.path().join("app.log"), folder.path().join("state/checkpoints.json"));
    // Longer than what is shown of a file at a first start, so that a first start would skip lines.
    let long = "x".repeat(60_000);
    append(&log, b"one\n");
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["one"]).await;
    append(&log, format!("two\n{long}\n").as_bytes());
    until_exactly(&peer, &["one", "two", &long]).await;
    agent.stop().await;

    let mut bytes = fs::read(&saved).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&saved, bytes).expect("writes");
    append(&log, format!("{long}\n").as_bytes());
    peer.seen(|seen| seen.lines.clear());
    let agent = Agent::start(options(&peer, folder.path()));
    until_exactly(&peer, &["two", &long, &long]).await;
    agent.stop().await;

    // Both generations gone bad: as at a first start, and it does start.
    fs::write(&saved, "nonsense").expect("writes");
    fs::write(folder.path().join("state/checkpoints.previous.json"), "00000000\n{}\n").expect("writes");
    peer.seen(|seen| seen.lines.clear());
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("a heartbeat", |seen| !seen.heartbeats.is_empty()).await;
    append(&log, b"after the damage\n");
    peer.until("the new line", |seen| seen.messages().contains(&"after the damage")).await;
    agent.stop().await;
}

#[tokio::test]
async fn many_busy_files_are_read_in_turns() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("a heartbeat", |seen| !seen.heartbeats.is_empty()).await;
    // More than a round takes in, in each of more files than a round reaches.
    let line = "x".repeat(32 * 1024);
    let content: String = (0..40).map(|_| format!("{line}\n")).collect();
    for number in 0..12 {
        let new = folder.path().join(format!("{number}.new"));
        fs::write(&new, &content).expect("writes");
        fs::rename(new, folder.path().join(format!("{number}.log"))).expect("renames");
    }
    peer.until("every line", |seen| seen.lines.len() == 12 * 40).await;
    agent.stop().await;
    let services: Vec<String> = peer.seen(|seen| seen.lines.iter().map(|line| line.service.clone()).collect());
    let first = |number: usize| services.iter().position(|service| *service == number.to_string()).expect("seen");
    let last = |number: usize| services.iter().rposition(|service| *service == number.to_string()).expect("seen");
    let (begun, ended) = ((0..12).map(first).max().expect("files"), (0..12).map(last).min().expect("files"));
    assert!(begun < ended, "the last file begins at line {begun}, the first one has ended at {ended}");
}

#[tokio::test]
async fn a_stack_trace_is_one_line_when_lines_are_joined() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let log = folder.path().join("app.log");
    let joined = |peer: &Peer| {
        let mut options = options(peer, folder.path());
        options.join_lines = true;
        options
    };
    append(&log, b"  begins in the middle\nINFO ready\n");
    let agent = Agent::start(joined(&peer));
    until_exactly(&peer, &["  begins in the middle", "INFO ready"]).await;
    append(&log, b"ERROR no such order\r\n\tat shop.Orders.find(Orders.java:42)\r\n");
    append(&log, b"\tat shop.Main.main(Main.java:7)\nINFO next\n");
    let trace = "ERROR no such order\n\tat shop.Orders.find(Orders.java:42)\n\tat shop.Main.main(Main.java:7)";
    until_exactly(&peer, &["  begins in the middle", "INFO ready", trace, "INFO next"]).await;
    assert_eq!(peer.seen(|seen| seen.lines[2].severity), 17);

    // What never ends is given out in parts, and nothing of it is lost.
    let endless: String = std::iter::once("top\n".to_owned()).chain((0..3000).map(|number| format!("   {number:60}\n"))).collect();
    peer.seen(|seen| seen.lines.clear());
    append(&log, endless.as_bytes());
    peer.until("all of it", |seen| seen.lines.iter().map(|line| line.message.len() + 1).sum::<usize>() >= endless.len()).await;
    peer.seen(|seen| {
        assert!(seen.lines.len() > 2 && seen.lines.iter().all(|line| line.message.len() <= 65_536));
        assert_eq!(seen.messages().join("\n") + "\n", endless);
        seen.lines.clear();
    });
    agent.stop().await;

    // A line that may go on is not counted as read: a stop in between does not tear it from its trace.
    append(&log, b"WARN retry\n");
    let agent = Agent::start(joined(&peer));
    agent.stop().await;
    append(&log, b"  because of this\n");
    let agent = Agent::start(joined(&peer));
    until_exactly(&peer, &["WARN retry\n  because of this"]).await;
    agent.stop().await;
}
