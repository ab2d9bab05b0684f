//! A caller that a job remembers: who asked, so that what is done later is done with what that one may do then.

use std::fmt;

use serde::{Deserialize, Serialize};
use steward_base::{Ctx, Effect, Parts, Principal, RecordId, Result, TenantId};

use crate::authority::{DEVICE_PERMISSIONS, invalid};
use crate::permissions::{permissions, shared};
use crate::{Authority, Occasion, system};

/// Who asked, in the form in which a job keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A person in a session.
    Person {
        /// Wire id.
        id: String,
        /// Wire id of the session.
        session: String,
    },
    /// An API key, by its wire id.
    ApiKey(String),
    /// A device, by its wire id.
    Device(String),
}

impl Caller {
    /// Who acts in a context; `None` for the platform and for nobody.
    pub fn of(ctx: &Ctx) -> Option<Self> {
        match ctx.principal() {
            Principal::Person { id, session } => Some(Self::Person { id: id.wire("per"), session: session.wire("ses") }),
            Principal::ApiKey(id) => Some(Self::ApiKey(id.wire("key"))),
            Principal::Device(id) => Some(Self::Device(id.wire("dev"))),
            Principal::System | Principal::Anonymous => None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { id, .. } | Self::ApiKey(id) | Self::Device(id) => f.write_str(id),
        }
    }
}

impl Authority {
    /// The context of a caller who asked for something earlier, with the grants that it has now. A session may have ended since: what was asked
    /// for in it stands as long as the person is a member.
    ///
    /// Fails with `invalid_credential` when the caller is gone, and with `tenant_suspended`.
    pub async fn act_for(&self, tenant: TenantId, caller: &Caller, occasion: Occasion) -> Result<Ctx> {
        let id = |prefix: &str, text: &str| RecordId::parse(prefix, text).ok_or_else(invalid);
        let (principal, grants) = match caller {
            Caller::Person { id: person, session } => {
                let (person, session) = (id("per", person)?, id("ses", session)?);
                (Principal::Person { id: person, session }, self.member_grants(tenant, person).await?.ok_or_else(invalid)?)
            }
            Caller::ApiKey(key) => (Principal::ApiKey(id("key", key)?), self.key_grants(tenant, id("key", key)?).await?),
            Caller::Device(device) => {
                let device = id("dev", device)?;
                self.store().get(&system(tenant, "device"), "device", device).await?.ok_or_else(invalid)?;
                (Principal::Device(device), permissions(DEVICE_PERMISSIONS, Effect::Allow)?)
            }
        };
        self.tenant(tenant).await?;
        Ok(Ctx::mint(Parts {
            principal,
            tenant,
            grants: shared(grants),
            reason: occasion.reason,
            origin: occasion.origin,
            trace_id: occasion.trace_id,
            request_id: occasion.request_id,
        }))
    }
}
