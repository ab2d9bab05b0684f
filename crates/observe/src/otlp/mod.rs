//! OTLP/HTTP: logs and metrics, protobuf and JSON, with gzip and partial success.

mod attributes;
mod logs;
mod metrics;
mod scan;
mod status;

use bytes::Bytes;
use http::{HeaderValue, Method};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use steward_base::{Error, ErrorKind, Result};
use steward_web::{Binary, Call, Operation, RateClass, Raw, RawPart, Reply, operation};

use crate::Observe;
use crate::incoming::{PACKED_BYTES, decoding, delivery, unpack};
use crate::scopes::Sender;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Rows that were not stored, and why the first of them was not.
#[derive(Debug, Default)]
struct Rejected {
    count: i64,
    reason: String,
}

impl Rejected {
    fn add(&mut self, count: usize, reason: &str) {
        self.count += count as i64;
        if self.reason.is_empty() {
            reason.clone_into(&mut self.reason);
        }
    }
}

const OUT_OF_SCOPE: &str = "the permission to write does not hold where these rows belong";

pub(crate) fn operations(observe: &Observe) -> Vec<Operation> {
    let draft = |id: &'static str, path: &'static str, permission: &'static str, tag: &'static str| {
        operation(id, Method::POST, path)
            .needs(permission)
            .scoped()
            .tag(tag)
            .rate(RateClass::Ingest)
            .media_types(&[PROTOBUF, JSON])
            .encodings(&["gzip"])
            .body_limit(PACKED_BYTES)
            .body_schema(json!({ "type": "object", "description": "An OTLP export request." }))
            .error(http::StatusCode::BAD_REQUEST, "malformed_otlp")
            .error(http::StatusCode::FORBIDDEN, "device_unknown")
            .error_form(status::form())
    };
    let what =
        "OTLP/HTTP 1.x. Success means that the rows are on disk and can be read. `Idempotency-Key` makes a repeated delivery harmless.";
    vec![
        draft("otlp.logs", "/otlp/v1/logs", "logs:write", "logs")
            .summary("Store log records (OTLP)")
            .description(what)
            .handle(observe.clone(), logs),
        draft("otlp.metrics", "/otlp/v1/metrics", "metrics:write", "metrics")
            .summary("Store metric points (OTLP)")
            .description(what)
            .handle(observe.clone(), metrics),
    ]
}

async fn logs(observe: Observe, call: Call<(), (), Raw>) -> Result<Reply<Binary>> {
    let now = call.site.clock().now();
    let sender = Sender::of(&observe.store, &call.ctx, call.scope, now).await?;
    let (delivery, part) = (delivery(&call.headers, &call.ctx, "")?, call.body.0);
    observe.telemetry.check_room(call.ctx.tenant(), part.bytes.len())?;
    let (batch, rejected, form) = decoding(move || {
        let (request, form) = read::<ExportLogsServiceRequest>(&part)?;
        let (batch, rejected) = logs::batch(request, &sender, now)?;
        Ok((batch, rejected, form))
    })
    .await?;
    observe.telemetry.append_logs(call.ctx.tenant(), delivery, batch).await?;
    let partial =
        (rejected.count > 0).then_some(ExportLogsPartialSuccess { rejected_log_records: rejected.count, error_message: rejected.reason });
    let shown = partial.as_ref().map(|partial| shown("rejectedLogRecords", partial.rejected_log_records, &partial.error_message));
    answer(form, &ExportLogsServiceResponse { partial_success: partial }, shown)
}

async fn metrics(observe: Observe, call: Call<(), (), Raw>) -> Result<Reply<Binary>> {
    let now = call.site.clock().now();
    let sender = Sender::of(&observe.store, &call.ctx, call.scope, now).await?;
    let (delivery, part) = (delivery(&call.headers, &call.ctx, "")?, call.body.0);
    observe.telemetry.check_room(call.ctx.tenant(), part.bytes.len())?;
    let (batch, rejected, form) = decoding(move || {
        let (request, form) = read::<ExportMetricsServiceRequest>(&part)?;
        let (batch, rejected) = metrics::batch(request, &sender, now)?;
        Ok((batch, rejected, form))
    })
    .await?;
    observe.telemetry.append_metrics(call.ctx.tenant(), delivery, batch).await?;
    let partial = (rejected.count > 0)
        .then_some(ExportMetricsPartialSuccess { rejected_data_points: rejected.count, error_message: rejected.reason });
    let shown = partial.as_ref().map(|partial| shown("rejectedDataPoints", partial.rejected_data_points, &partial.error_message));
    answer(form, &ExportMetricsServiceResponse { partial_success: partial }, shown)
}

/// How a request was written, and its answer is.
#[derive(Clone, Copy, Debug)]
enum Form {
    Protobuf,
    Json,
}

fn read<T: Message + Default + DeserializeOwned>(part: &RawPart) -> Result<(T, Form)> {
    let bytes = unpack(part)?;
    let malformed = |error: String| {
        let detail = format!("The body is no OTLP request: {error}.");
        Error::new(ErrorKind::Malformed, "malformed_otlp", detail)
    };
    scan::bounded(&bytes)?;
    if part.media_type == JSON {
        // The decoder would take a list for an object whose fields it names in order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed("an object is expected".to_owned()));
        }
        return serde_json::from_slice(&bytes).map(|request| (request, Form::Json)).map_err(|error| malformed(error.to_string()));
    }
    T::decode(bytes).map(|request| (request, Form::Protobuf)).map_err(|error| malformed(error.to_string()))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    partial_success: serde_json::Value,
}

/// 64-bit numbers are text in protobuf's JSON.
fn shown(name: &str, count: i64, reason: &str) -> Shown {
    Shown { partial_success: json!({ name: count.to_string(), "errorMessage": reason }) }
}

fn answer(form: Form, message: &impl Message, shown: Option<Shown>) -> Result<Reply<Binary>> {
    let (media_type, bytes) = match (form, shown) {
        (Form::Protobuf, _) => (PROTOBUF, message.encode_to_vec()),
        (Form::Json, None) => (JSON, b"{}".to_vec()),
        (Form::Json, Some(shown)) => (JSON, serde_json::to_vec(&shown).map_err(Error::internal)?),
    };
    Ok(Reply::new(Binary { media_type: HeaderValue::from_static(media_type), bytes: Bytes::from(bytes) }))
}
