//! The members of a tenant: who they are, what they may do, and the end of a membership.
//!
//! Invariants: nobody gives or takes a role that is stronger than their own; a tenant keeps an owner; a person's credentials are none of the
//! tenant's business. Ending a membership begins in control, so that whoever repeats it after a crash finds the member.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_auth::{BUILT_IN_ROLES, covers_role, system_for};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, TenantId, filter};
use steward_store::{Expect, ListQuery, Model as _, Record, UnitOfWork};
use steward_web::{ById, Call, Json, Operation, Reply, Resource, operation, resource};

use crate::sessions::PersonView;
use crate::{Identity, Member, PasswordCode, Person, PersonId};

const OWNER: &str = "owner";

/// The operations of members: the standard ones that read, `members.person`, `members.set_roles` and `members.end`.
pub(crate) fn operations(identity: &Identity) -> Vec<Operation> {
    let standard = Resource::<Member>::new("members").permission("users").without_create().without_update().without_delete();
    let mut all = resource(&identity.0.store, standard);
    all.extend([
        operation("members.person", Method::GET, "/api/v1/members/{id}/person")
            .needs("users:read")
            .summary("Name and address of a member")
            .tag("members")
            .handle(identity.clone(), person),
        operation("members.set_roles", Method::POST, "/api/v1/members/{id}/roles")
            .needs("users:write")
            .summary("Give a member other roles")
            .description("Roles that are stronger than one's own can be neither given nor taken, and one member stays owner.")
            .tag("members")
            .etag()
            .body_example("reader", json!({ "roles": ["read-only"] }))
            .error(StatusCode::CONFLICT, "last_owner")
            .error(StatusCode::CONFLICT, "version_conflict")
            .output_schema(identity.kind(Member::KIND).output_schema().clone())
            .handle(identity.clone(), set_roles),
        operation("members.end", Method::POST, "/api/v1/members/{id}/end")
            .needs("users:delete")
            .summary("End a membership")
            .description("The person is signed out of this tenant; one who belongs to no other is erased.")
            .tag("members")
            .error(StatusCode::CONFLICT, "last_owner")
            .error(StatusCode::CONFLICT, "version_conflict")
            .handle(identity.clone(), end),
    ]);
    all
}

async fn person(identity: Identity, call: Call<ById<Member>>) -> Result<Reply<Json<PersonView>>> {
    let (_, member) = identity.member_of(&call.ctx, call.path.id.record()).await?;
    let control = system_for(&call.ctx, TenantId::OPERATOR, "members");
    let record =
        identity.0.store.get(&control, Person::KIND, member.person_id.record()).await?.ok_or_else(|| Error::not_found("person"))?;
    call.site.saw(&call.ctx, identity.kind(Person::KIND), std::iter::once(record.id), None).await?;
    let Person { email, name, .. } = record.decode()?;
    Ok(Reply::json(PersonView { id: member.person_id, email, name }))
}

/// The roles that a member will have.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Roles {
    /// Built-in roles.
    #[schemars(length(min = 1, max = 20), inner(length(min = 1, max = 40)))]
    roles: Vec<String>,
}

async fn set_roles(identity: Identity, call: Call<ById<Member>, (), Json<Roles>>) -> Result<Reply<Json<Value>>> {
    let roles = known_roles(call.body.0.roles)?;
    let (record, member) = identity.member_of(&call.ctx, call.path.id.record()).await?;
    may_change(&call.ctx, member.roles.iter().chain(&roles))?;
    let unit = UnitOfWork::new().put_model(record.id, &Member { roles, ..member.clone() }, Expect::Version(record.version));
    let unit = identity.with_owner_left(&call.ctx, &record, &member, unit).await?;
    let committed = identity.0.store.commit(&call.ctx, unit).await?;
    let changed = committed.records.first().ok_or_else(|| Error::internal("a commit answered without the record it wrote"))?;
    Ok(Reply::json(changed.to_json(identity.kind(Member::KIND))?).etag(changed.version))
}

