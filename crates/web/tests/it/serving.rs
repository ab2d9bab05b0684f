//! Sockets: clients that hang up, say nothing or speak TLS, and the end of the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use steward_testkit::Setup;
use steward_web::{Limits, Serving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sample::{self, Levers};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_a_change() {
    let levers = Levers::default();
    let app = sample::start(Setup::default(), levers.clone()).await;
    let mut socket = TcpStream::connect(app.address).await.expect("connects");
    socket.write_all(b"POST /odd/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("writes");
    timeout(PATIENCE, levers.begun.notified()).await.expect("the handler begins");
    drop(socket);
    // The server has seen the end of the connection once the next one is answered after it.
    app.get("/livez").send().await.expect(200);
    levers.go.notify_one();
    timeout(PATIENCE, levers.done.notified()).await.expect("the handler goes on to its end");
}

#[tokio::test]
async fn a_drain_lets_running_requests_finish_and_refuses_new_ones() {
    let levers = Levers::default();
    let app = sample::start(Setup::default(), levers.clone()).await;
    let (address, site) = (app.address, app.site.clone());
    let running = tokio::spawn(app.post("/odd/slow").send());
    timeout(PATIENCE, levers.begun.notified()).await.expect("the handler begins");
    let stopping = tokio::spawn(app.stop());
    timeout(PATIENCE, site.drain().cancelled()).await.expect("it drains");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    levers.go.notify_one();
    running.await.expect("is answered").expect(204);
    timeout(PATIENCE, stopping).await.expect("it ends").expect("it ends well");
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let levers = Levers::default();
    let serving = Serving { drain_time: Duration::from_millis(100), ..Serving::default() };
    let app = sample::start(Setup { serving, ..Setup::default() }, levers.clone()).await;
    let mut socket = TcpStream::connect(app.address).await.expect("connects");
    socket.write_all(b"POST /odd/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("writes");
    timeout(PATIENCE, levers.begun.notified()).await.expect("the handler begins");
    timeout(PATIENCE, app.stop()).await.expect("it ends although a request hangs");
}

#[tokio::test]
async fn clients_that_say_nothing_are_let_go() {
    let serving = Serving { head_time: Duration::from_millis(200), ..Serving::default() };
    let app = sample::start(Setup { serving, ..Setup::default() }, Levers::default()).await;
    for said in ["", "PRI * HT", "GET /livez HTTP/1.1\r\nhost: x\r\nx-unfinished: "] {
        let mut socket = TcpStream::connect(app.address).await.expect("connects");
        socket.write_all(said.as_bytes()).await.expect("writes");
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the connection ends");
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"), "{said}");
    }
}

/// Says `head`, then one more byte every few milliseconds until the server has enough; what it answers.
async fn drip(address: SocketAddr, head: &[u8]) -> String {
    let (mut reading, mut writing) = TcpStream::connect(address).await.expect("connects").into_split();
    writing.write_all(head).await.expect("writes");
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            if writing.write_all(b"a").await.is_err() {
                return;
            }
        }
    });
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, reading.read_to_end(&mut answer)).await.expect("the connection ends");
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn clients_that_drip_are_let_go_although_no_pause_is_long() {
    let serving = Serving { head_time: Duration::from_millis(300), ..Serving::default() };
    let limits = Limits { body_time: Duration::from_millis(300), ..Limits::default() };
    let app = sample::start(Setup { serving, limits, ..Setup::default() }, Levers::default()).await;
    let head = drip(app.address, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-endless: ").await;
    assert!(!head.contains("200 OK"), "{head}");
    let body = b"POST /odd/numbers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    let body = drip(app.address, body).await;
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("slow_body"), "{body}");
}

#[tokio::test]
async fn a_slow_body_that_keeps_coming_earns_its_time() {
    let limits = Limits { body_time: Duration::from_millis(200), body_rate: 10, ..Limits::default() };
    let app = sample::start(Setup { limits, ..Setup::default() }, Levers::default()).await;
    let mut socket = TcpStream::connect(app.address).await.expect("connects");
    let body = format!("{{\"whole\": 1, \"small\": 1}}{}", " ".repeat(20));
    let head = format!(
        "POST /odd/numbers HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.expect("writes");
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    for part in body.as_bytes().chunks(5) {
        pace.tick().await;
        socket.write_all(part).await.expect("writes");
    }
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("the connection ends").expect("is text");
    assert!(answer.starts_with("HTTP/1.1 202"), "nine parts in 400 ms, each worth half a second: {answer}");
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_a_closed_one_makes_room() {
    let serving = Serving { connections_per_address: 3, uncounted: Vec::new(), ..Serving::default() };
    let app = sample::start(Setup { serving, ..Setup::default() }, Levers::default()).await;
    let ask = async |socket: &mut TcpStream| {
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut answer = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("is answered or closed").ok()?;
        Some(answer)
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(app.address).await.expect("connects");
        assert_eq!(ask(&mut socket).await.as_ref(), Some(b"HTTP/1.1 200"));
        open.push(socket);
    }
    let mut fourth = TcpStream::connect(app.address).await.expect("is accepted by the kernel");
    assert_eq!(ask(&mut fourth).await, None, "closed without a word");
    open.pop();
    let again = async {
        loop {
            let mut socket = TcpStream::connect(app.address).await.expect("connects");
            if ask(&mut socket).await.is_some() {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("there is room again");
    assert!(
        app.site
            .metrics()
            .render()
            .lines()
            .any(|line| line.starts_with("steward_http_connections_refused_total ") && !line.ends_with(" 0"))
    );
}

#[tokio::test]
async fn proxies_that_are_trusted_are_not_counted() {
    let serving = Serving { connections_per_address: 1, uncounted: Vec::new(), ..Serving::default() };
    let setup = Setup { serving, trusted_proxies: vec!["127.0.0.0/8".to_owned()], ..Setup::default() };
    let app = sample::start(setup, Levers::default()).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut socket = TcpStream::connect(app.address).await.expect("connects");
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("writes");
        let mut answer = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("is answered").expect("is answered");
        assert_eq!(&answer, b"HTTP/1.1 200");
        open.push(socket);
    }
}

#[tokio::test]
async fn requests_that_are_no_http_are_refused() {
    let app = sample::app().await;
    for (said, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nbad header: \x01\r\n\r\n", "400"),
    ] {
        let mut socket = TcpStream::connect(app.address).await.expect("connects");
        socket.write_all(said).await.expect("writes");
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the connection ends");
        assert!(String::from_utf8_lossy(&rest).starts_with(&format!("HTTP/1.1 {status}")), "{:?}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn tls_brings_http_2() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .expect("a configuration");
    let serving = Serving { tls: Some(Arc::new(config)), ..Serving::default() };
    let app = sample::start(Setup { serving, ..Setup::default() }, Levers::default()).await;
    let root = reqwest::Certificate::from_der(pair.cert.der()).expect("a certificate");
    #[expect(clippy::disallowed_methods, reason = "only this test trusts this certificate")]
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().expect("a client");
    let answer = client.get(format!("https://localhost:{}/livez", app.address.port())).send().await.expect("is answered");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
}
