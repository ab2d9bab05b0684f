//! The sockets: HTTP/1.1 and HTTP/2, plain or TLS, bounded in number and patience, drained at the end.

mod clients;
mod guarded;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::arrival::Peer;
use crate::site::Site;
use clients::{Clients, Seat};
use guarded::Guarded;

/// What runs on the machine itself: proxies that nobody named, the machine's own agent, tools.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// How sockets are served.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Certificates and keys; plain HTTP when `None`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The most connections at once; further ones wait in the listener's queue.
    pub connections: usize,
    /// The most connections of one client address at once, or of one IPv6 network of 64 bits; further ones are closed.
    pub connections_per_address: usize,
    /// Networks whose connections are not counted by address, besides those of trusted proxies: they speak for many clients.
    pub uncounted: Vec<IpNet>,
    /// How long a client may take to send the head of a request, or to finish the TLS handshake.
    pub head_time: Duration,
    /// How long a client may refuse to read before its connection is cut.
    pub write_time: Duration,
    /// How long requests may take to finish once the server drains.
    pub drain_time: Duration,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            tls: None,
            connections: 16_384,
            connections_per_address: 256,
            uncounted: LOOPBACK.iter().map(|net| net.parse().expect("the networks of loopback are well formed")).collect(),
            head_time: Duration::from_secs(10),
            write_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(20),
        }
    }
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
    router: Router,
    site: Site,
    serving: Serving,
    tls: Option<TlsAcceptor>,
    /// Cancelled when the time to drain is over.
    cut: CancellationToken,
}

/// Serves until `shutdown`, then drains: no new connections, streams ended, running requests finished or cut when their time is over.
pub async fn serve(listener: TcpListener, router: Router, site: &Site, serving: Serving, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(serving.connections));
    let uncounted = [serving.uncounted.as_slice(), &site.settings().trusted_proxies].concat();
    let clients = Clients::new(serving.connections_per_address, uncounted);
    let tls = serving.tls.as_ref().map(|config| TlsAcceptor::from(with_protocols(config)));
    let drain_time = serving.drain_time;
    let shared = Shared { router, site: site.clone(), serving, tls, cut: CancellationToken::new() };
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, address, slot)) = accepted else { continue };
        match clients.seat(address.ip()) {
            Some(seat) => drop(tokio::spawn(connection(shared.clone(), stream, address, (slot, seat), graceful.watcher()))),
            None => {
                site.metrics().refused().fetch_add(1, Ordering::Relaxed);
                tracing::debug!(client.address = %address.ip(), "a connection was closed: its address has as many as one may have");
            }
        }
    }
    drop(listener);
    site.drain().cancel();
    tracing::info!(connections = graceful.count(), "draining");
    if tokio::time::timeout(drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!(drain_seconds = drain_time.as_secs(), "requests were cut: they did not finish in time");
    }
    shared.cut.cancel();
}

/// Clients that speak TLS choose HTTP/2 or HTTP/1.1 by ALPN.
fn with_protocols(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = Arc::clone(config);
    if config.alpn_protocols.is_empty() {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    config
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, slot)),
        Err(error) => {
            tracing::warn!(error.causes = %error, "a connection could not be accepted");
            // Out of file descriptors: trying again at once would spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(shared: Shared, stream: TcpStream, address: SocketAddr, places: (OwnedSemaphorePermit, Seat), watcher: Watcher) {
    // Small answers are not held back to be merged with the next.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error.causes = %error, "TCP_NODELAY could not be set");
    }
    shared.site.metrics().connections().fetch_add(1, Ordering::Relaxed);
    let cut = shared.cut.clone();
    tokio::select! {
        () = speak(&shared, stream, address, watcher) => {}
        () = cut.cancelled() => {}
    }
    shared.site.metrics().connections().fetch_sub(1, Ordering::Relaxed);
    drop(places);
}

async fn speak(shared: &Shared, stream: TcpStream, address: SocketAddr, watcher: Watcher) {
    let Some(acceptor) = &shared.tls else { return requests(shared, stream, address, watcher).await };
    match tokio::time::timeout(shared.serving.head_time, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(shared, stream, address, watcher).await,
        Ok(Err(error)) => tracing::debug!(client.address = %address.ip(), error.causes = %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(client.address = %address.ip(), "TLS handshake took too long"),
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(shared: &Shared, stream: S, address: SocketAddr, watcher: Watcher) {
    let router = shared.router.clone();
    let service = service_fn(move |request: Request<Incoming>| answer(router.clone(), request, Peer { address }));
    let builder = builder(shared);
    let io = TokioIo::new(Guarded::new(stream, shared.serving.head_time, shared.serving.write_time));
    let served = watcher.watch(builder.serve_connection_with_upgrades(io, service).into_owned()).await;
    if let Err(error) = served {
        tracing::debug!(client.address = %address.ip(), error.causes = %error, "connection ended");
    }
}

async fn answer(router: Router, request: Request<Incoming>, peer: Peer) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    router.oneshot(request).await
}

fn builder(shared: &Shared) -> Builder<TokioExecutor> {
    let limits = shared.site.limits();
    // Larger than the layers allow, so that most of what is too large is refused with a problem; only beyond this is the answer bare.
    let head = 2 * (limits.headers_bytes + limits.target_bytes);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(shared.serving.head_time).max_headers(256).max_buf_size(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
