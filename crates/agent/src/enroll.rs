//! Enrolment: a token turns this machine and its key into a device. Repeating it with the same machine and key gives the same device.

use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Error, ErrorKind, Random, Result};

use crate::backoff::Backoff;
use crate::http::{Body, Failure, Server};
use crate::key::DeviceKey;
use crate::machine::Machine;
use crate::state::State;
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

/// The device this state folder belongs to; enrolled now when it is not yet one.
pub(crate) async fn enroll(
    options: &Options,
    state: &State,
    server: &Server,
    machine: &Machine,
    key: &DeviceKey,
    random: &Random,
) -> Result<Device> {
    if let Some(device) = state.read_json(FILE)? {
        return Ok(device);
    }
    let token = options.token.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Unauthenticated,
            "not_enrolled",
            "This device is not enrolled. Start once with --token and an enrolment token.",
        )
    })?;
    let facts = machine.facts();
    let mut request = json!({
        "token": token.expose(),
        "public_key": key.public(),
        "hostname": facts.hostname,
        "os": facts.os,
        "hardware": facts.hardware,
        "agent_version": VERSION,
    });
    if let Some(name) = &options.name {
        request["name"] = json!(name);
    }
    let mut backoff = Backoff::new(random.clone());
    loop {
        match server.post("/agent/v1/enroll", Body::Json(&request), None).await {
            Ok(body) => {
                let device: Device = serde_json::from_slice(&body).map_err(|error| {
                    let detail = format!("{server} did not answer as a Steward server does. Check the address.");
                    Error::new(ErrorKind::Invalid, "invalid_server", detail).with_source(error)
                })?;
                state.write_json(FILE, &device)?;
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
