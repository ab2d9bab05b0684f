//! Tenants: made in steps that may be repeated, so that a crash between them leaves nothing that the next try cannot finish.

use steward_auth::{system, system_for};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, TenantId};
use steward_store::{Model, Record, UnitOfWork};

use crate::lifecycle::not_ready;
use crate::{Identity, Tenant, TenantStatus};

/// Slugs that are words of the console's own paths, or the operator's.
const RESERVED: [&str; 6] = ["setup", "sign-in", "operator", "assets", "api", "t"];

impl Identity {
    /// Makes what every installation has: control and the operator tenant. May be repeated.
    pub async fn prepare(&self) -> Result<()> {
        self.0.store.provision(TenantId::OPERATOR).await?;
        let control = system(TenantId::OPERATOR, "prepare");
        if self.0.store.get(&control, Tenant::KIND, TenantId::OPERATOR.record()).await?.is_some() {
            return Ok(());
        }
        let operator = Tenant { name: "Operator".to_owned(), slug: "operator".to_owned(), status: TenantStatus::Active };
        self.0.store.commit(&control, UnitOfWork::new().create(TenantId::OPERATOR.record(), &operator)).await?;
        Ok(())
    }

    /// Makes a tenant and its namespace; [`Identity::activate`] ends it. One that a crash left half made is taken up again. For the first owner, who
    /// comes before any worker: whoever makes a tenant later begins the saga `create_tenant`.
    ///
    /// Fails with `slug_taken` or `slug_reserved`.
    pub async fn create_tenant(&self, cause: &Ctx, slug: &str, name: &str) -> Result<TenantId> {
        check_slug(slug)?;
        let control = system_for(cause, TenantId::OPERATOR, "create-tenant");
        let tenant = match self.tenant_by_slug(slug).await? {
            Some(record) if record.decode::<Tenant>()?.status == TenantStatus::Provisioning => record.id,
            Some(_) => return Err(slug_taken(slug)),
            None => {
                let id = RecordId::new(&self.0.clock, &self.0.random);
                let tenant = Tenant { name: name.to_owned(), slug: slug.to_owned(), status: TenantStatus::Provisioning };
                self.0.store.commit(&control, UnitOfWork::new().create(id, &tenant)).await?;
                id
            }
        };
        self.0.store.provision(tenant.into()).await?;
        Ok(tenant.into())
    }

    /// Opens a tenant to requests. Fails with `tenant_not_ready` for one that is being deleted.
    pub async fn activate(&self, cause: &Ctx, tenant: TenantId) -> Result<Record> {
        let control = system_for(cause, TenantId::OPERATOR, "create-tenant");
        let active = |tenant: &mut Tenant| match tenant.status {
            TenantStatus::Provisioning | TenantStatus::Active => {
                tenant.status = TenantStatus::Active;
                Ok(())
            }
            TenantStatus::Suspended | TenantStatus::Deleting => Err(not_ready()),
        };
        self.0.store.update::<Tenant>(&control, tenant.record(), active).await
    }

    /// The tenant's record, in control.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Record>> {
        let control = system(TenantId::OPERATOR, "tenant");
        self.0.store.find(&control, Tenant::KIND, "slug", slug).await
    }

    /// The tenant named `slug`; fails with `not_found`.
    pub async fn named_tenant(&self, slug: &str) -> Result<TenantId> {
        self.tenant_by_slug(slug).await?.map(|record| record.id.into()).ok_or_else(|| Error::not_found("tenant"))
    }
}

/// Fails with `slug_reserved`.
pub(crate) fn check_slug(slug: &str) -> Result<()> {
    if !RESERVED.contains(&slug) {
        return Ok(());
    }
    let detail = format!("\"{slug}\" is a word of Steward's own paths. Choose another short name.");
    Err(Error::new(ErrorKind::Invalid, "slug_reserved", detail).with_field("/slug", "slug_reserved", "Choose another."))
}

pub(crate) fn slug_taken(slug: &str) -> Error {
    let detail = format!("A tenant named \"{slug}\" exists. Choose another short name.");
    Error::new(ErrorKind::Conflict, "slug_taken", detail).with_field("/slug", "slug_taken", "Choose another.")
}
