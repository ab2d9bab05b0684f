//! kill -9 under load, again and again, with a ledger of what the client was promised.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::support::{batch, messages, open, options, tenant};

const ROUNDS: usize = 10;
const WRITERS: usize = 4;

fn small(dir: &Path) -> steward_telemetry::Options {
    let mut options = options(dir);
    options.compact_segments = 3;
    options
}

/// Killed by its parent, which hands it a folder; alone it has nothing to do.
#[test]
#[ignore = "started by kill_nine_loses_and_doubles_nothing"]
fn child() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a line");
    let Some((round, dir)) = line.trim().split_once(' ') else { return };
    let round = round.to_owned();
    let options = small(Path::new(dir));
    Runtime::new().expect("a runtime").block_on(async move {
        let telemetry = open(options).await;
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (telemetry, round) = (telemetry.clone(), round.clone());
            writers.push(tokio::spawn(async move {
                for number in 0u64.. {
                    let texts: Vec<String> = (0..1 + number % 5).map(|part| format!("{round}/{writer}/{number}/{part}")).collect();
                    say("sent", &texts);
                    telemetry.append_logs(tenant(writer as u8 % 2), None, batch(texts.iter().map(String::as_str))).await.expect("stored");
                    say("acked", &texts);
                }
            }));
        }
        loop {
            telemetry.flush().await.expect("flushes");
            telemetry.maintain().await.expect("maintains");
        }
    });
}

fn say(what: &str, texts: &[String]) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {}", texts.join(" ")).and_then(|()| out.flush()).expect("the parent listens");
}

#[test]
fn kill_nine_loses_and_doubles_nothing() {
    let dir = tempdir().expect("a folder");
    let (mut sent, mut acked) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "kill::child", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = child.stdin.take().expect("piped");
        writeln!(input, "{round} {}", dir.path().display()).expect("listens");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut promised = 0;
        while promised < 40 + round % 12 * 17 {
            let line = lines.next().expect("keeps talking").expect("reads");
            promised += usize::from(line.starts_with("acked "));
            note(&line, &mut sent, &mut acked);
        }
        child.kill().expect("dies");
        child.wait().expect("is gone");
        // What it said before it died counts; a line cut in half does not.
        lines.map_while(Result::ok).for_each(|line| note(&line, &mut sent, &mut acked));
    }
    let found = Runtime::new().expect("a runtime").block_on(async {
        let telemetry = open(small(dir.path())).await;
        assert!(telemetry.health().damage.is_empty());
        let mut found = messages(&telemetry, tenant(0)).await;
        found.extend(messages(&telemetry, tenant(1)).await);
        found
    });
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), distinct.len(), "nothing is doubled");
    assert!(acked.is_subset(&distinct), "lost: {:?}", acked.difference(&distinct).take(5).collect::<Vec<_>>());
    assert!(distinct.is_subset(&sent), "invented: {:?}", distinct.difference(&sent).take(5).collect::<Vec<_>>());
}

fn note(line: &str, sent: &mut BTreeSet<String>, acked: &mut BTreeSet<String>) {
    if let Some(rest) = line.strip_prefix("sent ") {
        sent.extend(rest.split(' ').map(str::to_owned));
    } else if let Some(rest) = line.strip_prefix("acked ") {
        // The last row of a batch is written last, so a cut line would show a text that was never sent.
        acked.extend(rest.split(' ').map(str::to_owned).filter(|text| sent.contains(text)));
    }
}
