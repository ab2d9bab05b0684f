//! What every operation of one server shares: its public address, clock, keys, limits, meters and the signal to drain.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use ipnet::IpNet;
use steward_auth::Authority;
use steward_base::{Clock, Error, ErrorKind, Permission, Random, Secret};
use steward_fabric::Class;
use steward_fabric::blob::Blob;
use steward_fabric::cache::{Cache, Shelf};
use steward_store::Act;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access_log::AccessLog;
use crate::cursor::Cursors;
use crate::health::Health;
use crate::idempotency::InFlight;
use crate::metrics::Metrics;
use crate::rate::{Limiter, Rates};

const LISTS: Class = Class::new("lists");
/// A page that is true for longer is read anew all the same, so that what nobody asks for goes.
const LISTS_TTL: Duration = Duration::from_secs(600);

/// What a server is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients reach it, without a path: origin checks, problem types and links are made from it.
    pub public_url: Url,
    /// Further origins whose pages may write with the session cookie, such as a development server's.
    pub origins: Vec<String>,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Signs cursors; the same on all nodes of an installation.
    pub cursor_key: Secret<[u8; 32]>,
    /// What `/version` says.
    pub version: Version,
    /// Bounds on requests.
    pub limits: Limits,
    /// How many requests anybody gets.
    pub rates: Rates,
    /// Keeps what is too large for memory and for records.
    pub blob: Blob,
    /// Keeps what is dear and asked for again.
    pub cache: Cache,
}

/// What is running.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Version {
    /// Semantic version of the release.
    pub version: String,
    /// Commit it was built from, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Bounds on one request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One header, name and value, in bytes.
    pub header_bytes: usize,
    /// All headers together, in bytes.
    pub headers_bytes: usize,
    /// The path and query, in bytes.
    pub target_bytes: usize,
    /// A JSON or form body, in bytes; an operation may state its own.
    pub body_bytes: usize,
    /// One file of rows that is to be taken in, in bytes.
    pub import_bytes: u64,
    /// All files of one tenant that wait to be taken in, in bytes.
    pub imports_bytes: u64,
    /// The longest pause between two parts of a body.
    pub body_pause: Duration,
    /// How long a body may take at most; what has arrived of it earns more time at `body_rate`.
    pub body_time: Duration,
    /// Bytes per second that a body must come with in the long run.
    pub body_rate: u32,
    /// How often a quiet stream says that it lives.
    pub heartbeat: Duration,
    /// How often a stream asks whether its caller would still be let in.
    pub recheck: Duration,
    /// How long a stream waits for a client that does not read.
    pub stalled_reader: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 16 << 10,
            headers_bytes: 64 << 10,
            target_bytes: 16 << 10,
            body_bytes: 1 << 20,
            import_bytes: 2 << 30,
            imports_bytes: 8 << 30,
            body_pause: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            body_rate: 16 << 10,
            heartbeat: Duration::from_secs(15),
            recheck: Duration::from_secs(10),
            stalled_reader: Duration::from_secs(30),
        }
    }
}

/// One server. Cheap to clone.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    settings: Settings,
    origins: Vec<String>,
    authority: Authority,
    clock: Clock,
    random: Random,
    cursors: Cursors,
    metrics: Metrics,
    health: Health,
    drain: CancellationToken,
    in_flight: InFlight,
    limiter: Limiter,
    document: OnceLock<Bytes>,
    access_log: OnceLock<AccessLog>,
    readers: OnceLock<BTreeMap<&'static str, Permission>>,
    changers: OnceLock<BTreeMap<(&'static str, Act), Permission>>,
    lists: Shelf<Bytes>,
}

impl Site {
    /// A server with these settings whose credentials `authority` verifies.
    pub fn new(settings: Settings, authority: Authority, clock: Clock, random: Random) -> Self {
        let cursors = Cursors::new(settings.cursor_key.expose());
        let origins = origins(&settings);
        let lists = settings.cache.class(LISTS, LISTS_TTL);
        let limiter = Limiter::new(settings.rates.clone(), clock.clone());
        Self(Arc::new(Inner {
            settings,
            origins,
            authority,
            clock,
            random,
            cursors,
            metrics: Metrics::default(),
            health: Health::default(),
            drain: CancellationToken::new(),
            in_flight: InFlight::default(),
            limiter,
            document: OnceLock::new(),
            access_log: OnceLock::new(),
            readers: OnceLock::new(),
            changers: OnceLock::new(),
            lists,
        }))
    }

