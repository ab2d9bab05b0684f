//! The event chain: how an event is kept, and how it is bound to the one before.
//!
//! The encoding is stored and hashed and cannot change: one format byte, `01`, then JSON with sorted keys. A value that must not be read in
//! the clear stands as `{"$sealed": …}`, so the chain covers the ciphertext. The hash is SHA-256 over the previous event's hash (32 zero bytes
//! before the first) and the whole encoding.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use serde::Serialize;
use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, Event, Origin, TenantId, Timestamp};

use crate::engine::Engine;
use crate::rows::EventRow;

const FORMAT: u8 = 1;
/// Events read at once while verifying.
const STRIDE: usize = 2_000;

/// The envelope in the order of its canonical form: sorted by name.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) causation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) data: &'a Map<String, Value>,
    pub(crate) id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<&'a Origin>,
    pub(crate) position: i64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) scope: &'a Map<String, Value>,
    pub(crate) subject: &'a str,
    pub(crate) tenant_id: TenantId,
    pub(crate) time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<&'a str>,
    #[serde(rename = "type")]
    pub(crate) event_type: &'a str,
    pub(crate) version: i32,
}

impl Envelope<'_> {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(512);
        out.push(FORMAT);
        serde_json::to_writer(&mut out, self).map_err(Error::internal)?;
        Ok(out)
    }
}

pub(crate) fn link(previous: &[u8; 32], encoding: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(previous);
    context.update(encoding);
    let mut hash = [0u8; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

pub(crate) fn decode(tenant: TenantId, stored: EventRow) -> Result<Event, Error> {
    let broken =
        |problem: &dyn std::fmt::Display| Error::internal(format!("event {} of {tenant} cannot be read: {problem}", stored.position));
    let Some((&FORMAT, json)) = stored.body.split_first() else { return Err(broken(&"its format is unknown")) };
    let mut event: Map<String, Value> = serde_json::from_slice(json).map_err(|error| broken(&error))?;
    event.insert("hash".into(), hex(&stored.hash).into());
    serde_json::from_value(Value::Object(event)).map_err(|error| broken(&error))
}

/// Follows the chain from its beginning; answers the last position.
pub(crate) async fn verify(engine: &Engine, tenant: TenantId) -> Result<i64, Error> {
    // Read first: what is committed meanwhile comes after it.
    let head = engine.head(tenant).await?;
    let (mut position, mut hash) = (0, [0u8; 32]);
    loop {
        let events = engine.events(tenant, position, STRIDE).await?;
        let last = events.len() < STRIDE;
        for event in events {
            position += 1;
            hash = link(&hash, &event.body);
            let holds = event.position == position && event.hash == hash && names_itself(tenant, &event);
            if !holds || (position == head.0 && hash != head.1) {
                return Err(broken_at(position));
            }
        }
        if last {
            break;
        }
    }
    if position < head.0 { Err(broken_at(position + 1)) } else { Ok(position) }
}

fn names_itself(tenant: TenantId, event: &EventRow) -> bool {
    let told = serde_json::from_slice::<Map<String, Value>>(event.body.get(1..).unwrap_or_default());
    told.is_ok_and(|told| told.get("position") == Some(&event.position.into()) && told.get("tenant_id") == Some(&tenant.to_string().into()))
}

fn broken_at(position: i64) -> Error {
    let detail = format!("The event chain does not hold at position {position}: what is stored there was changed outside of Steward.");
    Error::new(ErrorKind::Internal, "chain_broken", detail)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
