//! What agents call: tokens for signed assertions, and heartbeats.

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_auth::{ASSERTION_AHEAD, Assertion, system, verify_assertion};
use steward_base::{Clock, Ctx, Error, ErrorKind, Principal, RecordId, Result, TenantId};
use steward_store::Model as _;
use steward_web::{Call, ErrorForm, Form, Json, Reply};

use crate::Fleet;
use crate::models::{Device, DeviceStatus};
use crate::presence::{Beat, HEARTBEAT_SECONDS};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Assertions of one device that are remembered until they expire; an agent needs one in ten minutes.
const REMEMBERED: usize = 64;

/// Assertions that were used and have not expired: each is good once.
///
/// They are remembered in memory only. What was used before the server started is told by its date: no assertion was ever taken that was dated
/// later than [`ASSERTION_AHEAD`] from then, so one that is dated later than that from the start is new. Any other is refused, which for the
/// first seconds is all of them; agents come again.
pub(crate) struct Seen {
    clock: Clock,
    /// By the monotonic clock.
    started: Duration,
    used: Mutex<HashMap<RecordId, Vec<Assertion>>>,
}

impl Seen {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { started: clock.monotonic(), clock, used: Mutex::default() }
    }

    /// Notes the first use; fails with `invalid_grant` for a second one, `just_started` for what may be one, and `too_many_assertions`.
    fn note(&self, device: RecordId, assertion: Assertion) -> Result<()> {
        let now = self.clock.now();
        // By today's reading of the wall clock, which may have been set since.
        let started = now.minus(self.clock.monotonic().saturating_sub(self.started));
        if assertion.issued <= started.plus(ASSERTION_AHEAD) {
            let detail = "The server has started since this assertion was signed, or just now, and cannot tell whether it was used before.";
            let after = ASSERTION_AHEAD + Duration::from_secs(1);
            return Err(Error::new(ErrorKind::Unavailable, "just_started", detail).with_retry_after(after));
        }
        let mut seen = self.used.lock();
        let used = seen.entry(device).or_default();
        used.retain(|used| used.expires > now);
        if used.iter().any(|used| used.jti == assertion.jti) {
            return Err(Error::new(ErrorKind::Malformed, "invalid_grant", "The assertion was used before; sign a new one."));
        }
        if used.len() >= REMEMBERED {
            let detail = "This device asks for tokens far too often. One is good for ten minutes.";
            return Err(Error::new(ErrorKind::Limited, "too_many_assertions", detail).with_retry_after(Duration::from_secs(60)));
        }
        used.push(assertion);
        Ok(())
    }
}

/// The path of a tenant's token endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct TenantPath {
    /// The tenant's short name.
    #[schemars(length(min = 1, max = 40))]
    slug: String,
}

/// A token request (RFC 7523).
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct TokenRequest {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    #[schemars(length(max = 100))]
    grant_type: String,
    /// The device's signed assertion.
    #[schemars(length(max = 4000))]
    assertion: String,
}

/// An access token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TokenAnswer {
    /// The token.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until it expires.
    expires_in: u64,
}

pub(crate) async fn token(fleet: Fleet, call: Call<TenantPath, (), Form<TokenRequest>>) -> Result<Reply<Json<TokenAnswer>>> {
    let Form(TokenRequest { grant_type, assertion }) = call.body;
    if grant_type != GRANT {
        return Err(Error::new(ErrorKind::Malformed, "unsupported_grant_type", "Devices use the jwt-bearer grant."));
    }
    let refuse = |why: &'static str| Error::new(ErrorKind::Malformed, "invalid_grant", why);
    let unknown = || refuse("There is no such device in this tenant; it may have been removed. Enrol it again.");
    let slug = call.path.slug.as_str();
    let control = system(TenantId::OPERATOR, "token");
    let tenant: TenantId = fleet.0.store.find(&control, "tenant", "slug", slug).await?.ok_or_else(unknown)?.id.into();
    let device = Assertion::device(&assertion).ok_or_else(|| refuse("The assertion is not a signed JWT of a device."))?;
    let record = fleet.0.store.get(&system(tenant, "token"), Device::KIND, device).await?.ok_or_else(unknown)?;
    let key = record.decode::<Device>()?.public_key;
    let now = fleet.0.clock.now();
    let proven = verify_assertion(&assertion, device, &key, &fleet.0.authority.token_url(slug), now)?;
    fleet.0.assertions.note(device, proven)?;
    let token = fleet.0.authority.device_token(tenant, device).await?;
    let answer = TokenAnswer { access_token: token.token.expose().clone(), token_type: "Bearer", expires_in: token.expires_in };
    Ok(Reply::json(answer).header(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Errors as OAuth says them (RFC 6749, 5.2).
pub(crate) fn oauth_errors() -> ErrorForm {
    ErrorForm { media_type: "application/json", schema: oauth_error_schema, write: write_oauth_error }
}

fn oauth_error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string" }, "error_description": { "type": "string" } },
    })
}

fn write_oauth_error(error: &Error, _: &HeaderMap) -> axum::response::Response {
    let (status, name) = match error.kind() {
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        ErrorKind::Limited => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        _ => (
            StatusCode::BAD_REQUEST,
            match error.code() {
                code @ ("invalid_grant" | "unsupported_grant_type") => code,
                _ => "invalid_request",
            },
        ),
    };
    let body = json!({ "error": name, "error_description": error.detail() }).to_string();
    let mut response = axum::response::Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A sign of life, and how the agent itself fares.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heartbeat {
    /// The agent's version.
    #[schemars(length(min = 1, max = 40))]
    agent_version: String,
    /// How long the machine has been up, in seconds.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    uptime_seconds: Option<u64>,
    /// Bytes that wait in the agent's spool.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    spool_bytes: Option<u64>,
    /// Rows that the agent had to drop since it was installed.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    dropped_total: Option<u64>,
}

/// When the next sign of life is due.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NextHeartbeat {
    /// Seconds from now.
    next_seconds: u64,
}

pub(crate) async fn heartbeat(fleet: Fleet, call: Call<(), (), Json<Heartbeat>>) -> Result<Reply<Json<NextHeartbeat>>> {
    let device = own_device(&call.ctx)?;
    let Json(said) = call.body;
    let record = fleet.0.store.get(&call.ctx, Device::KIND, device).await?.ok_or_else(|| Error::not_found("device"))?;
    let known: Device = record.decode()?;
    let beat = Beat { uptime_seconds: said.uptime_seconds, spool_bytes: said.spool_bytes, dropped_total: said.dropped_total };
    let tenant = call.ctx.tenant();
    let heard = async {
        if fleet.0.presence.heard(tenant, device, known.status, beat) {
            fleet.write_state(tenant, device, DeviceStatus::Online, None).await?;
        }
        Ok(())
    };
    fleet.while_watched(tenant, heard).await?;
    if known.agent_version != said.agent_version {
        let updated = move |device: &mut Device| {
            device.agent_version.clone_from(&said.agent_version);
            Ok(())
        };
        fleet.0.store.update::<Device>(&system(tenant, "heartbeat"), device, updated).await?;
    }
    Ok(Reply::json(NextHeartbeat { next_seconds: HEARTBEAT_SECONDS }))
}

fn own_device(ctx: &Ctx) -> Result<RecordId> {
    match ctx.principal() {
        Principal::Device(device) => Ok(*device),
        _ => Err(Error::new(ErrorKind::Forbidden, "devices_only", "Only a device's own access token can be used here.")),
    }
}
