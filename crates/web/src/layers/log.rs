//! The access log and the meters: one line and one count per request. Never a query string, header or body: they may hold secrets.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::router::{Answered, arrival};
use crate::site::Site;

pub(super) async fn layer(State(site): State<Site>, request: Request, next: Next) -> Response {
    let started = site.clock().monotonic();
    let method = request.method().clone();
    let arrival = arrival(request.extensions(), &site, request.uri().path());
    let response = next.run(request).await;
    let took = site.clock().monotonic().saturating_sub(started);
    let answered = response.extensions().get::<Answered>();
    match answered {
        Some(answered) => answered.meter.record(response.status(), took),
        None => site.metrics().unrouted().record(response.status(), took),
    }
    tracing::info!(
        http.request.method = %method,
        http.route = answered.map_or("unrouted", |answered| &*answered.route),
        http.response.status_code = response.status().as_u16(),
        operation.id = answered.map(|answered| answered.operation),
        tenant.id = answered.and_then(|answered| answered.tenant).map(|tenant| tenant.to_string()),
        client.address = arrival.origin.ip,
        request.id = &*arrival.request_id,
        trace.id = &*arrival.trace_id,
        duration_ms = took.as_secs_f64() * 1000.0,
        "request answered"
    );
    response
}
