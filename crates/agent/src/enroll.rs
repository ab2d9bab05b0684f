//! Enrolment: a token turns this machine and its key into a device. Repeating it with the same machine and key gives the same device.
//!
//! A device that the server refuses enrols again when the agent is started with a token. What waits in the spool goes along, unless the
//! token belongs to another tenant: that tenant must not see it, so it is dropped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Clock, Error, ErrorKind, Random, Result, Secret};

use crate::backoff::Backoff;
use crate::http::{Body, Failure, Server};
use crate::key::DeviceKey;
use crate::machine::Machine;
use crate::state::State;
use crate::token::Tokens;
use crate::{Options, VERSION};

const FILE: &str = "device.json";

/// What the server made of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) device_id: String,
    pub(crate) tenant_id: String,
    pub(crate) tenant_slug: String,
    /// Where assertions are turned into access tokens; also their audience.
    pub(crate) token_url: String,
}

/// What enrolling needs.
pub(crate) struct Enrolling<'a> {
    pub(crate) options: &'a Options,
    pub(crate) state: &'a State,
    pub(crate) server: &'a Arc<Server>,
    pub(crate) machine: &'a Machine,
    pub(crate) key: &'a Arc<DeviceKey>,
    pub(crate) clock: &'a Clock,
    pub(crate) random: &'a Random,
}

impl Enrolling<'_> {
    /// The way to tokens of the device that this state folder belongs to; enrolled now when it is none, or none any more.
    pub(crate) async fn run(self) -> Result<Tokens> {
        let token = self.options.token.as_ref();
        let Some(device) = self.state.read_json::<Device>(FILE)? else {
            let token = token.ok_or_else(|| {
                let detail = "This device is not enrolled. Start once with --token and an enrolment token.";
                Error::new(ErrorKind::Unauthenticated, "not_enrolled", detail)
            })?;
            return Ok(self.tokens(self.enroll(token, None).await?));
        };
        let tokens = self.tokens(device.clone());
        let Some(token) = token else { return Ok(tokens) };
        if !tokens.is_refused().await {
            return Ok(tokens);
        }
        match self.enroll(token, Some(&device)).await {
            Ok(again) => Ok(self.tokens(again)),
            // A unit file may keep naming a token of long ago, and the device may yet be restored.
            Err(error) => {
                tracing::error!(error.code = error.code(), error.message = error.detail(), "the token does not bring this device back");
                Ok(tokens)
            }
        }
    }

    fn tokens(&self, device: Device) -> Tokens {
        Tokens::new(self.server.clone(), device, self.key.clone(), self.clock.clone(), self.random.clone())
    }

    async fn enroll(&self, token: &Secret<String>, before: Option<&Device>) -> Result<Device> {
        let facts = self.machine.facts();
        let mut request = json!({
            "token": token.expose(),
            "public_key": self.key.public(),
            "hostname": facts.hostname,
            "os": facts.os,
            "hardware": facts.hardware,
            "agent_version": VERSION,
        });
        if let Some(name) = &self.options.name {
            request["name"] = json!(name);
        }
        let server = self.server;
        let mut backoff = Backoff::new(self.random.clone());
        loop {
            match server.post("/agent/v1/enroll", Body::Json(&request), None).await {
                Ok(body) => {
                    let device: Device = serde_json::from_slice(&body).map_err(|error| {
                        let detail = format!("{server} did not answer as a Steward server does. Check the address.");
                        Error::new(ErrorKind::Invalid, "invalid_server", detail).with_source(error)
                    })?;
                    // Before the new identity is on disk: a crash in between must not leave both.
                    if before.is_some_and(|before| before.tenant_id != device.tenant_id) {
                        tracing::warn!(
                            tenant.slug = device.tenant_slug,
                            "this machine changes its tenant; what waited for the one before is dropped"
                        );
                        self.state.remove_spool()?;
                    }
                    self.state.write_json(FILE, &device)?;
                    tracing::info!(device.id = device.device_id, tenant.slug = device.tenant_slug, "this machine is enrolled");
                    return Ok(device);
                }
                Err(Failure::Refused { detail, .. }) => {
                    let detail = format!("The server refuses to enrol this machine: {detail}");
                    return Err(Error::new(ErrorKind::Forbidden, "enrollment_refused", detail));
                }
                Err(failure) => {
                    let wait = backoff.after_failure(failure.retry_after());
                    tracing::warn!(error.message = %failure, retry.seconds = wait.as_secs(), "the server cannot be reached to enrol this machine");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}
