//! What can be done over HTTP: set-up, sign-in, tenants and API keys.

use http::{HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Result, Secret};
use steward_store::Model as _;
use steward_web::{ById, Call, Json, Operation, RateClass, Reply, Resource, Site, operation, resource, shown_once};
use steward_work::SagaRun;

use crate::api_keys::NewApiKey;
use crate::sessions::{SESSION_LIFETIME, SignedIn};
use crate::{ApiKey, Identity, Owner, SessionView, Tenant, TenantStatus};
use crate::{joining, members, moving};

/// Bytes that a stranger may send.
const CREDENTIAL_BODY: usize = 16 << 10;

/// Every operation of this crate.
pub fn operations(identity: &Identity) -> Vec<Operation> {
    let mut all = first_party(identity);
    all.extend(resource::<Tenant>(&identity.0.store, Resource::new("tenants").without_create().without_update().without_delete()));
    all.push(create_tenant(identity));
    all.extend(tenant_operations(identity));
    all.extend(moving::operations(identity));
    all.extend(members::operations(identity));
    all.extend(joining::operations(identity));
    all.extend(resource::<ApiKey>(&identity.0.store, Resource::new("api-keys").without_create().without_update().without_restore()));
    all.push(create_api_key(identity));
    all
}

fn first_party(identity: &Identity) -> Vec<Operation> {
    vec![
        operation("setup.read", Method::GET, "/auth/setup")
            .public()
            .summary("Say whether the installation still needs its first owner")
            .tag("auth")
            .handle(identity.clone(), read_set_up),
        operation("setup.create", Method::POST, "/auth/setup")
            .public()
            .first_party()
            .summary("Make the first owner and their tenant with a one-time link, and sign them in")
            .tag("auth")
            .rate(RateClass::Credential)
            .body_limit(CREDENTIAL_BODY)
            .status(StatusCode::CREATED)
            .error(StatusCode::FORBIDDEN, "invalid_setup_link")
            .error(StatusCode::CONFLICT, "already_set_up")
            .error(StatusCode::CONFLICT, "slug_taken")
            .error(StatusCode::SERVICE_UNAVAILABLE, "sign_in_busy")
            .handle(identity.clone(), set_up),
        operation("sessions.create", Method::POST, "/auth/login")
            .public()
            .first_party()
            .summary("Sign in with e-mail address and password")
            .tag("auth")
            .rate(RateClass::Credential)
            .body_limit(CREDENTIAL_BODY)
            .error(StatusCode::UNAUTHORIZED, "invalid_credentials")
            .error(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts")
            .error(StatusCode::SERVICE_UNAVAILABLE, "sign_in_busy")
            .handle(identity.clone(), sign_in),
        operation("sessions.read", Method::GET, "/auth/session")
            .signed_in()
            .summary("Who is signed in, in which tenant, with which permissions")
            .tag("auth")
            .error(StatusCode::FORBIDDEN, "no_session")
            .handle(identity.clone(), read_session),
        operation("sessions.end", Method::POST, "/auth/logout")
            .signed_in()
            .summary("End the session")
            .tag("auth")
            .handle(identity.clone(), sign_out),
    ]
}

/// Whether the installation still needs its first owner.
#[derive(Debug, Serialize, JsonSchema)]
struct SetUp {
    /// True until the first owner is made.
    open: bool,
}

async fn read_set_up(identity: Identity, _: Call) -> Result<Reply<Json<SetUp>>> {
    Ok(Reply::json(SetUp { open: identity.set_up_open().await? }))
}

/// The first owner and their tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    /// The link's token.
    #[schemars(length(min = 1, max = 200))]
    token: String,
    /// E-mail address.
    #[schemars(email, length(min = 3, max = 254))]
    email: String,
    /// As people call them.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// 12 to 256 characters.
    password: Secret<String>,
    /// The tenant's name.
    #[schemars(length(min = 1, max = 120))]
    tenant_name: String,
    /// The tenant's short name, as paths have it.
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$"))]
    tenant_slug: String,
}

async fn set_up(identity: Identity, call: Call<(), (), Json<NewOwner>>) -> Result<Reply<Json<SessionView>>> {
    let Json(new) = call.body;
    let NewOwner { token, email, name, password, tenant_name, tenant_slug } = new;
    let owner = Owner { email, name, password, tenant_slug, tenant_name };
    let (tenant, person) = identity.set_up(&call.ctx, &token, owner).await?;
    let signed_in = identity.start_for(&call.ctx, person, tenant).await?;
    Ok(with_cookie(&call.site, signed_in))
}

/// E-mail address, password, and the tenant when it is not the first of theirs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// E-mail address.
    #[schemars(length(min = 1, max = 254))]
    email: String,
    /// Password.
    password: Secret<String>,
    /// The tenant's short name.
    #[serde(default)]
    #[schemars(length(min = 1, max = 40))]
    tenant: Option<String>,
}

async fn sign_in(identity: Identity, call: Call<(), (), Json<Login>>) -> Result<Reply<Json<SessionView>>> {
    let Json(Login { email, password, tenant }) = call.body;
    let signed_in = identity.sign_in(&call.ctx, &email, password, tenant.as_deref()).await?;
    Ok(with_cookie(&call.site, signed_in))
}

async fn read_session(identity: Identity, call: Call) -> Result<Reply<Json<SessionView>>> {
    Ok(Reply::json(identity.session(&call.ctx).await?))
}

async fn sign_out(identity: Identity, call: Call) -> Result<Reply<()>> {
    identity.sign_out(&call.ctx).await?;
    Ok(Reply::empty().cookie(cookie(&call.site, "", 0)))
}

