//! A record's body as it is kept: canonical JSON text, which is read only when somebody wants to look inside.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use steward_base::Error;

/// The body of a record. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Arc<str>);

impl Body {
    /// The body with these members.
    pub fn of(members: &Map<String, Value>) -> Self {
        Self(serde_json::to_string(members).expect("a JSON object has a text").into())
    }

    pub(crate) fn stored(text: Arc<str>) -> Self {
        Self(text)
    }

    /// The text as it is stored: one object, its keys sorted.
    pub fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> Arc<str> {
        self.0
    }

    /// The members; fails when what is stored is no object, which is a defect.
    pub fn object(&self) -> Result<Map<String, Value>, Error> {
        self.decode()
    }

    /// The body as a Rust type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.0).map_err(|error| unreadable(&error))
    }

    /// The members that are asked for; the others are skipped.
    pub(crate) fn pick(&self, wanted: impl Fn(&str) -> bool) -> Result<Map<String, Value>, Error> {
        struct Pick<W>(W);
        impl<'de, W: Fn(&str) -> bool> Visitor<'de> for Pick<W> {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut picked = Map::new();
                while let Some(Name(name)) = members.next_key()? {
                    if (self.0)(&name) {
                        picked.insert(name.into_owned(), members.next_value()?);
                    } else {
                        members.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(picked)
            }
        }
        serde_json::Deserializer::from_str(&self.0).deserialize_map(Pick(wanted)).map_err(|error| unreadable(&error))
    }

    /// Hands over each member as name and text, in the order of the names.
    pub(crate) fn each_member<E>(&self, member: impl FnMut(&str, &RawValue) -> Result<(), E>) -> Result<Result<(), E>, serde_json::Error> {
        struct Each<F>(F);
        impl<'de, E, F: FnMut(&str, &RawValue) -> Result<(), E>> Visitor<'de> for Each<F> {
            type Value = Result<(), E>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self::Value, A::Error> {
                while let Some(Name(name)) = members.next_key()? {
                    if let Err(error) = (self.0)(&name, members.next_value()?) {
                        return Ok(Err(error));
                    }
                }
                Ok(Ok(()))
            }
        }
        serde_json::Deserializer::from_str(&self.0).deserialize_map(Each(member))
    }
}

/// A member's name, borrowed from the text unless it holds an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::internal(format!("a stored body cannot be read: {error}"))
}
