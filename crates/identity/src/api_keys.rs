//! API keys: shown once, stored as a digest, never stronger than who made them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::{Minted, MintedKind, covers};
use steward_base::{Ctx, Error, ErrorKind, Permission, Principal, RecordId, Result, Secret, Timestamp, filter};
use steward_store::{Model as _, Record, UnitOfWork};
use steward_web::scope::all_fields;

use crate::{ApiKey, Identity};

/// As `Permission` reads it.
pub(crate) const PERMISSION: &str = r"^(\*|[a-z0-9._-]+):(\*|read|write|delete|execute|approve)$";

/// A key to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What it is for.
    #[schemars(length(min = 1, max = 120))]
    pub name: String,
    /// What it may do, as `<resource>:<verb>`; no more than its maker.
    #[schemars(length(min = 1, max = 100), inner(length(min = 3, max = 80), regex(pattern = PERMISSION)))]
    pub permissions: Vec<String>,
    /// Where it may do that, as in `organization_id = org_…`: a filter over the fields that records are scoped by. Everywhere when absent.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    pub scope: Option<String>,
    /// When it ends by itself; never when absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// Makes a key; its secret is in the answer and nowhere else.
    ///
    /// Fails with `invalid_permission`, `filter_syntax`, `filter_field` or `filter_type` for what does not read, or `permission_denied` for a
    /// permission that the maker does not hold.
    pub async fn create_api_key(&self, ctx: &Ctx, new: NewApiKey) -> Result<(Record, Secret<String>)> {
        for (at, text) in new.permissions.iter().enumerate() {
            let pointer = format!("/permissions/{at}");
            let permission: Permission = text.parse().map_err(|error: Error| {
                Error::invalid("A permission is not well formed.").with_field(pointer.clone(), error.code(), error.detail())
            })?;
            if !covers(ctx, &permission) {
                let detail = format!("A key cannot hold {permission}, which you do not hold yourself.");
                return Err(Error::new(ErrorKind::Forbidden, "permission_denied", detail));
            }
        }
        let scope = new.scope.map(|text| self.scope(&text)).transpose()?;
        self.check_expiry(ctx, new.expires_at).await?;
        let id = RecordId::new(&self.0.clock, &self.0.random);
        let minted = Minted::new(MintedKind::ApiKey, ctx.tenant(), id, &self.0.random);
        let key = ApiKey { name: new.name, permissions: new.permissions, scope, expires_at: new.expires_at, digest: minted.digest() };
        let committed = self.0.store.commit(ctx, UnitOfWork::new().create(id, &key)).await?;
        let record = committed.records.into_iter().next().ok_or_else(|| Error::internal("a commit answers with its records"))?;
        Ok((record, minted.reveal()))
    }

    /// The scope in the form it is kept in. It may name the scope fields of any kind: where records have none of them, the key reaches none.
    fn scope(&self, text: &str) -> Result<String> {
        let parsed = filter::parse(text).and_then(|scope| {
            filter::check(scope.clone(), &all_fields(self.0.store.kinds()), self.0.clock.now())?;
            Ok(scope)
        });
        let scope = parsed.map_err(|error| {
            let detail = error.fields().first().map_or_else(|| error.detail().to_owned(), |field| field.detail.clone());
            Error::invalid("The scope is not a filter over scope fields.").with_field("/scope", error.code(), detail)
        })?;
        if scope == filter::Expr::everything() {
            let detail = "A scope says where; leave it out for everywhere.";
            return Err(Error::invalid(detail).with_field("/scope", "required", detail));
        }
        Ok(scope.to_string())
    }

    /// A key that ends may not make one that ends later: it would outlive itself.
    async fn check_expiry(&self, ctx: &Ctx, wanted: Option<Timestamp>) -> Result<()> {
        let Principal::ApiKey(own) = ctx.principal() else { return Ok(()) };
        let Some(record) = self.0.store.get(ctx, ApiKey::KIND, *own).await? else { return Ok(()) };
        match record.decode::<ApiKey>()?.expires_at {
            Some(end) if wanted.is_none_or(|wanted| wanted > end) => {
                let detail = format!("A key made with this one must end by {end}, when this one does.");
                Err(Error::invalid(detail.clone()).with_field("/expires_at", "outlives_maker", detail))
            }
            _ => Ok(()),
        }
    }
}
