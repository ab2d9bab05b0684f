//! Enrolment: a token turns a machine and its key into a device of the token's tenant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_auth::{Minted, MintedKind, system_for};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Secret, TenantId, Timestamp};
use steward_store::{EventDraft, Expect, Model as _, Record, UnitOfWork};

use crate::Fleet;
use crate::models::{Device, DeviceId, DeviceStatus, EnrollmentToken, Hardware, OrganizationId, Os};
use crate::presence::{Beat, reason};

/// How often an enrolment tries again when others use the same token at the same moment.
const TRIES: usize = 32;

/// An enrolment token to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrollmentToken {
    /// What it is for.
    #[schemars(length(min = 1, max = 120))]
    pub name: String,
    /// The organization that its devices will belong to.
    #[serde(default)]
    pub organization_id: Option<OrganizationId>,
    /// How many devices may enrol with it; any number when absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_uses: Option<u32>,
    /// When it ends by itself; never when absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A machine that asks to be a device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    /// The enrolment token.
    #[schemars(length(min = 1, max = 200))]
    token: String,
    /// The machine's Ed25519 key, 32 bytes in base64url: the last character carries four bits.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"))]
    public_key: String,
    /// What the machine calls itself.
    #[schemars(length(min = 1, max = 255))]
    hostname: String,
    /// The device's name; the host name when absent.
    #[serde(default)]
    #[schemars(length(min = 1, max = 120))]
    name: Option<String>,
    /// Its operating system.
    os: Os,
    /// Its hardware.
    hardware: Hardware,
    /// The agent's version.
    #[schemars(length(min = 1, max = 40))]
    agent_version: String,
}

/// What the server made of the machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Enrolled {
    /// The device.
    device_id: DeviceId,
    /// Its tenant.
    tenant_id: TenantId,
    /// The tenant's short name.
    tenant_slug: String,
    /// Where the device turns signed assertions into access tokens; also their audience.
    token_url: String,
}

impl Fleet {
    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn new_enrollment_token(&self, ctx: &Ctx, new: NewEnrollmentToken) -> Result<(Record, Secret<String>)> {
        let id = self.0.store.mint_id();
        let minted = Minted::new(MintedKind::Enrolment, ctx.tenant(), id, &self.0.random);
        let NewEnrollmentToken { name, organization_id, max_uses, expires_at } = new;
        let token = EnrollmentToken { name, organization_id, max_uses, uses: 0, expires_at, digest: minted.digest() };
        let committed = self.0.store.commit(ctx, UnitOfWork::new().create(id, &token)).await?;
        let record = committed.records.into_iter().next().ok_or_else(|| Error::internal("a commit answers with its records"))?;
        Ok((record, minted.reveal()))
    }

    /// Enrols a machine. The same machine with the same key is the same device again; with another key it is bound to that one.
    ///
    /// Fails with `invalid_enrollment_token`, `enrollment_token_used_up` or `device_elsewhere`.
    pub(crate) async fn enroll(&self, cause: &Ctx, asked: Enrolment) -> Result<Enrolled> {
        let key = URL_SAFE_NO_PAD.decode(&asked.public_key).ok().filter(|key| key.len() == 32);
        if key.is_none() {
            let detail = "The public key must be 32 bytes in base64url.";
            return Err(Error::invalid(detail).with_field("/public_key", "invalid_key", detail));
        }
        let minted = Minted::parse(&asked.token).filter(|minted| minted.kind == MintedKind::Enrolment).ok_or_else(refused)?;
        let tenant_slug = self.0.authority.tenant(minted.tenant).await.map_err(|error| match error.kind() {
            ErrorKind::Unauthenticated => refused(),
            _ => error,
        })?;
        let ctx = system_for(cause, minted.tenant, "enrolment");
        for _ in 0..TRIES {
            match Box::pin(self.try_enroll(&ctx, &minted, &asked)).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
                Ok(device) => {
                    let token_url = self.0.authority.token_url(&tenant_slug);
                    return Ok(Enrolled { device_id: device.into(), tenant_id: minted.tenant, tenant_slug, token_url });
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "enrollment_busy", "Too many machines enrol at once. Try again in a moment."))
    }

