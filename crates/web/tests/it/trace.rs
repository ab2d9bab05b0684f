//! Traces, request ids, security headers, addresses, health and meters.

use steward_testkit::Setup;

use crate::sample::{self, Levers};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn traces_and_request_ids_are_taken_up_and_answered() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let asked = app.get("/odd/seen").key(&tenant.key).header("traceparent", PARENT).header("x-request-id", "my-request.1");
    let seen = asked.send().await.expect(200);
    assert_eq!(seen.header("x-request-id"), "my-request.1");
    assert!(seen.header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_ne!(seen.header("traceparent"), PARENT);
    assert_eq!(seen.json()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(seen.json()["request_id"], "my-request.1");
    assert_eq!(seen.json()["reason"], "odd.seen");

    let fresh = app.get("/livez").header("traceparent", "nonsense").header("x-request-id", "no spaces, please").send().await.expect(200);
    assert_eq!(fresh.header("x-request-id").len(), 32);
    assert!(fresh.header("traceparent").contains(fresh.header("x-request-id")));
}

#[tokio::test]
async fn answers_carry_the_security_headers() {
    let plain = sample::app().await.get("/livez").send().await;
    for (name, value) in [
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("strict-transport-security", ""),
    ] {
        assert_eq!(plain.header(name), value, "{name}");
    }
    let setup = Setup { public_url: Some("https://steward.example".into()), ..Setup::default() };
    let app = sample::start(setup, Levers::default()).await;
    assert!(app.get("/nowhere").send().await.expect(404).header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn addresses_and_claims_count_only_from_trusted_proxies() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let ask = |app: &steward_testkit::TestApp, key: &str| {
        let asked = app.get("/odd/seen").key(key).header("x-forwarded-for", "6.6.6.6, 9.9.9.9").header("user-agent", "probe/1");
        asked.header("x-steward-user", "root").header("x-remote-user", "root").header("x-real-ip", "6.6.6.6").send()
    };
    let seen = ask(&app, &tenant.key).await.expect(200).json();
    assert_eq!((&seen["ip"], &seen["user_agent"], &seen["claims"]), (&"127.0.0.1".into(), &"probe/1".into(), &0.into()));

    let setup = Setup { trusted_proxies: vec!["127.0.0.0/8".into()], ..Setup::default() };
    let app = sample::start(setup, Levers::default()).await;
    let tenant = app.tenant("acme").await;
    let seen = ask(&app, &tenant.key).await.expect(200).json();
    assert_eq!((&seen["ip"], &seen["claims"]), (&"9.9.9.9".into(), &0.into()));
}

#[tokio::test]
async fn health_says_which_part_does_not_work() {
    let app = sample::app().await;
    assert_eq!(app.get("/livez").send().await.expect(200).json()["status"], "alive");
    assert_eq!(app.get("/version").send().await.expect(200).json()["version"], "0.0.0-test");
    assert!(app.get("/readyz").send().await.expect(200).json().get("parts").is_none());
    let verbose = app.get("/readyz?verbose").send().await.expect(200).json();
    assert_eq!(verbose["parts"][0]["name"], "store");

    app.site.health().add("disk", steward_web::health::Need::Always, || async {
        Err(steward_base::Error::new(steward_base::ErrorKind::Unavailable, "disk_full", "Free some space."))
    });
    let broken = app.get("/readyz").send().await.expect(503);
    assert_eq!(broken.code(), "not_ready");
    assert_eq!(broken.fields(), [("/disk".to_owned(), "disk_full".to_owned())]);
    assert!(!broken.header("retry-after").is_empty());
}

#[tokio::test]
async fn meters_name_routes_and_never_ids() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    app.get("/api/v1/gadgets/gad_00000000000000000000000000").key(&tenant.key).send().await.expect(404);
    app.get("/secret/path").send().await.expect(404);
    let text = app.get("/metrics").send().await.expect(200).text;
    let line = r#"steward_http_requests_total{method="GET",route="/api/v1/gadgets/{id}",status="4xx"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains(r#"route="unrouted",status="4xx"} 1"#), "{text}");
    assert!(!text.contains("gad_0") && !text.contains("secret/path") && !text.contains(&tenant.id.to_string()));
}
