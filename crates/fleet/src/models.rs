//! The kinds this crate owns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Id, Prefix, Timestamp};
use steward_store::{Kind, Model};

use crate::sample::Sample;
use crate::watched::WatchedTenant;

/// Marks an organization's id.
#[derive(Debug)]
pub enum OrganizationMark {}
/// Marks a project's id.
#[derive(Debug)]
pub enum ProjectMark {}
/// Marks a device's id.
#[derive(Debug)]
pub enum DeviceMark {}

impl Prefix for OrganizationMark {
    const PREFIX: &'static str = "org";
}
impl Prefix for ProjectMark {
    const PREFIX: &'static str = "prj";
}
impl Prefix for DeviceMark {
    const PREFIX: &'static str = "dev";
}

/// An organization's id.
pub type OrganizationId = Id<OrganizationMark>;
/// A project's id.
pub type ProjectId = Id<ProjectMark>;
/// A device's id.
pub type DeviceId = Id<DeviceMark>;

/// A client or department that the tenant looks after.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    /// As people read it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// A short name, unique in the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60), regex(pattern = r"^[a-z0-9][a-z0-9-]*$"), extend("indexed" = true, "unique" = true))]
    pub slug: Option<String>,
    /// Website.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(url, length(max = 500))]
    pub website: Option<String>,
    /// Who to talk to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 120), extend("searchable" = true))]
    pub contact_name: Option<String>,
    /// Where to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(email, length(max = 254), extend("searchable" = true))]
    pub contact_email: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10000), extend("searchable" = true))]
    pub notes: Option<String>,
}

impl Model for Organization {
    const KIND: &'static str = "organization";
    const PREFIX: &'static str = "org";
}

/// A project: services that belong together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// As people read it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// Where its source is, on the machine that builds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub path: Option<String>,
    /// Folder of its tests, below `path`.
    #[serde(default = "tests")]
    #[schemars(length(min = 1, max = 1000))]
    pub tests_dir_path: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10000), extend("searchable" = true))]
    pub description: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true, "scope" = true, "reference" = "organization"))]
    pub organization_id: Option<OrganizationId>,
}

fn tests() -> String {
    "tests".to_owned()
}

impl Model for Project {
    const KIND: &'static str = "project";
    const PREFIX: &'static str = "prj";
}

/// What a service does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStatus {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// How well a service does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceHealth {
    /// As it should be.
    Healthy,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// A service of a project.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// The project it is part of; deleted with it.
    #[schemars(extend("indexed" = true, "scope" = true, "reference" = "project", "on_delete" = "cascade"))]
    pub project_id: ProjectId,
    /// As people and log lines name it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// TCP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), extend("indexed" = true))]
    pub port: Option<u16>,
    /// Where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(url, length(max = 1000))]
    pub url: Option<String>,
    /// What it does now.
    #[serde(default)]
    #[schemars(extend("indexed" = true))]
    pub status: ServiceStatus,
    /// How well.
    #[serde(default)]
    #[schemars(extend("indexed" = true))]
    pub health: ServiceHealth,
    /// For how many seconds it has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub uptime_seconds: Option<u64>,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120), extend("indexed" = true))]
    pub version: Option<String>,
    /// When that version was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true))]
    pub last_deployment_at: Option<Timestamp>,
    /// The container it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub container_name: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10000), extend("searchable" = true))]
    pub description: Option<String>,
    /// The device it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true, "reference" = "device", "on_delete" = "clear"))]
    pub device_id: Option<DeviceId>,
}

impl Model for Service {
    const KIND: &'static str = "service";
    const PREFIX: &'static str = "svc";
}

/// Whether a device is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceStatus {
    /// Its agent reports.
    Online,
    /// Its agent has missed heartbeats.
    Stale,
    /// Its agent has been silent for long.
    Offline,
}

/// The operating system of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Os {
    /// `linux`, `windows` or `macos`.
    #[schemars(length(min = 1, max = 40), extend("indexed" = true))]
    pub family: String,
    /// As it calls itself.
    #[schemars(length(max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// Its version.
    #[schemars(length(max = 120))]
    pub version: String,
    /// Its kernel's version.
    #[schemars(length(max = 200))]
    pub kernel: String,
    /// The processor's architecture.
    #[schemars(length(max = 40))]
    pub arch: String,
}

/// The hardware of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hardware {
    /// The processor, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub cpu_model: Option<String>,
    /// Logical processors.
    #[schemars(range(min = 1, max = 100_000))]
    pub cpu_count: u32,
    /// Main memory in bytes.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub memory_bytes: u64,
    /// What tells this machine from every other; one machine is one device.
    #[schemars(length(min = 1, max = 128), extend("indexed" = true, "unique" = true))]
    pub machine_id: String,
}

/// A machine that runs an agent. It enrols by itself; people name, tag and place it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// As people read it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// The organization it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true, "scope" = true, "reference" = "organization"))]
    pub organization_id: Option<OrganizationId>,
    /// Free labels.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 60)), extend("indexed" = true, "searchable" = true, "scope" = true))]
    pub tags: Vec<String>,
    /// What the machine calls itself.
    #[schemars(length(min = 1, max = 255), extend("indexed" = true, "searchable" = true, "readOnly" = true))]
    pub hostname: String,
    /// Its operating system.
    #[schemars(extend("readOnly" = true))]
    pub os: Os,
    /// Its hardware.
    #[schemars(extend("readOnly" = true))]
    pub hardware: Hardware,
    /// The agent's version.
    #[schemars(length(max = 40), extend("indexed" = true, "readOnly" = true))]
    pub agent_version: String,
    /// Whether it is heard of; written when it changes, never by a heartbeat.
    #[schemars(extend("indexed" = true, "readOnly" = true))]
    pub status: DeviceStatus,
    /// Why it is in that state, in a sentence.
    #[schemars(length(max = 200), extend("readOnly" = true))]
    pub status_reason: String,
    /// When it was last heard of; absent while it is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true, "readOnly" = true))]
    pub last_seen: Option<Timestamp>,
    /// Its agent's Ed25519 key, base64url.
    #[schemars(length(min = 43, max = 43), extend("readOnly" = true))]
    pub public_key: String,
}

impl Model for Device {
    const KIND: &'static str = "device";
    const PREFIX: &'static str = "dev";
}

/// The way in for new devices: a token bound to an organization, for so many uses, until some time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EnrollmentToken {
    /// What it is for.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "searchable" = true))]
    pub name: String,
    /// The organization that its devices will belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true, "scope" = true, "reference" = "organization", "on_delete" = "cascade"))]
    pub organization_id: Option<OrganizationId>,
    /// How many devices may enrol with it; any number when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_uses: Option<u32>,
    /// How many have.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000), extend("readOnly" = true))]
    pub uses: u32,
    /// When it ends by itself; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("indexed" = true))]
    pub expires_at: Option<Timestamp>,
    /// Of the secret.
    #[schemars(extend("secret" = "hashed", "readOnly" = true))]
    pub digest: String,
}

impl Model for EnrollmentToken {
    const KIND: &'static str = "enrollment_token";
    const PREFIX: &'static str = "ent";
}

/// Every kind this crate owns.
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<Organization>(),
        Kind::of::<Project>(),
        Kind::of::<Service>(),
        Kind::of::<Device>(),
        Kind::of::<EnrollmentToken>(),
        Kind::of::<Sample>(),
        Kind::of::<WatchedTenant>().of_platform(),
    ]
}
