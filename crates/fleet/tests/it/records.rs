//! Organizations, projects, services and devices as records.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn projects_and_services_belong_together() {
    let world = World::new().await;
    let organization =
        world.create("organizations", &json!({ "name": "Globex", "slug": "globex", "website": "https://globex.test" })).await;
    let project = world.create("projects", &json!({ "name": "Shop", "path": "/srv/shop", "organization_id": organization["id"] })).await;
    assert_eq!(project["tests_dir_path"], "tests");
    let device = world.enrolled("m-1").await;
    let service = json!({
        "project_id": project["id"], "name": "payment", "port": 3002, "status": "running", "health": "warning", "device_id": device.id,
        "last_deployment_at": "2026-11-20T10:30:00Z",
    });
    let service = world.create("services", &service).await;
    let unknown = world.create("services", &json!({ "project_id": project["id"], "name": "idle" })).await;
    assert_eq!((&unknown["status"], &unknown["health"]), (&json!("unknown"), &json!("unknown")));

    let names = |list: Value| list["data"].as_array().expect("rows").iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    let id = project["id"].as_str().expect("an id");
    let found = world.read(&format!("/api/v1/services?filter=project_id%20=%20{id}%20health:warning%20OR%20port%20%3E%204000")).await;
    assert_eq!(names(found), ["payment"]);
    let found = world.read("/api/v1/services?filter=status%20=%20unknown&order_by=name%20desc").await;
    assert_eq!(names(found), ["idle"]);
    let found = world.read("/api/v1/services?filter=last_deployment_at%20%3E%202026-11-20%20-name%20=%20idle").await;
    assert_eq!(names(found), ["payment"]);

    let taken_out = json!({ "health": null, "port": null });
    let path = format!("/api/v1/services/{}", service["id"].as_str().expect("an id"));
    let changed = world.app.patch(&path).key(&world.tenant.key).header("if-match", "*").json(&taken_out).send().await.expect(200).json();
    assert_eq!((&changed["health"], changed.get("port")), (&json!("unknown"), None), "a default, and nothing");

    // The device goes, the service stays without it; the project goes and takes its services along.
    let gone = async |path: String| world.app.delete(&path).key(&world.tenant.key).header("if-match", "*").send().await;
    let _ = gone(device.path()).await.expect(204);
    assert!(world.read(&path).await.get("device_id").is_none_or(Value::is_null));
    let organization = format!("/api/v1/organizations/{}", organization["id"].as_str().expect("an id"));
    assert_eq!(gone(organization.clone()).await.status, 409, "a project still belongs to it");
    let _ = gone(format!("/api/v1/projects/{id}")).await.expect(204);
    let _ = world.app.get(&path).key(&world.tenant.key).send().await.expect(404);
    let _ = gone(organization).await.expect(204);
}

#[tokio::test]
async fn input_that_makes_no_sense_is_refused_by_field() {
    let world = World::new().await;
    let project = world.create("projects", &json!({ "name": "Shop" })).await["id"].clone();
    let cases = [
        ("organizations", json!({ "name": "" }), "/name"),
        ("organizations", json!({ "name": "x", "slug": "No Good" }), "/slug"),
        ("organizations", json!({ "name": "x", "contact_email": "nobody" }), "/contact_email"),
        ("projects", json!({ "path": "/srv" }), "/name"),
        ("projects", json!({ "name": "x", "organization_id": "prj_00000000000000000000000000" }), "/organization_id"),
        ("projects", json!({ "name": "x", "organization_id": "org_00000000000000000000000000" }), "/organization_id"),
        ("services", json!({ "name": "x" }), "/project_id"),
        ("services", json!({ "name": "x", "project_id": project, "port": 70_000 }), "/port"),
        ("services", json!({ "name": "x", "project_id": project, "status": "Running" }), "/status"),
        ("services", json!({ "name": "x", "project_id": project, "uptime": "5d" }), "/uptime"),
        ("enrollment-tokens", json!({ "name": "x", "max_uses": 0 }), "/max_uses"),
        ("enrollment-tokens", json!({ "name": "x", "uses": 3 }), "/uses"),
        ("enrollment-tokens", json!({ "name": "x", "organization_id": "org_00000000000000000000000000" }), "/organization_id"),
    ];
    for (plural, body, pointer) in cases {
        let refused = world.app.post(&format!("/api/v1/{plural}")).key(&world.tenant.key).json(&body).send().await;
        assert!([409, 422].contains(&refused.status), "{plural} {body}: {} {}", refused.status, refused.text);
        assert_eq!(refused.fields().first().map(|field| field.0.as_str()), Some(pointer), "{plural} {body}: {}", refused.text);
    }
    let _ = world.create("organizations", &json!({ "name": "A", "slug": "same" })).await;
    let taken = world.app.post("/api/v1/organizations").key(&world.tenant.key).json(&json!({ "name": "B", "slug": "same" })).send().await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "unique_taken"), "{}", taken.text);
}

#[tokio::test]
async fn people_name_and_tag_devices_and_only_agents_say_the_rest() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let patch = |body: Value| world.app.patch(&device.path()).key(&world.tenant.key).header("if-match", "*").json(&body).send();
    let changed = patch(json!({ "name": "Front desk", "tags": ["prod", "berlin"] })).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["tags"]), (&json!("Front desk"), &json!(["prod", "berlin"])));
    let found = world.read("/api/v1/devices?filter=tags:berlin%20os.family%20=%20linux%20status%20=%20online").await;
    assert_eq!(found["data"][0]["id"], device.id);
    for body in [json!({ "status": "offline" }), json!({ "hostname": "other" }), json!({ "public_key": "A".repeat(43) })] {
        let refused = patch(body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
    }
    let refused = world.app.post("/api/v1/devices").key(&world.tenant.key).json(&json!({ "name": "by hand" })).send().await.expect(405);
    assert_eq!(refused.code(), "method_not_allowed");
}
