//! Records from files.

use std::time::Duration;

use serde_json::{Value, json};
use steward_base::{Clock, RecordId};
use steward_store::UnitOfWork;
use steward_testkit::{Answer, Setup, TestApp, TestTenant};
use steward_web::Limits;

use crate::sample::{self, Levers};

const LINES: &str = "application/x-ndjson";
const TABLE: &str = "text/csv; charset=utf-8";

async fn import(app: &TestApp, tenant: &TestTenant, query: &str, media_type: &str, text: impl Into<String>) -> Answer {
    app.post(&format!("/api/v1/gadgets/import{query}")).key(&tenant.key).body(media_type, text.into()).send().await
}

async fn export(app: &TestApp, tenant: &TestTenant, query: &str) -> String {
    app.get(&format!("/api/v1/gadgets/export{query}")).key(&tenant.key).send().await.expect(200).text
}

fn outcomes(report: &Value) -> Vec<&str> {
    report["results"].as_array().expect("results").iter().map(|result| result["outcome"].as_str().expect("an outcome")).collect()
}

/// The rows of an export without what the platform writes.
fn written(text: &str) -> Vec<Value> {
    let own = ["revision", "created_at", "created_by", "updated_at", "updated_by", "state"];
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("is JSON");
        own.iter().for_each(|name| drop(row.as_object_mut().expect("an object").remove(*name)));
        row
    };
    text.lines().map(row).collect()
}

async fn fill(app: &TestApp, tenant: &TestTenant) {
    for name in ["plain", "=1+1", "two\nlines", "say \"hi\", ü", "'quoted", "-5"] {
        let body = json!({ "name": name, "serial": name, "size": -3, "tags": ["a,b", "c"], "place": { "room": "hall", "floor": 2 } });
        let _ = app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201);
    }
    let _ = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "bare" })).send().await.expect(201);
}

#[tokio::test]
async fn what_was_exported_is_imported_exactly() {
    let app = sample::app().await;
    let (acme, lines, table) = (app.tenant("acme").await, app.tenant("lines").await, app.tenant("table").await);
    fill(&app, &acme).await;
    let exported = export(&app, &acme, "").await;
    for (tenant, query, media_type) in [(&lines, "", LINES), (&table, "?format=csv", TABLE)] {
        let file = export(&app, &acme, query).await;
        let report = import(&app, tenant, "", media_type, file.clone()).await.expect(200).json();
        assert_eq!(outcomes(&report), ["created"; 7], "{report}");
        assert_eq!(written(&export(&app, tenant, "").await), written(&exported), "{media_type}");
        let head = app.parts.store.head(&tenant.ctx).await.expect("is read");
        let again = import(&app, tenant, "", media_type, file).await.expect(200).json();
        assert_eq!(outcomes(&again), ["unchanged"; 7]);
        assert_eq!(app.parts.store.head(&tenant.ctx).await.expect("is read"), head, "nothing happened");
    }
    let back = import(&app, &acme, "", LINES, exported).await.expect(200).json();
    assert_eq!(back["progress"]["unchanged"], 7);
}

#[tokio::test]
async fn each_row_is_made_or_changed_or_refused_with_its_reason() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "Lamp", "serial": "S-1", "size": 1 }));
    let id = made.send().await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let rows = [
        json!({ "id": id, "size": 2 }).to_string(),
        json!({ "name": "new", "serial": "S-2" }).to_string(),
        json!({ "name": "twice", "serial": "S-2" }).to_string(),
        json!({ "name": "" }).to_string(),
        json!({ "nosuch": 1, "name": "x" }).to_string(),
        "no json".to_owned(),
        json!({ "id": "dev_1", "name": "x" }).to_string(),
        json!({ "name": "last" }).to_string(),
    ]
    .join("\n");
    let rehearsed = import(&app, &tenant, "?dry_run=true", LINES, rows.clone()).await.expect(200).json();
    let wanted = ["updated", "created", "failed", "failed", "failed", "failed", "failed", "created"];
    assert_eq!(outcomes(&rehearsed)[3..], wanted[3..]);
    assert_eq!(app.parts.store.count(&tenant.ctx, "gadget", None).await.expect("counts"), 1, "nothing was written");
    let report = import(&app, &tenant, "", LINES, rows).await.expect(200).json();
    assert_eq!(outcomes(&report), wanted, "{report}");
    let problem = |at: usize| &report["results"][at]["problem"];
    assert_eq!((&problem(2)["code"], &problem(2)["errors"][0]["pointer"]), (&json!("unique_taken"), &json!("/serial")));
    assert_eq!((&problem(3)["errors"][0]["pointer"], &problem(4)["errors"][0]["pointer"]), (&json!("/name"), &json!("/nosuch")));
    assert_eq!((&problem(5)["code"], &problem(6)["errors"][0]["code"]), (&json!("malformed_json"), &json!("invalid_id")));
    let progress = &report["progress"];
    assert_eq!(
        (&progress["rows"], &progress["created"], &progress["updated"], &progress["failed"]),
        (&json!(8), &json!(2), &json!(1), &json!(5))
    );
    let lamp = app.get(&format!("/api/v1/gadgets/{id}")).key(&tenant.key).send().await.expect(200).json();
    assert_eq!(
        (&lamp["size"], &lamp["name"], &lamp["state"]),
        (&json!(2), &json!("Lamp"), &json!("used")),
        "a row is a patch, and hooks run"
    );
}

