//! The filter parameter that lists, logs and streams share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use steward_base::filter::{self, Expr, MAX_LENGTH, Registry};
use steward_base::{Error, Timestamp};

/// A filter as a query parameter: text whose grammar is that of `steward_base::filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FilterText(String);

impl FilterText {
    /// The text, without blanks around it.
    pub fn as_str(&self) -> &str {
        self.0.trim()
    }

    /// The filter, typed by `registry`; `None` when the text is empty. Fails with 422 `filter_syntax`, `filter_field` or `filter_type`.
    pub fn check(&self, registry: &Registry, now: Timestamp) -> Result<Option<Expr>, Error> {
        if self.as_str().is_empty() {
            return Ok(None);
        }
        filter::check(filter::parse(self.as_str())?, registry, now).map(Some)
    }
}

impl JsonSchema for FilterText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "steward-filter", "maxLength": MAX_LENGTH })
    }
}
