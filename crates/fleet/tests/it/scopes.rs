//! A key that is scoped to one organization neither reads nor writes what is another's.

use serde_json::{Value, json};
use steward_testkit::{Answer, conformance};
use steward_web::Spec;

use crate::world::{Machine, World};

/// In the name of everything that belongs to the other organization.
const CANARY: &str = "umbrella-canary";
const EVERYTHING: [&str; 5] = ["*:read", "*:write", "*:delete", "*:execute", "*:approve"];

/// Two organizations with a project, a service, a device and a token each, and a key for the first.
struct Two {
    world: World,
    own: Place,
    other: Place,
    key: String,
}

struct Place {
    organization: String,
    project: String,
    service: String,
    device: String,
    token: String,
}

impl Two {
    async fn new() -> Self {
        let world = World::new().await;
        let (own, other) = (place(&world, "globex").await, place(&world, CANARY).await);
        let scope = format!("organization_id = {}", own.organization);
        let key = world.app.scoped_key(world.tenant.id, &EVERYTHING, &scope).await;
        Self { world, own, other, key }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let asked = self.world.app.ask(method, path).key(&self.key).header("if-match", "*");
        if method == "GET" { asked.send().await } else { asked.json(&body).send().await }
    }
}

async fn place(world: &World, name: &str) -> Place {
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    let organization = id(&world.create("organizations", &json!({ "name": name, "slug": name })).await);
    let project = id(&world.create("projects", &json!({ "name": name, "organization_id": organization })).await);
    let service = id(&world.create("services", &json!({ "name": name, "project_id": project })).await);
    let made = world.create("enrollment-tokens", &json!({ "name": name, "organization_id": organization })).await;
    let secret = made["secret"].as_str().expect("shown once");
    let enrolled = world.enroll(&Machine::new(name), secret).await.expect(201).json();
    let device = enrolled["device_id"].as_str().expect("an id").to_owned();
    Place { organization, project, service, device, token: id(&made) }
}

#[tokio::test]
async fn lists_and_single_reads_stay_inside() {
    let two = Two::new().await;
    let (own, other) = (&two.own, &two.other);
    for (plural, id) in [("devices", &own.device), ("projects", &own.project), ("enrollment-tokens", &own.token)] {
        let list = two.ask("GET", &format!("/api/v1/{plural}?count=exact"), Value::Null).await.expect(200).json();
        assert_eq!((&list["count"], &list["data"][0]["id"]), (&json!(1), &json!(id)), "{plural}");
        let widened = two.ask("GET", &format!("/api/v1/{plural}?filter=NOT%20name%20%3D%20x"), Value::Null).await.expect(200).json();
        assert_eq!(widened["data"].as_array().map(Vec::len), Some(1), "a filter narrows and never widens: {plural}");
        let _ = two.ask("GET", &format!("/api/v1/{plural}/{id}"), Value::Null).await.expect(200);
    }
    for (plural, id) in [("devices", &other.device), ("projects", &other.project), ("enrollment-tokens", &other.token)] {
        let _ = two.ask("GET", &format!("/api/v1/{plural}/{id}"), Value::Null).await.expect(404);
    }
    let _ = two.ask("GET", &format!("/api/v1/devices/{}/presence", own.device), Value::Null).await.expect(200);
    let _ = two.ask("GET", &format!("/api/v1/devices/{}/presence", other.device), Value::Null).await.expect(404);
    for service in [own.service.as_str(), "svc_00000000000000000000000000"] {
        let refused = two.ask("GET", &format!("/api/v1/services/{service}"), Value::Null).await.expect(403);
        assert_eq!(refused.code(), "permission_denied", "services have no organization, and whether there is one is not told");
    }
}

#[tokio::test]
async fn writes_stay_inside() {
    let two = Two::new().await;
    let (own, other) = (&two.own, &two.other);
    for plural in ["projects", "enrollment-tokens"] {
        let path = format!("/api/v1/{plural}");
        let inside = json!({ "name": "mine", "organization_id": own.organization });
        let _ = two.ask("POST", &path, inside).await.expect(201);
        for outside in [json!({ "name": "theirs", "organization_id": other.organization }), json!({ "name": "nobody's" })] {
            assert_eq!(two.ask("POST", &path, outside).await.expect(403).code(), "outside_scope", "{plural}");
        }
    }
    let path = format!("/api/v1/devices/{}", own.device);
    let _ = two.ask("PATCH", &path, json!({ "name": "renamed" })).await.expect(200);
    let moved = two.ask("PATCH", &path, json!({ "organization_id": other.organization })).await;
    assert_eq!(moved.expect(403).code(), "outside_scope", "nothing is moved out");
    let theirs = format!("/api/v1/devices/{}", other.device);
    let _ = two.ask("PATCH", &theirs, json!({ "organization_id": own.organization })).await.expect(404);
    let _ = two.ask("DELETE", &theirs, Value::Null).await.expect(404);
    assert_eq!(two.world.read(&theirs).await["revision"], 1, "untouched");
    let _ = two.ask("DELETE", &path, Value::Null).await.expect(204);
}

