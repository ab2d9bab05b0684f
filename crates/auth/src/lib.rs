//! Minting [`Ctx`]: who a credential belongs to, and what its bearer may do.
//!
//! Invariants: a context comes from a verified credential or from [`system`]; a credential names its tenant itself, so no request can;
//! what was verified is used again only while no event tells of a record that it was read from, so an ended session or a deleted key is dead at
//! once, and within two seconds where several processes write;
//! secrets are compared in constant time and stored only as digests or sealed.

mod access_token;
mod answers;
mod authority;
mod caller;
mod ground;
mod minted;
mod permissions;
mod scope;
mod signing_key;
mod verified;

pub use access_token::{ACCESS_TOKEN_LIFETIME, ASSERTION_AHEAD, AccessToken, Assertion, verify_assertion};
pub use answers::Earlier;
pub use authority::{Authority, Occasion, Options, Presented};
pub use caller::Caller;
pub use minted::{Minted, MintedKind};
pub use permissions::{BUILT_IN_ROLES, Role, allows, covers, covers_role, grants_of_role, permissions, require};
pub use scope::Scope;
pub use signing_key::SigningKey;

use std::sync::Arc;

use steward_base::{Ctx, Parts, Principal, TenantId};

/// The platform acting on its own behalf in `tenant`; `reason` is what the audit trail shows.
pub fn system(tenant: TenantId, reason: &str) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::from([]),
        reason: reason.into(),
        origin: None,
        trace_id: None,
        request_id: None,
    })
}

/// As [`system`], keeping the origin, trace and request of the request that led to it.
pub fn system_for(cause: &Ctx, tenant: TenantId, reason: &str) -> Ctx {
    let parts = Parts { principal: Principal::System, tenant, grants: Arc::from([]), reason: reason.into(), ..cause.parts().clone() };
    // What is done for the request in its own tenant claims its key as well.
    Ctx::mint(parts).attempting(cause.attempt().cloned())
}

/// Every kind this crate owns.
pub fn kinds() -> Vec<steward_store::Kind> {
    vec![steward_store::Kind::of::<SigningKey>()]
}
