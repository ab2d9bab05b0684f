//! Every answer that an operation can give, described.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::openapi::components::{Components, Direction};
use crate::operation::{Access, HeaderInput, RateClass, Spec};
use crate::problem::{PROBLEM_JSON, Problem};
use crate::schema;

/// The refusals that are the same everywhere: status, component name, description.
const SHARED: [(StatusCode, &str, &str); 16] = [
    (StatusCode::BAD_REQUEST, "Malformed", "The request cannot be read."),
    (StatusCode::UNAUTHORIZED, "Unauthenticated", "No credential, or one that is not valid."),
    (StatusCode::FORBIDDEN, "Forbidden", "The caller is known and may not do this."),
    (StatusCode::NOT_FOUND, "NotFound", "There is no such thing, or the caller may not know of it."),
    (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "The path is a word of its own that takes other methods; Allow names them."),
    (StatusCode::REQUEST_TIMEOUT, "Timeout", "The body did not arrive in time."),
    (StatusCode::CONFLICT, "Conflict", "The state of things forbids it."),
    (StatusCode::PRECONDITION_FAILED, "Stale", "The record has changed since the version that If-Match names."),
    (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", "The body, or path and query, are too large."),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMedia", "The body's media type or encoding is not understood."),
    (StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "The request is read and refused for what it says; errors names each field."),
    (StatusCode::PRECONDITION_REQUIRED, "PreconditionRequired", "If-Match is missing."),
    (StatusCode::TOO_MANY_REQUESTS, "Limited", "Too many requests; Retry-After says when the next one is welcome."),
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "HeadersTooLarge", "The headers are too large."),
    (StatusCode::INTERNAL_SERVER_ERROR, "Defect", "Something went wrong on this side; quote the request id."),
    (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "Not now; Retry-After says when."),
];

/// What the HTTP library answers by itself, before anybody could describe it.
const BARE: &str = "TargetTooLong";

/// The answers of one operation, by status.
pub(super) fn all(spec: &Spec, components: &mut Components) -> Value {
    let mut out: BTreeMap<String, Value> = BTreeMap::new();
    out.insert(spec.status.as_str().into(), success(spec, components));
    for (status, when) in &spec.also {
        out.insert(status.as_str().into(), json!({ "description": when, "headers": common_headers() }));
    }
    if spec.reads(HeaderInput::IfNoneMatch) {
        let headers = json!({ "ETag": header("ETag"), "X-Request-Id": header("X-Request-Id"), "traceparent": header("traceparent") });
        out.insert("304".into(), json!({ "description": "The caller has the current version already.", "headers": headers }));
    }
    let problem = components.add(&schema::output_of::<Problem>(), Direction::Output);
    let form = spec.error_form.as_ref().map(|form| (form.media_type, components.add(&(form.schema)(), Direction::Output)));
    for status in refusals(spec) {
        let own: Vec<&str> = spec.errors.iter().filter(|(known, _)| *known == status).map(|(_, code)| *code).collect();
        let shared = SHARED.iter().find(|(known, ..)| *known == status);
        let (_, name, text) = shared.unwrap_or_else(|| panic!("{} refuses with {status}, which no kind of error has", spec.id));
        let plain = own.is_empty() && form.is_none();
        let answer = if plain {
            json!({ "$ref": format!("#/components/responses/{name}") })
        } else {
            refusal(status, text, &own, &problem, form.as_ref())
        };
        out.insert(status.as_str().into(), answer);
    }
    out.insert(StatusCode::URI_TOO_LONG.as_str().into(), json!({ "$ref": format!("#/components/responses/{BARE}") }));
    json!(out)
}

fn success(spec: &Spec, components: &mut Components) -> Value {
    let mut headers = common_headers();
    if spec.rate != RateClass::Exempt {
        rate_headers(&mut headers);
    }
    if spec.etag {
        headers["ETag"] = header("ETag");
    }
    if spec.status == StatusCode::CREATED {
        headers["Location"] = header("Location");
    }
    if spec.reads(HeaderInput::IdempotencyKey) {
        headers["Idempotency-Replayed"] = header("Idempotency-Replayed");
    }
    let mut out = json!({ "description": describe(spec.status), "headers": headers });
    let mut content = Map::new();
    for one in &spec.content {
        let mut media = Map::new();
        media.insert("schema".into(), one.schema.as_ref().map_or_else(|| json!({}), |schema| components.add(schema, Direction::Output)));
        if let Some(example) = &spec.example {
            media.insert("example".into(), example.clone());
        }
        content.insert(one.media_type.clone(), Value::Object(media));
    }
    if !content.is_empty() {
        out["content"] = Value::Object(content);
    }
    out
}

/// Links from the answer that names a new record to the operations on it, so that readers and tools find the way.
pub(super) fn link(spec: &Spec, all: &[&Spec], answers: &mut Value) {
    if spec.method != Method::POST || spec.status != StatusCode::CREATED {
        return;
    }
    let below = format!("{}/{{id}}", spec.path);
    let links: Map<String, Value> = all
        .iter()
        .filter(|other| {
            other.path == below || other.path.strip_prefix(&below).is_some_and(|rest| rest.starts_with('/') && !rest.contains('{'))
        })
        .map(|other| (other.id.to_owned(), json!({ "operationId": other.id, "parameters": { "id": "$response.body#/id" } })))
        .collect();
    if !links.is_empty() {
        answers[spec.status.as_str()]["links"] = Value::Object(links);
    }
}