    /// What it was told about itself.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Bounds on requests.
    pub fn limits(&self) -> &Limits {
        &self.0.settings.limits
    }

    /// Whether clients reach it by HTTPS.
    pub fn secure(&self) -> bool {
        self.0.settings.public_url.scheme() == "https"
    }

    /// The name of the session cookie: the `__Host-` prefix is only valid on HTTPS.
    pub fn session_cookie(&self) -> &'static str {
        if self.secure() { "__Host-steward" } else { "steward" }
    }

    /// Verifies credentials.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// The injected clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The injected randomness.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// Signs and opens cursors.
    pub fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }

    /// What `/metrics` shows; parts of the server add theirs.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What `/readyz` asks; parts of the server add theirs.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Cancelled when the server drains: streams end, consumers stop.
    pub fn drain(&self) -> &CancellationToken {
        &self.0.drain
    }

    /// Keeps what is too large for memory and for records.
    pub fn blob(&self) -> &Blob {
        &self.0.settings.blob
    }

    /// Pages of lists as they were sent last.
    pub(crate) fn lists(&self) -> &Shelf<Bytes> {
        &self.0.lists
    }

    /// How many requests anybody has left.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// The repeatable requests that are being worked on.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// The OpenAPI document, once there is a router.
    pub(crate) fn document(&self) -> Option<Bytes> {
        self.0.document.get().cloned()
    }

    /// Keeps the document of the first router: a site has one table.
    pub(crate) fn keep_document(&self, document: Bytes) {
        let _ = self.0.document.set(document);
    }

    /// The permission that reads the records of a kind, by the kind's name; empty until there is a router.
    pub(crate) fn readers(&self) -> impl Iterator<Item = (&'static str, &Permission)> {
        self.0.readers.get().into_iter().flatten().map(|(kind, permission)| (*kind, permission))
    }

    /// Keeps the readers of the first router, as with the document.
    pub(crate) fn keep_readers(&self, readers: BTreeMap<&'static str, Permission>) {
        let _ = self.0.readers.set(readers);
    }

    /// The permission that changes records of a kind so; `None` where no operation does it as it is asked for.
    pub(crate) fn changer(&self, kind: &str, act: Act) -> Option<&Permission> {
        let changers = self.0.changers.get()?;
        changers.iter().find(|((known, does), _)| *known == kind && *does == act).map(|(_, permission)| permission)
    }

    /// Every permission that changes records of some kind; empty until there is a router.
    pub(crate) fn changers(&self) -> impl Iterator<Item = &Permission> {
        self.0.changers.get().into_iter().flat_map(BTreeMap::values)
    }

    /// Keeps the changers of the first router, as with the document.
    pub(crate) fn keep_changers(&self, changers: BTreeMap<(&'static str, Act), Permission>) {
        let _ = self.0.changers.set(changers);
    }

    /// From here on whoever reads records with personal data is recorded; a second log cannot come.
    pub fn keep_access(&self, log: AccessLog) {
        let _ = self.0.access_log.set(log);
    }

    pub(crate) fn access_log(&self) -> Option<&AccessLog> {
        self.0.access_log.get()
    }

    /// An absolute URL on the public address.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.0.settings.public_url.origin().ascii_serialization())
    }

    /// Fails with `origin_mismatch` unless the `Origin` header is one of this server's own.
    pub(crate) fn require_own_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        let sent = headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok());
        if sent.is_some_and(|sent| self.0.origins.iter().any(|own| own.eq_ignore_ascii_case(sent))) {
            return Ok(());
        }
        let own = self.link("");
        let detail = format!("Requests that change something with a session cookie must come from pages of {own}; open the console there.");
        Err(Error::new(ErrorKind::Forbidden, "origin_mismatch", detail))
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Site").field(&self.0.settings.public_url.as_str()).finish()
    }
}

/// The public origin and, on loopback, the other names of the same port.
fn origins(settings: &Settings) -> Vec<String> {
    let mut origins = settings.origins.clone();
    origins.push(settings.public_url.origin().ascii_serialization());
    let loopback = match settings.public_url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if loopback {
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            let mut other = settings.public_url.clone();
            if other.set_host(Some(name)).is_ok() {
                origins.push(other.origin().ascii_serialization());
            }
        }
    }
    origins
}
