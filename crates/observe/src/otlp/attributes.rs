//! Attributes of resources, scopes, records and points.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;
use steward_base::Timestamp;
use steward_telemetry::AttributeValue;

use crate::scopes::Claims;

/// A value that is kept as it is, or as JSON text.
#[derive(Clone, Debug)]
pub(super) enum Owned {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Json(String),
}

impl Owned {
    pub(super) fn new(value: Option<AnyValue>) -> Option<Self> {
        Some(match value?.value? {
            Any::StringValue(text) => Owned::Text(text),
            Any::IntValue(int) => Owned::Int(int),
            Any::DoubleValue(float) => Owned::Float(float),
            Any::BoolValue(truth) => Owned::Bool(truth),
            Any::BytesValue(bytes) => Owned::Text(STANDARD.encode(bytes)),
            nested => Owned::Json(json(nested).to_string()),
        })
    }

    pub(super) fn borrow(&self) -> AttributeValue<'_> {
        match self {
            Owned::Text(text) => AttributeValue::Text(text),
            Owned::Int(int) => AttributeValue::Int(*int),
            Owned::Float(float) => AttributeValue::Float(*float),
            Owned::Bool(truth) => AttributeValue::Bool(*truth),
            Owned::Json(text) => AttributeValue::Json(text),
        }
    }

    /// The text of a log's body.
    pub(super) fn into_text(self) -> String {
        match self {
            Owned::Text(text) | Owned::Json(text) => text,
            Owned::Int(int) => int.to_string(),
            Owned::Float(float) => float.to_string(),
            Owned::Bool(truth) => truth.to_string(),
        }
    }
}

fn json(value: Any) -> Value {
    let inner = |value: Option<AnyValue>| value.and_then(|value| value.value).map_or(Value::Null, json);
    match value {
        Any::StringValue(text) => text.into(),
        Any::IntValue(int) => int.into(),
        Any::DoubleValue(float) => float.into(),
        Any::BoolValue(truth) => truth.into(),
        Any::BytesValue(bytes) => STANDARD.encode(bytes).into(),
        Any::ArrayValue(array) => array.values.into_iter().map(|value| inner(Some(value))).collect(),
        Any::KvlistValue(list) => {
            list.values.into_iter().map(|pair| (pair.key, inner(pair.value))).collect::<serde_json::Map<_, _>>().into()
        }
        // References into a profile's string table have no meaning in logs and metrics.
        _ => Value::Null,
    }
}

/// What all rows of a resource and scope share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) service: String,
    pub(super) claims: Claims,
    pub(super) attributes: Vec<(String, Owned)>,
}

impl Shared {
    pub(super) fn of(resource: Option<Resource>) -> Self {
        let mut shared = Self::default();
        for KeyValue { key, value, .. } in resource.into_iter().flat_map(|resource| resource.attributes) {
            match Owned::new(value) {
                Some(Owned::Text(name)) if key == "service.name" => shared.service = name,
                Some(Owned::Text(id)) if shared.claims.take(&key, &id) => {}
                Some(value) => shared.attributes.push((key, value)),
                None => {}
            }
        }
        shared
    }

    /// The scope's name, version and attributes.
    pub(super) fn scope(scope: Option<InstrumentationScope>) -> Vec<(String, Owned)> {
        let Some(scope) = scope else { return Vec::new() };
        let named = [("otel.scope.name", scope.name), ("otel.scope.version", scope.version)];
        let named = named.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), Owned::Text(text)));
        named.chain(pairs(scope.attributes)).collect()
    }
}

pub(super) fn pairs(attributes: Vec<KeyValue>) -> impl Iterator<Item = (String, Owned)> {
    // The agent names its batches in the scope for receivers that know no idempotency keys; this one does.
    attributes.into_iter().filter(|pair| pair.key != "steward.batch.id").filter_map(|pair| Some((pair.key, Owned::new(pair.value)?)))
}

/// Nanoseconds as OTLP counts them; `None` for zero, which says that nobody knows.
pub(super) fn time(nanos: u64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp::from_micros((nanos / 1000) as i64))
}
