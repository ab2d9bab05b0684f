//! The kinds this crate owns. Tenants, persons and set-up links live in control; members, sessions and keys in their tenant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Id, Prefix, TenantId, Timestamp};
use steward_store::{Kind, Model};

use crate::PasswordCode;
use crate::api_keys::PERMISSION;

/// Marks a person's id.
#[derive(Debug)]
pub enum PersonMark {}

impl Prefix for PersonMark {
    const PREFIX: &'static str = "per";
}

/// A person's id.
pub type PersonId = Id<PersonMark>;

/// Whether a tenant takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// Being made; its owner is not there yet.
    Provisioning,
    /// In use.
    Active,
    /// Refused everywhere until the operator lifts it.
    Suspended,
    /// On its way out: nothing of it will be left.
    Deleting,
}

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// As people read it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// As paths name it.
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$"), extend("unique" = true, "indexed" = true))]
    pub slug: String,
    /// Whether it takes requests.
    #[schemars(extend("indexed" = true, "readOnly" = true))]
    pub status: TenantStatus,
}

impl Model for Tenant {
    const KIND: &'static str = "tenant";
    const PREFIX: &'static str = "ten";
}

/// A person, who may belong to several tenants.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Lowercase.
    #[schemars(email, length(min = 3, max = 254), extend("unique" = true, "indexed" = true, "personal" = true))]
    pub email: String,
    /// As people call them.
    #[schemars(length(min = 1, max = 120), extend("personal" = true))]
    pub name: String,
    /// Argon2id, PHC string.
    #[schemars(extend("secret" = "hashed"))]
    pub password_hash: String,
    /// Where the password is good, when it came in a tenant's file: in the tenants whose files brought it. Whoever wrote a file chose what is in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(length(max = 1000))]
    pub password_for: Option<Vec<TenantId>>,
    /// The tenants they belong to; what they may do there is the member's affair.
    #[schemars(length(max = 1000), extend("indexed" = true))]
    pub tenants: Vec<TenantId>,
}

impl Person {
    /// The tenants that their password opens.
    pub(crate) fn opens(&self) -> impl Iterator<Item = TenantId> {
        let good = |tenant: &&TenantId| self.password_for.as_ref().is_none_or(|places| places.contains(tenant));
        self.tenants.iter().filter(good).copied()
    }
}

impl Model for Person {
    const KIND: &'static str = "person";
    const PREFIX: &'static str = "per";
}

/// A person's place in a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Who.
    #[schemars(extend("unique" = true, "indexed" = true))]
    pub person_id: PersonId,
    /// Built-in roles.
    #[schemars(length(min = 1, max = 20), extend("indexed" = true))]
    pub roles: Vec<String>,
}

impl Model for Member {
    const KIND: &'static str = "member";
    const PREFIX: &'static str = "mem";
}

/// A signed-in browser.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Whose.
    #[schemars(extend("indexed" = true))]
    pub person_id: PersonId,
    /// Of the cookie's secret.
    #[schemars(extend("secret" = "hashed"))]
    pub digest: String,
    /// When it ends by itself.
    #[schemars(extend("indexed" = true))]
    pub expires_at: Timestamp,
}

impl Model for Session {
    const KIND: &'static str = "session";
    const PREFIX: &'static str = "ses";
}

/// A key for programs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// What it is for.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// What it may do, as `<resource>:<verb>`.
    #[schemars(length(min = 1, max = 100), inner(length(max = 80), regex(pattern = PERMISSION)))]
    pub permissions: Vec<String>,
    /// Where it may do that: a filter over the fields that records are scoped by. Everywhere in the tenant when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(length(min = 1, max = 1000))]
    pub scope: Option<String>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(extend("indexed" = true))]
    pub expires_at: Option<Timestamp>,
    /// Of the secret.
    #[schemars(extend("secret" = "hashed"))]
    pub digest: String,
}

impl Model for ApiKey {
    const KIND: &'static str = "api_key";
    const PREFIX: &'static str = "key";
}

/// A one-time link that makes the first owner.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SetUpLink {
    /// Of the link's secret.
    #[schemars(extend("secret" = "hashed"))]
    pub digest: String,
    /// An hour after it was made.
    pub expires_at: Timestamp,
}

impl Model for SetUpLink {
    const KIND: &'static str = "setup_link";
    const PREFIX: &'static str = "sul";
}

/// Every kind this crate owns.
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<Tenant>().of_platform(),
        Kind::of::<Person>().of_platform(),
        Kind::of::<Member>(),
        Kind::of::<Session>(),
        Kind::of::<ApiKey>(),
        Kind::of::<SetUpLink>().of_platform(),
        Kind::of::<PasswordCode>().of_platform(),
    ]
}
