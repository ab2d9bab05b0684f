//! Becoming a device, proving to be one, and staying off insecure roads.

use std::os::unix::fs::PermissionsExt as _;

use axum::http::StatusCode;
use steward_agent::{Options, own_log, run};
use steward_base::{Clock, Random};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::peer::{Agent, Peer, options};

#[tokio::test]
async fn an_agent_enrols_once_and_shows_its_machine() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    peer.seen(|seen| seen.refuse_enrolments.push_back(StatusCode::SERVICE_UNAVAILABLE));
    let agent = Agent::start(options(&peer, folder.path()));
    peer.until("two heartbeats", |seen| seen.heartbeats.len() >= 2).await;
    peer.until("two samples", |seen| seen.metrics.iter().filter(|(name, _)| name == "system.uptime").count() >= 2).await;
    agent.stop().await;

    let enrolment = peer.seen(|seen| {
        assert_eq!(seen.enrolments.len(), 2, "one refused for a moment, one taken");
        assert_eq!(seen.enrolments[0], seen.enrolments[1], "the same machine and key each time");
        seen.enrolments.remove(1)
    });
    assert_eq!(enrolment["token"], "ste_token");
    assert!(enrolment["hardware"]["memory_bytes"].as_u64().expect("a number") > 1 << 20);
    assert!(enrolment["hardware"]["cpu_count"].as_u64().expect("a number") >= 1);
    assert!(!enrolment["hardware"]["machine_id"].as_str().expect("text").is_empty());
    assert_eq!(enrolment["os"]["family"], "linux");
    peer.seen(|seen| {
        let value = |name: &str| seen.metrics.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1;
        assert!((0.0..=1.0).contains(&value("system.cpu.utilization")));
        assert!((0.0..=1.0).contains(&value("system.memory.utilization")));
        assert!(value("system.memory.usage") > 0.0 && value("system.process.count") >= 1.0);
        assert!(value("system.cpu.load_average.1m") >= 0.0);
        let claims = &seen.assertions[0];
        assert_eq!((&claims["iss"], &claims["sub"]), (&"dev_1".into(), &"dev_1".into()));
        assert!(claims["exp"].as_i64().expect("a number") - claims["iat"].as_i64().expect("a number") <= 300);
    });

    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/device.key"), mode("state/device.json")), (0o700, 0o600, 0o600));

    let mut again = options(&peer, folder.path());
    again.token = None;
    let beats = peer.seen(|seen| seen.heartbeats.len());
    let agent = Agent::start(again);
    // The peer checks assertions with the last enrolled key, which must still be the one.
    peer.seen(|seen| seen.enrolments.push(enrolment));
    peer.until("a heartbeat after the restart", |seen| seen.heartbeats.len() > beats).await;
    agent.stop().await;
    assert_eq!(peer.seen(|seen| seen.enrolments.len()), 2, "no third enrolment");
}

#[tokio::test]
async fn a_refused_token_ends_the_agent_with_the_reason() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    peer.seen(|seen| seen.refuse_enrolments.push_back(StatusCode::UNAUTHORIZED));
    let error = Agent::start(options(&peer, folder.path())).failure().await;
    assert_eq!(error.code(), "enrollment_refused");
    assert!(error.detail().ends_with("not now"), "{}", error.detail());

    let mut without = options(&peer, folder.path());
    without.token = None;
    assert_eq!(Agent::start(without).failure().await.code(), "not_enrolled");
}

#[tokio::test]
async fn plain_http_is_only_for_this_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        ("http://ops.example.com", "insecure_server"),
        ("http://192.168.1.10:8080", "insecure_server"),
        ("http://127.0.0.1.example.com", "insecure_server"),
        ("http://[::ffff:7f00:1]", "insecure_server"),
        ("ftp://ops.example.com", "invalid_server"),
        ("ops.example.com", "invalid_server"),
        ("", "invalid_server"),
        ("http://127.0.0.1:1", "not_enrolled"),
        ("http://localhost:1", "not_enrolled"),
        ("http://[::1]:1", "not_enrolled"),
        ("https://ops.example.com", "not_enrolled"),
    ];
    for (server, code) in cases {
        let options = Options::new(server, folder.path().join("state"));
        let error = run(options, Clock::system(), Random::system(), std::future::pending()).await.expect_err(server);
        assert_eq!(error.code(), code, "{server}");
    }
}