#[tokio::test]
async fn rows_may_name_their_records_by_a_unique_field() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let table = "serial,name,size,place.room\r\nS-1,one,1,hall\r\nS-2,two,,\r\nS-1,one again,,\r\n,none,,\r\n";
    let report = import(&app, &tenant, "?match=serial", TABLE, table).await.expect(200).json();
    assert_eq!(outcomes(&report), ["created", "created", "updated", "failed"], "{report}");
    let one = app.get("/api/v1/gadgets?filter=serial%3DS-1").key(&tenant.key).send().await.expect(200).json();
    assert_eq!(
        (&one["data"][0]["name"], &one["data"][0]["size"], &one["data"][0]["place"]["room"]),
        (&json!("one again"), &json!(1), &json!("hall"))
    );
    let refused = import(&app, &tenant, "?match=name", TABLE, table).await.expect(422);
    assert_eq!(refused.fields(), [("/match".to_owned(), "match_unknown".to_owned())]);
    let refused = import(&app, &tenant, "", TABLE, "name,nosuch,name\r\nx,1,y\r\n").await.expect(422);
    assert_eq!(
        refused.fields(),
        [("/name".to_owned(), "column_unusable".to_owned()), ("/nosuch".to_owned(), "column_unusable".to_owned())]
    );
    let refused = import(&app, &tenant, "", TABLE, "name,size\r\nx,big\r\ny,1,2\r\n").await.expect(200).json();
    assert_eq!(
        (&refused["results"][0]["problem"]["errors"][0]["pointer"], &refused["results"][1]["problem"]["code"]),
        (&json!("/size"), &json!("malformed_row"))
    );
}

#[tokio::test]
async fn a_row_does_not_take_a_record_out_of_the_recycle_bin() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let made = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "Lamp" })).send().await.expect(201).json();
    let (id, revision) = (made["id"].as_str().expect("an id"), made["revision"].as_i64().expect("a number"));
    let path = format!("/api/v1/gadgets/{id}");
    app.delete(&path).key(&tenant.key).header("if-match", &format!("\"{revision}\"")).send().await.expect(204);
    let row = json!({ "id": id, "name": "mine now" }).to_string();
    let report = import(&app, &tenant, "", LINES, row).await.expect(200).json();
    assert_eq!(report["results"][0]["problem"]["code"], "record_deleted", "{report}");
    let bin = app.get("/api/v1/gadgets?deleted=true").key(&tenant.key).send().await.expect(200).json();
    assert_eq!(bin["data"][0]["name"], "Lamp", "it can still be restored as it was");
}

#[tokio::test]
async fn more_than_one_answer_holds_becomes_a_job() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let many = (0..1001).map(|at| json!({ "name": format!("g{at}") }).to_string()).collect::<Vec<_>>().join("\n");
    let large = json!({ "name": "x", "place": { "room": "y".repeat(200_000) } }).to_string();
    let large = (0..40).map(|_| large.as_str()).collect::<Vec<_>>().join("\n");
    for text in [many, large] {
        let length = text.len();
        let taken = import(&app, &tenant, "", LINES, text).await.expect(202);
        let report = taken.json();
        let job = report["job_id"].as_str().expect("names its job");
        assert_eq!((taken.header("location"), &report["progress"]["length"]), (format!("/api/v1/jobs/{job}").as_str(), &json!(length)));
        let id = RecordId::parse("job", job).expect("is an id");
        let queued = app.parts.store.job(&tenant.ctx, id).await.expect("is read").expect("is queued");
        assert_eq!((queued.kind.as_str(), queued.request_id.as_deref()), ("import_rows", Some(taken.header("x-request-id"))));
        let other = app.key(tenant.id, &["gadgets:write"]).await;
        let failures = format!("/api/v1/gadgets/imports/{job}/failures");
        let _ = app.get(&failures).key(&other).send().await.expect(404);
        assert_eq!(app.get(&failures).key(&tenant.key).send().await.expect(200).text, "");
    }
    assert_eq!(app.parts.store.count(&tenant.ctx, "gadget", None).await.expect("counts"), 0, "nobody works here");
    let broken = format!("nosuch\r\n{}", "x\r\n".repeat(2_000_000));
    assert_eq!(import(&app, &tenant, "", TABLE, broken).await.expect(422).fields()[0].1, "column_unusable", "is told before the job");
}

