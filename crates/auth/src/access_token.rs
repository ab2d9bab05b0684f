//! Access tokens (RFC 9068, ES256, ten minutes) and the assertions that devices earn them with (RFC 7523, EdDSA).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, RecordId, Result, Secret, Timestamp};

use crate::signing_key::Signing;

/// How long an access token lives.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// How far a device's clock may be off.
const SKEW: Duration = Duration::from_secs(60);
/// How far in the future an assertion may be dated. Agents date theirs by the server's own clock, in whole seconds.
pub const ASSERTION_AHEAD: Duration = Duration::from_secs(5);
/// The longest life that an assertion may claim.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(300);

/// A token to hand out.
#[derive(Debug)]
pub struct AccessToken {
    /// The compact JWS.
    pub token: Secret<String>,
    /// Seconds until it expires.
    pub expires_in: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Who the tokens of an installation are from and for.
pub(crate) struct Terms<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
}

pub(crate) fn sign(key: &Signing, terms: &Terms<'_>, device: RecordId, jti: RecordId, now: Timestamp) -> Result<AccessToken> {
    let device = device.wire("dev");
    let issued = now.micros() / 1_000_000;
    let claims = Claims {
        iss: terms.issuer.to_owned(),
        sub: device.clone(),
        aud: terms.audience.to_owned(),
        client_id: device,
        iat: issued,
        exp: issued + ACCESS_TOKEN_LIFETIME.as_secs().cast_signed(),
        jti: jti.wire("jti"),
    };
    let header = Header { typ: Some("at+jwt".to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
    let token = encode(&header, &claims, &key.encoding).map_err(Error::internal)?;
    Ok(AccessToken { token: Secret::new(token), expires_in: ACCESS_TOKEN_LIFETIME.as_secs() })
}

/// The key id that a token names, when it looks like one of ours.
pub(crate) fn kid(token: &str) -> Option<String> {
    let header = decode_header(token).ok()?;
    (header.typ.as_deref() == Some("at+jwt") && header.alg == Algorithm::ES256).then_some(header.kid).flatten()
}

/// The device that a token speaks for, and until when; `None` when it is not valid now.
pub(crate) fn verify(token: &str, key: &DecodingKey, audience: &str, now: Timestamp) -> Option<(RecordId, Timestamp)> {
    let claims: Claims = decode(token, key, &own_time(Algorithm::ES256)).ok()?.claims;
    let now = now.micros() / 1_000_000;
    let current = claims.exp > now && claims.iat <= now + SKEW.as_secs().cast_signed();
    let device = (current && claims.aud == audience).then(|| RecordId::parse("dev", &claims.sub)).flatten()?;
    Some((device, Timestamp::from_micros(claims.exp.saturating_mul(1_000_000))))
}

/// A device's signed claim to be itself.
#[derive(Debug)]
pub struct Assertion {
    /// Unique per device; a second use is a replay.
    pub jti: String,
    /// When the device says that it was signed; never later than [`ASSERTION_AHEAD`] from when it was checked.
    pub issued: Timestamp,
    /// Until when the `jti` must be remembered.
    pub expires: Timestamp,
}

#[derive(Deserialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Checks an assertion of the device `device` with its Ed25519 public key (32 bytes, base64url).
///
/// Fails with `invalid_grant`; the detail tells a wrong clock from a wrong key, since both ends are the operator's own.
pub fn verify_assertion(assertion: &str, device: RecordId, public_key: &str, audience: &str, now: Timestamp) -> Result<Assertion> {
    let refuse = |why: &'static str| Error::new(ErrorKind::Malformed, "invalid_grant", why);
    let key = DecodingKey::from_ed_components(public_key).map_err(Error::internal)?;
    let claims: AssertionClaims = decode(assertion, &key, &own_time(Algorithm::EdDSA))
        .map_err(|_| refuse("The assertion is not signed with this device's key, or lacks iss, sub, aud, iat, exp or jti."))?
        .claims;
    let device = device.wire("dev");
    if claims.iss != device || claims.sub != device {
        return Err(refuse("The assertion's iss and sub must both be the device's id."));
    }
    if claims.aud != audience {
        return Err(refuse("The assertion's aud must be the token URL given at enrolment."));
    }
    if claims.jti.is_empty() || claims.jti.len() > 64 {
        return Err(refuse("The assertion's jti must have 1 to 64 characters."));
    }
    let expires = Timestamp::from_micros(claims.exp.saturating_mul(1_000_000));
    if expires.plus(SKEW) <= now {
        return Err(refuse("The assertion has expired; check the device's clock."));
    }
    if expires > now.plus(ASSERTION_LIFETIME).plus(SKEW) {
        return Err(refuse("The assertion lives too long or the device's clock is ahead; five minutes are allowed."));
    }
    let issued = Timestamp::from_micros(claims.iat.saturating_mul(1_000_000));
    if issued > now.plus(ASSERTION_AHEAD) {
        return Err(refuse("The assertion's iat is in the future; check the device's clock."));
    }
    Ok(Assertion { jti: claims.jti, issued, expires: expires.plus(SKEW) })
}

impl Assertion {
    /// The device that an assertion claims to be of, to look its key up; nothing is verified yet.
    pub fn device(assertion: &str) -> Option<RecordId> {
        #[derive(Deserialize)]
        struct Subject {
            sub: String,
        }
        let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
        RecordId::parse("dev", &serde_json::from_slice::<Subject>(&payload).ok()?.sub)
    }
}

/// Only signature and shape: times are compared with the injected clock and the audience by the callers above.
fn own_time(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims::<&str>(&[]);
    validation
}

/// The issuer of a tenant under the installation's public URL.
pub(crate) fn issuer(public_url: &str, slug: &str) -> String {
    format!("{public_url}/t/{slug}")
}