#[tokio::test]
async fn one_agent_uses_a_state_folder() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let first = Agent::start(options(&peer, folder.path()));
    peer.until("a heartbeat", |seen| !seen.heartbeats.is_empty()).await;
    assert_eq!(Agent::start(options(&peer, folder.path())).failure().await.code(), "state_in_use");
    first.stop().await;
}

/// The text of the errors and warnings that an agent logged, through its own lines.
fn complaints(log: &mut Vec<String>, seen: &crate::peer::Seen) -> usize {
    *log =
        seen.lines.iter().filter(|line| line.service == "steward-agent" && line.severity >= 13).map(|line| line.message.clone()).collect();
    log.len()
}

#[tokio::test]
async fn a_removed_device_stops_asking_and_enrols_again_with_a_token() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let enrolled = Agent::start(options(&peer, folder.path()));
    peer.until("a heartbeat", |seen| !seen.heartbeats.is_empty()).await;
    enrolled.stop().await;
    peer.seen(|seen| {
        seen.removed.insert("dev_1".to_owned());
        seen.assertions.clear();
        seen.heartbeats.clear();
    });

    // Without a token it waits: four refusals take at least 0.25 + 0.5 + 1 s, and metrics every second do not make it ask more often.
    let mut without = options(&peer, folder.path());
    (without.token, without.metrics_interval) = (None, std::time::Duration::from_millis(1));
    let refused = Agent::start(without);
    let clock = Clock::system();
    peer.until("four refusals", |seen| seen.assertions.len() >= 4).await;
    assert!(clock.monotonic() >= std::time::Duration::from_millis(1750), "asked four times at once");
    refused.stop().await;

    // A token that the server does not take changes nothing.
    peer.seen(|seen| seen.refuse_enrolments.push_back(StatusCode::UNAUTHORIZED));
    let stale = Agent::start(options(&peer, folder.path()));
    peer.until("the refusal", |seen| seen.refuse_enrolments.is_empty()).await;
    stale.stop().await;
    assert!(folder.path().join("state/device.json").exists());

    let (layer, log) = own_log(Clock::system());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let mut fresh = options(&peer, folder.path());
    fresh.own_log = Some(log);
    let again = Agent::start(fresh);
    peer.until("a heartbeat of the new device", |seen| !seen.heartbeats.is_empty()).await;
    let mut said = Vec::new();
    peer.until("what it said", |seen| complaints(&mut said, seen) >= 1).await;
    again.stop().await;
    drop(guard);
    assert!(said[0].contains("steward admin enroll-token"), "{said:?}");
    peer.seen(|seen| assert_eq!(seen.assertions.last().expect("one")["sub"], "dev_2"));
    assert!(std::fs::read_to_string(folder.path().join("state/device.json")).expect("reads").contains("dev_2"));
}

#[tokio::test]
async fn what_waits_for_one_tenant_never_goes_to_another() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().expect("a folder"));
    let log = folder.path().join("app.log");
    std::fs::write(&log, "sent\n").expect("writes");
    let first = Agent::start(options(&peer, folder.path()));
    peer.until("the first line", |seen| seen.messages() == ["sent"]).await;
    peer.seen(|seen| {
        seen.removed.insert("dev_1".to_owned());
        seen.revoke_tokens();
        seen.assertions.clear();
    });
    std::fs::write(&log, "sent\nsecret of the first tenant\n").expect("writes");
    let read = || std::fs::read_to_string(folder.path().join("state/checkpoints.json")).is_ok_and(|text| text.contains("\"offset\":32"));
    peer.until("the line in the spool", |seen| !seen.assertions.is_empty() && read()).await;
    first.stop().await;

    peer.seen(|seen| seen.tenant = Some("ten_2"));
    let second = Agent::start(options(&peer, folder.path()));
    peer.until("a heartbeat of the new device", |seen| seen.assertions.iter().any(|claims| claims["sub"] == "dev_2")).await;
    std::fs::write(&log, "sent\nsecret of the first tenant\nfor the second\n").expect("writes");
    peer.until("the next line", |seen| seen.messages().contains(&"for the second")).await;
    second.stop().await;
    assert_eq!(peer.seen(|seen| seen.messages().join(" ")), "sent for the second");
}
