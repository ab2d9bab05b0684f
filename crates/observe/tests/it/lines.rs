//! JSON lines.

use serde_json::json;

use crate::world::World;

const LINES: &str = "application/x-ndjson";

#[tokio::test]
async fn lines_become_rows_and_bad_ones_are_named() {
    let world = World::new().await;
    let body = [
        r#"{"time":"2026-11-20T10:00:00.5+01:00","level":"warning","service":"shop","message":"caf\u00e9 \"closed\"","http":{"status":503},"n":1,"x":1.5,"ok":true,"none":null}"#,
        "",
        r#"{"timestamp":1763632800,"msg":"seconds","severity":"critical"}"#,
        r#"{"timestamp":1763632800123,"message":"milliseconds","level":50}"#,
        r#"{"time":"yesterday","message":"refused","dropped":"this attribute must not reach the next line"}"#,
        r#"["no object"]"#,
        r#"{"message":"cut"#,
        r#"{"message":"now"}"#,
    ]
    .join("\r\n");
    let answer = world.post("/ingest/v1/nginx").body(LINES, body).send().await.expect(200).json();
    assert_eq!((answer["accepted"].as_u64(), answer["rejected"].as_u64()), (Some(4), Some(3)));
    let named: Vec<(u64, &str)> = answer["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| (error["line"].as_u64().expect("a number"), error["code"].as_str().expect("a code")))
        .collect();
    assert_eq!(named, [(5, "invalid_time"), (6, "malformed_line"), (7, "malformed_line")]);

    let rows = world.logs("?order=asc").await;
    let seen: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|row| (row["message"].as_str().expect("text"), row["severity"].as_str().expect("text"), row["stream"].as_str().expect("text")))
        .collect();
    let shop = ("café \"closed\"", "warn", "nginx");
    assert_eq!(seen[0], ("seconds", "critical", "nginx"));
    assert_eq!(seen[1], ("milliseconds", "error", "nginx"));
    assert!(seen.contains(&shop) && seen.iter().any(|row| row.0 == "now"), "{seen:?}");
    let row = rows.iter().find(|row| row["service"] == "shop").expect("the first line");
    assert_eq!(row["time"], "2026-11-20T09:00:00.5Z");
    assert_eq!(row["attributes"], json!({ "http": { "status": 503 }, "n": 1, "x": 1.5, "ok": true }));
    assert_eq!(world.logs("?filter=attributes.http.status%3D503").await.len(), 1);
    let now = rows.iter().find(|row| row["message"] == "now").expect("the last line");
    assert_eq!(now["attributes"], json!({}));
}

#[tokio::test]
async fn nothing_but_bad_lines_is_refused() {
    let world = World::new().await;
    let answer = world.post("/ingest/v1/app").body(LINES, "nonsense\n{}x\n").send().await.expect(422);
    assert_eq!(answer.code(), "invalid_lines");
    assert_eq!(answer.fields(), [("/1".to_owned(), "malformed_line".to_owned()), ("/2".to_owned(), "malformed_line".to_owned())]);
    assert!(world.logs("").await.is_empty());
    let answer = world.post("/ingest/v1/app").body(LINES, "").send().await.expect(200).json();
    assert_eq!(answer, json!({ "accepted": 0, "rejected": 0, "errors": [] }));
    assert_eq!(world.post("/ingest/v1/No%20Stream").body(LINES, "{}").send().await.status, 404);
}
