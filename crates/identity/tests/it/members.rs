//! Members of a tenant: seen, given other roles, and sent away.

use serde_json::{Value, json};
use steward_base::{RecordId, Secret, TenantId};
use steward_identity::{Member, Person, PersonId};
use steward_store::UnitOfWork;
use steward_testkit::{TestApp, TestTenant};

use crate::{EMAIL, PASSWORD, app};

/// Somebody who belongs to these tenants, with a role in each.
async fn member(app: &TestApp, email: &str, tenants: &[&TestTenant], role: &str) -> PersonId {
    let (store, operator) = (&app.parts.store, app.operator().await);
    let id = PersonId::new(&app.parts.clock, &app.parts.random);
    let all: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
    let person = json!({ "email": email, "name": "Bea", "password_hash": "none", "tenants": all });
    let person: Person = serde_json::from_value(person).expect("is one");
    store.commit(&operator.ctx, UnitOfWork::new().create(id.record(), &person)).await.expect("creates");
    for tenant in tenants {
        let member = Member { person_id: id, roles: vec![role.to_owned()] };
        store.commit(&tenant.ctx, UnitOfWork::new().create(store.mint_id(), &member)).await.expect("creates");
    }
    id
}

/// The path of a person's membership.
async fn path(app: &TestApp, tenant: &TestTenant, person: PersonId) -> String {
    let members = app.get("/api/v1/members").key(&tenant.key).send().await.expect(200).json();
    let members = members["data"].as_array().expect("a list");
    let found = members.iter().find(|member| member["person_id"] == person.to_string()).expect("is a member");
    format!("/api/v1/members/{}", found["id"].as_str().expect("an id"))
}

async fn post(app: &TestApp, key: &str, path: String, body: Value) -> (u16, String) {
    let answer = app.post(&path).key(key).json(&body).send().await;
    let status = answer.status;
    (status, if status < 300 { String::new() } else { answer.code() })
}

async fn is_there(app: &TestApp, person: PersonId) -> bool {
    let record: RecordId = person.record();
    app.parts.store.get(&app.operator().await.ctx, "person", record).await.expect("reads").is_some()
}

#[tokio::test]
async fn members_are_seen_and_their_roles_changed_by_nobody_weaker() {
    let app = app().await;
    let acme = app.tenant("acme").await;
    let (owner, bea) = (member(&app, "ann@example.com", &[&acme], "owner").await, member(&app, "bea@example.com", &[&acme], "user").await);
    let bea = path(&app, &acme, bea).await;
    let person = app.get(&format!("{bea}/person")).key(&acme.key).send().await.expect(200).json();
    assert_eq!((&person["email"], &person["name"]), (&json!("bea@example.com"), &json!("Bea")));
    let roles = |roles: &[&str]| json!({ "roles": roles });
    let owner = path(&app, &acme, owner).await;

    let weak = app.key(acme.id, &["users:*"]).await;
    for (path, body) in [(&bea, roles(&["owner"])), (&bea, roles(&["admin"])), (&owner, roles(&["user"]))] {
        assert_eq!(post(&app, &weak, format!("{path}/roles"), body).await, (403, "permission_denied".to_owned()));
    }
    assert_eq!(post(&app, &weak, format!("{owner}/end"), Value::Null).await, (403, "permission_denied".to_owned()));
    let unknown = app.post(&format!("{bea}/roles")).key(&acme.key).json(&roles(&["king"])).send().await.expect(422);
    assert_eq!(unknown.fields(), [("/roles".to_owned(), "role_unknown".to_owned())]);

    assert_eq!(post(&app, &acme.key, format!("{owner}/roles"), roles(&["admin"])).await, (409, "last_owner".to_owned()));
    assert_eq!(post(&app, &acme.key, format!("{owner}/end"), Value::Null).await, (409, "last_owner".to_owned()));
    assert_eq!(post(&app, &acme.key, format!("{bea}/roles"), roles(&["owner", "owner"])).await.0, 200);
    assert_eq!(app.get(&bea).key(&acme.key).send().await.expect(200).json()["roles"], json!(["owner"]));
    assert_eq!(post(&app, &acme.key, format!("{owner}/roles"), roles(&["admin"])).await.0, 200, "another one is owner now");
}

#[tokio::test]
async fn a_membership_ends_with_its_sessions_and_the_last_one_with_the_person() {
    let app = app().await;
    app.owner("acme", EMAIL, PASSWORD).await;
    let operator = app.operator().await;
    let (one, two) = (app.tenant("one").await, app.tenant("two").await);
    let person = app.get("/api/v1/members").key(&operator.key).send().await.expect(200).json()["data"][0]["person_id"].clone();
    let both = member(&app, "bea@example.com", &[&one, &two], "user").await;
    for (tenant, left) in [(&one, true), (&two, false)] {
        let path = path(&app, tenant, both).await;
        assert_eq!(post(&app, &tenant.key, format!("{path}/end"), Value::Null).await, (204, String::new()));
        assert_eq!(app.get(&path).key(&tenant.key).send().await.status, 404);
        assert_eq!(is_there(&app, both).await, left);
    }
    // Whoever is signed in is signed out at once.
    let acme = app.post("/auth/login").json(&json!({ "email": EMAIL, "password": PASSWORD })).send().await.expect(200);
    let cookie = acme.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let tenant: TenantId = acme.json()["tenant"]["id"].as_str().expect("an id").parse().expect("is one");
    let own = TestTenant {
        id: tenant,
        slug: "acme".to_owned(),
        ctx: steward_auth::system(tenant, "test"),
        key: app.key(tenant, &["admin:*"]).await,
    };
    member(&app, "other@example.com", &[&own], "owner").await;
    let owner: PersonId = person.as_str().expect("an id").parse().expect("is one");
    let path = path(&app, &own, owner).await;
    let strong = app.post(&format!("{path}/end")).header("cookie", &cookie).header("origin", &app.url("")).send().await;
    assert_eq!(strong.status, 204);
    assert_eq!(app.get("/auth/session").header("cookie", &cookie).send().await.status, 401);
    assert!(is_there(&app, owner).await, "they belong to the operator's tenant too");
}

