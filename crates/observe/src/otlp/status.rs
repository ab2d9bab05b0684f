//! Errors as OTLP has them: google.rpc.Status in the request's own media type.

use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use prost::Message;
use serde_json::{Value, json};
use steward_base::{Error, ErrorKind};
use steward_web::{ErrorForm, problem};

use super::{JSON, PROTOBUF};

/// google.rpc.Status without its details.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

pub(super) fn form() -> ErrorForm {
    ErrorForm { media_type: JSON, schema, write }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": { "code": { "type": "integer" }, "message": { "type": "string" } },
    })
}

fn write(error: &Error, headers: &HeaderMap) -> Response {
    let status = Status { code: code(error.kind()), message: format!("{}: {}", error.code(), error.detail()) };
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media_type, body) = if sent.to_ascii_lowercase().starts_with(PROTOBUF) {
        (PROTOBUF, status.encode_to_vec())
    } else {
        (JSON, json!({ "code": status.code, "message": status.message }).to_string().into_bytes())
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = problem::status(error.kind());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The gRPC code that says the same.
fn code(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Unauthenticated => 16,
        ErrorKind::Forbidden => 7,
        ErrorKind::NotFound => 5,
        ErrorKind::Conflict => 6,
        ErrorKind::PreconditionFailed | ErrorKind::PreconditionRequired => 9,
        ErrorKind::RequestTimeout => 4,
        ErrorKind::TooLarge | ErrorKind::HeadersTooLarge | ErrorKind::Limited => 8,
        ErrorKind::MethodNotAllowed => 12,
        ErrorKind::Internal => 13,
        ErrorKind::Unavailable => 14,
        ErrorKind::Malformed | ErrorKind::Invalid | ErrorKind::UnsupportedMedia | ErrorKind::NotAcceptable => 3,
    }
}
