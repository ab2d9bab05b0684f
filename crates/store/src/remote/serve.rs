//! The data role's side of the port: HTTP/1.1 on an address of its own, never the public one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use steward_base::{Error, ErrorKind, base32};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arrivals::{self, Arrivals};
use super::calls::{self, CALLS};
use super::copies::{self, Copies};
use super::feed::{self, Changes, Feed, Poll, What};
use super::greeting::{self, Greeting, Welcome};
use super::lanes::{self, Outcomes};
use super::sign::{Guard, HEADER, LinkKey, Meant, NO_RUN};
use super::wire::Refusal;
use super::{MAX_BODY, PREFIX};
use crate::store::Store;

/// Connections at once; the processes of an installation are few.
const CONNECTIONS: usize = 4_096;
/// How long a connection may be idle, or take to send the head of a request.
const HEAD: Duration = Duration::from_secs(60);
/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(60);
/// How long answers may take once it is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The port of a store, for the other processes of the installation.
struct Port {
    store: Arc<Store>,
    guard: Guard,
    /// Names this run.
    run: String,
    feed: Arc<Feed>,
    outcomes: Arc<Outcomes>,
    copies: Copies,
    arrivals: Arc<Arrivals>,
    stop: CancellationToken,
}

/// Serves the port of a store until `stop`: then the polls end at once and everything else when it is answered.
pub async fn serve(store: Store, key: LinkKey, listener: TcpListener, stop: CancellationToken) {
    let (clock, random) = (store.clock().clone(), store.random().clone());
    let (told, stirred) = (store.told().branch(), store.stirred().branch());
    let port = Arc::new(Port {
        guard: Guard::new(key, clock),
        run: base32::encode(&random.bytes::<16>()),
        feed: Arc::new(Feed::new()),
        outcomes: Arc::default(),
        copies: Copies::default(),
        arrivals: Arc::default(),
        store: Arc::new(store),
        stop: stop.clone(),
    });
    let (tasks, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    let filling = tokio::spawn(feed::fill(port.feed.clone(), told, stirred));
    let owned = port.clone();
    let expiring = tokio::spawn(async move {
        let clock = owned.store.clock();
        tokio::join!(owned.copies.expire(clock), owned.arrivals.expire(clock))
    });
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let port = port.clone();
                tasks.spawn(async move {
                    converse(port, stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(error.causes = %error, "the data role could not accept a connection");
                // Out of file descriptors: trying again at once would spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    filling.abort();
    expiring.abort();
    port.arrivals.end().await;
}

async fn converse(port: Arc<Port>, stream: TcpStream) {
    // Answers are not held back to be merged with the next.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error.causes = %error, "TCP_NODELAY could not be set");
    }
    let stop = port.stop.clone();
    let service = service_fn(move |request| respond(port.clone(), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEAD).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error.causes = %error, "a connection to the data role broke off");
    }
}

async fn respond(port: Arc<Port>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match port.answer(request).await {
        Ok(body) => (StatusCode::OK, body),
        Err((status, error)) => {
            if status == StatusCode::UNAUTHORIZED && error.code() != "data_restarted" {
                tracing::warn!(error.code = error.code(), "a request to the data role was refused");
            }
            (status, serde_json::to_vec(&Refusal::of(&error)).map(Bytes::from).unwrap_or_default())
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

impl Port {
    /// The body of an answer; or the status beside it: 422 when it is the store that refuses.
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Result<Bytes, (StatusCode, Error)> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let method = path.strip_prefix(PREFIX).unwrap_or_default();
        let run = if method == greeting::METHOD { NO_RUN } else { &self.run };
        let header = head.headers.get(HEADER).and_then(|value| value.to_str().ok());
        let meant = Meant { method: head.method.as_str(), path, run };
        let verified = self.guard.verify(&meant, header).map_err(|error| (StatusCode::UNAUTHORIZED, error))?;
        let read = tokio::time::timeout(BODY, Limited::new(body, MAX_BODY).collect()).await;
        let body = match read {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, unreadable().with_source(error))),
            Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, unreadable())),
        };
        verified.covers(&body).map_err(|error| (StatusCode::UNAUTHORIZED, error))?;
        if head.method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, unreadable()));
        }
        self.dispatch(method, body).await.map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error))
    }

    async fn dispatch(&self, method: &str, body: Bytes) -> Result<Bytes, Error> {
        match method {
            greeting::METHOD => {
                calls::read::<Greeting>(&body)?.check(self.store.kinds(), &self.store.vault().master)?;
                written(&Welcome { run: self.run.clone(), seq: self.feed.last() })
            }
            lanes::METHOD => lanes::answer(self.store.clone(), self.outcomes.clone(), body).await,
            copies::BEGIN => written(&self.copies.begin(&self.store, calls::read(&body)?).await?),
            copies::NEXT => written(&self.copies.next(&self.store, calls::read(&body)?).await?),
            arrivals::BEGIN | arrivals::PART | arrivals::PUBLISH | arrivals::DISCARD => {
                self.arrivals.answer(&self.store, method, body).await
            }
            feed::METHOD => written(&self.changes(calls::read(&body)?).await),
            method => match CALLS.iter().find(|(name, _)| *name == method) {
                Some((_, handler)) => handler(self.store.clone(), body).await.map(Bytes::from),
                None => {
                    let detail = "The data role is older than the process that asks it: upgrade the data role first.";
                    Err(Error::new(ErrorKind::Unavailable, "data_version", detail).with_source(format!("there is no method {method}")))
                }
            },
        }
    }

    async fn changes(&self, poll: Poll) -> Changes {
        let (seq, changed) = tokio::select! {
            () = self.stop.cancelled() => (poll.after, Vec::new()),
            changed = self.feed.after(poll.after) => changed,
        };
        let mut changes = Changes { seq, ..Changes::default() };
        for (tenant, what) in changed {
            match what {
                What::Told => changes.told.push((tenant, *self.store.watch(tenant).borrow())),
                What::Stirred => changes.stirred.push(tenant),
            }
        }
        changes
    }
}

pub(super) fn written<T: serde::Serialize>(answer: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(Error::internal)
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Malformed, "data_unreadable", "The request to the data role did not arrive whole.")
}
