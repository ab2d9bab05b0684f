//! The OpenAPI 3.1 document, made from the same table that is routed. The same table gives the same bytes, so that it can be committed.

mod components;
mod responses;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use steward_base::Error;

use crate::call::Call;
use crate::draft::operation;
use crate::operation::{Access, HeaderInput, Operation, RateClass, Spec};
use crate::reply::{Content, Output, Reply};
use crate::router::Operations;
use components::{Components, Direction};

/// The document of a table of operations. Addresses in it are relative: the server that gives it out is the one it describes.
pub fn document(operations: &Operations, version: &str) -> Value {
    let mut components = Components::default();
    let documented: Vec<&Spec> = operations.iter().map(Operation::spec).filter(|spec| spec.undocumented.is_none()).collect();
    // Answers first: where a type is both answer and input, the answer has the plain name.
    let mut answers: Vec<Value> = documented.iter().map(|spec| responses::all(spec, &mut components)).collect();
    documented.iter().zip(&mut answers).for_each(|(spec, answer)| responses::link(spec, &documented, answer));
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (spec, responses) in documented.iter().zip(answers) {
        let entry = entry(spec, &responses, &mut components);
        paths.entry(&spec.path).or_default().insert(spec.method.as_str().to_ascii_lowercase(), entry);
    }
    let paths: Map<String, Value> = paths.into_iter().map(|(path, item)| (path.to_owned(), Value::Object(item))).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Steward",
            "version": version,
            "description": "The API of a Steward installation. Errors are RFC 9457 problems with a stable code; lists are paged by signed cursors.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This installation." }],
        "tags": tags(&documented, operations),
        "paths": paths,
        "components": {
            "schemas": components.into_schemas(),
            "responses": responses::shared(),
            "headers": responses::headers(),
            "parameters": header_parameters(),
            "securitySchemes": security_schemes(),
        },
    });
    components::prune(&mut document);
    document
}

/// `GET /api/openapi.json`: the document of the table that this operation is in.
pub fn operation_for_document() -> Operation {
    operation("openapi.get", Method::GET, "/api/openapi.json").summary("This document").tag("meta").rate(RateClass::Exempt).public().handle(
        (),
        async |(), call: Call| {
            let document = call.site.document().ok_or_else(|| Error::internal("the router was made without a document"))?;
            Ok(Reply::new(Document(document)))
        },
    )
}

/// The bytes of the document.
#[derive(Debug)]
struct Document(Bytes);

impl Output for Document {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(_: Option<Value>) -> Vec<Content> {
        let schema = json!({ "type": "object", "description": "An OpenAPI 3.1 document." });
        vec![Content { media_type: "application/json".into(), schema: Some(schema) }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, axum::body::Body), Error> {
        Ok((Some(HeaderValue::from_static("application/json")), self.0.into()))
    }
}

fn tags(documented: &[&Spec], operations: &Operations) -> Vec<Value> {
    let names: BTreeSet<&str> = documented.iter().map(|spec| spec.tag.as_str()).collect();
    let plain = |name: &str| format!("Operations on {name}.");
    let told = |name: &str| operations.tag_description(name).map_or_else(|| plain(name), str::to_owned);
    names.into_iter().map(|name| json!({ "name": name, "description": told(name) })).collect()
}

fn entry(spec: &Spec, responses: &Value, components: &mut Components) -> Value {
    let mut entry = json!({
        "operationId": spec.id,
        "summary": spec.summary,
        "description": description(spec),
        "tags": [spec.tag],
        "responses": responses,
        "security": security(&spec.access),
        "x-steward-rate-class": spec.rate,
    });
    if let Access::Needs(permission) = &spec.access {
        entry["x-steward-permission"] = permission.to_string().into();
        entry["x-steward-scoped"] = spec.scoped.into();
    }
    let parameters = parameters(spec, components);
    if !parameters.is_empty() {
        entry["parameters"] = parameters.into();
    }
    if !spec.body.media_types.is_empty() {
        entry["requestBody"] = request_body(spec, components);
    }
    entry
}

fn description(spec: &Spec) -> String {
    let who = match &spec.access {
        Access::Public => "Anybody may call this.".to_owned(),
        Access::SignedIn => "Needs a valid credential.".to_owned(),
        Access::Needs(permission) => format!("Needs the permission `{permission}`."),
    };
    if spec.description.is_empty() { who } else { format!("{} {who}", spec.description) }
}

fn security(access: &Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::SignedIn | Access::Needs(_) => json!([{ "bearer": [] }, { "apiKey": [] }, { "session": [] }]),
    }
}