async fn end(identity: Identity, call: Call<ById<Member>>) -> Result<Reply<()>> {
    let (record, member) = identity.member_of(&call.ctx, call.path.id.record()).await?;
    may_change(&call.ctx, member.roles.iter())?;
    let unit = UnitOfWork::new().delete(Member::KIND, record.id, Expect::Version(record.version));
    let unit = identity.with_owner_left(&call.ctx, &record, &member, unit).await?;
    let control = system_for(&call.ctx, TenantId::OPERATOR, "end-membership");
    if identity.leave(&control, member.person_id, call.ctx.tenant()).await? == Left::Erased {
        identity.0.store.scrub(&control).await?;
    }
    identity.0.store.commit(&call.ctx, unit).await?;
    identity.end_sessions(&call.ctx, call.ctx.tenant(), member.person_id).await?;
    Ok(Reply::empty())
}

/// Built-in roles, each once. Fails with `invalid` at `/roles` for any other.
pub(crate) fn known_roles(mut roles: Vec<String>) -> Result<Vec<String>> {
    roles.sort_unstable();
    roles.dedup();
    let Some(unknown) = roles.iter().find(|role| BUILT_IN_ROLES.iter().all(|known| known.name != **role)) else { return Ok(roles) };
    let known: Vec<&str> = BUILT_IN_ROLES.iter().map(|role| role.name).collect();
    let detail = format!("There is no role {unknown}. Known: {}.", known.join(", "));
    Err(Error::invalid("The roles are not valid; see errors.").with_field("/roles", "role_unknown", detail))
}

/// Fails with `permission_denied`.
pub(crate) fn may_change<'r>(ctx: &Ctx, mut roles: impl Iterator<Item = &'r String>) -> Result<()> {
    match roles.find(|role| !covers_role(ctx, role)) {
        None => Ok(()),
        Some(role) => {
            let detail = format!("The role {role} may do what you may not: ask somebody who has it.");
            Err(Error::new(ErrorKind::Forbidden, "permission_denied", detail))
        }
    }
}

/// What became of a person who left a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// They belong to others, or were gone already.
    Stays,
    /// It was their last one.
    Erased,
}

impl Identity {
    /// Lets a person belong to a tenant no more; one who belongs to no other is erased, with the codes for their password. May be repeated.
    pub(crate) async fn leave(&self, control: &Ctx, person: PersonId, tenant: TenantId) -> Result<Left> {
        let Some(record) = self.0.store.get(control, Person::KIND, person.record()).await? else { return Ok(Left::Stays) };
        if record.decode::<Person>()?.tenants.iter().any(|of| *of != tenant) {
            let leave = |person: &mut Person| {
                person.tenants.retain(|of| *of != tenant);
                Ok(())
            };
            self.0.store.update::<Person>(control, record.id, leave).await?;
            return Ok(Left::Stays);
        }
        let codes = self.of_person(control, PasswordCode::KIND, person).await?;
        let unit = codes.iter().fold(UnitOfWork::new(), |unit, code| unit.erase(PasswordCode::KIND, code.id));
        self.0.store.commit(control, unit.erase(Person::KIND, record.id)).await?;
        Ok(Left::Erased)
    }

    async fn member_of(&self, ctx: &Ctx, id: RecordId) -> Result<(Record, Member)> {
        let record = self.0.store.get(ctx, Member::KIND, id).await?.ok_or_else(|| Error::not_found("member"))?;
        let member = record.decode()?;
        Ok((record, member))
    }

    /// When an owner may be one no more: another one is there, and stays so until this is committed. Fails with `last_owner`.
    async fn with_owner_left(&self, ctx: &Ctx, record: &Record, before: &Member, unit: UnitOfWork) -> Result<UnitOfWork> {
        if !before.roles.iter().any(|role| role == OWNER) {
            return Ok(unit);
        }
        let owners = filter::Expr::compare("roles", filter::Op::Eq, filter::Literal::Text(OWNER.to_owned()));
        let query = ListQuery { kind: Member::KIND.to_owned(), filter: Some(owners), limit: 2, ..ListQuery::default() };
        let owners = self.0.store.list(ctx, query).await?.records;
        let other = owners.iter().find(|other| other.id != record.id).ok_or_else(|| {
            let detail = "Nobody else is owner of this tenant: make somebody owner first.";
            Error::new(ErrorKind::Conflict, "last_owner", detail)
        })?;
        Ok(unit.guard(Member::KIND, other.id, other.version))
    }
}
