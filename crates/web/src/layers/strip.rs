//! Removes headers by which a request could claim an identity: only credentials say who calls.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::site::Site;

const CLAIMS: [&str; 10] = [
    "forwarded",
    "x-real-ip",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-auth-request-user",
    "x-user-id",
    "x-client-cert",
];
const OWN: &str = "x-steward-";

pub(super) async fn layer(State(_): State<Site>, mut request: Request, next: Next) -> Response {
    let headers = request.headers_mut();
    CLAIMS.iter().for_each(|name| drop(headers.remove(*name)));
    let own: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
    own.iter().for_each(|name| drop(headers.remove(name)));
    next.run(request).await
}
