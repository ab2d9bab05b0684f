//! Continues or starts the trace, and names the request.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;

use crate::arrival::{Arrival, Peer};
use crate::site::Site;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) async fn layer(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let arrival = Arrival::read(request.headers(), request.uri().path(), peer, &site.settings().trusted_proxies, site.random());
    let span = tracing::info_span!("request", request.id = &*arrival.request_id, trace.id = &*arrival.trace_id);
    request.extensions_mut().insert(arrival.clone());
    let mut response = next.run(request).instrument(span).await;
    let headers = response.headers_mut();
    for (name, value) in [(REQUEST_ID, arrival.request_id.to_string()), (TRACEPARENT, arrival.traceparent())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}
