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
