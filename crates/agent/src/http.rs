//! The one place that talks to the network.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use serde_json::Value;
use steward_base::{Clock, Error, ErrorKind, Result, Timestamp};
use url::{Host, Url};

use crate::{VERSION, unusable};

/// Answers are short; a longer one is a wrong server.
const MAX_ANSWER: usize = 1024 * 1024;

/// The server, reached by one client.
#[derive(Debug)]
pub(crate) struct Server {
    address: Url,
    client: Client,
    clock: Clock,
    /// The server's clock less ours, in seconds, as its last answer said: assertions are dated by it, so that a device with a wrong clock
    /// can sign in and is not locked out.
    skew: AtomicI64,
}

/// What is sent.
pub(crate) enum Body<'a> {
    Json(&'a Value),
    Form(&'a [(&'a str, &'a str)]),
    /// A packed OTLP request with the id of its batch.
    Otlp {
        packed: Bytes,
        batch: &'a str,
    },
}

/// Why there is no answer to use.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server understood and says no; the same request will not do better.
    Refused { status: u16, detail: String },
    /// Nobody answered, or the server asks to come later.
    Unavailable { retry_after: Option<Duration>, reason: String },
}

impl Failure {
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Refused { .. } => None,
            Failure::Unavailable { retry_after, .. } => *retry_after,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { status, detail } => write!(f, "{status}: {detail}"),
            Failure::Unavailable { reason, .. } => f.write_str(reason),
        }
    }
}

impl Server {
    /// Fails with `invalid_server` or `insecure_server`.
    #[expect(clippy::disallowed_methods, reason = "this is the one client of the agent")]
    pub(crate) fn new(address: &str, ca_file: Option<&Path>, clock: &Clock) -> Result<Self> {
        let address = checked(address)?;
        let mut client = Client::builder()
            .user_agent(format!("steward-agent/{VERSION}"))
            .redirect(redirect::Policy::none()) // a token must not follow a redirect to somewhere else
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(2);
        if let Some(path) = ca_file {
            let pem = std::fs::read(path).map_err(|error| unusable(path, error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| {
                let detail = format!("{} holds no certificates in PEM form.", path.display());
                Error::new(ErrorKind::Invalid, "invalid_ca_file", detail).with_source(error)
            })?;
            client = client.tls_certs_merge(certificates);
        }
        let client = client.build().map_err(Error::internal)?;
        Ok(Self { address, client, clock: clock.clone(), skew: AtomicI64::new(0) })
    }

    /// The time by the server's clock, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now().micros() + self.skew.load(Ordering::Relaxed) * 1_000_000)
    }

    /// Posts to a path of the server and gives the body of a 2xx answer.
    pub(crate) async fn post(&self, path: &str, body: Body<'_>, bearer: Option<&str>) -> Result<Bytes, Failure> {
        let mut url = self.address.clone();
        url.set_path(&format!("{}{path}", self.address.path().trim_end_matches('/')));
        let mut request = self.client.post(url);
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Body::Json(value) => request.json(value),
            Body::Form(pairs) => {
                let encoded = serde_urlencoded::to_string(pairs).expect("pairs of strings are always a form");
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded)
            }
            Body::Otlp { packed, batch } => request
                .header(CONTENT_TYPE, "application/x-protobuf")
                .header(CONTENT_ENCODING, "gzip")
                .header("idempotency-key", batch)
                .body(packed),
        };
        let answer = request.send().await.map_err(|error| unavailable(&error))?;
        self.learn_time(&answer);
        let (status, retry_after) = (answer.status(), self.retry_after(&answer));
        let body = read(answer).await?;
        if status.is_success() {
            return Ok(body);
        }
        let detail = detail_of(&body).unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
        let later = status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(if later || retry_after.is_some() {
            Failure::Unavailable { retry_after, reason: format!("{}: {detail}", status.as_u16()) }
        } else {
            Failure::Refused { status: status.as_u16(), detail }
        })
    }

    fn learn_time(&self, answer: &Response) {
        let date = answer.headers().get(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
        if let Some(date) = date {
            let skew = date.timestamp().as_second() - self.clock.now().micros().div_euclid(1_000_000);
            // The header counts whole seconds and is a moment old.
            self.skew.store(if skew.abs() <= 2 { 0 } else { skew }, Ordering::Relaxed);
        }
    }

    fn retry_after(&self, answer: &Response) -> Option<Duration> {
        let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Timestamp::from_micros(at.as_microsecond()).since(self.now()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

fn checked(address: &str) -> Result<Url> {
    let invalid = || Error::new(ErrorKind::Invalid, "invalid_server", "The server's address is expected as https://ops.example.com.");
    let url = Url::parse(address).map_err(|error| invalid().with_source(error))?;
    let loopback = match url.host().ok_or_else(invalid)? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => {
            let detail =
                format!("{url} is plain HTTP: tokens and logs would travel in the open. Use https://, or an address of this machine.");
            Err(Error::new(ErrorKind::Invalid, "insecure_server", detail))
        }
        _ => Err(invalid()),
    }
}

fn unavailable(error: &reqwest::Error) -> Failure {
    // The outer message only repeats the address; the innermost says what happened.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Unavailable { retry_after: None, reason: cause.to_string() }
}

async fn read(mut answer: Response) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unavailable(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::Unavailable { retry_after: None, reason: "the answer is too long".to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What an error body says: a problem document, or an OAuth error.
fn detail_of(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    text("detail").or_else(|| text("error_description")).or_else(|| text("error"))
}
