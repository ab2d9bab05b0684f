//! Tests generated from the operation table: what must be true of every operation, whoever wrote it.
//!
//! Each function answers what it found wrong, one line per finding, so that a test shows all of them at once. An operation that takes an id is
//! called with the id of a record that exists; `existing` says which.

use serde_json::json;
use steward_web::{Access, HeaderInput, Operation, RateClass, Spec};

use crate::app::{TestApp, TestTenant};
use crate::client::{Answer, Ask};

/// For an operation with path parameters, the path of a record that exists in the tenant, such as `/api/v1/devices/dev_…/presence`.
pub type Existing<'a> = &'a dyn Fn(&Spec) -> Option<String>;

/// Whoever presents nothing is refused with 401.
pub async fn no_credential(app: &TestApp) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in guarded(app) {
        let answer = ask(app, spec, &plausible(spec)).send().await;
        note(&mut findings, spec, "no credential", &answer, &[401], &["credential_required"]);
        let answer = ask(app, spec, &plausible(spec)).key("stw_0000").send().await;
        note(&mut findings, spec, "a forged credential", &answer, &[401], &["invalid_credential"]);
    }
    findings
}

/// A valid credential without the permission is refused with 403.
pub async fn missing_permission(app: &TestApp, tenant: &TestTenant) -> Vec<String> {
    let key = app.key(tenant.id, &["nothing:read"]).await;
    let mut findings = Vec::new();
    for spec in guarded(app).filter(|spec| matches!(spec.access, Access::Needs(_))) {
        let answer = ask(app, spec, &plausible(spec)).key(&key).send().await;
        note(&mut findings, spec, "a missing permission", &answer, &[403], &["permission_denied"]);
    }
    findings
}

/// A tenant that the request names and the credential contradicts is refused with 403.
pub async fn tenant_mismatch(app: &TestApp, tenant: &TestTenant, other: &TestTenant) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in guarded(app) {
        let answer = ask(app, spec, &plausible(spec)).key(&tenant.key).header("x-tenant-id", &other.id.to_string()).send().await;
        note(&mut findings, spec, "another tenant's id in X-Tenant-ID", &answer, &[403], &["tenant_mismatch"]);
    }
    findings
}

/// A record of one tenant does not exist for another.
pub async fn other_tenants_records(app: &TestApp, other: &TestTenant, existing: Existing<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in guarded(app).filter(|spec| spec.path_schema["properties"].is_object()) {
        let Some(path) = existing(spec) else {
            findings.push(format!("{}: no record is given to call it with", spec.id));
            continue;
        };
        // A body that would do, where one is known: what is wrong with it might be told first.
        let body = spec.body_examples.first().map_or_else(|| json!({}), |(_, body)| body.clone());
        let answer = ask(app, spec, &path).key(&other.key).header("if-match", "*").json(&body).send().await;
        note(&mut findings, spec, "another tenant's record", &answer, &[403, 404], &["not_found", "permission_denied"]);
    }
    findings
}

/// An unknown query parameter, and an unknown field of a strict body, are refused with 422 and named.
pub async fn unknown_input(app: &TestApp, tenant: &TestTenant, existing: Existing<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in app.operations.iter().map(Operation::spec).filter(|spec| spec.undocumented.is_none()) {
        let path = existing(spec).unwrap_or_else(|| plausible(spec));
        let answer = ask(app, spec, &format!("{path}?zz_unknown=1")).key(&tenant.key).send().await;
        if reaches_input(&answer) {
            named(&mut findings, spec, "an unknown parameter", &answer, "unknown_parameter");
        }
        let strict = spec.body.schema.as_ref().is_some_and(closed);
        if strict && spec.body.media_types.iter().any(|name| name.ends_with("json")) {
            let answer = ask(app, spec, &path).key(&tenant.key).header("if-match", "*").json(&json!({ "zz_unknown": 1 })).send().await;
            if reaches_input(&answer) {
                named(&mut findings, spec, "an unknown field", &answer, "unknown_field");
            }
        }
    }
    findings
}

/// Bodies that are no JSON, of another type, or too large, have their statuses.
pub async fn unreadable_bodies(app: &TestApp, tenant: &TestTenant, existing: Existing<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let json = |spec: &&Spec| spec.body.media_types.contains(&"application/json") && spec.rate != RateClass::Ingest;
    for spec in app.operations.iter().map(Operation::spec).filter(json) {
        let path = existing(spec).unwrap_or_else(|| plausible(spec));
        let sent: [(&str, Vec<u8>, u16, &str); 5] = [
            ("application/json", b"{\"a\":".to_vec(), 400, "malformed_json"),
            ("application/json", b"\"\xff\"".to_vec(), 400, "malformed_json"),
            ("application/json", Vec::new(), 400, "body_required"),
            ("text/plain", b"{}".to_vec(), 415, "unsupported_media_type"),
            ("application/json", vec![b' '; app.site.limits().body_bytes + 1], 413, "body_too_large"),
        ];
        for (media_type, bytes, status, code) in sent {
            let answer = ask(app, spec, &path).key(&tenant.key).header("if-match", "*").body(media_type, bytes).send().await;
            if reaches_input(&answer) {
                note(&mut findings, spec, code, &answer, &[status], &[code]);
            }
        }
    }
    findings
}

