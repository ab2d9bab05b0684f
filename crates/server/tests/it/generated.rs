//! What is generated and committed under `api/` is what the binary serves. `STEWARD_TEST_UPDATE=1` writes it anew.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::Served;

#[tokio::test]
async fn the_committed_openapi_document_is_the_served_one() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &[]);
    let document: Value = served.json(served.client.get(format!("{}/api/openapi.json", served.url))).await;
    let text = serde_json::to_string_pretty(&document).expect("is JSON") + "\n";
    is_committed("openapi.json", &text);
}

#[test]
fn the_committed_settings_are_the_ones_that_are_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_steward")).args(["config", "explain"]).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    is_committed("settings.txt", &String::from_utf8(output.stdout).expect("is text"));
}

fn is_committed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api").join(name);
    if update() {
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("is made");
        std::fs::write(&path, text).expect("is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "api/{name} is not what the binary says; run `make api` and commit it");
}

#[expect(clippy::disallowed_methods, reason = "writing the files anew is asked for by a variable")]
fn update() -> bool {
    std::env::var("STEWARD_TEST_UPDATE").is_ok()
}
