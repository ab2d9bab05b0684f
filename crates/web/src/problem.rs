//! RFC 9457: the one form of every error, the framework's own included.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, FieldError};

use crate::arrival::Arrival;
use crate::site::Site;

/// The media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Page that explains the code.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    pub problem_type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What to do next.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// Stable code.
    pub code: String,
    /// Quote it when reporting the problem; the server's logs have it too.
    pub request_id: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
}

/// The HTTP status of a kind of error.
pub fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorKind::Limited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Problem {
    /// The problem that `error` is for this request.
    pub fn new(site: &Site, arrival: &Arrival, error: &Error) -> Self {
        let status = status(error.kind());
        Self {
            problem_type: site.link(&format!("/docs/problems/{}", error.code())),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: error.detail().to_owned(),
            instance: arrival.path.to_string(),
            code: error.code().to_owned(),
            request_id: arrival.request_id.to_string(),
            errors: error.fields().to_vec(),
        }
    }
}

/// Turns `error` into the answer, and logs its causes: this is the one place that does.
pub(crate) fn respond(site: &Site, arrival: &Arrival, error: &Error) -> Response {
    log(arrival, error);
    let problem = Problem::new(site, arrival, error);
    let body = serde_json::to_vec(&problem).expect("a problem is plain text and numbers");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(error.kind());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    decorate(&mut response, error);
    response
}

/// The headers that an error brings whatever the form of its body.
pub(crate) fn decorate(response: &mut Response, error: &Error) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if error.kind() == ErrorKind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"steward\""));
    }
    if let Some(after) = retry_after(error) {
        headers.insert(RETRY_AFTER, HeaderValue::from(after));
    }
}

/// Whole seconds, rounded up; an overload always says when to come back.
fn retry_after(error: &Error) -> Option<u64> {
    let default = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Limited).then_some(Duration::from_secs(1));
    let after = error.retry_after().or(default)?;
    Some(after.as_millis().div_ceil(1000).max(1) as u64)
}

pub(crate) fn log(arrival: &Arrival, error: &Error) {
    let causes = error.causes();
    let (code, request, trace) = (error.code(), &*arrival.request_id, &*arrival.trace_id);
    match error.kind() {
        ErrorKind::Internal => {
            tracing::error!(error.code = code, error.causes = causes, request.id = request, trace.id = trace, "request failed by a defect");
        }
        ErrorKind::Unavailable => {
            tracing::warn!(error.code = code, error.causes = causes, request.id = request, trace.id = trace, "request could not be served");
        }
        _ if !causes.is_empty() => {
            tracing::info!(error.code = code, error.causes = causes, request.id = request, trace.id = trace, "request refused");
        }
        _ => {}
    }
}
