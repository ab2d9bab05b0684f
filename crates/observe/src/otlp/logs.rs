//! Log records into columns.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use steward_base::{Result, Timestamp};
use steward_telemetry::{AttributeValue, LogBatch, LogFields, Severity};

use super::attributes::{Owned, Shared, pairs, time};
use super::{OUT_OF_SCOPE, Rejected};
use crate::incoming::bounded;
use crate::scopes::{Claims, Sender};

/// The stream of rows that came over OTLP.
const STREAM: &str = "otlp";

pub(super) fn batch(request: ExportLogsServiceRequest, sender: &Sender, now: Timestamp) -> Result<(LogBatch, Rejected)> {
    let (mut batch, mut rejected) = (LogBatch::new(), Rejected::default());
    for ResourceLogs { resource, scope_logs, .. } in request.resource_logs {
        let shared = Shared::of(resource);
        let Some(claims) = sender.place(shared.claims.clone()) else {
            rejected.add(scope_logs.iter().map(|scope| scope.log_records.len()).sum(), OUT_OF_SCOPE);
            continue;
        };
        for ScopeLogs { scope, log_records, .. } in scope_logs {
            let scope = Shared::scope(scope);
            for record in log_records {
                bounded(batch.bytes())?;
                push(&mut batch, record, &shared, &scope, &claims, now);
            }
        }
    }
    Ok((batch, rejected))
}

/// What is nearer to the record comes first: of a key given twice, the first value counts.
fn push(batch: &mut LogBatch, record: LogRecord, shared: &Shared, scope: &[(String, Owned)], claims: &Claims, now: Timestamp) {
    for (key, value) in pairs(record.attributes) {
        batch.attribute(&key, value.borrow());
    }
    if !record.event_name.is_empty() {
        batch.attribute("event.name", AttributeValue::Text(&record.event_name));
    }
    for (key, value) in scope.iter().chain(&shared.attributes) {
        batch.attribute(key, value.borrow());
    }
    let observed_time = time(record.observed_time_unix_nano).unwrap_or(now);
    let severity = match record.severity_number {
        0 => record.severity_text.parse().unwrap_or(Severity::INFO),
        number => Severity::from_number(number),
    };
    let message = Owned::new(record.body).map(Owned::into_text).unwrap_or_default();
    batch.push(&LogFields {
        time: time(record.time_unix_nano).unwrap_or(observed_time),
        observed_time,
        severity,
        severity_text: &record.severity_text,
        service: &shared.service,
        message: &message,
        stream: STREAM,
        scope: claims.scope(),
        // An id of another length is none, as the specification has it.
        trace_id: record.trace_id.try_into().unwrap_or_default(),
        span_id: record.span_id.try_into().unwrap_or_default(),
    });
}
