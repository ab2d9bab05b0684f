//! The main job: one command, a set-up link, an owner, and this machine's figures and log lines.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};

use crate::support::{OWNER, PASSWORD, Served, bootstrapped, client, eventually, now, run, succeed};

/// Signs the first owner up through the link; the cookie.
async fn set_up(served: &Served, link: &str) -> String {
    let token = link.split_once('#').expect("the token stands in the fragment, which no server logs").1;
    let owner = json!({
        "token": token, "email": OWNER, "name": "Ada", "password": PASSWORD, "tenant_name": "Acme", "tenant_slug": "acme",
    });
    let answer = served.client.post(format!("{}/auth/setup", served.url)).json(&owner).send().await.expect("is answered");
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap_or_default());
    let cookie = answer.headers()[SET_COOKIE].to_str().expect("is text");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().expect("has a value").to_owned()
}

fn with_cookie(served: &Served, cookie: &str, path: &str) -> reqwest::RequestBuilder {
    served.client.get(format!("{}{path}", served.url)).header(COOKIE, cookie)
}

#[tokio::test]
async fn this_machine_shows_up_with_its_figures_and_log_lines() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &["--watch"]);
    let link = succeed(&["setup-link", "--data", data.path().to_str().expect("is text")], "");
    assert!(link.starts_with(&served.url), "the link is reachable: {link}");
    let cookie = set_up(&served, &link).await;

    let minute = Duration::from_secs(60);
    let device = eventually("this machine as a device", minute, async || {
        let list = served.json(with_cookie(&served, &cookie, "/api/v1/devices")).await;
        list["data"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(device["status"], "online");
    let id = device["id"].as_str().expect("is text").to_owned();

    let path = format!("/api/v1/metrics/series?name=system.cpu.utilization&step=5&filter=device_id%20%3D%20%22{id}%22");
    let points = eventually("two points of the CPU curve", minute, async || {
        let series = served.json(with_cookie(&served, &cookie, &path)).await;
        let points = series["series"].as_array()?.first()?["points"].as_array()?.clone();
        (points.len() >= 2).then_some(points)
    })
    .await;
    assert!(points.iter().all(|point| point[1].as_f64().is_some_and(|value| (0.0..=1.0).contains(&value))), "{points:?}");

    eventually("a log line of this machine", minute, async || {
        let lines = served.json(with_cookie(&served, &cookie, "/api/v1/logs?limit=1")).await;
        lines["data"].as_array()?.first().map(|line| assert_eq!(line["device_id"], device["id"]))
    })
    .await;
    assert_eq!(served.terminate().code(), Some(0));
}

#[tokio::test]
async fn a_log_line_arrives_live() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &[]);
    let mut tail =
        served.get(&key, "/api/v1/logs/tail?filter=service%20%3D%20%22shop%22").send().await.expect("is answered").bytes_stream();
    let line = json!({ "message": "paid", "service": "shop", "level": "warn", "order": 7 }).to_string();
    let mut seen = String::new();
    let deadline = now() + Duration::from_secs(20);
    while !seen.contains("\"paid\"") {
        // Sent until it is seen: the stream may begin a moment after its headers.
        served.json(served.post(&key, "/ingest/v1/app").header("content-type", "application/x-ndjson").body(line.clone())).await;
        if let Ok(Some(Ok(bytes))) = tokio::time::timeout(Duration::from_millis(500), tail.next()).await {
            seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(now() < deadline, "the line does not arrive: {seen}");
    }
    assert!(seen.contains("event: log") && seen.contains("\"severity\":\"warn\""), "{seen}");
}

#[tokio::test]
async fn every_address_of_the_console_can_be_opened_and_kept() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &[]);
    for path in ["/", "/console/", "/console/acme/logs?filter=severity%20%3E%3D%20warn&live=1", "/console/sign-in?next=%2Fconsole%2F"] {
        let page = served.client.get(format!("{}{path}", served.url)).send().await.expect("is answered");
        assert_eq!(page.status(), 200, "{path}; the console must be built: npm run build in console/");
        let policy = page.headers()["content-security-policy"].to_str().expect("is text").to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("script-src 'self' 'unsafe"), "{policy}");
        assert!(page.text().await.expect("is text").contains("<div id=\"root\">"), "{path} is the application");
    }
    let missing = served.client.get(format!("{}/console/assets/none.js", served.url)).send().await.expect("is answered");
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn a_set_up_link_works_once_and_only_for_whoever_has_it() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &[]);
    let folder = data.path().to_str().expect("is text");
    let first = succeed(&["setup-link", "--data", folder], "");
    let second = succeed(&["setup-link", "--data", folder], "");
    let open: Value = served.json(served.client.get(format!("{}/auth/setup", served.url))).await;
    assert_eq!(open, json!({ "open": true }));

    let owner = |link: &str| {
        let token = link.split_once('#').expect("has a token").1;
        json!({ "token": token, "email": OWNER, "name": "A", "password": PASSWORD, "tenant_name": "A", "tenant_slug": "acme" })
    };
    let send = |body: Value| served.client.post(format!("{}/auth/setup", served.url)).json(&body).send();
    let ended = send(owner(&first)).await.expect("is answered");
    assert_eq!(ended.status(), 403, "a newer link ends the older one");
    let foreign = client().post(format!("{}/auth/setup", served.url)).header(ORIGIN, "https://evil.example").json(&owner(&second));
    assert_eq!(foreign.send().await.expect("is answered").status(), 403);

    set_up(&served, &second).await;
    assert!(!send(owner(&second)).await.expect("is answered").status().is_success(), "a link works once");
    let late = run(&["setup-link", "--data", folder], "");
    assert_eq!(late.status.code(), Some(5));
}
