//! Removes headers by which a request could claim an identity: only credentials say who calls.

use http::HeaderMap;

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

pub(super) fn claims(headers: &mut HeaderMap) {
    CLAIMS.iter().for_each(|name| drop(headers.remove(*name)));
    let own: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
    own.iter().for_each(|name| drop(headers.remove(name)));
}
