//! Bodies: strict JSON, forms, raw bytes.

use serde_json::json;

use crate::sample;

#[tokio::test]
async fn wrong_fields_are_all_named() {
    let app = sample::app().await;
    let answer = app.post("/odd/numbers").json(&json!({ "whole": "1", "small": 256, "extra": 1 })).send().await.expect(422);
    let expected = [("/extra", "unknown_field"), ("/small", "maximum"), ("/whole", "type")];
    let found: Vec<(String, String)> = answer.fields();
    assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    let answer = app.post("/odd/numbers").json(&json!([])).send().await.expect(422);
    assert_eq!(answer.fields(), [(String::new(), "type".to_owned())]);
}

#[tokio::test]
async fn numbers_that_json_readers_would_change_are_refused() {
    let app = sample::app().await;
    for text in ["9007199254740992", "-9007199254740993", "18446744073709551615"] {
        let body = format!("{{\"whole\":{text},\"small\":1}}");
        let answer = app.post("/odd/numbers").body("application/json", body).send().await.expect(422);
        assert_eq!(answer.fields(), [("/whole".to_owned(), "number_out_of_range".to_owned())]);
    }
    let kept = app.post("/odd/numbers").body("application/json", "{\"whole\":9007199254740991.0,\"small\":1e1,\"any\":-0.5}").send().await;
    assert_eq!(kept.expect(202).json(), json!({ "whole": 9_007_199_254_740_991_i64, "small": 10, "any": -0.5 }));
    assert_eq!(
        app.post("/odd/numbers").body("application/json", "{\"whole\":1e999,\"small\":1}").send().await.expect(400).code(),
        "malformed_json"
    );
}

#[tokio::test]
async fn nothing_too_deep_and_no_nul() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let answer = app.post("/api/v1/gadgets").key(&tenant.key).body("application/json", deep).send().await.expect(422);
    assert!(answer.fields().iter().any(|(_, code)| code == "too_deep"), "{}", answer.text);
    let bottomless = "[".repeat(100_000);
    let answer = app.post("/api/v1/gadgets").key(&tenant.key).body("application/json", bottomless).send().await;
    assert_eq!(answer.expect(400).code(), "malformed_json");
    let answer = app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": "a\0b" })).send().await.expect(422);
    assert_eq!(answer.fields(), [("/name".to_owned(), "nul_character".to_owned())]);
}

#[tokio::test]
async fn forms_are_checked_like_queries() {
    let app = sample::app().await;
    let form = "application/x-www-form-urlencoded";
    let good = app.post("/odd/form").body(form, "grant_type=a%3Ab+c&seconds=5").send().await.expect(200);
    assert_eq!(good.json(), json!({ "grant_type": "a:b c", "seconds": 5 }));
    let bad = app.post("/odd/form").body(form, "seconds=x&more=1").send().await.expect(422);
    assert_eq!(bad.fields(), [("/more".to_owned(), "unknown_parameter".to_owned())]);
    let bad = app.post("/odd/form").body(form, "seconds=x").send().await.expect(422);
    assert_eq!(bad.fields(), [("/grant_type".to_owned(), "required".to_owned()), ("/seconds".to_owned(), "type".to_owned())]);
}

#[tokio::test]
async fn raw_bodies_keep_their_own_rules() {
    let app = sample::app().await;
    let answer =
        app.post("/odd/raw").header("content-encoding", "gzip").body("application/x-protobuf; a=b", "12345").send().await.expect(200);
    assert_eq!(answer.text, "application/x-protobuf gzip 5");
    assert_eq!(app.post("/odd/raw").body("application/json", "{}").send().await.expect(415).code(), "unsupported_media_type");
    assert_eq!(app.post("/odd/raw").body("application/octet-stream", "x".repeat(65)).send().await.expect(413).code(), "body_too_large");
    let packed = app.post("/odd/raw").header("content-encoding", "br").body("application/octet-stream", "x").send().await;
    assert_eq!(packed.expect(415).code(), "unsupported_encoding");
    let packed = app.post("/odd/numbers").header("content-encoding", "gzip").body("application/json", "{}").send().await;
    assert_eq!(packed.expect(415).code(), "unsupported_encoding");
}
