//! The caller's scope put to the records of a kind: the one place that does it.

use serde_json::Value;
use steward_auth::Scope;
use steward_base::filter::{self, Expr, FieldPath, Registry};
use steward_base::{Ctx, Error, ErrorKind, Permission, Timestamp};
use steward_store::{Kind, Kinds};

/// The fields of a kind that permissions are scoped by; events of its records carry the same ones.
pub fn fields(kind: &Kind) -> Registry {
    declared(kind, Registry::new().without_words())
}

/// Every field that a scope may name: those of all kinds together.
pub fn all_fields(kinds: &Kinds) -> Registry {
    kinds.iter().fold(Registry::new().without_words(), |registry, kind| declared(kind, registry))
}

fn declared(kind: &Kind, mut registry: Registry) -> Registry {
    for field in kind.fields().iter().filter(|field| field.scope && !field.secret && !field.personal) {
        if let Some(field_type) = kind.filter_registry().resolve(&FieldPath::dotted(&field.path)) {
            registry.insert(field.path.clone(), field_type.clone());
        }
    }
    registry
}

/// How far a caller's permission goes over the records of a kind.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// All of them.
    Everywhere,
    /// Those that pass.
    Within(Expr),
    /// None.
    Nowhere,
}

impl Reach {
    /// What this permission gives the caller.
    pub(crate) fn of(kind: &Kind, ctx: &Ctx, permission: &Permission, now: Timestamp) -> Self {
        match steward_auth::require(ctx, permission) {
            Err(_) => Self::Nowhere,
            Ok(None) => Self::Everywhere,
            Ok(Some(scope)) => scope.over(&fields(kind), now).map_or(Self::Nowhere, Self::Within),
        }
    }

    /// Whether it covers a row of the kind, or what an event says of where its subject was.
    pub(crate) fn includes(&self, row: &Value) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(limit) => filter::matches(limit, row),
            Self::Nowhere => false,
        }
    }
}

/// The filter that records of the kind must pass for this caller; `None` for all of them.
///
/// Fails with `permission_denied` where the scope reaches no such record at all.
pub fn limit(kind: &Kind, scope: Option<&Scope>, now: Timestamp) -> Result<Option<Expr>, Error> {
    let Some(scope) = scope else { return Ok(None) };
    scope.over(&fields(kind), now).map(Some).ok_or_else(|| {
        let detail = "Your permission is limited to fields that these records do not have. Ask an owner or admin of the tenant.";
        Error::new(ErrorKind::Forbidden, "permission_denied", detail)
    })
}

/// Whether the scope covers this row of the kind.
pub fn covers(kind: &Kind, scope: Option<&Scope>, row: &Value, now: Timestamp) -> bool {
    limit(kind, scope, now).is_ok_and(|limit| limit.is_none_or(|limit| filter::matches(&limit, row)))
}

/// The refusal of a write that would put a record where the caller's permission does not reach.
pub fn outside(noun: &str) -> Error {
    let detail = format!("Your permission covers only some of these records, and this {noun} would not be one of them.");
    Error::new(ErrorKind::Forbidden, "outside_scope", detail)
}

/// The refusal of a scoped permission by an operation that does not look at scopes.
pub fn not_supported() -> Error {
    let detail = "Your permission for this is limited to a part of the tenant, and this works on the whole of it. Use one without a scope.";
    Error::new(ErrorKind::Forbidden, "scope_not_supported", detail)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use steward_store::Model;

    use super::*;

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    struct Thing {
        organization_id: Option<String>,
        name: String,
    }

    impl Model for Thing {
        const KIND: &'static str = "thing";
        const PREFIX: &'static str = "thi";
    }

    #[test]
    fn only_declared_fields_can_scope() {
        let names = |registry: &Registry| registry.fields().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&fields(&Kind::of::<Thing>())), ["organization_id"]);
        assert_eq!(names(&all_fields(&Kinds::new().with(Kind::of::<Thing>()))), ["organization_id"]);
    }
}
