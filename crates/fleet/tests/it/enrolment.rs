//! From a token to a device, once and again.

use serde_json::json;

use crate::world::{Machine, World};

#[tokio::test]
async fn a_token_makes_a_device_in_its_organization_and_its_secret_is_shown_once() {
    let world = World::new().await;
    let organization = world.create("organizations", &json!({ "name": "Globex" })).await["id"].clone();
    let made = world.create("enrollment-tokens", &json!({ "name": "office", "organization_id": organization, "max_uses": 5 })).await;
    let secret = made["secret"].as_str().expect("the secret");
    assert!(secret.starts_with("ste_"), "{secret}");
    let path = format!("/api/v1/enrollment-tokens/{}", made["id"].as_str().expect("an id"));
    let shown = world.read(&path).await;
    assert!(shown.get("secret").is_none() && shown.get("digest").is_none(), "{shown}");

    let answer = world.enroll(&Machine::new("m-1"), secret).await.expect(201).json();
    assert_eq!(answer["tenant_id"], world.tenant.id.to_string());
    assert_eq!(answer["tenant_slug"], "acme");
    assert_eq!(answer["token_url"], world.app.url("/t/acme/oauth/token"));
    let device = world.read(&format!("/api/v1/devices/{}", answer["device_id"].as_str().expect("an id"))).await;
    assert_eq!((&device["name"], &device["hostname"]), (&json!("host-m-1"), &json!("host-m-1")));
    assert_eq!((&device["organization_id"], &device["status"]), (&organization, &json!("online")));
    assert_eq!(device["hardware"]["memory_bytes"], 8_000_000_000u64);
    assert!(device.get("last_seen").is_none_or(serde_json::Value::is_null), "absent while online: {device}");
    assert_eq!(world.read(&path).await["uses"], 1);
    assert!(world.event_types().await.contains(&"device.registered".to_owned()));
    assert!(!world.event_types().await.iter().any(|name| name == "device.created"), "one event for one thing");
}

#[tokio::test]
async fn one_machine_is_one_device_however_often_it_enrols() {
    let world = World::new().await;
    let token = world.token(&json!({ "name": "two", "max_uses": 2 })).await;
    let machine = Machine::new("m-1");
    let id = |answer: steward_testkit::Answer| answer.expect(201).json()["device_id"].clone();
    let first = id(world.enroll(&machine, &token).await);
    assert_eq!(id(world.enroll(&machine, &token).await), first, "the same key costs no use");
    assert_eq!(id(world.enroll(&Machine::new("m-1"), &token).await), first, "set up anew, the second use");
    let refused = world.enroll(&Machine::new("m-2"), &token).await.expect(403);
    assert_eq!(refused.code(), "enrollment_token_used_up");
    let refused = world.enroll(&machine, &token).await.expect(403);
    assert_eq!(refused.code(), "enrollment_token_used_up", "the old key lost the device and needs a use to get it back");
    let list = world.read("/api/v1/devices?count=exact").await;
    assert_eq!(list["count"], 1);
    let types = world.event_types().await;
    assert_eq!(types.iter().filter(|name| *name == "device.registered").count(), 1);
    assert_eq!(types.iter().filter(|name| *name == "device.rebound").count(), 1);
}

#[tokio::test]
async fn a_token_of_one_organization_cannot_take_a_device_of_another() {
    let world = World::new().await;
    let organization = world.create("organizations", &json!({ "name": "Globex" })).await["id"].clone();
    let own = world.token(&json!({ "name": "globex", "organization_id": organization })).await;
    let foreign = world.token(&json!({ "name": "others" })).await;
    let machine = Machine::new("m-1");
    let first = world.enroll(&machine, &own).await.expect(201).json()["device_id"].clone();
    let refused = world.enroll(&Machine::new("m-1"), &foreign).await.expect(403);
    assert_eq!(refused.code(), "device_elsewhere");
    assert_eq!(world.enroll(&machine, &own).await.expect(201).json()["device_id"], first, "its own key still speaks for it");
}

#[tokio::test]
async fn a_machine_may_be_a_device_of_two_tenants() {
    let world = World::new().await;
    let other = world.app.tenant("umbrella").await;
    let own = world.enrolled("m-1").await;
    let made = world.app.post("/api/v1/enrollment-tokens").key(&other.key).json(&json!({ "name": "any" })).send().await.expect(201).json();
    let answer = world.enroll(&own.machine, made["secret"].as_str().expect("a secret")).await.expect(201).json();
    assert_eq!(answer["tenant_slug"], "umbrella");
    let theirs = answer["device_id"].as_str().expect("an id");
    assert_ne!(theirs, own.id);
    let _ = world.app.get(&format!("/api/v1/devices/{theirs}")).key(&world.tenant.key).send().await.expect(404);
}

#[tokio::test]
async fn tokens_that_are_no_good_are_refused() {
    let world = World::new().await;
    let machine = Machine::new("m-1");
    let soon = world.clock.now().plus(std::time::Duration::from_secs(60)).to_string();
    let expiring = world.token(&json!({ "name": "short", "expires_at": soon })).await;
    let deleted = world.create("enrollment-tokens", &json!({ "name": "deleted" })).await;
    let path = format!("/api/v1/enrollment-tokens/{}", deleted["id"].as_str().expect("an id"));
    let _ = world.app.delete(&path).key(&world.tenant.key).header("if-match", "*").send().await.expect(204);
    world.clock.advance(std::time::Duration::from_secs(60));
    let mistyped = {
        let good = world.token(&json!({ "name": "good" })).await;
        let wrong = if good.ends_with('0') { '2' } else { '0' };
        format!("{}{wrong}", &good[..good.len() - 1])
    };
    let key = world.tenant.key.clone();
    for token in [expiring.as_str(), deleted["secret"].as_str().expect("a secret"), &mistyped, &key, "ste_", "nonsense"] {
        let refused = world.enroll(&machine, token).await.expect(403);
        assert_eq!(refused.code(), "invalid_enrollment_token", "{token}");
    }
    let good = world.token(&json!({ "name": "good" })).await;
    for key in ["A".repeat(43) + "=", "A".repeat(42), "!".repeat(43)] {
        let mut request = machine.request(&good);
        request["public_key"] = json!(key);
        let refused = world.app.post("/agent/v1/enroll").json(&request).send().await.expect(422);
        assert_eq!(refused.fields()[0].0, "/public_key", "{}", refused.text);
    }
    assert_eq!(world.read("/api/v1/devices?count=exact").await["count"], 0);
}

#[tokio::test]
async fn machines_that_enrol_at_once_share_a_tokens_uses_exactly() {
    let world = World::new().await;
    let token = world.token(&json!({ "name": "five", "max_uses": 5 })).await;
    let machines: Vec<Machine> = (0..8).map(|number| Machine::new(&format!("m-{number}"))).collect();
    let answers = futures(&world, &machines, &token).await;
    let taken = answers.iter().filter(|status| **status == 201).count();
    assert_eq!((taken, answers.len()), (5, 8), "{answers:?}");
    assert_eq!(world.read("/api/v1/devices?count=exact").await["count"], 5);
}

async fn futures(world: &World, machines: &[Machine], token: &str) -> Vec<u16> {
    let mut waiting: Vec<_> = machines.iter().map(|machine| Box::pin(world.enroll(machine, token))).collect();
    let mut statuses = Vec::new();
    // All are polled from the first on, so that they meet in the server.
    std::future::poll_fn(|context| {
        waiting.retain_mut(|answer| match answer.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                statuses.push(answer.status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    statuses
}
