//! Sign-in and the session of a browser.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::{Minted, MintedKind, system, system_for};
use steward_base::{Ctx, Effect, Error, ErrorKind, Grant, Principal, RecordId, Result, Secret, TenantId, Timestamp, filter};
use steward_store::{Expect, ListQuery, Model, UnitOfWork};

use crate::set_up::normal;
use crate::{Identity, Person, PersonId, Session, Tenant, TenantStatus};

/// How long a session lives, whatever happens in it.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A tenant as a session shows it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TenantView {
    /// `ten_…`.
    pub id: TenantId,
    /// As paths name it.
    pub slug: String,
    /// As people read it.
    pub name: String,
}

/// A person as a session shows them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PersonView {
    /// `per_…`.
    pub id: PersonId,
    /// Lowercase.
    pub email: String,
    /// As people call them.
    pub name: String,
}

/// Permissions by effect, as text; scoped ones carry their filter after a space and `where`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Permissions {
    /// What is given.
    pub allow: Vec<String>,
    /// What is taken, whatever else gives it.
    pub deny: Vec<String>,
}

/// Who is signed in, where, and what they may do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Who.
    pub person: PersonView,
    /// Where.
    pub tenant: TenantView,
    /// Where else they belong.
    pub tenants: Vec<TenantView>,
    /// What they may do here.
    pub permissions: Permissions,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
}

/// A fresh session: what to show, and the secret for the cookie.
#[derive(Debug)]
pub struct SignedIn {
    /// What to show.
    pub view: SessionView,
    /// The cookie's value.
    pub secret: Secret<String>,
}

impl Identity {
    /// Starts a session for whoever knows the password; `slug` picks among their tenants.
    ///
    /// Fails with `invalid_credentials` whatever is wrong, `too_many_attempts`, `sign_in_busy`.
    pub async fn sign_in(&self, cause: &Ctx, email: &str, password: Secret<String>, slug: Option<&str>) -> Result<SignedIn> {
        let email = normal(email);
        // Counted before the password is looked at, so that many guesses at once count as many.
        self.0.attempts.begin(&email, cause.origin().and_then(|origin| origin.ip.as_deref()))?;
        let record = self.person_by_email(&email).await?;
        let person = record.as_ref().map(|record| record.decode::<Person>()).transpose()?;
        let right = self.0.passwords.verify(password, person.as_ref().map(|person| person.password_hash.clone())).await?;
        let (Some(record), Some(person), true) = (record, person, right) else {
            return Err(invalid_credentials());
        };
        self.0.attempts.succeeded(&email, cause.origin().and_then(|origin| origin.ip.as_deref()));
        let tenant = self.choose_tenant(&person, slug).await?.ok_or_else(invalid_credentials)?;
        self.start(cause, record.id.into(), &person, tenant).await
    }

    /// Starts a session in `tenant` for a person who has just proven themselves.
    pub(crate) async fn start_for(&self, cause: &Ctx, person: PersonId, tenant: TenantId) -> Result<SignedIn> {
        let control = system(TenantId::OPERATOR, "session");
        let record = self.0.store.get(&control, Person::KIND, person.record()).await?.ok_or_else(invalid_credentials)?;
        self.start(cause, person, &record.decode()?, tenant).await
    }

    /// What the current session shows.
    pub async fn session(&self, ctx: &Ctx) -> Result<SessionView> {
        let Principal::Person { id, session } = ctx.principal() else {
            let detail = "This credential is no session of a person. Sign in to have one.";
            return Err(Error::new(ErrorKind::Forbidden, "no_session", detail));
        };
        let control = system(TenantId::OPERATOR, "session");
        let person = self.0.store.get(&control, Person::KIND, *id).await?.ok_or_else(no_session)?;
        let session = self.0.store.get(ctx, Session::KIND, *session).await?.ok_or_else(no_session)?;
        let expires_at = session.decode::<Session>()?.expires_at;
        self.view((*id).into(), &person.decode()?, ctx.tenant(), ctx.grants(), expires_at).await
    }

    /// Ends the current session; nothing happens when there is none.
    pub async fn sign_out(&self, ctx: &Ctx) -> Result<()> {
        if let Principal::Person { session, .. } = ctx.principal() {
            self.0.store.commit(ctx, UnitOfWork::new().delete(Session::KIND, *session, Expect::Any)).await?;
        }
        Ok(())
    }

