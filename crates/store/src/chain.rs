//! The event chain: how an event is kept, and how it is bound to the one before.
//!
//! The encoding is stored and hashed and cannot change: one format byte, `01`, then JSON with sorted keys. A value that must not be read in
//! the clear stands as `{"$sealed": …}`, so the chain covers the ciphertext. The hash is SHA-256 over the previous event's hash (32 zero bytes
//! before the first) and the whole encoding.

use aws_lc_rs::digest;
use serde::Serialize;
use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, Event, Origin, TenantId, Timestamp, hex};

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

pub(crate) fn decode(tenant: TenantId, stored: &EventRow) -> Result<Event, Error> {
    let broken =
        |problem: &dyn std::fmt::Display| Error::internal(format!("event {} of {tenant} cannot be read: {problem}", stored.position));
    let Some((&FORMAT, json)) = stored.body.split_first() else { return Err(broken(&"its format is unknown")) };
    let mut event: Map<String, Value> = serde_json::from_slice(json).map_err(|error| broken(&error))?;
    event.insert("hash".into(), hex(&stored.hash).into());
    serde_json::from_value(Value::Object(event)).map_err(|error| broken(&error))
}

/// The type of a stored event without reading all of it. Names are sorted, so that only the version stands behind it, and a quote inside a text
/// is escaped: its last mention is the event's own.
pub(crate) fn event_type(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"type\":\"";
    let at = memchr::memmem::rfind(body, NAME)? + NAME.len();
    let rest = &body[at..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

/// The wire id of a stored event's subject, likewise: behind it stands nothing that could hold these words.
pub(crate) fn subject(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"subject\":\"";
    let at = memchr::memmem::rfind(body, NAME)? + NAME.len();
    let rest = &body[at..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

/// During which request a stored event happened, and when.
pub(crate) fn during(body: &[u8]) -> Option<(String, Timestamp)> {
    #[derive(serde::Deserialize)]
    struct Told {
        correlation_id: Option<String>,
        time: Timestamp,
    }
    let told: Told = serde_json::from_slice(body.get(1..)?).ok()?;
    Some((told.correlation_id?, told.time))
}

/// Follows the chain from its beginning, and asks about each position; answers the last one.
pub(crate) async fn verify(
    engine: &Engine,
    tenant: TenantId,
    mut check: impl FnMut(i64, &[u8; 32]) -> Result<(), Error>,
) -> Result<i64, Error> {
    // Read first: what is committed meanwhile comes after it.
    let head = engine.head(tenant).await?;
    let (mut position, mut hash) = (0, [0u8; 32]);
    loop {
        let events = engine.events(tenant, position, STRIDE).await?;
        let last = events.len() < STRIDE;
        for event in events {
            position += 1;
            hash = link(&hash, &event.body);
            let holds = event.position == position && event.hash == hash && names(tenant, position, &event.body);
            if !holds || (position == head.0 && hash != head.1) {
                return Err(broken_at(position));
            }
            check(position, &hash)?;
        }
        if last {
            break;
        }
    }
    if position < head.0 { Err(broken_at(position + 1)) } else { Ok(position) }
}

/// Whether an encoded event says that it is of this tenant and stands at this position.
pub(crate) fn names(tenant: TenantId, position: i64, body: &[u8]) -> bool {
    let told = serde_json::from_slice::<Map<String, Value>>(body.get(1..).unwrap_or_default());
    told.is_ok_and(|told| told.get("position") == Some(&position.into()) && told.get("tenant_id") == Some(&tenant.to_string().into()))
}

fn broken_at(position: i64) -> Error {
    let detail = format!("The event chain does not hold at position {position}: what is stored there was changed outside of Steward.");
    Error::new(ErrorKind::Internal, "chain_broken", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_read_off_the_text() {
        let data = Map::from_iter([("type".to_owned(), serde_json::json!("\"type\":\"no.no\"")), ("type\":\"no".to_owned(), 1.into())]);
        let envelope = Envelope {
            actor: "a",
            causation_id: None,
            correlation_id: None,
            data: &data,
            id: "evt_1",
            origin: None,
            position: 1,
            scope: &data,
            subject: "s",
            tenant_id: TenantId::OPERATOR,
            time: Timestamp::from_micros(0),
            trace_id: None,
            event_type: "device.registered",
            version: 1,
        };
        assert_eq!(event_type(&envelope.encode().expect("encodes")), Some("device.registered"));
        assert_eq!(event_type(b"\x01{}"), None);
    }

    /// Stored and hashed: whoever changes this breaks every chain there is.
    #[test]
    fn the_encoding_stands() {
        let data = Map::from_iter([("after".to_owned(), serde_json::json!({ "b": 1, "a": { "$sealed": null } }))]);
        let scope = Map::from_iter([("organization_id".to_owned(), "org_1".into())]);
        let envelope = Envelope {
            actor: "system:test",
            causation_id: None,
            correlation_id: Some("req-1"),
            data: &data,
            id: "evt_1",
            origin: None,
            position: 7,
            scope: &scope,
            subject: "dev_1",
            tenant_id: TenantId::OPERATOR,
            time: Timestamp::from_micros(1_763_630_000_000_001),
            trace_id: None,
            event_type: "device.created",
            version: 1,
        };
        let body = envelope.encode().expect("encodes");
        let json =
            r#"{"actor":"system:test","correlation_id":"req-1","data":{"after":{"a":{"$sealed":null},"b":1}},"id":"evt_1","position":7,"#;
        let rest = r#""scope":{"organization_id":"org_1"},"subject":"dev_1","tenant_id":"ten_00000000000000000000000004","#;
        let last = r#""time":"2025-11-20T09:13:20.000001Z","type":"device.created","version":1}"#;
        assert_eq!(body, [&[FORMAT], json.as_bytes(), rest.as_bytes(), last.as_bytes()].concat());
        let hash = link(&[0; 32], &body);
        let again = digest::digest(&digest::SHA256, &[&[0u8; 32][..], &body].concat());
        assert_eq!(hash, again.as_ref());
        let event =
            decode(TenantId::OPERATOR, &EventRow { position: 7, subject: TenantId::OPERATOR.record(), hash, body }).expect("decodes");
        assert_eq!((event.position, event.hash.len(), event.event_type.as_str()), (7, 64, "device.created"));
    }
}