fn security_schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API key or an access token." },
        "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key." },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "__Host-steward",
            "description": "A session of the console; writes also need the Origin of the public address. On plain loopback HTTP its name is steward.",
        },
    })
}

fn parameters(spec: &Spec, components: &mut Components) -> Vec<Value> {
    let mut out = Vec::new();
    for (place, schema) in [("path", &spec.path_schema), ("query", &spec.query_schema)] {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            out.push(parameter(place, name, property, &schema["$defs"], required.contains(&name.as_str()), components));
        }
    }
    for header in &spec.headers {
        let name = match header {
            HeaderInput::IfMatch => "IfMatch",
            HeaderInput::IfNoneMatch => "IfNoneMatch",
            HeaderInput::LastEventId => "LastEventId",
            HeaderInput::IdempotencyKey => "IdempotencyKey",
            HeaderInput::Passphrase => "Passphrase",
        };
        out.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
    }
    out
}

fn parameter(place: &str, name: &str, property: &Value, definitions: &Value, required: bool, components: &mut Components) -> Value {
    let mut schema = property.clone();
    components::without_null(&mut schema);
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    if let (Value::Object(object), Value::Object(_)) = (&mut schema, definitions) {
        object.insert("$defs".into(), definitions.clone());
    }
    let array = schema["type"] == "array";
    let mut out =
        json!({ "name": name, "in": place, "required": required || place == "path", "schema": components.add(&schema, Direction::Input) });
    if let Some(description) = description {
        out["description"] = description;
    }
    if array {
        out["style"] = "form".into();
        out["explode"] = false.into();
    }
    out
}

fn header_parameters() -> Value {
    let tag = r#"^(\*|"[1-9][0-9]{0,14}")$"#;
    json!({
        "IfMatch": {
            "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string", "pattern": tag },
            "description": "The ETag that was last read, or * to change whatever is there. 428 when absent, 412 when the record has changed since.",
            "examples": { "any": { "value": "*" }, "version": { "value": "\"3\"" } },
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header", "required": false,
            "schema": { "type": "string", "pattern": r#"^(\*|"[1-9][0-9]{0,14}")?$"# },
            "description": "The ETag that the caller has already; 304 when it is still current.",
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$" },
            "description": "Makes the request repeatable for 24 hours: sent again with the same key, it is not done again, and the first answer comes once more with Idempotency-Replayed. Another request under the key is refused with 422 idempotency_key_reused; one whose first try is still in work with 409 idempotency_in_flight; one whose answer a crash lost with 409 idempotency_answer_lost, which names what was written. A refused request is not remembered.",
            "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
        },
        "Passphrase": {
            "name": "Steward-Passphrase", "in": "header", "required": true, "schema": { "type": "string", "minLength": 12, "maxLength": 1024, "pattern": "^[ -~]+$" },
            "description": "What the file is sealed under: whoever has the file and this reads all of it. 422 passphrase_required when it is absent or shorter than 12 characters.",
            "example": "correct horse battery staple",
        },
        "LastEventId": {
            "name": "Last-Event-ID", "in": "header", "required": false, "schema": { "type": "string", "pattern": "^[0-9]{1,15}(-[0-9a-f]{12})?$" },
            "description": "The id of the last message that arrived; the stream goes on after it.",
        },
    })
}

fn request_body(spec: &Spec, components: &mut Components) -> Value {
    let schema = spec.body.schema.as_ref().map(|schema| components.add(schema, Direction::Input));
    let mut content = Map::new();
    for media_type in &spec.body.media_types {
        let mut media = Map::new();
        // Lines of JSON and packed bytes are not described by the schema of one value.
        let one_value = *media_type == "application/json" || media_type.ends_with("+json") || spec.body.fields.is_some();
        let schema = schema.clone().filter(|_| one_value).unwrap_or_else(|| json!({}));
        media.insert("schema".into(), schema);
        if !spec.body_examples.is_empty() {
            let examples = spec.body_examples.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect();
            media.insert("examples".into(), Value::Object(examples));
        }
        content.insert((*media_type).to_owned(), Value::Object(media));
    }
    json!({ "required": spec.body.required, "content": content })
}
