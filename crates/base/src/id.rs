//! Typed ids: a prefix that names the kind and a UUIDv7 in lowercase Crockford base32, as in `dev_069…`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::{Builder, Uuid};

use crate::{Clock, Error, ErrorKind, Random, base32};

/// Names the prefix of one sort of id.
pub trait Prefix: 'static {
    /// Lowercase letters, without the underscore.
    const PREFIX: &'static str;
}

/// An id whose sort is checked by the compiler and whose prefix is checked on input.
pub struct Id<P>(RecordId, PhantomData<fn() -> P>);

/// The mark of [`TenantId`].
#[derive(Debug)]
pub enum Tenant {}

impl Prefix for Tenant {
    const PREFIX: &'static str = "ten";
}

/// The tenant that data belongs to.
pub type TenantId = Id<Tenant>;

impl TenantId {
    /// The tenant that operates the installation: its records live in the `control` namespace.
    pub const OPERATOR: TenantId = Id(RecordId(Uuid::from_u128(1)), PhantomData);
}

/// The 16 bytes of a record's id; the kind knows the prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(Uuid);

impl RecordId {
    /// A new UUIDv7: milliseconds, then the microseconds within them (RFC 9562, method 3), then randomness.
    pub fn new(clock: &Clock, random: &Random) -> Self {
        let micros = clock.now().micros().max(0) as u64;
        let mut tail = [0u8; 10];
        random.fill(&mut tail);
        // 12 bits hold 1/4096 of a millisecond: ids made in one process sort by time within it too.
        let fraction = (micros % 1000) * 4096 / 1000;
        tail[0] = (fraction >> 8) as u8;
        tail[1] = fraction as u8;
        Self(Builder::from_unix_timestamp_millis(micros / 1000, &tail).into_uuid())
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The bytes as stored.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id as the database drivers take it.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The text form under `prefix`.
    pub fn wire(self, prefix: &str) -> String {
        let mut text = String::with_capacity(prefix.len() + 1 + 26);
        text.push_str(prefix);
        text.push('_');
        base32::encode_into(self.0.as_bytes(), &mut text);
        text
    }

    /// Reads the text form; the prefix must be `prefix`.
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
        base32::decode(rest).map(Self::from_bytes)
    }
}

/// Between processes of one installation and in what they keep: no prefix, since whoever reads it knows the kind. Clients see [`RecordId::wire`].
impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base32::encode(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        base32::decode(&text).map(Self::from_bytes).ok_or_else(|| de::Error::custom("no id"))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wire("id"))
    }
}

impl<P: Prefix> Id<P> {
    /// A new id.
    pub fn new(clock: &Clock, random: &Random) -> Self {
        RecordId::new(clock, random).into()
    }

    /// The id without its sort.
    pub const fn record(self) -> RecordId {
        self.0
    }

    /// The bytes as stored.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.bytes()
    }
}

impl<P> From<RecordId> for Id<P> {
    fn from(id: RecordId) -> Self {
        Self(id, PhantomData)
    }
}

impl<P: Prefix> FromStr for Id<P> {
    type Err = Error;

    /// Fails with `invalid_id`.
    fn from_str(text: &str) -> Result<Self, Error> {
        RecordId::parse(P::PREFIX, text).map(Self::from).ok_or_else(|| {
            let detail = format!("An id of the form {}_… with 26 characters after the underscore is expected.", P::PREFIX);
            Error::new(ErrorKind::Invalid, "invalid_id", detail)
        })
    }
}

impl<P> Clone for Id<P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P> Copy for Id<P> {}
impl<P> PartialEq for Id<P> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<P> Eq for Id<P> {}
impl<P> PartialOrd for Id<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<P> Ord for Id<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<P> Hash for Id<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<P: Prefix> fmt::Display for Id<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.wire(P::PREFIX))
    }
}

impl<P: Prefix> fmt::Debug for Id<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<P: Prefix> Serialize for Id<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, P: Prefix> Deserialize<'de> for Id<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| de::Error::custom(error.detail()))
    }
}

impl<P: Prefix> JsonSchema for Id<P> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Id_{}", P::PREFIX).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // 128 bits fill 25 characters and 3 bits of the last one, so its two low bits are zero.
        json_schema!({ "type": "string", "pattern": format!("^{}_[0-9a-hjkmnp-tv-z]{{25}}[048cgmrw]$", P::PREFIX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let (clock, random) = (Clock::manual(Timestamp::from_micros(1_700_000_000_000_001)), Random::seeded(1));
        let first = TenantId::new(&clock, &random);
        clock.advance(std::time::Duration::from_micros(5));
        let second = TenantId::new(&clock, &random);
        assert!(first < second);
        assert_eq!(first.to_string().parse::<TenantId>().expect("reads back"), first);
        assert!("dev_0000000000000000000000000c".parse::<TenantId>().is_err());
    }

    use crate::Timestamp;

    #[test]
    fn schema_admits_every_id_and_no_other_last_character() {
        let last: std::collections::BTreeSet<char> = (0..=255u8)
            .map(|low| {
                let mut bytes = [7u8; 16];
                bytes[15] = low;
                RecordId::from_bytes(bytes).wire("x").chars().next_back().expect("has characters")
            })
            .collect();
        assert_eq!(last.into_iter().collect::<String>(), "048cgmrw");
    }
}
