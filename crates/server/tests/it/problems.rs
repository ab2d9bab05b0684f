//! The page that a problem's `type` points to is there.

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;

use crate::support::Served;

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_explanation() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &[]);
    let get = async |url: &str| served.client.get(url).send().await.expect("is answered");
    let problem: Value = get(&format!("{}/api/v1/devices", served.url)).await.json().await.expect("is JSON");
    assert_eq!(problem["code"], "credential_required");
    let page = get(problem["type"].as_str().expect("is text")).await;
    assert_eq!(
        (page.status().as_u16(), &page.headers()[CONTENT_TYPE]),
        (200, &"text/html; charset=utf-8".parse().expect("a header value"))
    );
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().expect("is text").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text().await.expect("is text");
    assert!(text.contains("<html lang=\"en\">") && text.contains("401") && text.contains("Authorization: Bearer"), "{text}");
    assert!(!text.contains("<script") && !text.contains("style="), "{text}");

    let list = get(&format!("{}/docs/problems", served.url)).await.text().await.expect("is text");
    for code in ["credential_required", "unknown_field", "config_invalid"] {
        assert!(list.contains(&format!("<tr id=\"{code}\">")) && list.contains(&format!("href=\"/docs/problems/{code}\"")), "{code}");
    }
    let sheet = get(&format!("{}/docs/problems.css", served.url)).await;
    assert_eq!(sheet.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(sheet.text().await.expect("is text").contains("prefers-color-scheme:dark"));
    for unknown in ["nothing_like_it", "%3Cscript%3E"] {
        assert_eq!(get(&format!("{}/docs/problems/{unknown}", served.url)).await.status(), 404);
    }
}
