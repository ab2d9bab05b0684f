//! From a credential to a context.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use steward_base::{
    Clock, Ctx, Effect, Error, ErrorKind, Grant, Origin, Parts, Principal, Random, RecordId, Result, Secret, TenantId, Timestamp, filter,
};
use steward_store::{MasterKey, Record, Store};

use crate::access_token::{self, AccessToken, Terms};
use crate::minted::{Minted, MintedKind};
use crate::permissions::{grants_of_role, permissions, shared};
use crate::signing_key::SigningKeys;
use crate::system;

/// A credential as a request presents it.
#[derive(Debug)]
pub enum Presented {
    /// `Authorization: Bearer`, `X-API-Key` or a basic-auth password: an API key or an access token.
    Bearer(Secret<String>),
    /// The session cookie.
    Session(Secret<String>),
}

/// What a request is and where it comes from, kept in the context.
#[derive(Clone, Debug, Default)]
pub struct Occasion {
    /// The operation's id.
    pub reason: Arc<str>,
    /// Where from.
    pub origin: Option<Arc<Origin>>,
    /// W3C trace id.
    pub trace_id: Option<Arc<str>>,
    /// Request id.
    pub request_id: Option<Arc<str>>,
}

/// Verifies credentials and mints contexts. Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("public_url", &self.0.public_url).finish_non_exhaustive()
    }
}

struct Inner {
    store: Store,
    master: MasterKey,
    clock: Clock,
    random: Random,
    keys: SigningKeys,
    /// Without a slash at the end; the audience of access tokens.
    public_url: String,
}

// What this crate sees of the records that other crates own.
#[derive(Deserialize)]
struct KeyView {
    digest: String,
    permissions: Vec<String>,
    scope: Option<String>,
    expires_at: Option<Timestamp>,
}
#[derive(Deserialize)]
struct SessionView {
    digest: String,
    person_id: String,
    expires_at: Timestamp,
}
#[derive(Deserialize)]
struct MemberView {
    roles: Vec<String>,
}
#[derive(Deserialize)]
struct TenantView {
    slug: String,
    status: String,
}

/// What a device's agent may do: report, and nothing else.
const DEVICE_PERMISSIONS: [&str; 3] = ["logs:write", "metrics:write", "devices:execute"];

impl Authority {
    /// An authority over the credentials in `store`; `public_url` is the audience of the access tokens it signs.
    pub fn new(store: Store, master: MasterKey, clock: Clock, random: Random, public_url: &str) -> Self {
        let keys = SigningKeys::new(store.clone(), master.clone(), clock.clone(), random.clone());
        let public_url = public_url.trim_end_matches('/').to_owned();
        Self(Arc::new(Inner { store, master, clock, random, keys, public_url }))
    }