    async fn start(&self, cause: &Ctx, id: PersonId, person: &Person, tenant: TenantId) -> Result<SignedIn> {
        let grants = self.0.authority.member_grants(tenant, id.record()).await?.ok_or_else(invalid_credentials)?;
        let ctx = system_for(cause, tenant, "sign-in");
        let record = RecordId::new(&self.0.clock, &self.0.random);
        let minted = Minted::new(MintedKind::Session, tenant, record, &self.0.random);
        let expires_at = self.0.clock.now().plus(SESSION_LIFETIME);
        let session = Session { person_id: id, digest: minted.digest(), expires_at };
        let unit = self.forget_expired(&ctx).await?.create(record, &session);
        self.0.store.commit(&ctx, unit).await?;
        let view = self.view(id, person, tenant, &grants, expires_at).await?;
        Ok(SignedIn { view, secret: minted.reveal() })
    }

    /// A few expired sessions go with each new one, so that they cannot pile up.
    async fn forget_expired(&self, ctx: &Ctx) -> Result<UnitOfWork> {
        let expired = filter::Expr::compare("expires_at", filter::Op::Lt, filter::Literal::Time(self.0.clock.now()));
        let query = ListQuery { limit: 10, filter: Some(expired), kind: Session::KIND.to_owned(), ..ListQuery::default() };
        let page = self.0.store.list(ctx, query).await?;
        Ok(page.records.iter().fold(UnitOfWork::new(), |unit, old| unit.delete(Session::KIND, old.id, Expect::Any)))
    }

    async fn choose_tenant(&self, person: &Person, slug: Option<&str>) -> Result<Option<TenantId>> {
        if let Some(slug) = slug {
            let tenant = self.tenant_by_slug(slug).await?.map(|record| record.id.into());
            let own = tenant.filter(|tenant| person.opens().any(|own| own == *tenant));
            return match own {
                Some(tenant) => Ok(self.active(tenant).await?.map(|view| view.id)),
                None => Ok(None),
            };
        }
        for tenant in person.opens().filter(|tenant| *tenant != TenantId::OPERATOR) {
            if self.active(tenant).await?.is_some() {
                return Ok(Some(tenant));
            }
        }
        Ok(person.opens().find(|tenant| *tenant == TenantId::OPERATOR))
    }

    async fn active(&self, tenant: TenantId) -> Result<Option<TenantView>> {
        let control = system(TenantId::OPERATOR, "tenant");
        let Some(record) = self.0.store.get(&control, Tenant::KIND, tenant.record()).await? else { return Ok(None) };
        let Tenant { name, slug, status } = record.decode()?;
        Ok((status == TenantStatus::Active).then_some(TenantView { id: tenant, slug, name }))
    }

    async fn view(&self, id: PersonId, person: &Person, tenant: TenantId, grants: &[Grant], expires_at: Timestamp) -> Result<SessionView> {
        let mut tenants = Vec::new();
        for candidate in &person.tenants {
            tenants.extend(self.active(*candidate).await?);
        }
        let current = tenants.iter().find(|view| view.id == tenant).cloned().ok_or_else(no_session)?;
        Ok(SessionView {
            person: PersonView { id, email: person.email.clone(), name: person.name.clone() },
            tenant: current,
            tenants,
            permissions: permissions(grants),
            expires_at,
        })
    }
}

fn permissions(grants: &[Grant]) -> Permissions {
    let mut out = Permissions::default();
    for grant in grants {
        let text = match &grant.scope {
            Some(scope) => format!("{} where {scope}", grant.permission),
            None => grant.permission.to_string(),
        };
        match grant.effect {
            Effect::Allow => out.allow.push(text),
            Effect::Deny => out.deny.push(text),
        }
    }
    for list in [&mut out.allow, &mut out.deny] {
        list.sort_unstable();
        list.dedup();
    }
    out
}

fn invalid_credentials() -> Error {
    let detail = "The e-mail address, the password or the tenant is not right.";
    Error::new(ErrorKind::Unauthenticated, "invalid_credentials", detail)
}

fn no_session() -> Error {
    Error::new(ErrorKind::Unauthenticated, "no_session", "There is no session. Sign in first.")
}
