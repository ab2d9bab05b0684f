//! The event envelope: audit, history, outbox and replay are all this one thing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Origin, RecordId, TenantId, Timestamp};

/// SHA-256 over the previous event's hash and this event's canonical encoding; 64 hexadecimal digits on the wire.
pub type EventHash = [u8; 32];

/// Something that happened in a tenant, at a position that no other event of that tenant has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// Gapless per tenant, from 1.
    pub position: i64,
    /// The tenant it happened in.
    pub tenant_id: TenantId,
    /// Past tense, as in `device.registered`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Of `data`'s shape.
    pub version: i32,
    /// Wire id of what it is about.
    pub subject: String,
    /// Wire id of who did it, or `system:<reason>`.
    pub actor: String,
    /// Where the request came from, when there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// When it was committed.
    pub time: Timestamp,
    /// W3C trace id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
    /// Wire id of the event that led to this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub causation_id: Option<String>,
    /// Shared by everything that one request led to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation_id: Option<String>,
    /// Where in the tenant it happened: the organization, project or device that permissions are scoped by.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub scope: Map<String, Value>,
    /// Changed fields, `before` and `after`.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub data: Map<String, Value>,
    /// Links this event to the one before it, in hexadecimal.
    pub hash: String,
}

impl Event {
    /// The id of the subject without its prefix, when it is a record.
    pub fn subject_record(&self) -> Option<RecordId> {
        let (prefix, _) = self.subject.split_once('_')?;
        RecordId::parse(prefix, &self.subject)
    }
}