#[tokio::test]
async fn an_import_that_had_to_stop_says_after_which_row_and_is_not_done_twice() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let rows = |away: u64| {
        let name = |row: u64| if row == away { "away".to_owned() } else { format!("g{row}") };
        (1..=700).map(|row| json!({ "name": name(row) }).to_string() + "\n").collect::<String>()
    };
    let ask = |key: &str, query: &str, text: String| {
        let ask = app.post(&format!("/api/v1/gadgets/import{query}")).key(&tenant.key).header("idempotency-key", key);
        ask.body(LINES, text).send()
    };
    let stored = async || app.parts.store.count(&tenant.ctx, "gadget", None).await.expect("counts");

    let nothing = ask("k-1", "", rows(10)).await.expect(503);
    assert_eq!((nothing.code().as_str(), stored().await), ("odd_busy", 0), "nothing was written: the whole is to be sent again");
    assert_eq!(ask("k-2", "?dry_run=true", rows(600)).await.expect(503).code(), "odd_busy");

    let first = ask("k-3", "", rows(600)).await.expect(200);
    let report = first.json();
    assert_eq!((&report["stopped"]["after_row"], &report["stopped"]["problem"]["code"]), (&json!(500), &json!("odd_busy")));
    let progress = &report["progress"];
    assert_eq!((&progress["rows"], &progress["created"], &progress["failed"]), (&json!(700), &json!(500), &json!(200)), "{progress}");
    let outcomes = outcomes(&report);
    assert!(outcomes[..500].iter().all(|outcome| *outcome == "created") && outcomes[500..].iter().all(|outcome| *outcome == "failed"));
    let (left, told) = (&report["results"][500], &report["results"][699]);
    assert_eq!((&left["row"], &told["row"], &told["problem"]["status"]), (&json!(501), &json!(700), &json!(503)));
    assert_eq!(stored().await, 500);

    let again = ask("k-3", "", rows(600)).await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    assert_eq!(stored().await, 500, "nothing is done twice");
}

#[tokio::test]
async fn a_file_and_all_that_wait_in_a_tenant_have_their_bounds() {
    let limits = Limits { import_bytes: 6 << 20, imports_bytes: 8 << 20, ..Limits::default() };
    let clock = Clock::manual(Clock::system().now());
    let app = sample::start(Setup { limits, clock: Some(clock.clone()), ..Setup::default() }, Levers::default()).await;
    let (tenant, other) = (app.tenant("acme").await, app.tenant("other").await);
    let row = json!({ "name": "x", "place": { "room": "y".repeat(100_000) } }).to_string() + "\n";
    let (large, fitting, small) = (row.repeat(70), row.repeat(50), json!({ "name": "x" }).to_string() + "\n");

    let refused = import(&app, &tenant, "", LINES, large.clone()).await.expect(413);
    assert_eq!(refused.code(), "import_too_large");
    let parts = futures_util::stream::iter(vec![bytes::Bytes::from(row.clone()); 70].into_iter().map(Ok::<_, std::io::Error>));
    let dripping = reqwest::Body::wrap_stream(parts);
    let refused = app.post("/api/v1/gadgets/import").key(&tenant.key).body(LINES, dripping).send().await.expect(413);
    assert_eq!(refused.code(), "import_too_large", "a length that is not announced is counted");

    let job = import(&app, &tenant, "", LINES, fitting.clone()).await.expect(202).json()["job_id"].as_str().expect("an id").to_owned();
    for text in [fitting.clone(), row.repeat(35) + &small.repeat(1_500)] {
        let refused = import(&app, &tenant, "", LINES, text).await.expect(429);
        assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("imports_full", "60"));
    }
    import(&app, &tenant, "", LINES, small).await.expect(200);
    import(&app, &other, "", LINES, fitting).await.expect(202);

    // What was called off gives way to what is to be done.
    let id = RecordId::parse("job", &job).expect("is an id");
    app.parts.store.commit(&tenant.ctx, UnitOfWork::new().cancel(id)).await.expect("is called off");
    clock.advance(Duration::from_secs(7_200));
    import(&app, &tenant, "", LINES, row.repeat(50)).await.expect(202);
}