    /// The context of whoever presents this credential.
    ///
    /// Fails with `invalid_credential` whatever is wrong with it, and with `tenant_suspended` when its tenant takes no requests.
    pub async fn authenticate(&self, presented: &Presented, occasion: Occasion) -> Result<Ctx> {
        let (tenant, principal, grants) = match presented {
            Presented::Session(text) => self.session(text.expose()).await?,
            Presented::Bearer(text) => match Minted::parse(text.expose()) {
                Some(minted) => self.api_key(&minted).await?,
                None => self.access_token(text.expose()).await?,
            },
        };
        self.tenant(tenant).await?;
        Ok(Ctx::mint(Parts {
            principal,
            tenant,
            grants: shared(grants),
            reason: occasion.reason,
            origin: occasion.origin,
            trace_id: occasion.trace_id,
            request_id: occasion.request_id,
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn master(&self) -> &MasterKey {
        &self.0.master
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    /// The context of a request that needs no credential: it holds no grants and stands in no tenant's data.
    pub fn anonymous(occasion: Occasion) -> Ctx {
        Ctx::mint(Parts {
            principal: Principal::Anonymous,
            tenant: TenantId::OPERATOR,
            grants: shared(Vec::new()),
            reason: occasion.reason,
            origin: occasion.origin,
            trace_id: occasion.trace_id,
            request_id: occasion.request_id,
        })
    }

    /// The tenant's slug; fails with `tenant_suspended` when it takes no requests, or `invalid_credential` when it is gone.
    pub async fn tenant(&self, tenant: TenantId) -> Result<String> {
        let control = system(TenantId::OPERATOR, "tenant");
        let record = self.0.store.get(&control, "tenant", tenant.record()).await?.ok_or_else(invalid)?;
        let view: TenantView = narrow(&record)?;
        if view.status != "active" {
            let detail = "This tenant is suspended or not ready yet. Ask the operator of this installation.";
            return Err(Error::new(ErrorKind::Forbidden, "tenant_suspended", detail));
        }
        Ok(view.slug)
    }

    /// An access token for a device that has just proven itself.
    pub async fn device_token(&self, tenant: TenantId, device: RecordId) -> Result<AccessToken> {
        let slug = self.tenant(tenant).await?;
        let issuer = access_token::issuer(&self.0.public_url, &slug);
        let key = self.0.keys.current(tenant).await?;
        let jti = RecordId::new(&self.0.clock, &self.0.random);
        let terms = Terms { issuer: &issuer, audience: &self.0.public_url };
        access_token::sign(&key, &terms, device, jti, self.0.clock.now())
    }

    /// Where a tenant's devices get their tokens: the audience of their assertions.
    pub fn token_url(&self, slug: &str) -> String {
        format!("{}/oauth/token", access_token::issuer(&self.0.public_url, slug))
    }

    /// The grants of a member's roles; unknown roles give nothing.
    pub async fn member_grants(&self, tenant: TenantId, person: RecordId) -> Result<Option<Vec<Grant>>> {
        let ctx = system(tenant, "member");
        let Some(member) = self.0.store.find(&ctx, "member", "person_id", &person.wire("per")).await? else { return Ok(None) };
        let view: MemberView = narrow(&member)?;
        Ok(Some(view.roles.iter().filter_map(|role| grants_of_role(role)).flatten().collect()))
    }

    async fn session(&self, text: &str) -> Result<(TenantId, Principal, Vec<Grant>)> {
        let minted = Minted::parse(text).filter(|minted| minted.kind == MintedKind::Session).ok_or_else(invalid)?;
        let record = self.record(&minted, "session").await?;
        let view: SessionView = narrow(&record)?;
        if !minted.matches(&view.digest) || view.expires_at <= self.0.clock.now() {
            return Err(invalid());
        }
        let person = RecordId::parse("per", &view.person_id).ok_or_else(invalid)?;
        let grants = self.member_grants(minted.tenant, person).await?.ok_or_else(invalid)?;
        Ok((minted.tenant, Principal::Person { id: person, session: minted.record }, grants))
    }

    async fn api_key(&self, minted: &Minted) -> Result<(TenantId, Principal, Vec<Grant>)> {
        if minted.kind != MintedKind::ApiKey {
            return Err(invalid());
        }
        let record = self.record(minted, "api_key").await?;
        let view: KeyView = narrow(&record)?;
        let expired = view.expires_at.is_some_and(|at| at <= self.0.clock.now());
        if !minted.matches(&view.digest) || expired {
            return Err(invalid());
        }
        let mut grants = permissions(view.permissions.iter().map(String::as_str), Effect::Allow)?;
        if let Some(text) = &view.scope {
            // A scope that no longer reads must not become everywhere: the key is refused.
            let scope = filter::parse(text).map_err(Error::internal)?;
            grants.iter_mut().for_each(|grant| grant.scope = Some(scope.clone()));
        }
        Ok((minted.tenant, Principal::ApiKey(minted.record), grants))
    }

    async fn access_token(&self, token: &str) -> Result<(TenantId, Principal, Vec<Grant>)> {
        let kid = access_token::kid(token).ok_or_else(invalid)?;
        let (tenant, key) = self.0.keys.by_kid(&kid).await.map_err(hide_absence)?.ok_or_else(invalid)?;
        let device = access_token::verify(token, &key, &self.0.public_url, self.0.clock.now()).ok_or_else(invalid)?;
        // A removed device is refused at once, not when its token expires.
        self.0.store.get(&system(tenant, "device"), "device", device).await?.ok_or_else(invalid)?;
        let grants = permissions(DEVICE_PERMISSIONS, Effect::Allow)?;
        Ok((tenant, Principal::Device(device), grants))
    }

    async fn record(&self, minted: &Minted, kind: &str) -> Result<Record> {
        let ctx = system(minted.tenant, kind);
        self.0.store.get(&ctx, kind, minted.record).await.map_err(hide_absence)?.ok_or_else(invalid)
    }
}

fn invalid() -> Error {
    let detail = "The credential is not valid: it may be mistyped, expired or ended. Sign in again or use another key.";
    Error::new(ErrorKind::Unauthenticated, "invalid_credential", detail)
}

/// A credential that names a tenant which does not exist is as invalid as any other: its namespace must not be told apart from a wrong key.
fn hide_absence(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound { invalid() } else { error }
}

fn narrow<T: for<'de> Deserialize<'de>>(record: &Record) -> Result<T> {
    record.body.decode()
}
