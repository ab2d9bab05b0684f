//! Evaluating grants: one function for persons, API keys, devices and the platform.
//!
//! A deny beats every allow. `tenants:*` and `platform:*` exist only in the operator tenant and are given only by name: neither `*` nor
//! `admin:*` includes them.

use std::sync::Arc;

use steward_base::{Ctx, Effect, Error, ErrorKind, Grant, Permission, Principal, Result, TenantId};

use crate::scope::Scope;

const OPERATOR_ONLY: [&str; 2] = ["tenants", "platform"];

/// A role that every tenant has.
#[derive(Debug)]
pub struct Role {
    /// As members name it.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub purpose: &'static str,
    /// Permissions it allows.
    pub allow: &'static [&'static str],
    /// Permissions it denies.
    pub deny: &'static [&'static str],
}

/// The built-in roles, strongest first. `events:read` is for the events of what nobody reads as records, such as sign-ins; every other event
/// is seen by who may read its subject.
pub const BUILT_IN_ROLES: &[Role] = &[
    Role { name: "owner", purpose: "Everything, including ending the tenant.", allow: &["admin:*", "tenants:*", "platform:*"], deny: &[] },
    Role { name: "admin", purpose: "Everything but ending the tenant.", allow: &["admin:*"], deny: &["tenant:delete"] },
    Role {
        name: "technician",
        purpose: "Looks after devices, projects and services.",
        allow: &["*:read", "organizations:write", "projects:*", "services:*", "devices:*", "enrollment-tokens:*", "logs:*", "metrics:*"],
        deny: &["api-keys:read", "events:read"],
    },
    Role {
        name: "moderator",
        purpose: "Looks after users and organizations.",
        allow: &["users:read", "users:write", "organizations:read", "organizations:write"],
        deny: &[],
    },
    Role {
        name: "user",
        purpose: "Sees what the tenant runs.",
        allow: &["users:read", "organizations:read", "projects:read", "services:read", "devices:read", "logs:read", "metrics:read"],
        deny: &[],
    },
    Role { name: "read-only", purpose: "Sees everything, changes nothing.", allow: &["*:read"], deny: &["api-keys:read", "events:read"] },
];

/// The grants of a built-in role; `None` when there is no such role.
pub fn grants_of_role(name: &str) -> Option<Vec<Grant>> {
    let role = BUILT_IN_ROLES.iter().find(|role| role.name == name)?;
    let allow = permissions(role.allow.iter().copied(), Effect::Allow).expect("built-in roles name permissions that exist");
    let deny = permissions(role.deny.iter().copied(), Effect::Deny).expect("built-in roles name permissions that exist");
    Some([allow, deny].concat())
}

/// Unscoped grants of one effect from their text forms; fails with `invalid_permission`.
pub fn permissions<'a>(texts: impl IntoIterator<Item = &'a str>, effect: Effect) -> Result<Vec<Grant>> {
    texts.into_iter().map(|text| Ok(Grant { effect, permission: text.parse()?, scope: None })).collect()
}

/// Whether the context may do `permission` somewhere, and where: `None` is everywhere in the tenant.
///
/// Fails with `permission_denied`, naming the permission that is missing.
pub fn require(ctx: &Ctx, permission: &Permission) -> Result<Option<Scope>> {
    if matches!(ctx.principal(), Principal::System) {
        return Ok(None);
    }
    let refused = || {
        let detail = format!("This needs the permission {permission}. Ask an owner or admin of the tenant to grant it.");
        Error::new(ErrorKind::Forbidden, "permission_denied", detail)
    };
    if OPERATOR_ONLY.contains(&permission.resource.as_str()) && ctx.tenant() != TenantId::OPERATOR {
        return Err(refused());
    }
    let (mut allowed, mut everywhere, mut denied) = (Vec::new(), false, Vec::new());
    for grant in ctx.grants().iter().filter(|grant| includes(&grant.permission, permission)) {
        match (grant.effect, &grant.scope) {
            (Effect::Deny, None) => return Err(refused()),
            (Effect::Deny, Some(scope)) => denied.push(scope.clone()),
            (Effect::Allow, None) => everywhere = true,
            (Effect::Allow, Some(scope)) => allowed.push(scope.clone()),
        }
    }
    if !everywhere && allowed.is_empty() {
        return Err(refused());
    }
    Ok(Scope::of((!everywhere).then_some(allowed), denied))
}

