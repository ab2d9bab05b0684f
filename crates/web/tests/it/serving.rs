//! Sockets: clients that hang up, say nothing or speak TLS, and the end of the server.

use std::sync::Arc;
use std::time::Duration;

use steward_testkit::Setup;
use steward_web::Serving;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sample::{self, Levers};

const PATIENCE: Duration = Duration::from_secs(20);

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