    async fn try_enroll(&self, ctx: &Ctx, minted: &Minted, asked: &Enrolment) -> Result<RecordId> {
        let record = self.0.store.get(ctx, EnrollmentToken::KIND, minted.record).await?.ok_or_else(refused)?;
        let mut token: EnrollmentToken = record.decode()?;
        let expired = token.expires_at.is_some_and(|at| at <= self.0.clock.now());
        if !minted.matches(&token.digest) || expired {
            return Err(refused());
        }
        let known = self.0.store.find(ctx, Device::KIND, "hardware.machine_id", &asked.hardware.machine_id).await?;
        if let Some(known) = &known
            && known.decode::<Device>()?.public_key == asked.public_key
        {
            return Ok(known.id);
        }
        if token.max_uses.is_some_and(|most| token.uses >= most) {
            let detail = "This enrolment token is used up. Make a new one and start the agent with it.";
            return Err(Error::new(ErrorKind::Forbidden, "enrollment_token_used_up", detail));
        }
        token.uses += 1;
        let unit = UnitOfWork::new().put_model(record.id, &token, Expect::Version(record.version));
        let (id, unit) = match known {
            Some(known) => (known.id, rebind(unit, &known, &token, asked)?),
            None => {
                let id = self.0.store.mint_id();
                (id, register(unit, id, &token, asked))
            }
        };
        let online = async {
            self.0.store.commit(ctx, unit).await?;
            self.0.presence.heard(minted.tenant, id, DeviceStatus::Online, Beat::default());
            Ok(id)
        };
        self.while_watched(minted.tenant, online).await
    }
}

fn register(unit: UnitOfWork, id: RecordId, token: &EnrollmentToken, asked: &Enrolment) -> UnitOfWork {
    let device = Device {
        name: asked.name.clone().unwrap_or_else(|| asked.hostname.chars().take(120).collect()),
        organization_id: token.organization_id,
        tags: Vec::new(),
        hostname: asked.hostname.clone(),
        os: asked.os.clone(),
        hardware: asked.hardware.clone(),
        agent_version: asked.agent_version.clone(),
        status: DeviceStatus::Online,
        status_reason: reason(DeviceStatus::Online).to_owned(),
        last_seen: None,
        public_key: asked.public_key.clone(),
    };
    unit.create(id, &device).event(EventDraft::new("device.registered", id, facts(asked)))
}

/// The machine was set up anew: it keeps its name, place and tags, and only the new key speaks for it. A token speaks for its organization
/// only, so it cannot take over a device of another one.
fn rebind(unit: UnitOfWork, known: &Record, token: &EnrollmentToken, asked: &Enrolment) -> Result<UnitOfWork> {
    let mut device: Device = known.decode()?;
    if device.organization_id != token.organization_id {
        let detail = "This machine is a device of another organization. Use a token of that one, or move the device first.";
        return Err(Error::new(ErrorKind::Forbidden, "device_elsewhere", detail));
    }
    device.hostname.clone_from(&asked.hostname);
    device.os = asked.os.clone();
    device.hardware = asked.hardware.clone();
    device.agent_version.clone_from(&asked.agent_version);
    device.public_key.clone_from(&asked.public_key);
    device.status = DeviceStatus::Online;
    reason(DeviceStatus::Online).clone_into(&mut device.status_reason);
    device.last_seen = None;
    let event = EventDraft::new("device.rebound", known.id, facts(asked));
    Ok(unit.put_model(known.id, &device, Expect::Version(known.version)).event(event))
}

fn facts(asked: &Enrolment) -> Value {
    json!({ "hostname": asked.hostname, "os": asked.os, "agent_version": asked.agent_version, "public_key": asked.public_key })
}

fn refused() -> Error {
    let detail = "The enrolment token is mistyped, expired or ended. Make a new one and start the agent with it.";
    Error::new(ErrorKind::Forbidden, "invalid_enrollment_token", detail)
}
