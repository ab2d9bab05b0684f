//! The way to the server when the server is not there, is busy, or says no.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use axum::http::StatusCode;
use steward_agent::own_log;
use steward_base::Clock;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::peer::{Agent, Peer, options};

fn append(folder: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(folder.join("app.log")).expect("opens");
    writeln!(file, "{text}").expect("writes");
}

#[tokio::test]
async fn nothing_is_lost_while_the_server_is_away() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let agent = Agent::start(options(&peer, folder.path()));
    append(folder.path(), "one");
    peer.until("the first line", |seen| seen.messages() == ["one"]).await;
    let stopped = peer.stop().await;
    append(folder.path(), "two");
    // The agent itself goes and comes back, too: what it had is on disk.
    agent.stop().await;
    append(folder.path(), "three");
    let peer = stopped.restart().await;
    let agent = Agent::start(options(&peer, folder.path()));
    append(folder.path(), "four");
    peer.until("every line", |seen| seen.lines.len() >= 4).await;
    agent.stop().await;
    assert_eq!(peer.seen(|seen| seen.messages().join(" ")), "one two three four");
}

#[tokio::test]
async fn a_busy_server_gets_the_same_batch_later_and_a_refused_one_is_dropped() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    peer.seen(|seen| {
        let busy = [(StatusCode::SERVICE_UNAVAILABLE, Some(1)), (StatusCode::TOO_MANY_REQUESTS, None), (StatusCode::FORBIDDEN, None)];
        seen.refuse_logs.extend(busy);
    });
    let agent = Agent::start(options(&peer, folder.path()));
    append(folder.path(), "patience");
    peer.until("the line", |seen| seen.messages() == ["patience"]).await;
    peer.seen(|seen| {
        assert_eq!(seen.batches.len(), 4, "three refusals and a success");
        assert_eq!(seen.batches.iter().collect::<BTreeSet<_>>().len(), 1, "one batch");
        assert_eq!(seen.lines[0].batch, seen.batches[0]);
        seen.refuse_logs.push_back((StatusCode::BAD_REQUEST, None));
    });
    append(folder.path(), "unwanted");
    peer.until("the refusal", |seen| seen.refuse_logs.is_empty()).await;
    append(folder.path(), "wanted");
    peer.until("the next line", |seen| seen.lines.len() == 2).await;
    assert_eq!(peer.seen(|seen| seen.messages().join(" ")), "patience wanted");
    peer.until("the loss in a heartbeat", |seen| seen.heartbeats.last().is_some_and(|beat| beat["dropped_total"] == 1)).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_ended_token_is_replaced() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let agent = Agent::start(options(&peer, folder.path()));
    append(folder.path(), "one");
    peer.until("the first line", |seen| seen.lines.len() == 1).await;
    assert_eq!(peer.seen(|seen| seen.assertions.len()), 1, "one token serves everything");
    peer.seen(|seen| seen.revoke_tokens());
    append(folder.path(), "two");
    peer.until("the second line", |seen| seen.messages() == ["one", "two"]).await;
    agent.stop().await;
}

#[tokio::test]
async fn the_agents_own_lines_arrive() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let (layer, log) = own_log(Clock::system());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let mut options = options(&peer, folder.path());
    options.own_log = Some(log);
    let agent = Agent::start(options);
    peer.until("the agent's own line", |seen| seen.messages().contains(&"the agent runs")).await;
    agent.stop().await;
    drop(guard);
    peer.seen(|seen| {
        let line = seen.lines.iter().find(|line| line.message == "the agent runs").expect("seen");
        assert_eq!(line.service, "steward-agent");
        assert!(line.attributes.contains(&("device.id".to_owned(), "dev_1".to_owned())));
        assert!(seen.resource.iter().any(|(key, value)| key == "os.type" && value == "linux"));
    });
}
