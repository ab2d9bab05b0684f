//! The journal, read from a program that takes journalctl's options.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use steward_agent::Journal;

use crate::peer::{Agent, Peer, options};

const SCRIPT: &str = r#"#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case "$*" in
  *--after-cursor=c3*) echo '{"__CURSOR":"c4","__REALTIME_TIMESTAMP":"1763634600000000","PRIORITY":"4","_SYSTEMD_UNIT":"nginx.service","MESSAGE":"after the restart"}' ;;
  *) echo '{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1763634600000000","PRIORITY":"3","_SYSTEMD_UNIT":"nginx.service","_PID":"42","MESSAGE":"plain"}'
     echo 'no entry at all'
     echo '{"__CURSOR":"c2","SYSLOG_IDENTIFIER":"kernel","_SYSTEMD_UNIT":"session-1.scope","MESSAGE":[72,105,255]}'
     echo '{"__CURSOR":"c3","_COMM":"odd","MESSAGE":null}' ;;
esac
exec sleep 600
"#;

#[tokio::test]
async fn entries_are_followed_from_the_cursor_on() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let program = folder.path().join("journalctl");
    fs::write(&program, SCRIPT).expect("writes");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("sets");
    let with_journal = || {
        let mut options = options(&peer, folder.path());
        options.journal = Journal::Program(program.clone());
        options
    };
    let agent = Agent::start(with_journal());
    peer.until("three entries", |seen| seen.lines.len() == 3).await;
    agent.stop().await;
    peer.seen(|seen| {
        seen.lines.sort_by(|a, b| a.service.cmp(&b.service));
        let found: Vec<_> = seen.lines.iter().map(|line| (line.service.as_str(), line.message.as_str(), line.severity)).collect();
        assert_eq!(found, [("kernel", "Hi\u{fffd}", 9), ("nginx", "plain", 17), ("odd", "", 9)]);
        assert!(seen.lines[1].attributes.contains(&("process.pid".to_owned(), "42".to_owned())));
        seen.lines.clear();
    });

    let agent = Agent::start(with_journal());
    peer.until("the entry behind the cursor", |seen| seen.messages() == ["after the restart"]).await;
    agent.stop().await;
    let calls = fs::read_to_string(folder.path().join("calls")).expect("reads");
    assert_eq!(calls.lines().filter(|call| call.contains("--after-cursor=c3")).count(), 1, "{calls}");
}
