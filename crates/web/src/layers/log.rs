//! The access log and the meters: one line and one count per request. Never a query string, header or body: they may hold secrets.

use std::time::Duration;

use axum::response::Response;
use http::Method;

use crate::arrival::Arrival;
use crate::router::Answered;
use crate::site::Site;

pub(super) fn answered(site: &Site, arrival: &Arrival, method: &Method, response: &Response, took: Duration) {
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
}
