//! What can be done: one entry per operation, from which router, document, permission checks and coverage tests are made.
//!
//! ```text
//! operation("devices.presence", Method::GET, "/api/v1/devices/{id}/presence")
//!     .summary("Whether a device is connected")
//!     .tag("devices")
//!     .needs("devices:read")
//!     .handle(state, presence)
//!
//! async fn presence(state: State, call: Call<ById>) -> Result<Reply<Json<Presence>>, Error> { … }
//! ```

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::Value;
use steward_base::{Error, Permission};
use steward_store::Act;

use crate::call::Incoming;
use crate::error_form::ErrorForm;
use crate::input::BodyRules;
use crate::reply::Content;
use crate::resource::Writer;

/// Who may call an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; a credential is not looked at.
    Public,
    /// Whoever presents a valid credential.
    SignedIn,
    /// Whoever holds the permission.
    Needs(Permission),
}

/// Which budget a call is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RateClass {
    /// Reads.
    Read,
    /// Changes.
    Write,
    /// Sign-in and other guesses at secrets.
    Credential,
    /// Telemetry coming in.
    Ingest,
    /// Long-lived streams.
    Stream,
    /// Health and metrics of the server itself.
    Exempt,
}

/// A header that an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderInput {
    /// `If-Match`, required.
    IfMatch,
    /// `If-None-Match`: the answer may be 304.
    IfNoneMatch,
    /// `Last-Event-ID` of a stream that reconnects.
    LastEventId,
    /// `Idempotency-Key`: the request may be repeated.
    IdempotencyKey,
    /// `Steward-Passphrase`, required: what a file opens with.
    Passphrase,
}

/// Everything that is known about an operation besides its handler.
#[derive(Debug)]
pub struct Spec {
    /// `plural.verb`, as in `devices.approve`.
    pub id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path, with `{name}` for parameters.
    pub path: String,
    /// One line.
    pub summary: String,
    /// What a caller must know beyond the summary.
    pub description: String,
    /// The slice it belongs to.
    pub tag: String,
    /// Who may call it.
    pub access: Access,
    /// The budget it counts against.
    pub rate: RateClass,
    /// Whether the handler keeps to the caller's scope. One that does not is refused to callers whose permission is scoped.
    pub scoped: bool,
    /// The kind whose records it reads one by one: who may call it sees their events too.
    pub reads_kind: Option<&'static str>,
    /// What it does to records of a kind as they are asked for, and nothing besides: who may call it may undo the opposite.
    pub changes_kind: Option<(&'static str, Act)>,
    /// Left out of the document, with the reason: pages and files, which no API client calls.
    pub undocumented: Option<&'static str>,
    /// Headers that it reads.
    pub headers: Vec<HeaderInput>,
    /// Path parameters: an object schema, or `null` for none.
    pub path_schema: Value,
    /// Query parameters: an object schema, or `null` for none.
    pub query_schema: Value,
    /// The body.
    pub body: BodyRules,
    /// Examples of the body, by name.
    pub body_examples: Vec<(&'static str, Value)>,
    /// The status of success.
    pub status: StatusCode,
    /// What success says; empty for no body.
    pub content: Vec<Content>,
    /// An example of success.
    pub example: Option<Value>,
    /// Whether success carries an `ETag`.
    pub etag: bool,
    /// Further answers that are no problems, such as a redirect.
    pub also: Vec<(StatusCode, &'static str)>,
    /// Stable codes of refusals that are this operation's own, each with its status.
    pub errors: Vec<(StatusCode, &'static str)>,
    /// The protocol's own form of errors, where it is not a problem.
    pub error_form: Option<ErrorForm>,
    pub(crate) first_party: bool,
}

impl Spec {
    /// Whether it changes something.
    pub fn mutates(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether a caller may repeat it under a key: what is known by its caller and committed to the store.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.method == Method::POST && self.access != Access::Public && self.rate != RateClass::Ingest
    }

    /// Whether it reads this header.
    pub fn reads(&self, header: HeaderInput) -> bool {
        self.headers.contains(&header)
    }
}

pub(crate) type Endpoint = Arc<dyn Fn(Incoming) -> BoxFuture<'static, Result<axum::response::Response, Error>> + Send + Sync>;

/// One operation.
#[derive(Clone)]
pub struct Operation {
    pub(crate) spec: Arc<Spec>,
    pub(crate) endpoint: Endpoint,
    /// It takes files in: under which name, and what writes their rows.
    pub(crate) importer: Option<(&'static str, Arc<Writer>)>,
}

impl Operation {
    /// What is known about it.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(crate) fn importing(self, plural: &'static str, writer: Arc<Writer>) -> Self {
        Self { importer: Some((plural, writer)), ..self }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.spec.id, self.spec.method, self.spec.path)
    }
}