fn with_cookie(site: &Site, signed_in: SignedIn) -> Reply<Json<SessionView>> {
    let cookie = cookie(site, signed_in.secret.expose(), SESSION_LIFETIME.as_secs());
    Reply::json(signed_in.view).cookie(cookie)
}

fn cookie(site: &Site, value: &str, seconds: u64) -> HeaderValue {
    let secure = if site.secure() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", site.session_cookie());
    HeaderValue::try_from(text).expect("minted strings are letters, digits and underscores")
}

/// A tenant to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// As people read it.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// As paths name it.
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$"))]
    slug: String,
}

fn create_tenant(identity: &Identity) -> Operation {
    operation("tenants.create", Method::POST, "/api/v1/tenants")
        .needs("tenants:write")
        .summary("Make a tenant with a namespace of its own")
        .tag("tenants")
        .status(StatusCode::CREATED)
        .etag()
        .error(StatusCode::CONFLICT, "slug_taken")
        .error(StatusCode::SERVICE_UNAVAILABLE, "tenant_being_made")
        .output_schema(identity.kind(Tenant::KIND).output_schema().clone())
        .handle(identity.clone(), new_tenant)
}

async fn new_tenant(identity: Identity, call: Call<(), (), Json<NewTenant>>) -> Result<Reply<Json<Value>>> {
    let Json(NewTenant { name, slug }) = call.body;
    let record = identity.make_tenant(&call.ctx, slug, name).await?;
    let shown = record.to_json(identity.kind(Tenant::KIND))?;
    let location = format!("/api/v1/tenants/{}", record.id.wire(Tenant::PREFIX));
    Ok(Reply::json(shown).etag(record.version).location(&location))
}

fn tenant_operations(identity: &Identity) -> [Operation; 3] {
    let status = |id: &'static str, verb: &str, summary: &str, status: TenantStatus| {
        operation(id, Method::POST, format!("/api/v1/tenants/{{id}}/{verb}"))
            .needs("tenants:write")
            .summary(summary)
            .tag("tenants")
            .etag()
            .error(StatusCode::CONFLICT, "tenant_fixed")
            .error(StatusCode::CONFLICT, "tenant_not_ready")
            .output_schema(identity.kind(Tenant::KIND).output_schema().clone())
            .handle((identity.clone(), status), set_status)
    };
    [
        status("tenants.suspend", "suspend", "Refuse a tenant's requests and rest its background work", TenantStatus::Suspended),
        status("tenants.resume", "resume", "Let a suspended tenant in again", TenantStatus::Active),
        operation("tenants.delete", Method::DELETE, "/api/v1/tenants/{id}")
            .needs("tenants:delete")
            .summary("Erase a tenant and all that is in it")
            .description(
                "The tenant is refused from now on; a saga erases its telemetry, objects, records, events and keys, and at last its name. There is no \
                 recycle bin for tenants. What is in backups stays there for as long as they are kept.",
            )
            .tag("tenants")
            .status(StatusCode::ACCEPTED)
            .error(StatusCode::CONFLICT, "tenant_fixed")
            .error(StatusCode::CONFLICT, "confirmation_wrong")
            .error(StatusCode::CONFLICT, "tenant_being_deleted")
            .error(StatusCode::CONFLICT, "tenant_not_ready")
            .handle(identity.clone(), delete_tenant),
    ]
}

async fn set_status((identity, status): (Identity, TenantStatus), call: Call<ById<Tenant>>) -> Result<Reply<Json<Value>>> {
    let record = identity.set_status(&call.ctx, call.path.id.record(), status).await?;
    Ok(Reply::json(record.to_json(identity.kind(Tenant::KIND))?).etag(record.version))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Confirmation {
    /// The tenant's short name: everything in it will be gone.
    #[schemars(length(min = 1, max = 40))]
    confirm: String,
}

/// What goes on in the background.
#[derive(Debug, Serialize, JsonSchema)]
struct Begun {
    /// The saga's id; `/api/v1/sagas/{id}` says how far it is.
    saga: String,
}

async fn delete_tenant(identity: Identity, call: Call<ById<Tenant>, Confirmation>) -> Result<Reply<Json<Begun>>> {
    let saga = identity.delete_tenant(&call.ctx, call.path.id.record(), &call.query.confirm).await?.wire(SagaRun::PREFIX);
    let location = format!("/api/v1/sagas/{saga}");
    Ok(Reply::json(Begun { saga }).location(&location))
}

fn create_api_key(identity: &Identity) -> Operation {
    operation("api-keys.create", Method::POST, "/api/v1/api-keys")
        .needs("api-keys:write")
        .summary("Make an API key; its secret is in this answer and nowhere else")
        .tag("api-keys")
        .status(StatusCode::CREATED)
        .etag()
        .body_example("one_organization", scoped_key())
        .output_schema(shown_once::schema(identity.kind(ApiKey::KIND)))
        .handle(identity.clone(), new_api_key)
}

fn scoped_key() -> Value {
    json!({ "name": "reports", "permissions": ["devices:read"], "scope": "organization_id = org_00000000000000000000000000" })
}

async fn new_api_key(identity: Identity, call: Call<(), (), Json<NewApiKey>>) -> Result<Reply<Json<Value>>> {
    let Json(new) = call.body;
    let (record, secret) = identity.create_api_key(&call.ctx, new).await?;
    shown_once::reply(identity.kind(ApiKey::KIND), "/api/v1/api-keys", &record, &secret)
}
