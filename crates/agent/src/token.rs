//! Short access tokens for a signed assertion (RFC 7523), fetched when first needed and renewed before they end.
//!
//! A server that refuses the assertion no longer knows the device, so everything that needs a token stops together: the next try comes
//! after a wait that grows to a quarter of an hour, and the log says how to bring the device back. A device that is restored meanwhile
//! goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Clock, Random, Secret, base32};
use tokio::sync::Mutex;
use url::Url;

use crate::backoff::Backoff;
use crate::enroll::Device;
use crate::http::{Body, Failure, Server};
use crate::key::DeviceKey;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_SECONDS: i64 = 120;
/// Between two tries of a device that the server refuses, when it has been refused for long.
const LONGEST_REFUSED: Duration = Duration::from_secs(15 * 60);
/// The first refusal may come from a clock that is wrong, which the answer's date has set right for the second.
const REFUSED_FOR_GOOD: u32 = 2;

/// The device's access token.
#[derive(Debug)]
pub(crate) struct Tokens {
    server: Arc<Server>,
    device: Device,
    key: Arc<DeviceKey>,
    clock: Clock,
    random: Random,
    standing: Mutex<Standing>,
}

/// How the device stands with the server.
#[derive(Debug)]
struct Standing {
    current: Option<Current>,
    refused: Option<Refused>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Refused {
    status: u16,
    detail: String,
    /// By the monotonic clock.
    try_at: Duration,
}

#[derive(Debug)]
struct Current {
    token: Secret<String>,
    /// By the monotonic clock: renewal does not care when the wall clock jumps.
    renew_at: Duration,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Secret<String>,
    expires_in: u64,
}

impl Tokens {
    pub(crate) fn new(server: Arc<Server>, device: Device, key: Arc<DeviceKey>, clock: Clock, random: Random) -> Self {
        let backoff = Backoff::up_to(LONGEST_REFUSED, random.clone());
        let standing = Mutex::new(Standing { current: None, refused: None, backoff });
        Self { server, device, key, clock, random, standing }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// A token that is valid for a while yet. Callers wait for one request, they do not each make their own.
    pub(crate) async fn access(&self) -> Result<Secret<String>, Failure> {
        let mut standing = self.standing.lock().await;
        let asked = self.clock.monotonic();
        if let Some(held) = standing.current.as_ref().filter(|held| asked < held.renew_at) {
            return Ok(held.token.clone());
        }
        if let Some(refused) = standing.refused.as_ref().filter(|refused| asked < refused.try_at) {
            return Err(Failure::Refused { status: refused.status, detail: refused.detail.clone() });
        }
        standing.current = None;
        let answer = match self.request().await {
            Ok(answer) => answer,
            Err(failure) => {
                if let Failure::Refused { status, detail } = &failure {
                    self.note_refusal(&mut standing, *status, detail);
                }
                return Err(failure);
            }
        };
        standing.refused = None;
        standing.backoff.reset();
        let lifetime = Duration::from_secs(answer.expires_in);
        let renew_at = asked + lifetime.saturating_sub(Duration::from_secs(60).min(lifetime / 5));
        let held = standing.current.insert(Current { token: answer.access_token, renew_at });
        Ok(held.token.clone())
    }

    /// Whether the server refuses this device, asked twice at once so that a clock that is wrong does not count. A server that does not
    /// answer refuses nothing.
    pub(crate) async fn is_refused(&self) -> bool {
        for _ in 0..REFUSED_FOR_GOOD {
            self.standing.lock().await.refused = None;
            if !matches!(self.access().await, Err(Failure::Refused { .. })) {
                return false;
            }
        }
        true
    }

    fn note_refusal(&self, standing: &mut Standing, status: u16, detail: &str) {
        let wait = standing.backoff.after_failure(None);
        standing.refused = Some(Refused { status, detail: detail.to_owned(), try_at: self.clock.monotonic() + wait });
        if standing.backoff.failures() == REFUSED_FOR_GOOD || wait > LONGEST_REFUSED / 2 {
            tracing::error!(
                device.id = self.device.device_id,
                tenant.slug = self.device.tenant_slug,
                error.message = detail,
                retry.seconds = wait.as_secs(),
                "the server no longer takes this device; logs and metrics wait on disk. To bring it back, restore the device, or stop this \
                 agent, make a token with `steward admin enroll-token` and start `steward agent run` with it and the same --state"
            );
        }
    }

    /// Forgets a token that the server no longer takes.
    pub(crate) async fn forget(&self, token: &Secret<String>) {
        let mut standing = self.standing.lock().await;
        if standing.current.as_ref().is_some_and(|held| held.token.expose() == token.expose()) {
            standing.current = None;
        }
    }

    async fn request(&self) -> Result<Answer, Failure> {
        let now = self.server.now().micros().div_euclid(1_000_000);
        let claims = Claims {
            iss: &self.device.device_id,
            sub: &self.device.device_id,
            aud: &self.device.token_url,
            iat: now,
            exp: now + ASSERTION_SECONDS,
            jti: base32::encode(&self.random.bytes::<16>()),
        };
        let unusable = |reason: String| Failure::Unavailable { retry_after: None, reason };
        let assertion = self.key.sign(&claims).map_err(|error| unusable(error.to_string()))?;
        // The token URL carries the public name; the device goes to the address it was given, which may be another way to the same server.
        let url = Url::parse(&self.device.token_url).map_err(|error| unusable(format!("the token address: {error}")))?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let body = self.server.post(url.path(), Body::Form(&form), None).await?;
        serde_json::from_slice(&body).map_err(|error| unusable(format!("the answer to the assertion: {error}")))
    }
}
