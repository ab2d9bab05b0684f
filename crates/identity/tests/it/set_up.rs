//! The first owner.

use serde_json::json;
use steward_auth::system;
use steward_base::{Secret, TenantId};
use steward_identity::{Owner, Person, Tenant};
use steward_store::{ListQuery, Model as _, UnitOfWork};
use steward_testkit::TestApp;

use crate::{EMAIL, PASSWORD, app, owner};

async fn count(app: &TestApp, kind: &str) -> u64 {
    app.parts.store.count(&system(TenantId::OPERATOR, "test"), kind, None).await.expect("is counted")
}

#[tokio::test]
async fn two_who_hold_one_link_make_one_owner() {
    let app = app().await;
    let token = app.parts.identity.set_up_token().await.expect("a link").expose().clone();
    let one = app.post("/auth/setup").json(&owner(&token, "one@example.com", "one")).send();
    let two = app.post("/auth/setup").json(&owner(&token, "two@example.com", "two")).send();
    let (one, two) = tokio::join!(one, two);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403], "{} {}", one.text, two.text);
    assert_eq!(count(&app, "person").await, 1);
    assert_eq!(count(&app, "tenant").await, 2, "the operator's and the owner's");
}

#[tokio::test]
async fn a_set_up_that_a_crash_ended_is_taken_up_with_the_new_password() {
    for crashed_after in ["tenant", "person", "activation"] {
        let app = app().await;
        let (identity, cause) = (&app.parts.identity, system(TenantId::OPERATOR, "test"));
        let token = identity.set_up_token().await.expect("a link").expose().clone();
        let tenant = identity.create_tenant(&cause, "acme", "Acme").await.expect("is made");
        if crashed_after != "tenant" {
            let person = Person {
                email: EMAIL.to_owned(),
                name: "Ada".to_owned(),
                password_hash: "of a try that nobody remembers".to_owned(),
                password_for: None,
                tenants: vec![tenant],
            };
            let unit = UnitOfWork::new().create(app.parts.store.mint_id(), &person);
            app.parts.store.commit(&cause, unit).await.expect("is stored");
        }
        if crashed_after == "activation" {
            identity.activate(&cause, tenant).await.expect("is opened");
        }
        let _ = app.post("/auth/setup").json(&owner(&token, EMAIL, "acme")).send().await.expect(201);
        let login = json!({ "email": EMAIL, "password": PASSWORD });
        let session = app.post("/auth/login").json(&login).send().await.expect(200).json();
        assert_eq!(session["tenant"]["id"], tenant.to_string(), "crashed after {crashed_after}");
        let query = ListQuery { kind: Tenant::KIND.to_owned(), ..ListQuery::default() };
        let tenants = app.parts.store.list(&cause, query).await.expect("are listed");
        assert_eq!(tenants.records.len(), 2, "nothing is left behind, crashed after {crashed_after}");
    }
}

#[tokio::test]
async fn nobody_sets_the_password_of_somebody_who_exists() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let again = Owner {
        email: EMAIL.to_owned(),
        name: "Ada".to_owned(),
        password: Secret::new("another long pass phrase".to_owned()),
        tenant_slug: "second".to_owned(),
        tenant_name: "Second".to_owned(),
    };
    let error = app.parts.identity.make_owner(&system(TenantId::OPERATOR, "test"), again).await.expect_err("is refused");
    assert_eq!(error.code(), "person_exists");
    let _ = app.post("/auth/login").json(&json!({ "email": EMAIL, "password": PASSWORD })).send().await.expect(200);
}
