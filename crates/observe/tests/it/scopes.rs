//! A key that is scoped to one organization neither reads nor writes rows of another.

use serde_json::{Value, json};
use steward_testkit::Answer;

use crate::world::World;

const LINES: &str = "application/x-ndjson";

async fn say(world: &World, key: &str, message: &str, more: Value) -> Value {
    let mut line = json!({ "message": message });
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    world.app.post("/ingest/v1/app").key(key).body(LINES, line.to_string()).send().await.json()
}

fn messages(answer: &Answer) -> Vec<String> {
    let page = answer.json();
    let text = |row: &Value| row["message"].as_str().expect("text").to_owned();
    page["data"].as_array().expect("rows").iter().map(text).collect()
}

#[tokio::test]
async fn rows_are_read_and_written_inside_the_scope() {
    let world = World::new().await;
    let ids = [world.app.parts.store.mint_id(), world.app.parts.store.mint_id()].map(|id| id.wire("org"));
    let (_, own) = world.device(Some(&ids[0])).await;
    let (_, other) = world.device(Some(&ids[1])).await;
    let (_, nobody) = world.device(None).await;
    for (key, message) in [(&own, "ours"), (&other, "theirs"), (&nobody, "nobody's")] {
        assert_eq!(say(&world, key, message, json!({})).await["accepted"], 1, "{message}");
    }
    let scope = format!("organization_id = {}", ids[0]);
    let key = world.app.scoped_key(world.tenant.id, &["logs:read", "logs:write", "metrics:read"], &scope).await;
    for query in ["", "?filter=NOT%20message%20%3D%20x", "?filter=message%3Aours%20OR%20message%3Atheirs"] {
        let answer = world.app.get(&format!("/api/v1/logs{query}")).key(&key).send().await.expect(200);
        assert_eq!(messages(&answer), ["ours"], "{query}");
    }
    let histogram = world.app.get("/api/v1/logs/histogram").key(&key).send().await.expect(200).json();
    let counted: u64 = histogram["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .filter_map(|bucket| bucket["counts"].as_object())
        .flat_map(|counts| counts.values().filter_map(Value::as_u64))
        .sum();
    assert_eq!(counted, 1, "{histogram}");

    let mut live = world.app.get("/api/v1/logs/tail").key(&key).follow().await;
    say(&world, &other, "theirs again", json!({})).await;
    say(&world, &own, "ours again", json!({})).await;
    let row: Value = serde_json::from_str(&live.next().await.expect("a row").data).expect("is JSON");
    assert_eq!(row["message"], "ours again", "theirs came first and is not told");

    let claim = |id: &str| json!({ "steward.organization.id": id });
    assert_eq!(say(&world, &key, "inside", claim(&ids[0])).await["accepted"], 1);
    for outside in [claim(&ids[1]), json!({})] {
        let refused = say(&world, &key, "outside", outside.clone()).await;
        assert_eq!(refused["code"], "invalid_lines", "{outside}: {refused}");
        assert_eq!(refused["errors"][0]["code"], "permission_denied");
    }
    let elsewhere = world.app.scoped_key(world.tenant.id, &["logs:read", "metrics:read"], "tags:prod").await;
    for path in ["/api/v1/logs", "/api/v1/metrics"] {
        assert_eq!(world.app.get(path).key(&elsewhere).send().await.expect(403).code(), "permission_denied", "{path}");
    }
}