#[tokio::test]
async fn events_stay_inside() {
    let two = Two::new().await;
    let page = two.ask("GET", "/api/v1/events?limit=500", Value::Null).await.expect(200);
    let subjects: Vec<Value> = page.json()["data"].as_array().expect("rows").iter().map(|event| event["subject"].clone()).collect();
    assert!(subjects.contains(&json!(two.own.device)) && subjects.contains(&json!(two.own.project)), "{subjects:?}");
    for hidden in [&two.other.device, &two.other.project, &two.other.token, &two.other.service, &two.own.service] {
        assert!(!subjects.contains(&json!(hidden)), "{hidden}");
    }
    assert!(!page.text.contains(CANARY), "{}", page.text);

    let mut live = two.world.app.get("/api/v1/events/stream").key(&two.key).follow().await;
    for device in [&two.other.device, &two.own.device] {
        let change = two.world.app.patch(&format!("/api/v1/devices/{device}")).key(&two.world.tenant.key).header("if-match", "*");
        let _ = change.json(&json!({ "tags": ["changed"] })).send().await.expect(200);
    }
    let told: Value = serde_json::from_str(&live.next().await.expect("an event").data).expect("is JSON");
    assert_eq!(told["subject"], two.own.device, "the other's change came first and is not told");
}

fn service_or_organization(spec: &Spec, place: &Place) -> String {
    if spec.id.starts_with("services") { place.service.clone() } else { place.organization.clone() }
}

#[tokio::test]
async fn no_operation_reaches_over_the_scope() {
    let two = Two::new().await;
    let other = &two.other;
    let existing = |spec: &Spec| {
        let rest = spec.path.strip_prefix("/api/v1/")?;
        let id = match rest.split('/').next()? {
            "devices" => &other.device,
            "projects" => &other.project,
            "services" => &other.service,
            "organizations" => &other.organization,
            "enrollment-tokens" => &other.token,
            _ => return None,
        };
        spec.path.contains("{id}").then(|| spec.path.replace("{id}", id))
    };
    let (store, ctx) = (&two.world.app.parts.store, &two.world.tenant.ctx);
    let events = store.events(ctx, 0, 500).await.expect("are read");
    let made =
        events.into_iter().find(|event| event.subject == other.project).and_then(|event| event.correlation_id).expect("by a request");
    let body = |spec: &Spec| match spec.id {
        "projects.create" | "enrollment-tokens.create" => json!({ "name": "x", "organization_id": other.organization }),
        "services.create" => json!({ "name": "x", "project_id": other.project }),
        "api-keys.batch" => json!({ "atomic": true, "items": [{ "op": "delete", "id": "key_00000000000000000000000000" }] }),
        "organizations.create" => json!({ "name": "x" }),
        "undo.create" => json!({ "request_id": made }),
        "devices.batch" => json!({ "atomic": true, "items": [{ "op": "update", "id": other.device, "body": { "tags": ["x"] } }] }),
        "projects.batch" => {
            json!({ "atomic": true, "items": [{ "op": "create", "body": { "name": "x", "organization_id": other.organization } }] })
        }
        "services.batch" | "organizations.batch" => {
            json!({ "atomic": true, "items": [{ "op": "delete", "id": service_or_organization(spec, other) }] })
        }
        "enrollment-tokens.batch" => json!({ "atomic": true, "items": [{ "op": "delete", "id": other.token }] }),
        _ => json!({}),
    };
    let before = two.world.app.parts.store.head(&two.world.tenant.ctx).await.expect("is read");
    let findings = conformance::outside_scope(&two.world.app, &two.key, CANARY, &existing, &body).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let after = two.world.app.parts.store.head(&two.world.tenant.ctx).await.expect("is read");
    assert_eq!(after, before, "nothing was written");
}

#[tokio::test]
async fn files_and_batches_stay_inside() {
    let two = Two::new().await;
    let (own, other) = (&two.own, &two.other);
    let rows = [
        json!({ "id": own.project, "name": "renamed" }),
        json!({ "id": other.project, "name": "renamed" }),
        json!({ "name": "mine", "organization_id": own.organization }),
        json!({ "name": "theirs", "organization_id": other.organization }),
        json!({ "id": own.project, "organization_id": other.organization }),
    ];
    let text = rows.iter().map(|row| row.to_string() + "\n").collect::<String>();
    let sent = two.world.app.post("/api/v1/projects/import").key(&two.key).body("application/x-ndjson", text).send().await.expect(200);
    assert!(!sent.text.contains(CANARY), "{}", sent.text);
    let codes = |report: &Value| {
        let results = report["results"].as_array().expect("results");
        results.iter().map(|result| result["problem"]["code"].as_str().unwrap_or("done").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&sent.json()), ["done", "not_found", "done", "outside_scope", "outside_scope"]);
    let items: Vec<Value> = rows
        .iter()
        .map(|row| match row["id"].as_str() {
            Some(id) => json!({ "op": "update", "id": id, "body": { "name": "again", "organization_id": row.get("organization_id") } }),
            None => json!({ "op": "create", "body": row }),
        })
        .map(|mut item| {
            if let Some(body) = item["body"].as_object_mut() {
                body.retain(|_, value| !value.is_null());
            }
            item
        })
        .collect();
    let sent = two.ask("POST", "/api/v1/projects/batch", json!({ "items": items })).await.expect(200).json();
    assert_eq!(codes(&sent), ["done", "not_found", "done", "outside_scope", "outside_scope"]);
    let exported = two.ask("GET", "/api/v1/projects/export", Value::Null).await.expect(200);
    assert!(exported.text.contains("again") && !exported.text.contains(CANARY), "{}", exported.text);
    assert_eq!(two.world.read(&format!("/api/v1/projects/{}", other.project)).await["revision"], 1, "untouched");
}
