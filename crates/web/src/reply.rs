//! What a handler answers.

use axum::body::Body;
use bytes::Bytes;
use http::header::{ETAG, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use steward_base::Error;
use steward_store::Shown;

use crate::etag::etag;
use crate::schema;

/// An answer: a body whose type documents itself, and headers. The status is the operation's own unless it is set here.
#[derive(Debug)]
pub struct Reply<O> {
    pub(crate) status: Option<StatusCode>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: O,
}

impl<O> Reply<O> {
    /// The operation's status with this body.
    pub fn new(body: O) -> Self {
        Self { status: None, headers: HeaderMap::new(), body }
    }

    /// Another status; the operation must have documented it with `also`.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the strong entity tag of `version`.
    #[must_use]
    pub fn etag(self, version: i64) -> Self {
        self.header(ETAG, etag(version))
    }

    /// Says where the thing that was made is; `path` begins with a slash and holds URL characters only.
    #[must_use]
    pub fn location(self, path: &str) -> Self {
        let value = HeaderValue::try_from(path).expect("paths of operations hold URL characters only");
        self.header(LOCATION, value)
    }

    /// Adds a cookie, already in the form of `Set-Cookie`.
    #[must_use]
    pub fn cookie(mut self, cookie: HeaderValue) -> Self {
        self.headers.append(SET_COOKIE, cookie);
        self
    }
}

impl<T> Reply<Json<T>> {
    /// The operation's status with `value` as JSON.
    pub fn json(value: T) -> Self {
        Self::new(Json(value))
    }
}

impl Reply<()> {
    /// The operation's status without a body.
    pub fn empty() -> Self {
        Self::new(())
    }
}

/// One media type that an answer may have.
#[derive(Clone, Debug)]
pub struct Content {
    /// As in `application/json`.
    pub media_type: String,
    /// What it looks like; `None` for what no JSON Schema describes.
    pub schema: Option<Value>,
}

/// A body that can be sent and that says what it looks like.
pub trait Output: Send + 'static {
    /// The status when the operation names none.
    const STATUS: StatusCode;

    /// The media types; empty when there is no body. `schema` replaces the one made from the type.
    fn content(schema: Option<Value>) -> Vec<Content>;

    /// The bytes or stream, and their media type.
    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error>;
}

/// JSON, in or out.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize + JsonSchema + Send + 'static> Output for Json<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schema: Option<Value>) -> Vec<Content> {
        let schema = schema.unwrap_or_else(schema::output_of::<T>);
        vec![Content { media_type: "application/json".into(), schema: Some(schema) }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        let bytes = serde_json::to_vec(&self.0).map_err(Error::internal)?;
        Ok((Some(HeaderValue::from_static("application/json")), Body::from(bytes)))
    }
}

/// JSON that knows a shorter way to its text than through its fields.
pub(crate) trait WriteJson: JsonSchema {
    /// Appends the text.
    fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Error>;
}

/// JSON out, of a type that writes itself.
#[derive(Debug)]
pub(crate) struct Written<T>(pub T);

impl<T: WriteJson + Send + 'static> Output for Written<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schema: Option<Value>) -> Vec<Content> {
        let schema = schema.unwrap_or_else(schema::output_of::<T>);
        vec![Content { media_type: "application/json".into(), schema: Some(schema) }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        let mut bytes = Vec::with_capacity(1024);
        self.0.write_json(&mut bytes)?;
        Ok((Some(HeaderValue::from_static("application/json")), Body::from(bytes)))
    }
}

impl WriteJson for Shown {
    fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.write(out)
    }
}

impl Output for () {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn content(_: Option<Value>) -> Vec<Content> {
        Vec::new()
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        Ok((None, Body::empty()))
    }
}

/// Text of any kind.
#[derive(Debug)]
pub struct Text(pub String);

impl Output for Text {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(_: Option<Value>) -> Vec<Content> {
        vec![Content { media_type: "text/plain".into(), schema: Some(json!({ "type": "string" })) }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        Ok((Some(HeaderValue::from_static("text/plain; charset=utf-8")), Body::from(self.0)))
    }
}

/// Bytes of a media type that the handler knows: files, pages, packed telemetry answers.
#[derive(Debug)]
pub struct Binary {
    /// The media type.
    pub media_type: HeaderValue,
    /// The bytes.
    pub bytes: Bytes,
}

impl Output for Binary {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schema: Option<Value>) -> Vec<Content> {
        vec![Content { media_type: "*/*".into(), schema }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        Ok((Some(self.media_type), Body::from(self.bytes)))
    }
}
