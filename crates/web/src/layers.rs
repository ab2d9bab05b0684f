//! Everything between the socket and the router, in one function. Authentication is not here: each operation says whom it lets in, and `Call::read`
//! asks.

mod headers;
mod limits;
mod log;
mod strip;

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;

use crate::arrival::{Arrival, Peer};
use crate::call::panicked;
use crate::problem;
use crate::site::Site;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Puts it around a router.
pub(crate) fn around(router: Router, site: &Site) -> Router {
    router.layer(from_fn_with_state(site.clone(), layer))
}

/// Continues or starts the trace, names the request, and says in its log what came of it.
async fn layer(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let started = site.clock().monotonic();
    let peer = request.extensions().get::<Peer>().copied();
    let arrival = Arrival::read(request.headers(), request.uri().path(), peer, &site.settings().trusted_proxies, site.random());
    request.extensions_mut().insert(arrival.clone());
    let method = request.method().clone();
    let span = tracing::info_span!("request", request.id = &*arrival.request_id, trace.id = &*arrival.trace_id);
    let mut response = answer(&site, &arrival, request, next).instrument(span.clone()).await;
    headers::complete(response.headers_mut(), site.secure());
    let took = site.clock().monotonic().saturating_sub(started);
    span.in_scope(|| log::answered(&site, &arrival, &method, &response, took));
    for (name, value) in [(REQUEST_ID, arrival.request_id.to_string()), (TRACEPARENT, arrival.traceparent())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A panic anywhere below is a 500 problem and a log line, never a closed connection.
async fn answer(site: &Site, arrival: &Arrival, mut request: Request, next: Next) -> Response {
    if let Err(error) = limits::check(&request, site.limits()) {
        return problem::respond(site, arrival, &error);
    }
    strip::claims(request.headers_mut());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(payload) => problem::respond(site, arrival, &panicked(&*payload)),
    }
}
