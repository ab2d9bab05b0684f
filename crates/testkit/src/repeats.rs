//! A test generated from the operation table: whatever may be repeated under a key has one effect and one answer.

use serde_json::Value;
use steward_web::{HeaderInput, Operation, RateClass, Spec};

use crate::app::{TestApp, TestTenant};
use crate::client::{Answer, Ask};

/// The path and the body of a request that succeeds; `None` for an operation that tests of its own look at.
pub type Succeeding<'a> = &'a dyn Fn(&Spec) -> Option<(String, Value)>;

/// Every operation that takes an `Idempotency-Key`, sent twice with one: one effect, the same answer; sent with another body: refused.
/// And every POST takes one, save those of strangers and of telemetry. Answers what it found wrong, and how many operations it asked.
pub async fn repeats(app: &TestApp, tenant: &TestTenant, succeeding: Succeeding<'_>) -> (Vec<String>, usize) {
    let (mut findings, mut asked) = (Vec::new(), 0);
    for spec in app.operations.iter().map(Operation::spec).filter(|spec| spec.method == "POST") {
        if !spec.reads(HeaderInput::IdempotencyKey) {
            if spec.access != steward_web::Access::Public && spec.rate != RateClass::Ingest {
                findings.push(format!("{}: takes no Idempotency-Key", spec.id));
            }
            continue;
        }
        let Some((path, body)) = succeeding(spec) else { continue };
        asked += 1;
        let key = format!("repeat-{}", spec.id);
        let ask = |text: String| -> Ask {
            let ask = app.post(&path).key(&tenant.key).header("idempotency-key", &key).header("if-match", "*");
            if spec.body.media_types.is_empty() { ask } else { ask.body(spec.body.media_types[0], text) }
        };
        let first = ask(body.to_string()).send().await;
        let after = head(app, tenant).await;
        let second = ask(body.to_string()).send().await;
        if !(200..300).contains(&first.status) || !first.header("idempotency-replayed").is_empty() {
            findings.push(format!("{}: the first request answers {} {}", spec.id, first.status, first.text));
            continue;
        }
        findings.extend(differs(&first, &second).map(|what| format!("{}: the second request answers {what}", spec.id)));
        if head(app, tenant).await != after {
            findings.push(format!("{}: the second request has an effect", spec.id));
        }
        if !spec.body.media_types.is_empty() {
            let other = ask(format!(" {body}")).send().await;
            if other.status != 422 || other.code() != "idempotency_key_reused" {
                findings.push(format!("{}: another body answers {} {}", spec.id, other.status, other.text));
            }
        }
    }
    (findings, asked)
}

fn differs(first: &Answer, second: &Answer) -> Option<String> {
    let kept = ["content-type", "etag", "location", "cache-control"];
    if (first.status, &first.text) != (second.status, &second.text) {
        return Some(format!("{} {}", second.status, second.text));
    }
    if let Some(name) = kept.iter().find(|name| first.header(name) != second.header(name)) {
        return Some(format!("another {name}"));
    }
    (second.header("idempotency-replayed") != "true").then(|| "without saying that it is a repetition".to_owned())
}

async fn head(app: &TestApp, tenant: &TestTenant) -> i64 {
    app.parts.store.head(&tenant.ctx).await.expect("the head is read")
}