/// Whether the context may do `permission` at all.
pub fn allows(ctx: &Ctx, permission: &Permission) -> bool {
    require(ctx, permission).is_ok()
}

/// Whether the context holds all of `permission`, unscoped, wildcards included: what one may pass on to a key.
pub fn covers(ctx: &Ctx, permission: &Permission) -> bool {
    covers_all_but(ctx, permission, &[])
}

/// The same of what is left of `permission` when some of it is denied to whoever gets it: what is not passed on need not be had.
fn covers_all_but(ctx: &Ctx, permission: &Permission, kept_back: &[&Grant]) -> bool {
    if matches!(ctx.principal(), Principal::System) {
        return true;
    }
    let passed_on = |denied: &Grant| !kept_back.iter().any(|kept| includes(&kept.permission, &denied.permission));
    let denies = ctx.grants().iter().filter(|grant| grant.effect == Effect::Deny);
    let denied = denies.filter(|grant| meets(&grant.permission, permission)).any(passed_on);
    let operator_only = OPERATOR_ONLY.contains(&permission.resource.as_str());
    let given =
        ctx.grants().iter().any(|grant| grant.effect == Effect::Allow && grant.scope.is_none() && includes(&grant.permission, permission));
    given && !denied && (!operator_only || ctx.tenant() == TenantId::OPERATOR)
}

/// Whether the context holds all that a built-in role gives in its tenant: whoever does may give the role and take it.
pub fn covers_role(ctx: &Ctx, name: &str) -> bool {
    let Some(grants) = grants_of_role(name) else { return false };
    let kept_back: Vec<&Grant> = grants.iter().filter(|grant| grant.effect == Effect::Deny).collect();
    let given = |grant: &Grant| {
        let elsewhere = ctx.tenant() != TenantId::OPERATOR && OPERATOR_ONLY.contains(&grant.permission.resource.as_str());
        grant.effect == Effect::Deny || elsewhere || covers_all_but(ctx, &grant.permission, &kept_back)
    };
    grants.iter().all(given)
}

/// Whether `wide` includes `narrow`.
fn includes(wide: &Permission, narrow: &Permission) -> bool {
    let resource = match wide.resource.as_str() {
        "*" | "admin" => !OPERATOR_ONLY.contains(&narrow.resource.as_str()),
        named => named == narrow.resource,
    };
    resource && (wide.verb.is_none() || wide.verb == narrow.verb)
}

/// Whether something is covered by both.
fn meets(a: &Permission, b: &Permission) -> bool {
    let resources = match (a.resource.as_str(), b.resource.as_str()) {
        ("*" | "admin", named) | (named, "*" | "admin") => !OPERATOR_ONLY.contains(&named),
        (one, other) => one == other,
    };
    resources && (a.verb.is_none() || b.verb.is_none() || a.verb == b.verb)
}

