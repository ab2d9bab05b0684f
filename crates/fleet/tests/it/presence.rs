//! Heartbeats, silence and return: in memory, written on transition only.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Device, World};

async fn until_status(world: &World, device: &Device, status: &str) -> Value {
    let waiting = async {
        loop {
            let found = world.read(&device.path()).await;
            if found["status"] == status {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("the device is not {status} in time"))
}

#[tokio::test]
async fn a_heartbeat_writes_nothing_and_silence_writes_once() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let access = world.access(&device).await;
    let before = world.event_types().await.len();
    for _ in 0..10 {
        let _ = world.beat(&access).await.expect(200);
    }
    assert_eq!(world.event_types().await.len(), before, "ten heartbeats, no event");
    let presence = world.read(&format!("{}/presence", device.path())).await;
    assert_eq!((&presence["status"], &presence["uptime_seconds"]), (&json!("online"), &json!(77)));
    assert_eq!((&presence["spool_bytes"], &presence["dropped_total"]), (&json!(5), &json!(1)));
    assert_eq!(presence["last_heartbeat"], world.clock.now().to_string());

    let stop = CancellationToken::new();
    let worker = tokio::spawn(world.fleet.clone().run(stop.clone()));
    let heard = world.clock.now();
    world.clock.advance(Duration::from_secs(90));
    let stale = until_status(&world, &device, "stale").await;
    assert_eq!(
        (&stale["last_seen"], &stale["status_reason"]),
        (&json!(heard.to_string()), &json!("Its agent has missed three heartbeats."))
    );
    assert_eq!(world.event_types().await.len(), before + 1, "one transition, one event");

    let _ = world.beat(&access).await.expect(200);
    let back = until_status(&world, &device, "online").await;
    assert!(back.get("last_seen").is_none_or(Value::is_null), "{back}");

    let heard = world.clock.now();
    world.clock.advance(Duration::from_secs(300));
    let offline = until_status(&world, &device, "offline").await;
    assert_eq!(offline["last_seen"], heard.to_string());
    let presence = world.read(&format!("{}/presence", device.path())).await;
    assert_eq!((&presence["status"], &presence["reason"]), (&json!("offline"), &json!("Its agent has been silent for five minutes.")));
    assert_eq!(world.event_types().await.len(), before + 3);
    stop.cancel();
    worker.await.expect("ends");
}

#[tokio::test]
async fn a_restart_of_the_server_is_no_transition_and_silence_after_it_is() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let before = world.event_types().await.len();
    let world = world.restart().await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(world.fleet.clone().run(stop.clone()));
    // It takes the device up with its first look, and finds it silent five minutes later.
    let waiting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.clock.advance(Duration::from_secs(5));
            if world.read(&device.path()).await["status"] != "online" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("silence is noticed");
    let found = until_status(&world, &device, "offline").await;
    assert_eq!(found["status_reason"], "Its agent has been silent for five minutes.");
    assert!(world.event_types().await.len() <= before + 2, "stale and offline at most");
    stop.cancel();
    worker.await.expect("ends");
}

#[tokio::test]
async fn a_start_looks_only_into_tenants_with_a_device_that_is_not_offline() {
    let world = World::new().await;
    let _quiet = world.app.tenant("quiet").await;
    assert_eq!(world.watched().await, []);
    let device = world.enrolled("m-1").await;
    assert_eq!(world.watched().await, [world.tenant.id], "written down before the device is");

    let world = world.restart().await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(world.fleet.clone().run(stop.clone()));
    let settled = async {
        while !world.watched().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.clock.advance(Duration::from_secs(10));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the tenant's only device falls silent");
    assert_eq!(world.read(&device.path()).await["status"], "offline");

    let access = world.access(&device).await;
    let _ = world.beat(&access).await.expect(200);
    assert_eq!(world.watched().await, [world.tenant.id], "a device that returns is watched again");
    assert_eq!(world.read(&device.path()).await["status"], "online");
    stop.cancel();
    worker.await.expect("ends");
}
