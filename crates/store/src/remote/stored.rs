//! The text of a stored body inside of JSON: copied, not read.

use std::sync::Arc;

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub(crate) fn serialize<S: Serializer>(body: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    // Checked to be JSON: what somebody spoilt in the database must not spoil the answer around it.
    let text: &RawValue = serde_json::from_str(body).map_err(S::Error::custom)?;
    text.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(Box::<str>::from(text).into())
}
