//! The request context: who acts, for which tenant, with which grants, why and from where.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Attempt, Grant, RecordId, TenantId};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A signed-in person; the session that proves it.
    Person {
        /// Of kind `person`, in control.
        id: RecordId,
        /// Of kind `session`, in the tenant.
        session: RecordId,
    },
    /// An API key.
    ApiKey(RecordId),
    /// A device's agent.
    Device(RecordId),
    /// The platform itself.
    System,
    /// Nobody yet: a request to an operation that needs no credential.
    Anonymous,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Person { id, .. } => f.write_str(&id.wire("per")),
            Principal::ApiKey(id) => f.write_str(&id.wire("key")),
            Principal::Device(id) => f.write_str(&id.wire("dev")),
            Principal::System => f.write_str("system"),
            Principal::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The client's address, as seen or as a trusted proxy says.
    pub ip: Option<String>,
    /// The client's own words about itself, cut at 256 characters.
    pub user_agent: Option<String>,
}

/// What a context is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Who.
    pub principal: Principal,
    /// For which tenant.
    pub tenant: TenantId,
    /// With which grants.
    pub grants: Arc<[Grant]>,
    /// Why: the operation id, a job, a saga or a reason of the platform's own.
    pub reason: Arc<str>,
    /// From where.
    pub origin: Option<Arc<Origin>>,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: Option<Arc<str>>,
    /// Shared by everything that one request leads to.
    pub request_id: Option<Arc<str>>,
}

/// The request context. Every call that touches data takes one, or the [`TenantId`] taken from one.
#[derive(Clone, Debug)]
pub struct Ctx {
    parts: Arc<Parts>,
    attempt: Option<Arc<Attempt>>,
}

impl Ctx {
    /// Makes a context. Only `auth` calls this, and `store` and `work` when they restore one; a test reads the sources and says so.
    pub fn mint(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), attempt: None }
    }

    /// The same context as part of a request that may be repeated under a key: its commits claim the key.
    #[must_use]
    pub fn attempting(self, attempt: Option<Arc<Attempt>>) -> Self {
        Self { attempt, ..self }
    }

    /// The request that this is part of, when it came with a key and acts on this context's tenant.
    pub fn attempt(&self) -> Option<&Arc<Attempt>> {
        self.attempt.as_ref().filter(|attempt| attempt.tenant == self.tenant())
    }

    /// Who acts.
    pub fn principal(&self) -> &Principal {
        &self.parts.principal
    }

    /// The tenant acted for.
    pub fn tenant(&self) -> TenantId {
        self.parts.tenant
    }

    /// The grants to evaluate.
    pub fn grants(&self) -> &[Grant] {
        &self.parts.grants
    }

    /// Why it is done.
    pub fn reason(&self) -> &str {
        &self.parts.reason
    }

    /// Where the request came from.
    pub fn origin(&self) -> Option<&Origin> {
        self.parts.origin.as_deref()
    }

    /// The trace it belongs to.
    pub fn trace_id(&self) -> Option<&str> {
        self.parts.trace_id.as_deref()
    }

    /// The request it belongs to.
    pub fn request_id(&self) -> Option<&str> {
        self.parts.request_id.as_deref()
    }

    /// The actor as events name it: a wire id, or `system:<reason>`.
    pub fn actor(&self) -> String {
        match &self.parts.principal {
            Principal::System => format!("system:{}", self.parts.reason),
            other => other.to_string(),
        }
    }

    /// What this was made of, to restore it elsewhere.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}
