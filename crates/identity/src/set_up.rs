//! The first owner: through a one-time link in a browser, or by the operator's own hand on the machine.

use std::time::Duration;

use steward_auth::{Minted, MintedKind, system, system_for};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Secret, TenantId};
use steward_store::{Expect, ListQuery, Model, Record, UnitOfWork};

use crate::{Identity, Member, Person, PersonId, SetUpLink, Tenant, TenantStatus};

/// How long a set-up link is valid.
const LINK_LIFETIME: Duration = Duration::from_secs(3600);

/// The owner to be, and the tenant to own.
#[derive(Debug)]
pub struct Owner {
    /// E-mail address, as typed.
    pub email: String,
    /// As people call them.
    pub name: String,
    /// In clear, hashed before anything is stored.
    pub password: Secret<String>,
    /// The tenant's short name.
    pub tenant_slug: String,
    /// The tenant's name.
    pub tenant_name: String,
}

impl Identity {
    /// Whether the installation still has no owner.
    pub async fn set_up_open(&self) -> Result<bool> {
        let query = ListQuery { limit: 1, kind: Member::KIND.to_owned(), ..ListQuery::default() };
        let members = self.0.store.list(&system(TenantId::OPERATOR, "set-up"), query).await?;
        Ok(members.records.is_empty())
    }

    /// A fresh link's token; earlier ones end. Fails with `already_set_up`.
    pub async fn set_up_token(&self) -> Result<Secret<String>> {
        if !self.set_up_open().await? {
            return Err(already_set_up());
        }
        let control = system(TenantId::OPERATOR, "set-up");
        let id = RecordId::new(&self.0.clock, &self.0.random);
        let minted = Minted::new(MintedKind::SetUp, TenantId::OPERATOR, id, &self.0.random);
        let link = SetUpLink { digest: minted.digest(), expires_at: self.0.clock.now().plus(LINK_LIFETIME) };
        let unit = self.end_links(&control).await?.create(id, &link);
        self.0.store.commit(&control, unit).await?;
        Ok(minted.reveal())
    }

    /// Makes the first owner with a link's token. Fails with `invalid_setup_link` or `already_set_up`.
    pub async fn set_up(&self, cause: &Ctx, token: &str, owner: Owner) -> Result<(TenantId, PersonId)> {
        self.check_link(token).await?;
        // One at a time, and the link is looked at again inside: of two who hold it, one becomes the owner.
        let _alone = self.0.making_owners.lock().await;
        self.check_link(token).await?;
        if !self.set_up_open().await? {
            return Err(already_set_up());
        }
        self.make_owner_alone(cause, owner).await
    }

    /// Makes a tenant and its owner; the first one also becomes the installation's operator. Every step may be repeated after a crash.
    ///
    /// Fails with `person_exists` when the address is somebody's already: their password is not this caller's to set.
    pub async fn make_owner(&self, cause: &Ctx, owner: Owner) -> Result<(TenantId, PersonId)> {
        let _alone = self.0.making_owners.lock().await;
        self.make_owner_alone(cause, owner).await
    }

    async fn make_owner_alone(&self, cause: &Ctx, owner: Owner) -> Result<(TenantId, PersonId)> {
        let email = normal(&owner.email);
        let hash = self.0.passwords.hash(owner.password, &email).await?;
        let first = self.set_up_open().await?;
        let tenant = match self.left_over(first, &owner.tenant_slug).await? {
            Some(tenant) => tenant,
            None => self.create_tenant(cause, &owner.tenant_slug, &owner.tenant_name).await?,
        };
        let person = self.person(cause, &email, &owner.name, hash, first).await?;
        if first {
            self.join(cause, person, TenantId::OPERATOR).await?;
        }
        self.join(cause, person, tenant).await?;
        self.member(cause, tenant, person).await?;
        self.activate(cause, tenant).await?;
        if first {
            // This closes the set-up: before it, the link still works and all of the above is taken up where it stopped.
            let control = system_for(cause, TenantId::OPERATOR, "set-up");
            let unit = self.end_links(&control).await?;
            self.0.store.commit(&control, self.with_member(unit, person)).await?;
        }
        Ok((tenant, person))
    }

