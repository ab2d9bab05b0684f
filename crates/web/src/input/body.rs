//! Bodies: JSON checked against its schema, merge patches, forms, and raw bytes with media types and a limit of their own.

use axum::body::Body as HttpBody;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use steward_base::{Error, ErrorKind};

use crate::input::arriving::Arriving;
use crate::input::{Fields, Place, Stored};
use crate::reply::Json;
use crate::schema::{self, Checker, canonical};
use crate::site::Limits;

/// What an operation accepts as body.
#[derive(Debug)]
pub struct BodyRules {
    /// Media types, without parameters; empty when no body is read.
    pub media_types: Vec<&'static str>,
    /// Encodings besides `identity`.
    pub encodings: Vec<&'static str>,
    /// The most bytes; the server's own limit when `None`.
    pub limit: Option<usize>,
    /// Whether a body must be sent: an empty one means nothing, or is a message of its own.
    pub required: bool,
    /// What the body looks like.
    pub schema: Option<Value>,
    /// It may have any size and does not go through memory.
    pub(crate) streamed: bool,
    pub(crate) checker: Option<Checker>,
    pub(crate) fields: Option<Fields>,
}

impl BodyRules {
    pub(super) fn none() -> Self {
        Self {
            media_types: Vec::new(),
            encodings: Vec::new(),
            limit: None,
            required: true,
            schema: None,
            streamed: false,
            checker: None,
            fields: None,
        }
    }

    fn with_schema(media_type: &'static str, schema: Value) -> Self {
        let checker = Checker::new(&schema);
        Self { media_types: vec![media_type], schema: Some(schema), checker: Some(checker), ..Self::none() }
    }
}

/// A body as it arrived, whole.
#[derive(Debug, Default)]
pub struct RawPart {
    /// The media type, lowercase and without parameters.
    pub media_type: String,
    /// `Content-Encoding`, lowercase; `identity` when absent.
    pub encoding: String,
    /// The bytes, still encoded.
    pub bytes: Bytes,
    /// Where they are when they are too many.
    pub(crate) stored: Option<Stored>,
}

/// What a body becomes.
pub trait Body: Sized + Send + 'static {
    /// What is accepted; `schema` replaces the one made from the type.
    fn rules(schema: Option<Value>) -> BodyRules;

    /// Reads the bytes, whose media type is one of the rules'.
    fn read(part: RawPart, rules: &BodyRules) -> Result<Self, Error>;
}

/// No body: one that is sent anyway is ignored.
impl Body for () {
    fn rules(_: Option<Value>) -> BodyRules {
        BodyRules::none()
    }

    fn read(_: RawPart, _: &BodyRules) -> Result<Self, Error> {
        Ok(())
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Body for Json<T> {
    fn rules(schema: Option<Value>) -> BodyRules {
        BodyRules::with_schema("application/json", schema.unwrap_or_else(schema::input_of::<T>))
    }

    fn read(part: RawPart, rules: &BodyRules) -> Result<Self, Error> {
        let value = json_value(&part.bytes, rules)?;
        serde_json::from_value(value).map(Json).map_err(|error| Error::invalid(format!("The body cannot be used: {error}.")))
    }
}

/// A JSON merge patch (RFC 7396): an object whose members replace, add, or with `null` remove.
#[derive(Debug)]
pub struct MergePatch(pub Map<String, Value>);

impl Body for MergePatch {
    fn rules(schema: Option<Value>) -> BodyRules {
        let schema = schema.unwrap_or_else(|| json!({ "type": "object" }));
        let mut rules = BodyRules::with_schema("application/merge-patch+json", schema);
        // Most clients send plain JSON; the meaning is the same.
        rules.media_types.push("application/json");
        rules
    }

    fn read(part: RawPart, rules: &BodyRules) -> Result<Self, Error> {
        match json_value(&part.bytes, rules)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Error::invalid("A merge patch is an object.").with_field("", "type", "An object is expected.")),
        }
    }
}

