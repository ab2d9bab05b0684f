//! What the log says of a request, and what it never says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::sample;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test thread panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test thread panicked").clone()).expect("logs are text")
    }

    fn of(&self, message: &str) -> Vec<Value> {
        let lines = self.text();
        let parsed = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
        parsed.filter(|line| line["fields"]["message"] == message).collect()
    }
}

// One thread: the subscriber of this thread sees everything that the server does.
#[tokio::test]
async fn one_line_per_request_without_secrets() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(lines.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    // Other tests run without a subscriber, and whichever thread meets a log statement first decides whether it is on: decide again.
    app.get("/odd/broken").send().await.expect(500);
    tracing::callsite::rebuild_interest_cache();
    lines.0.lock().expect("no test thread panicked").clear();

    let path = "/api/v1/gadgets?filter=name%3Ahush1";
    app.get(path).key(&tenant.key).header("cookie", "steward=hush2").header("x-request-id", "request-one").send().await.expect(200);
    app.post("/auth/login").json(&json!({ "email": "hush3@example.org", "password": "hush4 hush4 hush4" })).send().await.expect(401);
    app.get("/odd/broken").header("x-request-id", "request-two").send().await.expect(500);

    let text = lines.text();
    for secret in ["hush1", "hush2", "hush3", "hush4", tenant.key.as_str()] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
    let answered = lines.of("request answered");
    let one = &answered.iter().find(|line| line["fields"]["request.id"] == "request-one").expect("is logged")["fields"];
    assert_eq!((&one["http.route"], &one["operation.id"]), (&json!("/api/v1/gadgets"), &json!("gadgets.list")));
    assert_eq!((&one["http.response.status_code"], &one["tenant.id"]), (&json!(200), &json!(tenant.id.to_string())));
    assert!(one["duration_ms"].is_number() && one["trace.id"].is_string() && one["client.address"] == "127.0.0.1");
    assert_eq!(answered.len(), 3);

    let defects = lines.of("request failed by a defect");
    assert_eq!(defects.len(), 1, "causes are logged once");
    assert_eq!(defects[0]["fields"]["request.id"], "request-two");
    assert_eq!(defects[0]["fields"]["error.causes"], "password=hunter2");
}