/// Operations that ask for `If-Match` refuse its absence with 428, an old version with 412 and nonsense with 400.
pub async fn preconditions(app: &TestApp, tenant: &TestTenant, existing: Existing<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in guarded(app).filter(|spec| spec.reads(HeaderInput::IfMatch)) {
        let Some(path) = existing(spec) else {
            findings.push(format!("{}: no record is given to call it with", spec.id));
            continue;
        };
        let start = || ask(app, spec, &path).key(&tenant.key).json(&json!({}));
        let answer = start().send().await;
        note(&mut findings, spec, "no If-Match", &answer, &[428], &["if_match_required"]);
        let answer = start().header("if-match", "\"999999\"").send().await;
        note(&mut findings, spec, "an old If-Match", &answer, &[412], &["version_conflict"]);
        let answer = start().header("if-match", "one").send().await;
        note(&mut findings, spec, "an unreadable If-Match", &answer, &[400], &["malformed_etag"]);
    }
    findings
}

/// A key whose scope covers none of the records that `existing` names, nor those that `body` would make, reads and writes nothing of them; each
/// of them has the text `canary` in it. Operations that do not look at scopes refuse such a key whatever it asks.
pub async fn outside_scope(
    app: &TestApp,
    key: &str,
    canary: &str,
    existing: Existing<'_>,
    body: &dyn Fn(&Spec) -> serde_json::Value,
) -> Vec<String> {
    let mut findings = Vec::new();
    // A stream never ends, and rows of a file are refused one by one; tests of their own follow them.
    let rows = |spec: &&Spec| spec.scoped && spec.mutates() && spec.body.media_types.contains(&"application/x-ndjson");
    for spec in guarded(app).filter(|spec| spec.rate != RateClass::Stream && spec.tag != "auth" && !rows(spec)) {
        let path = existing(spec).unwrap_or_else(|| plausible(spec));
        let mut asked = ask(app, spec, &asking(spec, &path, canary)).key(key).header("if-match", "*");
        if spec.mutates() {
            asked = asked.json(&body(spec));
        }
        let answer = asked.send().await;
        let needs = matches!(spec.access, Access::Needs(_));
        match answer.status {
            _ if needs && !spec.scoped => {
                note(&mut findings, spec, "a scoped key", &answer, &[403], &["scope_not_supported", "permission_denied"]);
            }
            200 if !spec.mutates() && !answer.text.contains(canary) => {}
            _ => note(&mut findings, spec, "a scoped key", &answer, &[403, 404], &["permission_denied", "outside_scope", "not_found"]),
        }
    }
    findings
}

/// Every path refuses methods that it does not have with 405 and says which it has.
pub async fn wrong_methods(app: &TestApp) -> Vec<String> {
    let mut findings = Vec::new();
    for spec in app.operations.iter().map(Operation::spec) {
        let answer = app.ask("TRACE", &plausible(spec)).send().await;
        note(&mut findings, spec, "TRACE", &answer, &[405], &["method_not_allowed"]);
        if !answer.header("allow").split(", ").any(|name| name == spec.method.as_str()) {
            findings.push(format!("{}: Allow is {:?}", spec.id, answer.header("allow")));
        }
    }
    findings
}

/// The path with this text for every parameter that a query must have.
fn asking(spec: &Spec, path: &str, text: &str) -> String {
    let required = spec.query_schema["required"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    let query: Vec<String> = required.map(|name| format!("{name}={text}")).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

fn guarded(app: &TestApp) -> impl Iterator<Item = &Spec> {
    app.operations.iter().map(Operation::spec).filter(|spec| spec.access != Access::Public)
}

fn ask(app: &TestApp, spec: &Spec, path: &str) -> Ask {
    app.ask(spec.method.as_str(), path)
}

/// The path with parameters that look right and name nothing.
fn plausible(spec: &Spec) -> String {
    let properties = &spec.path_schema["properties"];
    let fill = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        None => segment.to_owned(),
        Some(name) => {
            let pattern = properties[name.trim_start_matches('*')]["pattern"].as_str().unwrap_or_default();
            match pattern.strip_prefix('^').and_then(|rest| rest.split_once('_')) {
                Some((prefix, _)) => format!("{prefix}_{}", "0".repeat(26)),
                None => "some".to_owned(),
            }
        }
    };
    spec.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// A caller who may not call at all, or names nothing, is told so before its input is looked at.
fn reaches_input(answer: &Answer) -> bool {
    !matches!(answer.status, 401 | 403 | 404)
}

/// Whether an object schema refuses what it does not name.
fn closed(schema: &serde_json::Value) -> bool {
    let own = |schema: &serde_json::Value| schema["additionalProperties"] == false || schema["unevaluatedProperties"] == false;
    let name = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/"));
    name.map_or_else(|| own(schema), |name| own(&schema["$defs"][name]))
}

fn note(findings: &mut Vec<String>, spec: &Spec, what: &str, answer: &Answer, statuses: &[u16], codes: &[&str]) {
    let code = if answer.text.is_empty() { String::new() } else { answer.code() };
    if !statuses.contains(&answer.status) || !codes.contains(&code.as_str()) {
        findings.push(format!("{} {} ({}): {what} answers {} {code}", spec.method, spec.path, spec.id, answer.status));
    }
}

fn named(findings: &mut Vec<String>, spec: &Spec, what: &str, answer: &Answer, code: &str) {
    let found = answer.status == 422 && answer.fields().iter().any(|field| field == &("/zz_unknown".to_owned(), code.to_owned()));
    if !found {
        findings.push(format!("{} {} ({}): {what} answers {} {}", spec.method, spec.path, spec.id, answer.status, answer.text));
    }
}
