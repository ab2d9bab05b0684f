//! A code sets a password: once, for a day, and only of whom it was made for.

use std::time::Duration;

use serde_json::json;
use steward_base::{Clock, Random, Timestamp};
use steward_fabric::mail::{Mail, Security, Sender};
use steward_identity::PasswordCodes;
use steward_testkit::{MailServer, Setup, TestApp, TestTenant};

use crate::{EMAIL, PASSWORD};

const NEW: &str = "another long pass phrase";
/// Where people set their passwords.
const PAGE: &str = "https://example.com/console/sign-in/code";

fn sender() -> Sender {
    Sender { name: None, address: "steward@example.com".parse().expect("an address") }
}

async fn app(clock: &Clock) -> (TestApp, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mail = Mail::folder(folder.path(), 10, sender(), clock.clone(), Random::system()).await.expect("opens");
    (with_mail(clock, mail).await, folder)
}

async fn with_mail(clock: &Clock, mail: Mail) -> TestApp {
    let setup = Setup { clock: Some(clock.clone()), ..Setup::default() };
    TestApp::start(setup, |parts| PasswordCodes::new(parts.identity.clone(), mail, PAGE.to_owned()).operations()).await
}

fn clock() -> Clock {
    Clock::manual("2026-03-01T00:00:00Z".parse::<Timestamp>().expect("a time"))
}

async fn code(app: &TestApp, operator: &TestTenant) -> String {
    let made = app.post("/api/v1/password-codes").key(&operator.key).json(&json!({ "email": EMAIL })).send().await.expect(201).json();
    assert_eq!(made["sent"], false);
    made["code"].as_str().expect("is shown").to_owned()
}

async fn set(app: &TestApp, code: &str, password: &str) -> (u16, String) {
    let answer = app.post("/auth/password").json(&json!({ "code": code, "password": password })).send().await;
    let status = answer.status;
    (status, if status == 204 { String::new() } else { answer.code() })
}

async fn signs_in(app: &TestApp, password: &str) -> bool {
    app.post("/auth/login").json(&json!({ "email": EMAIL, "password": password })).send().await.status == 200
}

#[tokio::test]
async fn a_code_sets_a_password_once_and_ends_the_sessions() {
    let (app, _folder) = app(&clock()).await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let operator = app.operator().await;
    let session = app.post("/auth/login").json(&json!({ "email": EMAIL, "password": PASSWORD })).send().await.expect(200);
    let cookie = session.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let earlier = code(&app, &operator).await;
    let code = code(&app, &operator).await;
    let refused = (403, "invalid_password_code".to_owned());
    assert_eq!(set(&app, &earlier, NEW).await, refused, "a new one ends those before");
    assert_eq!(set(&app, "stp_nothing", NEW).await, refused);
    assert_eq!(set(&app, &code, "short").await, (422, "weak_password".to_owned()));
    assert!(signs_in(&app, PASSWORD).await, "what was refused changed nothing");
    assert_eq!(set(&app, &code, NEW).await.0, 204);
    assert_eq!(app.get("/auth/session").header("cookie", &cookie).send().await.status, 401, "every session ends");
    assert_eq!((signs_in(&app, NEW).await, signs_in(&app, PASSWORD).await), (true, false));
    assert_eq!(set(&app, &code, PASSWORD).await, refused, "it is good once");
    let events = app.get("/api/v1/events?limit=500").key(&operator.key).send().await.expect(200).json().to_string();
    assert!(events.contains("password_code.created") && !events.contains(&code) && !events.contains("argon2id"), "{events}");
}

#[tokio::test]
async fn with_a_mail_server_a_code_goes_to_its_person_and_nobody_else_sees_it() {
    let Some(server) = MailServer::start(Security::Loopback, None) else { return };
    let mail = Mail::smtp(&server.relay(None), sender(), clock(), Random::system()).expect("settings");
    let app = with_mail(&clock(), mail).await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let operator = app.operator().await;
    let made = app.post("/api/v1/password-codes").key(&operator.key).json(&json!({ "email": EMAIL })).send().await.expect(201).json();
    assert_eq!((&made["sent"], made.get("code")), (&json!(true), None));
    let taken = server.taken(1).await;
    assert_eq!(taken.way, format!("steward@example.com {EMAIL} plain"));
    // Long lines are folded for the way.
    let text = String::from_utf8(taken.source).expect("is text").replace("=\r\n", "").replace("=3D", "=");
    let link = text.lines().find_map(|line| line.strip_prefix(PAGE)).expect("is in the mail");
    assert_eq!(set(&app, link.trim_start_matches('#'), NEW).await.0, 204);
    assert!(signs_in(&app, NEW).await);
}

#[tokio::test]
async fn a_code_ends_after_a_day() {
    let clock = clock();
    let (app, _folder) = app(&clock).await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let code = code(&app, &app.operator().await).await;
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(set(&app, &code, NEW).await, (403, "invalid_password_code".to_owned()));
    assert!(signs_in(&app, PASSWORD).await);
}

#[tokio::test]
async fn only_the_operator_makes_codes() {
    let (app, _folder) = app(&clock()).await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let (tenant, operator) = (app.tenant("umbrella").await, app.operator().await);
    let ask = async |key: &str, email: &str| app.post("/api/v1/password-codes").key(key).json(&json!({ "email": email })).send().await;
    assert_eq!(ask(&tenant.key, EMAIL).await.expect(403).code(), "permission_denied");
    assert_eq!(ask(&operator.key, "nobody@example.com").await.expect(404).code(), "not_found");
}