fn describe(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "It was made.",
        StatusCode::ACCEPTED => "It was taken on.",
        StatusCode::NO_CONTENT => "It was done; there is nothing to say.",
        _ => "What was asked for.",
    }
}

/// The statuses of refusals that can happen.
fn refusals(spec: &Spec) -> Vec<StatusCode> {
    let has_body = !spec.body.media_types.is_empty();
    let has_path = spec.path_schema["properties"].is_object();
    let possible = [
        (true, StatusCode::BAD_REQUEST),
        (spec.access != Access::Public, StatusCode::UNAUTHORIZED),
        (spec.access != Access::Public || spec.first_party, StatusCode::FORBIDDEN),
        (has_path, StatusCode::NOT_FOUND),
        (has_body, StatusCode::REQUEST_TIMEOUT),
        (spec.mutates() && spec.access != Access::Public, StatusCode::CONFLICT),
        (spec.reads(HeaderInput::IfMatch), StatusCode::PRECONDITION_FAILED),
        (true, StatusCode::PAYLOAD_TOO_LARGE),
        (has_body, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (true, StatusCode::UNPROCESSABLE_ENTITY),
        (spec.reads(HeaderInput::IfMatch), StatusCode::PRECONDITION_REQUIRED),
        (spec.rate != RateClass::Exempt, StatusCode::TOO_MANY_REQUESTS),
        (true, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (true, StatusCode::INTERNAL_SERVER_ERROR),
        (true, StatusCode::SERVICE_UNAVAILABLE),
    ];
    let own = spec.errors.iter().map(|(status, _)| *status);
    let mut out: Vec<StatusCode> = possible.into_iter().filter(|(can, _)| *can).map(|(_, status)| status).chain(own).collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn refusal(status: StatusCode, text: &str, codes: &[&str], problem: &Value, form: Option<&(&'static str, Value)>) -> Value {
    let named = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    let description = if named.is_empty() { text.to_owned() } else { format!("{text} Codes of this operation: {named}.") };
    let mut content = json!({ PROBLEM_JSON: { "schema": problem } });
    if let Some((media_type, schema)) = form {
        content[*media_type] = json!({ "schema": schema });
    }
    json!({ "description": description, "headers": refusal_headers(status), "content": content })
}

/// The refusals that are the same everywhere.
pub(super) fn shared() -> Value {
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let described = SHARED.iter().map(|(status, name, text)| ((*name).to_owned(), refusal(*status, text, &[], &problem, None)));
    let bare = json!({ "description": "Path and query are beyond 64 KiB. The answer has no body, and the connection ends." });
    Value::Object(described.chain([(BARE.to_owned(), bare)]).collect::<Map<_, _>>())
}

fn refusal_headers(status: StatusCode) -> Value {
    let mut headers = common_headers();
    match status {
        StatusCode::UNAUTHORIZED => headers["WWW-Authenticate"] = header("WWW-Authenticate"),
        StatusCode::SERVICE_UNAVAILABLE => headers["Retry-After"] = header("Retry-After"),
        StatusCode::TOO_MANY_REQUESTS => {
            headers["Retry-After"] = header("Retry-After");
            rate_headers(&mut headers);
        }
        _ => {}
    }
    headers
}

fn common_headers() -> Value {
    json!({ "X-Request-Id": header("X-Request-Id"), "traceparent": header("traceparent") })
}

fn rate_headers(headers: &mut Value) {
    for name in ["RateLimit", "RateLimit-Policy"] {
        headers[name] = header(name);
    }
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The headers of answers.
pub(super) fn headers() -> Value {
    json!({
        "X-Request-Id": { "required": true, "schema": { "type": "string" }, "description": "Names this request in logs and problems." },
        "traceparent": {
            "required": true, "description": "W3C trace context.",
            "schema": { "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" },
        },
        "ETag": { "required": true, "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" }, "description": "The version, in quotation marks." },
        "Location": { "required": true, "schema": { "type": "string" }, "description": "Where the new thing is." },
        "Idempotency-Replayed": {
            "required": false, "schema": { "type": "string", "const": "true" },
            "description": "The answer was given before, to the first request with the same Idempotency-Key.",
        },
        "WWW-Authenticate": { "required": true, "schema": { "type": "string" }, "description": "How to authenticate." },
        "RateLimit": {
            "required": false, "schema": { "type": "string" },
            "description": "The policy that leaves least, how many requests that is, and in how many seconds it is whole again: \"read\";r=50;t=30.",
        },
        "RateLimit-Policy": {
            "required": false, "schema": { "type": "string" },
            "description": "The policies that the request counts against, each with its quota and seconds: \"read\";q=100;w=60.",
        },
        "Retry-After": { "required": true, "schema": { "type": "integer", "minimum": 1 }, "description": "Seconds until another try makes sense." },
    })
}
