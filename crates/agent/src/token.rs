//! Short access tokens for a signed assertion (RFC 7523), fetched when first needed and renewed before they end.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steward_base::{Clock, Random, Secret, base32};
use tokio::sync::Mutex;
use url::Url;

use crate::enroll::Device;
use crate::http::{Body, Failure, Server};
use crate::key::DeviceKey;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_SECONDS: i64 = 120;

/// The device's access token.
#[derive(Debug)]
pub(crate) struct Tokens {
    server: Arc<Server>,
    device: Device,
    key: DeviceKey,
    clock: Clock,
    random: Random,
    current: Mutex<Option<Current>>,
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
    pub(crate) fn new(server: Arc<Server>, device: Device, key: DeviceKey, clock: Clock, random: Random) -> Self {
        Self { server, device, key, clock, random, current: Mutex::new(None) }
    }

    /// A token that is valid for a while yet. Callers wait for one request, they do not each make their own.
    pub(crate) async fn access(&self) -> Result<Secret<String>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(held) = current.as_ref().filter(|held| self.clock.monotonic() < held.renew_at) {
            return Ok(held.token.clone());
        }
        *current = None;
        let asked = self.clock.monotonic();
        let answer = self.request().await?;
        let lifetime = Duration::from_secs(answer.expires_in);
        let renew_at = asked + lifetime.saturating_sub(Duration::from_secs(60).min(lifetime / 5));
        let held = current.insert(Current { token: answer.access_token, renew_at });
        Ok(held.token.clone())
    }

    /// Forgets a token that the server no longer takes.
    pub(crate) async fn forget(&self, token: &Secret<String>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| held.token.expose() == token.expose()) {
            *current = None;
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