fn newcomer(email: &str, role: &str) -> Value {
    json!({ "email": email, "name": "Cleo", "roles": [role] })
}

#[tokio::test]
async fn a_tenant_adds_people_who_are_new_and_gives_nobody_more_than_it_has() {
    let app = app().await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("other").await);
    let add = |key: String, body: Value| {
        let app = &app;
        async move { post(app, &key, "/api/v1/members".to_owned(), body).await }
    };
    let weak = app.key(acme.id, &["users:*"]).await;
    assert_eq!(add(weak, newcomer("cleo@example.com", "owner")).await, (403, "permission_denied".to_owned()));
    let unknown = app.post("/api/v1/members").key(&acme.key).json(&newcomer("cleo@example.com", "king")).send().await.expect(422);
    assert_eq!(unknown.fields(), [("/roles".to_owned(), "role_unknown".to_owned())]);

    let made = app.post("/api/v1/members").key(&acme.key).json(&newcomer("Cleo@Example.com", "user")).send().await.expect(201);
    let path = made.header("location").to_owned();
    assert_eq!(made.json()["roles"], json!(["user"]));
    let person = app.get(&format!("{path}/person")).key(&acme.key).send().await.expect(200).json();
    assert_eq!((&person["email"], &person["name"]), (&json!("cleo@example.com"), &json!("Cleo")));
    let guess = app.post("/auth/login").json(&json!({ "email": "cleo@example.com", "password": PASSWORD })).send().await;
    assert_eq!(guess.status, 401, "nobody signs in before there is a password");

    assert_eq!(add(acme.key.clone(), newcomer("cleo@example.com", "user")).await, (409, "member_exists".to_owned()));
    // Of somebody who belongs elsewhere a tenant learns no more than that the address is taken.
    assert_eq!(add(other.key.clone(), newcomer("cleo@example.com", "user")).await, (409, "person_exists".to_owned()));
}

#[tokio::test]
async fn adding_somebody_goes_on_where_a_crash_stopped_it() {
    let app = app().await;
    let acme = app.tenant("acme").await;
    let id = PersonId::new(&app.parts.clock, &app.parts.random);
    let person = json!({ "email": "cleo@example.com", "name": "Cleo", "password_hash": "none", "tenants": [acme.id] });
    let person: Person = serde_json::from_value(person).expect("is one");
    let operator = app.operator().await;
    app.parts.store.commit(&operator.ctx, UnitOfWork::new().create(id.record(), &person)).await.expect("creates");
    let made = app.post("/api/v1/members").key(&acme.key).json(&newcomer("cleo@example.com", "user")).send().await.expect(201);
    assert_eq!(made.json()["person_id"], id.to_string());
}

#[tokio::test]
async fn the_operator_adds_anybody_to_any_tenant_that_is_open() {
    let app = app().await;
    let operator = app.operator().await;
    let (one, two) = (app.tenant("one").await, app.tenant("two").await);
    let path = |tenant: &TestTenant| format!("/api/v1/tenants/{}/members", tenant.id);
    for tenant in [&one, &two] {
        assert_eq!(post(&app, &operator.key, path(tenant), newcomer("cleo@example.com", "owner")).await.0, 201);
        assert_eq!(post(&app, &operator.key, path(tenant), newcomer("cleo@example.com", "owner")).await, (409, "member_exists".to_owned()));
    }
    let (_, code, _) = app.parts.identity.password_code(&operator.ctx, "cleo@example.com").await.expect("a code");
    app.parts.identity.set_password(&operator.ctx, code.expose(), Secret::new(PASSWORD.to_owned())).await.expect("sets a password");
    for tenant in [&one, &two] {
        let login = json!({ "email": "cleo@example.com", "password": PASSWORD, "tenant": tenant.slug });
        let session = app.post("/auth/login").json(&login).send().await.expect(200).json();
        assert_eq!(session["tenant"]["id"], tenant.id.to_string());
        assert!(session["permissions"]["allow"].as_array().expect("a list").contains(&json!("admin:*")));
    }

    // Who may add people is not owner of the installation for that.
    let weak = app.key(TenantId::OPERATOR, &["platform:write"]).await;
    let own = format!("/api/v1/tenants/{}/members", TenantId::OPERATOR);
    assert_eq!(post(&app, &weak, own.clone(), newcomer("dora@example.com", "owner")).await, (403, "permission_denied".to_owned()));
    assert_eq!(post(&app, &operator.key, own, newcomer("dora@example.com", "owner")).await.0, 201);
    assert_eq!(post(&app, &operator.key, format!("/api/v1/tenants/{}/suspend", two.id), Value::Null).await.0, 200);
    assert_eq!(post(&app, &operator.key, path(&two), newcomer("dora@example.com", "user")).await, (409, "tenant_not_ready".to_owned()));
    assert_eq!(post(&app, &one.key, path(&one), newcomer("dora@example.com", "user")).await, (403, "permission_denied".to_owned()));
}
