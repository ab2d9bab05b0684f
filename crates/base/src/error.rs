//! The one error type. What happened is public; why it happened goes to the log.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a caller can do about an error; each kind is one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request cannot be read at all (400).
    Malformed,
    /// No credential, or one that is not valid (401).
    Unauthenticated,
    /// The caller is known and may not do this (403).
    Forbidden,
    /// There is no such thing, or the caller may not know of it (404).
    NotFound,
    /// The method is not offered at this path (405).
    MethodNotAllowed,
    /// None of the accepted answers can be given (406).
    NotAcceptable,
    /// The body did not arrive in time (408).
    RequestTimeout,
    /// The state of things forbids it (409).
    Conflict,
    /// The version named is no longer the current one (412).
    PreconditionFailed,
    /// The body, the path or the headers are too large (413).
    TooLarge,
    /// The body's media type is not understood (415).
    UnsupportedMedia,
    /// The request is read and refused for what it says (422).
    Invalid,
    /// The version must be named (428).
    PreconditionRequired,
    /// Too many requests (429).
    Limited,
    /// The headers are too large (431).
    HeadersTooLarge,
    /// A defect on this side (500).
    Internal,
    /// Not now (503).
    Unavailable,
}

/// What is wrong with one field of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// JSON pointer into the body, or `/name` of a query parameter.
    pub pointer: String,
    /// Stable code.
    pub code: Cow<'static, str>,
    /// What to do about it.
    pub detail: String,
}

/// An error: kind, stable code, public detail, fields and the private source.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    code: &'static str,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error; `detail` is public and says what to do next.
    pub fn new(kind: ErrorKind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, code, detail: detail.into(), fields: Vec::new(), retry_after: None, source: None }))
    }

    /// A defect or a failing part of ours: the source is logged, the caller learns only the request id.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "Something went wrong on our side. Quote the request id when you report it.";
        Self::new(ErrorKind::Internal, "internal", detail).with_source(source)
    }

    /// Invalid input with the fields still to be added.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, "invalid", detail)
    }

    /// Nothing there, or nothing this caller may know of.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound, "not_found", format!("There is no such {what}."))
    }

    /// Adds what is wrong with one field.
    #[must_use]
    pub fn with_field(mut self, pointer: impl Into<String>, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        self.0.fields.push(FieldError { pointer: pointer.into(), code: code.into(), detail: detail.into() });
        self
    }

    /// The same error of a part of something larger: the pointers of its fields begin with `prefix`.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.0.fields.iter_mut().for_each(|field| field.pointer.insert_str(0, prefix));
        self
    }

    /// Adds the cause, which only logs show.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says when another try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The public sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong with which field.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When another try makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The chain of causes for the log, outermost first; empty when there is none.
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&dyn std::error::Error> = self.0.source.as_deref().map(|source| source as _);
        while let Some(source) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&source.to_string());
            next = source.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("code", &self.0.code).field("detail", &self.0.detail);
        if !self.0.fields.is_empty() {
            out.field("fields", &self.0.fields);
        }
        if self.0.source.is_some() {
            out.field("causes", &self.causes());
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
