//! What is read back.

use serde_json::{Value, json};

use crate::world::World;

/// Rows a second apart, the last one `newest` seconds ago.
async fn send(world: &World, count: i64, newest: i64) {
    let now = steward_base::Clock::system().now();
    let lines: Vec<String> = (0..count)
        .map(|row| {
            let time = now.minus(std::time::Duration::from_secs((newest + count - 1 - row) as u64));
            let level = ["info", "error"][(row % 2) as usize];
            json!({ "time": time, "message": format!("row {row}"), "level": level, "service": "app" }).to_string()
        })
        .collect();
    world.post("/ingest/v1/app").body("application/x-ndjson", lines.join("\n")).send().await.expect(200);
}

#[tokio::test]
async fn pages_follow_each_other_while_rows_arrive() {
    let world = World::new().await;
    send(&world, 25, 100).await;
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/logs?limit=10&filter=service%3Dapp{cursor}");
        let page = world.app.get(&path).key(&world.tenant.key).send().await.expect(200).json();
        seen.extend(page["data"].as_array().expect("rows").iter().map(|row| row["message"].as_str().expect("text").to_owned()));
        send(&world, 3, 0).await;
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        }
        cursor = format!("&cursor={}", page["next_cursor"].as_str().expect("a cursor"));
        let elsewhere =
            world.app.get(&format!("/api/v1/logs?limit=10&filter=other{cursor}")).key(&world.tenant.key).send().await.expect(400);
        assert_eq!(elsewhere.code(), "invalid_cursor");
    }
    let wanted: Vec<String> = (0..25).rev().map(|row| format!("row {row}")).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn counts_are_by_step_and_level() {
    let world = World::new().await;
    send(&world, 20, 5).await;
    let get =
        async |query: &str| world.app.get(&format!("/api/v1/logs/histogram{query}")).key(&world.tenant.key).send().await.expect(200).json();
    let sum = |histogram: &Value, level: &str| {
        histogram["buckets"].as_array().expect("buckets").iter().filter_map(|bucket| bucket["counts"][level].as_u64()).sum::<u64>()
    };
    let all = get("").await;
    assert_eq!((sum(&all, "info"), sum(&all, "error"), sum(&all, "warn")), (10, 10, 0));
    assert_eq!(all["step_seconds"], 30);
    let errors = get("?filter=severity%3Derror&step=60").await;
    assert_eq!((sum(&errors, "info"), sum(&errors, "error"), errors["step_seconds"].as_u64()), (0, 10, Some(60)));
    world.telemetry.flush().await.expect("flushes");
    assert_eq!(get("").await["buckets"].as_array().expect("buckets").len(), all["buckets"].as_array().expect("buckets").len());
}

#[tokio::test]
async fn a_tail_hears_of_rows_as_they_come() {
    let world = World::new().await;
    let mut tail = world.app.get("/api/v1/logs/tail?filter=severity%3Derror").key(&world.tenant.key).follow().await;
    let other = world.app.tenant("umbrella").await;
    let foreign = json!({ "message": "foreign", "level": "error" }).to_string();
    world.app.post("/ingest/v1/app").key(&other.key).body("text/plain", foreign).send().await.expect(200);
    send(&world, 4, 0).await;
    for wanted in ["row 1", "row 3"] {
        let event = tail.next().await.expect("an event");
        assert_eq!(event.name, "log");
        let row: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!((row["message"].as_str(), row["severity"].as_str()), (Some(wanted), Some("error")));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let world = World::new().await;
    for (path, status, code) in [
        ("/api/v1/logs?filter=nonsense%20%3D", 422, "filter_syntax"),
        ("/api/v1/logs?filter=nonsense%3D1", 422, "filter_field"),
        ("/api/v1/logs?filter=time%3Dsoon", 422, "filter_type"),
        ("/api/v1/logs?filter=severity%3Esoon", 422, "filter_type"),
        ("/api/v1/logs?limit=0", 422, "invalid"),
        ("/api/v1/logs?from=soon", 422, "invalid"),
        ("/api/v1/logs?cursor=abc", 400, "invalid_cursor"),
        ("/api/v1/logs/histogram?step=1&from=2020-01-01T00:00:00Z", 422, "invalid"),
        ("/api/v1/logs/histogram?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "invalid"),
        ("/api/v1/metrics/series", 422, "invalid"),
        ("/api/v1/metrics/series?name=x&aggregate=median", 422, "invalid"),
        ("/api/v1/metrics?filter=word", 422, "filter_field"),
    ] {
        let answer = world.app.get(path).key(&world.tenant.key).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {}", answer.text);
    }
    let empty = world.app.get("/api/v1/metrics/series?name=absent").key(&world.tenant.key).send().await.expect(200).json();
    assert_eq!(empty["series"], json!([]));
}
