//! Which credential a request presents, and what must agree with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method};
use steward_auth::Presented;
use steward_base::{Ctx, Error, ErrorKind, Secret};

use crate::site::Site;

/// The credential in the headers: `Authorization: Bearer`, `X-API-Key`, the password of basic authentication, or the session cookie.
///
/// A header beats the cookie, so that a script in a browser can use a key of its own. An unreadable one fails with `invalid_credential`.
pub(crate) fn presented(site: &Site, headers: &HeaderMap) -> Result<Option<Presented>, Error> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return authorization(value.to_str().map_err(|_| unreadable())?).map(Some);
    }
    if let Some(value) = headers.get("x-api-key") {
        return Ok(Some(Presented::Bearer(Secret::new(value.to_str().map_err(|_| unreadable())?.to_owned()))));
    }
    Ok(cookie(headers, site.session_cookie()).map(|session| Presented::Session(Secret::new(session.to_owned()))))
}

fn authorization(text: &str) -> Result<Presented, Error> {
    let (scheme, rest) = text.split_once(' ').ok_or_else(unreadable)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Presented::Bearer(Secret::new(rest.to_owned())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let bytes = STANDARD.decode(rest).map_err(|_| unreadable())?;
        let pair = String::from_utf8(bytes).map_err(|_| unreadable())?;
        // The user name is free, so that tools that insist on one can be used.
        let (_, password) = pair.split_once(':').ok_or_else(unreadable)?;
        return Ok(Presented::Bearer(Secret::new(password.to_owned())));
    }
    Err(unreadable())
}

fn unreadable() -> Error {
    let detail = "The credential cannot be read. Send an API key or access token as \"Authorization: Bearer …\", or sign in.";
    Error::new(ErrorKind::Unauthenticated, "invalid_credential", detail)
}

/// The value of the cookie `name`.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// Whether the method changes nothing.
pub(crate) fn safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A write with the session cookie must come from this server's own pages.
pub(crate) fn check_origin(site: &Site, method: &Method, headers: &HeaderMap, presented: &Presented) -> Result<(), Error> {
    match presented {
        Presented::Session(_) if !safe(method) => site.require_own_origin(headers),
        _ => Ok(()),
    }
}

/// `X-Tenant-ID`, where a client sends it, must name the tenant of the credential.
pub(crate) fn check_tenant(headers: &HeaderMap, ctx: &Ctx) -> Result<(), Error> {
    let own = ctx.tenant().to_string();
    match headers.get("x-tenant-id") {
        Some(named) if named.as_bytes() != own.as_bytes() => {
            let detail = format!(
                "X-Tenant-ID names another tenant than the credential, which belongs to {own}. Leave the header out or correct it."
            );
            Err(Error::new(ErrorKind::Forbidden, "tenant_mismatch", detail))
        }
        _ => Ok(()),
    }
}

/// No credential at all.
pub(crate) fn absent() -> Error {
    let detail = "Sign in, or send an API key or access token as \"Authorization: Bearer …\".";
    Error::new(ErrorKind::Unauthenticated, "credential_required", detail)
}