/// A form in `application/x-www-form-urlencoded`.
#[derive(Debug)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Body for Form<T> {
    fn rules(_: Option<Value>) -> BodyRules {
        let fields = Fields::of::<T>(Place::Query);
        let schema = Some(fields.schema().clone());
        BodyRules { media_types: vec!["application/x-www-form-urlencoded"], schema, fields: Some(fields), ..BodyRules::none() }
    }

    fn read(part: RawPart, rules: &BodyRules) -> Result<Self, Error> {
        let fields = rules.fields.as_ref().ok_or_else(|| Error::internal("the form has no rules"))?;
        let text =
            std::str::from_utf8(&part.bytes).map_err(|_| Error::new(ErrorKind::Malformed, "malformed_form", "The form is not UTF-8."))?;
        fields.read_query(text).map(Form)
    }
}

/// Bytes that the handler reads itself. The operation names media types, encodings and limit.
#[derive(Debug)]
pub struct Raw(pub RawPart);

impl Body for Raw {
    fn rules(schema: Option<Value>) -> BodyRules {
        BodyRules { media_types: vec!["application/octet-stream"], required: false, schema, ..BodyRules::none() }
    }

    fn read(part: RawPart, _: &BodyRules) -> Result<Self, Error> {
        Ok(Self(part))
    }
}

fn json_value(bytes: &[u8], rules: &BodyRules) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "body_required", "A JSON body is expected."));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("The body is not JSON in UTF-8: line {}, column {}.", error.line(), error.column());
        Error::new(ErrorKind::Malformed, "malformed_json", detail).with_source(error)
    })?;
    canonical(&mut value)?;
    if let Some(checker) = &rules.checker {
        checker.check(&value)?;
    }
    Ok(value)
}

/// Reads the whole body within its limits: 413 `body_too_large`, 408 `slow_body`, 415 `unsupported_media_type` or `unsupported_encoding`.
pub(crate) async fn collect(body: HttpBody, headers: &HeaderMap, rules: &BodyRules, limits: &Limits) -> Result<RawPart, Error> {
    let limit = rules.limit.unwrap_or(limits.body_bytes);
    let (media_type, encoding) = media(headers, rules)?;
    let too_large = || Error::new(ErrorKind::TooLarge, "body_too_large", format!("The body may have {limit} bytes."));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
    let mut arriving = Arriving::new(body, limits);
    while let Some(part) = arriving.next().await? {
        if bytes.len() + part.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    if media_type.is_empty() && !bytes.is_empty() {
        return Err(unsupported(rules));
    }
    Ok(RawPart { media_type, encoding, bytes: bytes.freeze(), stored: None })
}

/// The media type and encoding; the type is empty when the header is absent, which only an empty body may have.
pub(super) fn media(headers: &HeaderMap, rules: &BodyRules) -> Result<(String, String), Error> {
    let media_type = match headers.get(CONTENT_TYPE) {
        None => String::new(),
        Some(value) => {
            let text = value.to_str().map_err(|_| unsupported(rules))?;
            let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if !rules.media_types.contains(&media_type.as_str()) {
                return Err(unsupported(rules));
            }
            media_type
        }
    };
    let encoding = match headers.get(CONTENT_ENCODING) {
        None => "identity".to_owned(),
        Some(value) => String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase(),
    };
    if encoding != "identity" && !rules.encodings.contains(&encoding.as_str()) {
        let known = [&["identity"], rules.encodings.as_slice()].concat().join(", ");
        let detail = format!("The encodings accepted here: {known}.");
        return Err(Error::new(ErrorKind::UnsupportedMedia, "unsupported_encoding", detail));
    }
    Ok((media_type, encoding))
}

pub(super) fn unsupported(rules: &BodyRules) -> Error {
    let detail = format!("Send the body as {}.", rules.media_types.join(" or "));
    Error::new(ErrorKind::UnsupportedMedia, "unsupported_media_type", detail)
}
