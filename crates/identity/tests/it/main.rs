//! Set-up, sign-in and keys as their users meet them, and what a crash or a second try leaves.

mod keys;
mod members;
mod password_codes;
mod processes;
mod sessions;
mod set_up;
mod tenants;
mod transfer;
mod verified;

use serde_json::{Value, json};
use steward_testkit::{Setup, TestApp};

const PASSWORD: &str = "a long enough pass phrase";
const EMAIL: &str = "owner@example.com";

async fn app() -> TestApp {
    TestApp::start(Setup::default(), |_| Vec::new()).await
}

fn owner(token: &str, email: &str, slug: &str) -> Value {
    json!({ "token": token, "email": email, "name": "Ada", "password": PASSWORD, "tenant_name": "Acme", "tenant_slug": slug })
}
