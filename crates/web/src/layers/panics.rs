//! A panic anywhere below is a 500 problem and a log line, never a closed connection.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;

use crate::call::panicked;
use crate::problem;
use crate::router::arrival;
use crate::site::Site;

pub(super) async fn layer(State(site): State<Site>, request: Request, next: Next) -> Response {
    let arrival = arrival(request.extensions(), &site, request.uri().path());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(payload) => problem::respond(&site, &arrival, &panicked(&*payload)),
    }
}