/// Shared grants, as contexts hold them.
pub(crate) fn shared(grants: Vec<Grant>) -> Arc<[Grant]> {
    Arc::from(grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steward_base::{Parts, RecordId, filter};

    fn ctx(tenant: TenantId, grants: Vec<Grant>) -> Ctx {
        Ctx::mint(Parts {
            principal: Principal::ApiKey(RecordId::from_bytes([1; 16])),
            tenant,
            grants: shared(grants),
            reason: "test".into(),
            origin: None,
            trace_id: None,
            request_id: None,
        })
    }

    fn a_tenant() -> TenantId {
        RecordId::from_bytes([9; 16]).into()
    }

    fn permission(text: &str) -> Permission {
        text.parse().expect("is a permission")
    }

    fn scoped(effect: Effect, text: &str, scope: &str) -> Grant {
        Grant { effect, permission: permission(text), scope: Some(filter::parse(scope).expect("is a filter")) }
    }

    #[test]
    fn admin_is_everything_in_one_tenant_and_never_the_operators() {
        let owner = ctx(a_tenant(), grants_of_role("owner").expect("exists"));
        assert!(allows(&owner, &permission("devices:approve")));
        assert!(!allows(&owner, &permission("tenants:read")), "an owner of another tenant is no operator");
        let operator = ctx(TenantId::OPERATOR, grants_of_role("owner").expect("exists"));
        assert!(allows(&operator, &permission("tenants:read")));
        let admin = ctx(TenantId::OPERATOR, permissions(["admin:*", "*:read"], Effect::Allow).expect("are permissions"));
        assert!(!allows(&admin, &permission("tenants:read")));
    }

    #[test]
    fn whoever_has_a_role_has_all_that_it_gives_and_nothing_stronger() {
        let rank = |name: &str| ctx(a_tenant(), grants_of_role(name).expect("exists"));
        for role in BUILT_IN_ROLES {
            assert!(covers_role(&rank(role.name), role.name), "{}", role.name);
            assert!(covers_role(&rank("owner"), role.name), "{}", role.name);
        }
        for (mine, theirs) in [("admin", "owner"), ("technician", "admin"), ("moderator", "user"), ("read-only", "moderator")] {
            assert!(!covers_role(&rank(mine), theirs), "{mine} gives no {theirs}");
        }
        let mut narrow = grants_of_role("admin").expect("exists");
        narrow.push(Grant { effect: Effect::Deny, permission: permission("devices:write"), scope: None });
        assert!(!covers_role(&ctx(a_tenant(), narrow), "admin"), "less than the role gives");
    }

    #[test]
    fn a_deny_beats_every_allow() {
        let mut grants = permissions(["admin:*", "devices:read"], Effect::Allow).expect("are permissions");
        grants.extend(permissions(["devices:read"], Effect::Deny).expect("are permissions"));
        let ctx = ctx(a_tenant(), grants);
        let refused = require(&ctx, &permission("devices:read")).expect_err("is denied");
        assert_eq!(refused.code(), "permission_denied");
        assert!(allows(&ctx, &permission("devices:write")));
        assert!(!covers(&ctx, &permission("devices:*")), "part of it is denied");
        let mut crossing = permissions(["devices:*"], Effect::Allow).expect("are permissions");
        crossing.extend(permissions(["*:delete"], Effect::Deny).expect("are permissions"));
        let crossing = self::ctx(a_tenant(), crossing);
        assert!(!covers(&crossing, &permission("devices:*")), "deleting is denied");
        assert!(covers(&crossing, &permission("devices:read")));
    }

    #[test]
    fn scopes_join_to_one_filter() {
        let ctx = ctx(
            a_tenant(),
            vec![
                scoped(Effect::Allow, "devices:read", "tags:prod"),
                scoped(Effect::Allow, "devices:read", "tags:test"),
                scoped(Effect::Deny, "devices:*", "name = \"vault\""),
            ],
        );
        let scope = require(&ctx, &permission("devices:read")).expect("is allowed").expect("is scoped");
        let fields = filter::Registry::new().with("name", filter::FieldType::Text).with("tags", filter::FieldType::Text);
        let filter = scope.over(&fields, steward_base::Timestamp::default()).expect("reaches");
        assert_eq!(filter.to_string(), filter::parse("NOT name = vault AND (tags:prod OR tags:test)").expect("is a filter").to_string());
        assert!(!covers(&ctx, &permission("devices:read")), "a scoped grant cannot be passed on whole");
    }

    #[test]
    fn every_built_in_role_reads_and_nobody_holds_what_no_grant_gives() {
        for role in BUILT_IN_ROLES {
            let ctx = ctx(a_tenant(), grants_of_role(role.name).expect("exists"));
            assert!(allows(&ctx, &permission("organizations:read")), "{} reads organizations", role.name);
        }
        assert!(!allows(&ctx(a_tenant(), Vec::new()), &permission("organizations:read")));
        assert!(grants_of_role("emperor").is_none());
    }
}
