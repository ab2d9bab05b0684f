//! Everything that a filter and a scope leave, in one stream.

use std::time::Duration;

use serde_json::{Value, json};
use steward_store::{Expect, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::Limits;

use crate::sample::{self, Levers};

async fn fill(app: &TestApp, tenant: &TestTenant, count: usize) {
    for start in (0..count).step_by(1000) {
        let items: Vec<Value> = (start..count.min(start + 1000))
            .map(|at| json!({ "op": "create", "body": { "name": format!("g{at:05}"), "size": at, "tags": ["a", "b,c"] } }))
            .collect();
        let done = app.post("/api/v1/gadgets/batch").key(&tenant.key).json(&json!({ "items": items })).send().await.expect(200).json();
        assert_eq!(done["failed"], 0, "{done}");
    }
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn every_record_comes_once_in_the_order_of_ids() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    fill(&app, &tenant, 2_300).await;
    let answer = app.get("/api/v1/gadgets/export").key(&tenant.key).send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"gadgets.ndjson\"");
    let all = rows(&answer.text);
    assert_eq!(all.len(), 2_300);
    assert!(all.is_sorted_by_key(|row| row["id"].as_str().expect("an id").to_owned()));
    let one = app.get(&format!("/api/v1/gadgets/{}", all[7]["id"].as_str().expect("an id"))).key(&tenant.key).send().await.expect(200);
    assert_eq!(one.json(), all[7], "a line is the record as it is read");
    let few = app.get("/api/v1/gadgets/export?filter=size%20%3E%3D%202290&fields=name").key(&tenant.key).send().await.expect(200);
    let few = rows(&few.text);
    assert_eq!(few.len(), 10);
    assert_eq!(few[0].as_object().expect("an object").keys().collect::<Vec<_>>(), ["id", "name"]);
    for (query, code) in [("filter=nosuch%3D1", "filter_field"), ("fields=nosuch", "invalid"), ("format=xml", "invalid")] {
        let refused = app.get(&format!("/api/v1/gadgets/export?{query}")).key(&tenant.key).send().await.expect(422);
        assert_eq!(refused.code(), code);
    }
}

#[tokio::test]
async fn a_table_has_a_header_and_no_formulas() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let body = json!({ "name": "=1+1", "tags": ["a", "b,c"], "place": { "room": "say \"hi\"", "floor": 2 } });
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201).json();
    let answer = app.get("/api/v1/gadgets/export?format=csv&fields=name,tags,place,size").key(&tenant.key).send().await.expect(200);
    assert!(answer.header("content-type").starts_with("text/csv"));
    let id = made["id"].as_str().expect("an id");
    let wanted = format!("id,name,place.floor,place.room,size,tags\r\n{id},'=1+1,2,\"say \"\"hi\"\"\",,\"[\"\"a\"\",\"\"b,c\"\"]\"\r\n");
    assert_eq!(answer.text, wanted);
    let empty = app.get("/api/v1/gadgets/export?format=csv&fields=name&filter=size%3D1").key(&tenant.key).send().await.expect(200);
    assert_eq!(empty.text, "id,name\r\n", "no rows still have a header");
}

#[tokio::test]
async fn an_export_ends_with_the_standing_of_its_caller() {
    let limits = Limits { recheck: Duration::from_millis(1), ..Limits::default() };
    let app = sample::start(Setup { limits, ..Setup::default() }, Levers::default()).await;
    let tenant = app.tenant("acme").await;
    // More than the sockets between us hold, so that the producer waits for the reader.
    let Value::Object(body) = json!({ "name": "x", "state": "new", "place": { "room": "y".repeat(200_000) } }) else { unreachable!() };
    let store = &app.parts.store;
    let unit = (0..300).fold(UnitOfWork::new(), |unit, _| unit.put("gadget", store.mint_id(), body.clone(), Expect::Absent));
    store.commit(&tenant.ctx, unit).await.expect("commits");
    let made = app.post("/api/v1/api-keys").key(&tenant.key).json(&json!({ "name": "k", "permissions": ["gadgets:read"] }));
    let made = made.send().await.expect(201).json();
    let mut response = app.get("/api/v1/gadgets/export").key(made["secret"].as_str().expect("is shown")).begin().await;
    assert!(response.chunk().await.expect("begins").is_some());
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    let _ = app.delete(&path).key(&tenant.key).header("if-match", "*").send().await.expect(204);
    loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("what was cut off looks complete"),
            Err(_) => return,
        }
    }
}