    /// An active tenant of a try that a crash ended: while nobody owns the installation, no tenant can be anything else.
    async fn left_over(&self, first: bool, slug: &str) -> Result<Option<TenantId>> {
        if !first {
            return Ok(None);
        }
        let Some(record) = self.tenant_by_slug(slug).await? else { return Ok(None) };
        let active = record.decode::<Tenant>()?.status == TenantStatus::Active;
        Ok((active && record.id != TenantId::OPERATOR.record()).then(|| record.id.into()))
    }

    async fn check_link(&self, token: &str) -> Result<()> {
        let refuse = || {
            let detail =
                "The set-up link is used, expired or mistyped. Run `steward setup-link --data DIR` on the machine for a fresh one.";
            Error::new(ErrorKind::Forbidden, "invalid_setup_link", detail)
        };
        let minted = Minted::parse(token).filter(|minted| minted.kind == MintedKind::SetUp).ok_or_else(refuse)?;
        let control = system(TenantId::OPERATOR, "set-up");
        let record = self.0.store.get(&control, SetUpLink::KIND, minted.record).await?.ok_or_else(refuse)?;
        let link: SetUpLink = record.decode()?;
        if !minted.matches(&link.digest) || link.expires_at <= self.0.clock.now() {
            return Err(refuse());
        }
        Ok(())
    }

    async fn end_links(&self, control: &Ctx) -> Result<UnitOfWork> {
        let links = self.0.store.list(control, ListQuery { limit: 100, kind: SetUpLink::KIND.to_owned(), ..ListQuery::default() }).await?;
        let end = |unit: UnitOfWork, link: &Record| unit.delete(SetUpLink::KIND, link.id, Expect::Any);
        Ok(links.records.iter().fold(UnitOfWork::new(), end))
    }

    /// The person with this address, made when there is none. While nobody owns the installation, whoever is there is left over from a try
    /// that did not end, and gets this try's password.
    async fn person(&self, cause: &Ctx, email: &str, name: &str, hash: String, first: bool) -> Result<PersonId> {
        let control = system_for(cause, TenantId::OPERATOR, "set-up");
        let Some(record) = self.person_by_email(email).await? else {
            let id = PersonId::new(&self.0.clock, &self.0.random);
            let person =
                Person { email: email.to_owned(), name: name.to_owned(), password_hash: hash, password_for: None, tenants: Vec::new() };
            self.0.store.commit(&control, UnitOfWork::new().create(id.record(), &person)).await?;
            return Ok(id);
        };
        if !first {
            let detail = "Somebody has this e-mail address already. They keep their password; an invitation would make them a member.";
            return Err(Error::new(ErrorKind::Conflict, "person_exists", detail).with_field(
                "/email",
                "person_exists",
                "Use another address.",
            ));
        }
        let renew = move |person: &mut Person| {
            person.password_hash.clone_from(&hash);
            person.password_for = None;
            Ok(())
        };
        self.0.store.update::<Person>(&control, record.id, renew).await?;
        Ok(record.id.into())
    }

    async fn join(&self, cause: &Ctx, person: PersonId, tenant: TenantId) -> Result<()> {
        let control = system_for(cause, TenantId::OPERATOR, "set-up");
        let add = |person: &mut Person| {
            if !person.tenants.contains(&tenant) {
                person.tenants.push(tenant);
            }
            Ok(())
        };
        self.0.store.update::<Person>(&control, person.record(), add).await?;
        Ok(())
    }

    async fn member(&self, cause: &Ctx, tenant: TenantId, person: PersonId) -> Result<()> {
        let ctx = system_for(cause, tenant, "set-up");
        if self.0.store.find(&ctx, Member::KIND, "person_id", &person.to_string()).await?.is_none() {
            self.0.store.commit(&ctx, self.with_member(UnitOfWork::new(), person)).await?;
        }
        Ok(())
    }

    fn with_member(&self, unit: UnitOfWork, person: PersonId) -> UnitOfWork {
        let member = Member { person_id: person, roles: vec!["owner".to_owned()] };
        unit.create(RecordId::new(&self.0.clock, &self.0.random), &member)
    }

    pub(crate) async fn person_by_email(&self, email: &str) -> Result<Option<Record>> {
        let control = system(TenantId::OPERATOR, "person");
        self.0.store.find(&control, Person::KIND, "email", &normal(email)).await
    }
}

/// Addresses are compared in lowercase.
pub(crate) fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

fn already_set_up() -> Error {
    let detail = "This installation has its owner. Sign in, or ask the owner for an invitation.";
    Error::new(ErrorKind::Conflict, "already_set_up", detail)
}
