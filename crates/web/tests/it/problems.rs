//! Every refusal is a problem, the framework's own included, and none says why something broke on our side.

use steward_testkit::Setup;
use steward_web::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sample::{self, Levers};

#[tokio::test]
async fn unknown_paths_and_methods() {
    let app = sample::app().await;
    let lost = app.get("/api/v1/nowhere").send().await.expect(404);
    assert_eq!(lost.code(), "not_found");
    assert_eq!(lost.json()["type"], app.url("/docs/problems/not_found"));
    assert_eq!(lost.json()["instance"], "/api/v1/nowhere");

    let wrong = app.ask("PUT", "/api/v1/gadgets").send().await.expect(405);
    assert_eq!(wrong.code(), "method_not_allowed");
    assert_eq!(wrong.header("allow"), "GET, HEAD, POST");
    assert_eq!(app.ask("OPTIONS", "/livez").send().await.expect(405).header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn panics_and_defects_answer_without_their_cause() {
    let app = sample::app().await;
    for (method, path) in [("GET", "/odd/panic"), ("POST", "/odd/panic"), ("GET", "/odd/broken")] {
        let answer = app.ask(method, path).send().await.expect(500);
        assert_eq!(answer.code(), "internal", "{method} {path}");
        assert!(!answer.text.contains("secret") && !answer.text.contains("hunter2") && !answer.text.contains("panics"), "{}", answer.text);
    }
    app.get("/livez").send().await.expect(200);
}

#[tokio::test]
async fn overload_says_when_to_come_back() {
    let app = sample::app().await;
    let busy = app.get("/odd/busy").send().await.expect(503);
    assert_eq!((busy.code().as_str(), busy.header("retry-after")), ("odd_busy", "3"));
}

#[tokio::test]
async fn malformed_ids_are_pages_that_do_not_exist() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    for id in ["x", "gad_", "dev_00000000000000000000000000", "gad_0000000000000000000000000z", "%ff", "gad_%00"] {
        let answer = app.get(&format!("/api/v1/gadgets/{id}")).key(&tenant.key).send().await.expect(404);
        assert_eq!(answer.code(), "not_found", "{id}");
    }
}

#[tokio::test]
async fn queries_are_strict() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    for (query, field, code) in [
        ("limit=0", "/limit", "minimum"),
        ("limit=501", "/limit", "maximum"),
        ("limit=ten", "/limit", "type"),
        ("limit=1&limit=2", "/limit", "repeated_parameter"),
        ("limits=1", "/limits", "unknown_parameter"),
        ("count=about", "/count", "enum"),
        ("order_by=nothing", "/order_by", "order_unknown"),
        ("order_by=name%20up", "/order_by", "order_syntax"),
        ("fields=name,nothing", "/fields", "unknown_field"),
        ("filter=nothing%3D1", "/filter", "filter_field"),
        ("filter=name%20%3D", "/filter", "filter_syntax"),
        ("filter=size%20%3D%20big", "/filter", "filter_type"),
    ] {
        let answer = app.get(&format!("/api/v1/gadgets?{query}")).key(&tenant.key).send().await.expect(422);
        assert_eq!(answer.fields(), [(field.to_owned(), code.to_owned())], "{query}");
    }
    assert_eq!(app.get("/api/v1/gadgets?filter=%ff").key(&tenant.key).send().await.expect(400).code(), "malformed_query");
    assert_eq!(app.get("/livez?a=1").send().await.expect(422).fields()[0].0, "/a");
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let app = sample::app().await;
    let large = app.get("/livez").header("x-filler", &"x".repeat(17 << 10)).send().await.expect(431);
    assert_eq!(large.code(), "headers_too_large");
    let many = (0..5).fold(app.get("/livez"), |ask, number| ask.header(&format!("x-filler-{number}"), &"x".repeat(15 << 10)));
    assert_eq!(many.send().await.expect(431).code(), "headers_too_large");
    let long = app.get(&format!("/livez?{}", "x".repeat(17 << 10))).send().await.expect(413);
    assert_eq!(long.code(), "target_too_large");
}

#[tokio::test]
async fn bodies_that_do_not_come() {
    let limits = Limits { body_pause: std::time::Duration::from_millis(200), ..Limits::default() };
    let app = sample::start(Setup { limits, ..Setup::default() }, Levers::default()).await;
    let mut socket = TcpStream::connect(app.address).await.expect("connects");
    let head = "POST /odd/numbers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"whole\":";
    socket.write_all(head.as_bytes()).await.expect("writes");
    let mut answer = vec![0; 4096];
    let length = socket.read(&mut answer).await.expect("reads");
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("slow_body") && text.contains("application/problem+json"), "{text}");
}
