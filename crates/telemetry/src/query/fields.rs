//! What a filter may name.

use steward_base::filter::{FieldType, Registry};

/// The fields of log rows. Words look through the message, the service and the text attributes.
pub fn log_registry() -> Registry {
    common(Registry::new())
        .with("observed_time", FieldType::Time)
        .with("severity", FieldType::Text)
        .with("severity_number", FieldType::Int)
        .with("severity_text", FieldType::Text)
        .with("message", FieldType::Text)
        .with("stream", FieldType::Text)
        .with("trace_id", FieldType::Text)
        .with("span_id", FieldType::Text)
}

/// The fields of metric points.
pub fn metric_registry() -> Registry {
    common(Registry::new())
        .with("name", FieldType::Text)
        .with("unit", FieldType::Text)
        .with("kind", FieldType::Text)
        .with("start_time", FieldType::Time)
        .with("value", FieldType::Float)
        .without_words()
}

fn common(registry: Registry) -> Registry {
    registry
        .with("time", FieldType::Time)
        .with("service", FieldType::Text)
        .with("organization_id", FieldType::Text)
        .with("device_id", FieldType::Text)
        .with("project_id", FieldType::Text)
        .with("service_id", FieldType::Text)
        .with("attributes", FieldType::Map(Box::new(FieldType::Any)))
}
