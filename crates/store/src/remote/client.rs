//! The client's side of the port: one HTTP client, one run of the data role at a time, and what is said when it is away.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, redirect};
use steward_base::{Error, ErrorKind, TenantId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::{Call, read};
use super::greeting::{self, Greeting, Welcome};
use super::lanes::Lanes;
use super::sign::{HEADER, LinkKey, Meant, NO_RUN};
use super::wire::Refusal;
use super::{PREFIX, follow};
use crate::engine::Surroundings;

/// How long a start waits for a data role that starts beside it.
const START: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(3);
const GREET: Duration = Duration::from_secs(10);
/// After a failure to connect nobody else tries for so long.
const AWAY: Duration = Duration::from_millis(200);
/// Shorter than the data role keeps an idle connection, so that a request seldom meets its end.
const IDLE: Duration = Duration::from_secs(20);
/// How often a call is made anew when the data role was restarted or the connection broke.
const TRIES: usize = 3;

/// The store of the data role. Clones are one connection pool.
#[derive(Clone)]
pub(crate) struct Remote(pub(super) Arc<Link>);

/// The link to the data role.
pub(super) struct Link {
    http: Client,
    /// Without a slash at its end.
    url: String,
    key: LinkKey,
    pub(super) surroundings: Surroundings,
    run: RwLock<Option<Run>>,
    /// Held by whoever greets.
    greeting: tokio::sync::Mutex<()>,
    /// When it could not be reached last, by the monotonic clock.
    failed: Mutex<Option<Duration>>,
    pub(super) lanes: Lanes,
    pub(super) watched: Mutex<HashMap<TenantId, watch::Sender<i64>>>,
    /// As the data role said last.
    pub(super) in_use: Mutex<Vec<TenantId>>,
    /// The loads that go on in this process.
    pub(super) loads: Mutex<HashSet<String>>,
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// A run of the data role.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: Arc<str>,
    /// The last change before it was greeted.
    pub(super) seq: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It was never sent.
    Away(Error),
    /// It was sent, and what became of it is not known.
    Lost(Error),
    /// It was not looked at: it was meant for an earlier run.
    Restarted,
    /// The answer is no.
    Refused(Error),
}

impl Remote {
    /// Greets the data role, waiting a while for one that is just starting.
    pub(crate) async fn open(url: &str, key: LinkKey, surroundings: Surroundings) -> Result<Self, Error> {
        let url = checked(url)?;
        let lanes = Lanes::new(&surroundings.random);
        let link = Arc::new(Link {
            http: http()?,
            url,
            key,
            surroundings,
            run: RwLock::default(),
            greeting: tokio::sync::Mutex::default(),
            failed: Mutex::default(),
            lanes,
            watched: Mutex::default(),
            in_use: Mutex::default(),
            loads: Mutex::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let until = link.surroundings.clock.monotonic() + START;
        let run = loop {
            match link.run().await {
                Err(error) if error.code() == "data_unreachable" && link.surroundings.clock.monotonic() < until => {
                    tokio::time::sleep(AWAY).await;
                }
                greeted => break greeted?,
            }
        };
        link.tasks.spawn(follow::run(Arc::downgrade(&link), run, link.closing.clone()));
        Ok(Self(link))
    }

    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Link {
    /// Asks what may be asked twice.
    pub(super) async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, Error> {
        let body = Bytes::from(serde_json::to_vec(call).map_err(Error::internal)?);
        let begun = self.surroundings.clock.monotonic();
        let mut tries = 0;
        loop {
            tries += 1;
            let again = tries < TRIES && self.surroundings.clock.monotonic().saturating_sub(begun) < CONNECT;
            match self.once_in_this_run(C::METHOD, body.clone(), C::PATIENCE).await {
                Ok(answer) => return read(&answer),
                Err(Trouble::Restarted | Trouble::Lost(_)) if again => {}
                Err(trouble) => return Err(trouble.into_error()),
            }
        }
    }

    /// Asks once in the present run, which is forgotten when it is over.
    pub(super) async fn once_in_this_run(&self, method: &str, body: Bytes, patience: Duration) -> Result<Bytes, Trouble> {
        if self.is_closing() {
            return Err(Trouble::Refused(crate::engine::closed()));
        }
        // Not greeted is not sent.
        let run = self
            .run()
            .await
            .map_err(|error| if error.code() == "data_unreachable" { Trouble::Away(error) } else { Trouble::Refused(error) })?;
        let answer = self.once(method, body, &run.id, patience).await;
        if let Err(Trouble::Restarted) = answer {
            let mut known = self.run.write();
            if known.as_ref().is_some_and(|known| known.id == run.id) {
                *known = None;
            }
        }
        answer
    }

    /// The present run; it is greeted when none is known.
    pub(super) async fn run(&self) -> Result<Run, Error> {
        if let Some(run) = self.run.read().clone() {
            return Ok(run);
        }
        let _turn = self.greeting.lock().await;
        if let Some(run) = self.run.read().clone() {
            return Ok(run);
        }
        let surroundings = &self.surroundings;
        let greeting = Greeting::of(&surroundings.kinds, &surroundings.master, &surroundings.random);
        let body = Bytes::from(serde_json::to_vec(&greeting).map_err(Error::internal)?);
        let answer = self.once(greeting::METHOD, body, NO_RUN, GREET).await.map_err(Trouble::into_error)?;
        let Welcome { run, seq } = read(&answer)?;
        let run = Run { id: run.into(), seq };
        *self.run.write() = Some(run.clone());
        Ok(run)
    }

    /// One request.
    pub(super) async fn once(&self, method: &str, body: Bytes, run: &str, patience: Duration) -> Result<Bytes, Trouble> {
        let clock = &self.surroundings.clock;
        if self.failed.lock().is_some_and(|at| clock.monotonic().saturating_sub(at) < AWAY) {
            return Err(Trouble::Away(unreachable("it could not be reached a moment ago")));
        }
        let path = format!("{PREFIX}{method}");
        let header = self.key.sign(&Meant { method: "POST", path: &path, run }, &body, clock, &self.surroundings.random);
        let request = self.http.post(format!("{}{path}", self.url)).header(HEADER, header).header(CONTENT_TYPE, "application/json");
        let answer = request.timeout(patience).body(body).send().await.map_err(|error| self.failed(error))?;
        *self.failed.lock() = None;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.failed(error))?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(|_| Trouble::Refused(refused(&format!("it answered {status}"))))?;
        Err(match (status, refusal.code.as_str()) {
            (_, "data_restarted") => Trouble::Restarted,
            // It is going down: what was asked did not happen, or nobody can say.
            (StatusCode::UNPROCESSABLE_ENTITY, "shutting_down") => Trouble::Lost(unreachable("it is shutting down")),
            (StatusCode::UNPROCESSABLE_ENTITY, _) => Trouble::Refused(refusal.into_error()),
            (status, code) => Trouble::Refused(refused(&format!("{status} {code}"))),
        })
    }

    fn failed(&self, error: reqwest::Error) -> Trouble {
        if error.is_connect() {
            *self.failed.lock() = Some(self.surroundings.clock.monotonic());
            return Trouble::Away(unreachable(error));
        }
        Trouble::Lost(unreachable(error))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }
}

impl Trouble {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Away(error) | Self::Lost(error) | Self::Refused(error) => error,
            Self::Restarted => unreachable("it was restarted again and again"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one client of the store")]
fn http() -> Result<Client, Error> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        // Within the installation; a proxy of the environment is for the world outside.
        .no_proxy()
        .http1_only()
        .no_gzip()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true);
    client.build().map_err(Error::internal)
}

fn checked(url: &str) -> Result<String, Error> {
    let known = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/");
    if known.is_none_or(|url| url.query().is_some() || url.fragment().is_some()) {
        let detail = "The address of the data role is a scheme, a host and a port, as in http://127.0.0.1:8081.";
        return Err(Error::new(ErrorKind::Invalid, "data_url_invalid", detail));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn unreachable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let detail = "The process with the data role does not answer: requests for records wait until it is back.";
    Error::new(ErrorKind::Unavailable, "data_unreachable", detail).with_retry_after(Duration::from_secs(1)).with_source(source)
}

fn refused(why: &str) -> Error {
    let detail = "The process with the data role does not let this one in: both need the same version, the same key and clocks that agree.";
    Error::new(ErrorKind::Unavailable, "data_refused", detail).with_source(why.to_owned())
}
