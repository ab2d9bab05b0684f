//! How people come to belong to a tenant: found by their address or made without a password, then made a member.
//!
//! Invariants: nobody gives a role that is stronger than their own; a tenant lets in only people who are new to the installation, for it is to learn
//! nothing of those who belong to others and to take nobody in unasked: that is the operator's. Control comes first, as when a membership ends, so
//! that whoever repeats it after a crash goes on where it stopped.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_auth::system_for;
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, TenantId};
use steward_store::{Model as _, Record, UnitOfWork};
use steward_web::{ById, Call, Json, Operation, Reply, operation};

use crate::members::{known_roles, may_change};
use crate::set_up::normal;
use crate::{Identity, Member, Person, PersonId, Tenant, TenantStatus};

/// `members.create` and `tenants.add_member`.
pub(crate) fn operations(identity: &Identity) -> [Operation; 2] {
    let add = |id: &'static str, path: &str| {
        operation(id, Method::POST, path)
            .tag("members")
            .status(StatusCode::CREATED)
            .etag()
            .body_example("reader", json!({ "email": "ada@example.com", "name": "Ada Lovelace", "roles": ["read-only"] }))
            .error(StatusCode::CONFLICT, "member_exists")
            .output_schema(identity.kind(Member::KIND).output_schema().clone())
    };
    [
        add("members.create", "/api/v1/members")
            .needs("users:write")
            .summary("Make a person who is new here a member")
            .description(
                "They set a password with a code, which the operator of the installation makes. Somebody who has an account already is added by \
                 the operator. Roles that are stronger than one's own cannot be given.",
            )
            .error(StatusCode::CONFLICT, "person_exists")
            .handle(identity.clone(), create),
        add("tenants.add_member", "/api/v1/tenants/{id}/members")
            .needs("platform:write")
            .summary("Make a person a member of any tenant")
            .description(
                "As the first owner of a tenant that was made empty. Somebody who has an account keeps their name and password; somebody new sets \
                 a password with a code.",
            )
            .error(StatusCode::CONFLICT, "tenant_not_ready")
            .handle(identity.clone(), add_member),
    ]
}

/// Somebody who is to belong to a tenant.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Newcomer {
    /// Their address.
    #[schemars(email, length(min = 3, max = 254))]
    email: String,
    /// As people call them; whoever has an account keeps the name that it has.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// Built-in roles.
    #[schemars(length(min = 1, max = 20), inner(length(min = 1, max = 40)))]
    roles: Vec<String>,
}

/// What becomes of somebody who has an account already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Joins,
    IsRefused,
}

async fn create(identity: Identity, call: Call<(), (), Json<Newcomer>>) -> Result<Reply<Json<Value>>> {
    let Json(Newcomer { email, name, roles }) = call.body;
    let roles = known_roles(roles)?;
    may_change(&call.ctx, roles.iter())?;
    let member = identity.join_tenant(&call.ctx, Newcomer { email, name, roles }, Known::IsRefused).await?;
    let location = format!("/api/v1/members/{}", member.id.wire(Member::PREFIX));
    Ok(Reply::json(member.to_json(identity.kind(Member::KIND))?).etag(member.version).location(&location))
}

async fn add_member(identity: Identity, call: Call<ById<Tenant>, (), Json<Newcomer>>) -> Result<Reply<Json<Value>>> {
    let Json(Newcomer { email, name, roles }) = call.body;
    let roles = known_roles(roles)?;
    let id = call.path.id.record();
    let tenant = identity.0.store.get(&call.ctx, Tenant::KIND, id).await?.ok_or_else(|| Error::not_found("tenant"))?;
    if tenant.decode::<Tenant>()?.status != TenantStatus::Active {
        let detail = "This tenant is suspended, or being made or deleted. Add people to it while it is active.";
        return Err(Error::new(ErrorKind::Conflict, "tenant_not_ready", detail));
    }
    // Elsewhere the operator is nobody's lesser; in their own tenant a role is given as in any other.
    let ctx = if id == call.ctx.tenant().record() {
        may_change(&call.ctx, roles.iter())?;
        call.ctx.clone()
    } else {
        system_for(&call.ctx, id.into(), "add-member")
    };
    let member = identity.join_tenant(&ctx, Newcomer { email, name, roles }, Known::Joins).await?;
    Ok(Reply::json(member.to_json(identity.kind(Member::KIND))?).etag(member.version))
}

impl Identity {
    /// Makes somebody a member of the tenant of `ctx`. Fails with `person_exists`, `member_exists`.
    async fn join_tenant(&self, ctx: &Ctx, newcomer: Newcomer, known: Known) -> Result<Record> {
        let Newcomer { email, name, roles } = newcomer;
        let control = system_for(ctx, TenantId::OPERATOR, "add-member");
        let person = match self.person_by_email(&email).await? {
            Some(person) => self.let_in(&control, &person, ctx.tenant(), known).await?,
            None => self.make_person(&control, normal(&email), name, ctx.tenant()).await?,
        };
        if self.0.store.find(ctx, Member::KIND, "person_id", &person.to_string()).await?.is_some() {
            return Err(member_exists());
        }
        let unit = UnitOfWork::new().create(self.0.store.mint_id(), &Member { person_id: person, roles });
        let committed = self.0.store.commit(ctx, unit).await.map_err(|error| match error.code() {
            "unique_taken" => member_exists(),
            _ => error,
        })?;
        committed.records.into_iter().next().ok_or_else(|| Error::internal("a commit answered without the record it wrote"))
    }

    /// Lets somebody who has an account belong to a tenant, unless they do: then they were on their way in.
    async fn let_in(&self, control: &Ctx, record: &Record, tenant: TenantId, known: Known) -> Result<PersonId> {
        let belongs = record.decode::<Person>()?.tenants.contains(&tenant);
        match known {
            _ if belongs => {}
            Known::IsRefused => return Err(person_exists()),
            Known::Joins => {
                let join = |person: &mut Person| {
                    if !person.tenants.contains(&tenant) {
                        person.tenants.push(tenant);
                    }
                    Ok(())
                };
                self.0.store.update::<Person>(control, record.id, join).await?;
            }
        }
        Ok(record.id.into())
    }

    /// Somebody new, as whom nobody can sign in before they set a password.
    async fn make_person(&self, control: &Ctx, email: String, name: String, tenant: TenantId) -> Result<PersonId> {
        let id = RecordId::new(&self.0.clock, &self.0.random);
        let person = Person { email, name, password_hash: self.0.passwords.nobodys(), password_for: None, tenants: vec![tenant] };
        self.0.store.commit(control, UnitOfWork::new().create(id, &person)).await.map_err(|error| match error.code() {
            "unique_taken" => person_exists(),
            _ => error,
        })?;
        Ok(id.into())
    }
}

fn member_exists() -> Error {
    let detail = "They are a member of this tenant already: change their roles instead.";
    Error::new(ErrorKind::Conflict, "member_exists", detail).with_field("/email", "member_exists", "They are a member already.")
}

fn person_exists() -> Error {
    let detail = "Somebody has this address already: whoever runs this installation can add them to this tenant.";
    Error::new(ErrorKind::Conflict, "person_exists", detail).with_field("/email", "person_exists", "Has an account already.")
}
