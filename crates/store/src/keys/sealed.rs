//! A secret as the body of a kind holds it.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use steward_base::Secret;

use super::{SEALED, sealed_text};

/// A field that the store seals. Read from a record it is sealed and stays so when it is written back; what is put in its place is sealed by
/// the commit. [`crate::Store::reveal`] opens it.
#[derive(Clone)]
pub struct Sealed(Content);

#[derive(Clone)]
enum Content {
    Stored(String),
    Fresh(Secret<String>),
}

impl Sealed {
    /// A new value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Content::Fresh(Secret::new(value.into())))
    }
}

impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Content::Stored(one), Content::Stored(other)) => one == other,
            (Content::Fresh(one), Content::Fresh(other)) => {
                verify_slices_are_equal(one.expose().as_bytes(), other.expose().as_bytes()).is_ok()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Content::Fresh(value) => serializer.serialize_str(value.expose()),
            Content::Stored(text) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(SEALED, text)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(value) => Ok(Self::new(value)),
            other => match sealed_text(&other) {
                Some(text) => Ok(Self(Content::Stored(text.to_owned()))),
                None => Err(D::Error::custom("neither text nor sealed")),
            },
        }
    }
}

impl JsonSchema for Sealed {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sealed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "secret": true })
    }
}
