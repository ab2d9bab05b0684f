//! Files of tenants that somebody made who means to act outside of their own: whoever writes one knows its passphrase.

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use serde_json::{Map, Value, json};
use steward_auth::{SigningKey, system};
use steward_base::{Error, Secret, TenantId};
use steward_identity::{Arriving, Credentials, Member, Person, Tenant, TenantStatus, Transfer};
use steward_store::{Expect, JobDraft, ListQuery, MasterKey, Model as _, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_work::SagaRun;

use crate::{EMAIL, PASSWORD};

/// Nobody works on what is in it.
async fn resting() -> TestApp {
    TestApp::start(Setup { resting: true, ..Setup::default() }, |_| Vec::new()).await
}

fn transfer(app: &TestApp) -> Transfer {
    Transfer::new(app.parts.identity.clone(), MasterKey::new([7; 32]), app.site.blob().clone())
}

fn passphrase() -> Secret<String> {
    Secret::new("known to whoever wrote it".to_owned())
}

async fn file_of(app: &TestApp, tenant: TenantId) -> Vec<Bytes> {
    let control = system(TenantId::OPERATOR, "test");
    let exported = Box::pin(transfer(app).export(&control, tenant.record(), passphrase(), Credentials::Travel)).await.expect("is exported");
    exported.parts.try_collect().await.expect("is told")
}

async fn import(app: &TestApp, file: Vec<Bytes>) -> Result<TenantId, Error> {
    import_as(app, file, Arriving::default()).await
}

async fn import_as(app: &TestApp, file: Vec<Bytes>, arriving: Arriving) -> Result<TenantId, Error> {
    Box::pin(transfer(app).import_now(stream::iter(file.into_iter().map(Ok)), passphrase(), arriving)).await
}

fn body(value: Value) -> Map<String, Value> {
    let Value::Object(body) = value else { unreachable!("is an object") };
    body
}

async fn sign_in(app: &TestApp, email: &str, password: &str) -> u16 {
    let login = json!({ "email": email, "password": password });
    app.post("/auth/login").header("origin", &app.url("")).json(&login).send().await.status
}

#[tokio::test]
async fn a_file_brings_nothing_of_the_platforms_own() {
    let (from, to) = (resting().await, resting().await);
    let victim = to.tenant("victim").await;
    let id = from.parts.store.mint_id();
    let run = |saga: &str, state: &str| {
        let input = json!({ "tenant": victim.id, "slug": "victim", "name": "Victim", "key": "" });
        body(json!({ "saga": saga, "key": "x", "running": format!("{saga}:x"), "state": state, "input": input }))
    };
    let saga = |saga: &str, state: &str| UnitOfWork::new().put(SagaRun::KIND, id, run(saga, state), Expect::Absent);
    let job = |kind: &'static str, payload: Value| UnitOfWork::new().enqueue(id, JobDraft::new(kind, payload));
    let record = |kind: &'static str, value: Value| UnitOfWork::new().put(kind, id, body(value), Expect::Absent);
    let of_control = json!({ "email": "victim@example.com", "name": "V", "password_hash": "x", "tenants": [victim.id] });
    for (number, (name, unit)) in [
        ("a saga that deletes another tenant", saga("delete_tenant", "running")),
        ("one that takes back how another tenant came to be", saga("import_tenant", "undoing")),
        ("one that is over", saga("move_tenant", "parked")),
        ("a job that walks through a saga", job("run_saga", json!({ "saga": id.wire(SagaRun::PREFIX) }))),
        ("a job of the platform", job("reconcile", json!({ "name": "anything" }))),
        ("a tenant", record("tenant", json!({ "name": "Victim", "slug": "victim", "status": "deleting" }))),
        ("a person", record("person", of_control)),
        ("a way in", record("setup_link", json!({ "digest": "x", "expires_at": "2100-01-01T00:00:00Z" }))),
    ]
    .into_iter()
    .enumerate()
    {
        let crafted = from.tenant(&format!("crafted-{number}")).await;
        from.parts.store.commit(&crafted.ctx, unit).await.expect("is crafted");
        let refused = import(&to, file_of(&from, crafted.id).await).await.expect_err(name);
        assert_eq!(refused.code(), "dump_privileged", "{name}: {refused}");
        assert!(to.parts.store.head(&crafted.ctx).await.is_err(), "{name}: nothing of it is there");
    }
    let known = to.parts.identity.tenant_by_slug("victim").await.expect("reads").expect("is there");
    assert_eq!((known.id, known.body.decode::<Tenant>().expect("decodes").status), (victim.id.record(), TenantStatus::Active));
}

#[tokio::test]
async fn a_key_that_a_file_brings_opens_only_the_tenant_that_came_with_it() {
    let (from, to) = (resting().await, resting().await);
    let crafted = from.tenant("crafted").await;
    let victim = to.tenant("victim").await;
    let key = from.key(crafted.id, &["tenants:*", "platform:*", "admin:*"]).await;
    let signing = json!({ "algorithm": "ES256", "x": "x", "y": "y", "sealed": "sealed elsewhere" });
    let unit = UnitOfWork::new().put(SigningKey::KIND, from.parts.store.mint_id(), body(signing), Expect::Absent);
    from.parts.store.commit(&crafted.ctx, unit).await.expect("is crafted");
    import(&to, file_of(&from, crafted.id).await).await.expect("is taken in");

    to.get("/api/v1/api-keys").key(&key).send().await.expect(200);
    for path in ["/api/v1/tenants".to_owned(), format!("/api/v1/tenants/{}", victim.id)] {
        assert_eq!(to.get(&path).key(&key).send().await.expect(403).code(), "permission_denied", "{path}");
    }
    let deleted = to.delete(&format!("/api/v1/tenants/{}?confirm=victim", victim.id)).key(&key).send().await;
    assert_eq!(deleted.expect(403).code(), "permission_denied");
    let keys = ListQuery { kind: SigningKey::KIND.to_owned(), limit: 10, ..ListQuery::default() };
    assert_eq!(to.parts.store.list(&crafted.ctx, keys).await.expect("lists").records.len(), 0, "no key to sign with came along");
}

/// An owner of one tenant, which others may be named after.
async fn owned(app: &TestApp, slug: &str, email: &str, password: &str) -> TestTenant {
    app.owner(slug, email, password).await;
    let id: TenantId = app.parts.identity.named_tenant(slug).await.expect("is there");
    TestTenant { id, slug: slug.to_owned(), ctx: system(id, "test"), key: app.key(id, &["admin:*"]).await }
}

#[tokio::test]
async fn whoever_is_known_keeps_their_password_whatever_a_file_says() {
    let (from, to) = (resting().await, resting().await);
    owned(&to, "victim", EMAIL, PASSWORD).await;
    let crafted = owned(&from, "crafted", EMAIL, "what somebody else thought of").await;
    import(&to, file_of(&from, crafted.id).await).await.expect("is taken in");
    assert_eq!(sign_in(&to, EMAIL, PASSWORD).await, 200);
    assert_eq!(sign_in(&to, EMAIL, "what somebody else thought of").await, 401);

    let there = to.parts.store.list(&system(TenantId::OPERATOR, "test"), persons()).await.expect("lists").records;
    assert_eq!(there.len(), 1, "nobody came to be beside them");
}

fn persons() -> ListQuery {
    ListQuery { kind: "person".to_owned(), limit: 10, ..ListQuery::default() }
}

#[tokio::test]
async fn a_password_hash_that_is_dear_to_check_is_not_taken_in() {
    let (from, to) = (resting().await, resting().await);
    let control = system(TenantId::OPERATOR, "test");
    let crafted = owned(&from, "crafted", EMAIL, PASSWORD).await;
    let person = from.parts.store.list(&control, persons()).await.expect("lists").records.remove(0);
    let dear = "$argon2id$v=19$m=4194304,t=100,p=1$c29tZSBzYWx0IG9mIHVz$Zml2ZSBhbmQgdHdlbnR5IGJ5dGVzIQ";
    let change = |person: &mut Person| {
        person.password_hash = dear.to_owned();
        Ok(())
    };
    from.parts.store.update::<Person>(&control, person.id, change).await.expect("is crafted");
    assert_eq!(import(&to, file_of(&from, crafted.id).await).await.expect_err("is refused").code(), "dump_damaged");
    assert!(to.parts.identity.tenant_by_slug("crafted").await.expect("reads").is_none());
}

#[tokio::test]
async fn a_password_that_came_in_a_file_opens_only_what_files_with_it_brought() {
    let (from, home, to) = (resting().await, resting().await, resting().await);
    let (theirs, control) = ("what somebody else thought of", system(TenantId::OPERATOR, "test"));
    let crafted = owned(&from, "crafted", EMAIL, theirs).await;
    let victim = owned(&home, "victim", EMAIL, PASSWORD).await;
    import(&to, file_of(&from, crafted.id).await).await.expect("is taken in");
    import(&to, file_of(&home, victim.id).await).await.expect("is taken in");
    let sign_in = async |slug: &str, password: &str| {
        let login = json!({ "email": EMAIL, "password": password, "tenant": slug });
        to.post("/auth/login").header("origin", &to.url("")).json(&login).send().await.status
    };
    assert_eq!((sign_in("crafted", theirs).await, sign_in("victim", theirs).await), (200, 401));
    assert_eq!(sign_in("victim", PASSWORD).await, 401, "nobody can tell which of the two is theirs");

    // Of somebody who had one password for both, each file brings it.
    let second = from.tenant("second").await;
    let person = from.parts.store.list(&control, persons()).await.expect("lists").records.remove(0);
    let join = |person: &mut Person| {
        person.tenants.push(second.id);
        Ok(())
    };
    from.parts.store.update::<Person>(&control, person.id, join).await.expect("joins");
    let member = Member { person_id: person.id.into(), roles: vec!["owner".to_owned()] };
    from.parts.store.commit(&second.ctx, UnitOfWork::new().create(from.parts.store.mint_id(), &member)).await.expect("joins");
    import(&to, file_of(&from, second.id).await).await.expect("is taken in");
    assert_eq!((sign_in("second", theirs).await, sign_in("crafted", theirs).await, sign_in("victim", theirs).await), (200, 200, 401));
}

#[tokio::test]
async fn a_tenant_that_was_suspended_comes_suspended_unless_it_is_to_be_otherwise() {
    let from = resting().await;
    let operator = from.operator().await;
    let sent = from.tenant("sent").await;
    let open = file_of(&from, sent.id).await;
    from.post(&format!("/api/v1/tenants/{}/suspend", sent.id)).key(&operator.key).send().await.expect(200);
    let suspended = file_of(&from, sent.id).await;
    for (file, asked, expected) in [
        (&open, None, TenantStatus::Active),
        (&open, Some(true), TenantStatus::Suspended),
        (&suspended, None, TenantStatus::Suspended),
        (&suspended, Some(false), TenantStatus::Active),
    ] {
        let to = resting().await;
        import_as(&to, file.clone(), Arriving { slug: None, suspended: asked }).await.expect("is taken in");
        let known = to.parts.identity.tenant_by_slug("sent").await.expect("reads").expect("is there");
        assert_eq!(known.body.decode::<Tenant>().expect("decodes").status, expected, "{asked:?}");
        let answer = to.get("/api/v1/api-keys").key(&sent.key).send().await;
        match expected {
            TenantStatus::Suspended => assert_eq!(answer.expect(403).code(), "tenant_suspended"),
            _ => drop(answer.expect(200)),
        }
    }
}
