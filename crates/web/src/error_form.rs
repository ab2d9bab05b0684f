//! The closed exceptions to problems: protocols whose errors have a form of their own.

use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use steward_base::Error;

/// The errors of a protocol such as OAuth or OTLP.
#[derive(Clone)]
pub struct ErrorForm {
    /// The media type, for the document.
    pub media_type: &'static str,
    /// What an error looks like, for the document.
    pub schema: fn() -> Value,
    /// Makes the answer from the error and the request's headers. Its status must be that of the error's kind or one the operation names.
    pub write: fn(&Error, &HeaderMap) -> Response,
}

impl std::fmt::Debug for ErrorForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ErrorForm({})", self.media_type)
    }
}
