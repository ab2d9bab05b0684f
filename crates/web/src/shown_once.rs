//! Credentials that the server makes: the record as always, and beside it the secret, which no later answer has.

use serde_json::{Value, json};
use steward_base::{Error, Secret};
use steward_store::{Kind, Record};

use crate::reply::{Json, Reply};

/// What [`reply`] looks like: a whole record and `secret`.
pub fn schema(kind: &Kind) -> Value {
    let mut schema = kind.output_schema().clone();
    schema["properties"]["secret"] = json!({ "type": "string", "description": "The credential itself; it is not shown again." });
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("secret".into());
    }
    schema
}

/// The record that was made, with its secret; `collection` is the path of its kind's list.
pub fn reply(kind: &Kind, collection: &str, record: &Record, secret: &Secret<String>) -> Result<Reply<Json<Value>>, Error> {
    let mut shown = record.to_json(kind)?;
    shown["secret"] = secret.expose().clone().into();
    Ok(Reply::json(shown).etag(record.version).location(&format!("{collection}/{}", record.id.wire(kind.prefix()))))
}
