//! From a credential to a context.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use steward_base::{
    Clock, Ctx, Effect, Error, ErrorKind, Grant, Origin, Parts, Principal, Random, RecordId, Result, Secret, TenantId, Timestamp, filter,
};
use steward_fabric::cache::Cache;
use steward_store::{MasterKey, Record, Store};

use crate::access_token::{self, AccessToken, Terms};
use crate::ground::{self, Grounds, Sort};
use crate::minted::{Minted, MintedKind};
use crate::permissions::{grants_of_role, permissions, shared};
use crate::signing_key::{self, SigningKeys};
use crate::system;
use crate::verified::{Fingerprint, Grounding, Identified, Known};

/// What an authority is made of.
pub struct Options {
    /// Where the credentials are.
    pub store: Store,
    /// What signing keys are sealed under.
    pub master: MasterKey,
    /// Where what was verified is kept for a while.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    /// For keys and ids.
    pub random: Random,
    /// The audience of the access tokens it signs.
    pub public_url: String,
}

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
    grounds: Grounds,
    known: Known,
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
pub(crate) const DEVICE_PERMISSIONS: [&str; 3] = ["logs:write", "metrics:write", "devices:execute"];

impl Authority {
    /// An authority over the credentials in a store. It is the one owner of the class `credentials` of the cache.
    pub fn new(options: Options) -> Self {
        let Options { store, master, cache, clock, random, public_url } = options;
        let keys = SigningKeys::new(store.clone(), master.clone(), clock.clone(), random.clone());
        let (grounds, known) = (Grounds::new(store.clone()), Known::new(cache, &random));
        let public_url = public_url.trim_end_matches('/').to_owned();
        Self(Arc::new(Inner { store, master, clock, random, keys, grounds, known, public_url }))
    }

    /// Seals the signing keys of a tenant under the current master key; answers how many were sealed under another. It may be done again.
    pub async fn reseal_signing_keys(&self, tenant: TenantId) -> Result<usize> {
        self.0.keys.reseal(tenant).await
    }

    /// The context of whoever presents this credential.
    ///
    /// Fails with `invalid_credential` whatever is wrong with it, and with `tenant_suspended` when its tenant takes no requests.
    pub async fn authenticate(&self, presented: &Presented, occasion: Occasion) -> Result<Ctx> {
        let (fingerprint, claim) = self.claim(presented)?;
        let now = self.grounding(fingerprint.tenant).await?;
        let (authority, sort, tenant) = (self.clone(), fingerprint.sort, fingerprint.tenant);
        let verify = move || authority.clone().verify(tenant, sort, claim.clone());
        let identified = self.0.known.get(&fingerprint, &now, verify).await?;
        if identified.until.is_some_and(|until| until <= self.0.clock.now()) {
            return Err(invalid());
        }
        Ok(Ctx::mint(Parts {
            principal: identified.principal,
            tenant,
            grants: identified.grants,
            reason: occasion.reason,
            origin: occasion.origin,
            trace_id: occasion.trace_id,
            request_id: occasion.request_id,
        }))
    }

    /// Where it reads what credentials stand for.
    pub fn store(&self) -> &Store {
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
        debug_assert!(ground::reads("tenant"));
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
        debug_assert!(ground::reads("member"));
        let ctx = system(tenant, "member");
        let Some(member) = self.0.store.find(&ctx, "member", "person_id", &person.wire("per")).await? else { return Ok(None) };
        let view: MemberView = narrow(&member)?;
        Ok(Some(view.roles.iter().filter_map(|role| grants_of_role(role)).flatten().collect()))
    }

    /// Whose a credential claims to be, and its name among those that were verified; nothing is looked up yet.
    fn claim(&self, presented: &Presented) -> Result<(Fingerprint, Arc<Claim>)> {
        let (text, minted) = match presented {
            Presented::Session(text) => (text, Some(Minted::parse(text.expose()).ok_or_else(invalid)?)),
            Presented::Bearer(text) => (text, Minted::parse(text.expose())),
        };
        let (tenant, sort, claim) = match (presented, minted) {
            (Presented::Session(_), Some(minted)) if minted.kind == MintedKind::Session => {
                (minted.tenant, Sort::Session, Claim::Minted(minted))
            }
            (Presented::Bearer(_), Some(minted)) if minted.kind == MintedKind::ApiKey => (minted.tenant, Sort::Key, Claim::Minted(minted)),
            (Presented::Bearer(text), None) => {
                let kid = access_token::kid(text.expose()).ok_or_else(invalid)?;
                (signing_key::tenant(&kid).ok_or_else(invalid)?, Sort::Device, Claim::Token { kid, text: text.clone() })
            }
            _ => return Err(invalid()),
        };
        Ok((self.0.known.fingerprint(tenant, sort, text.expose()), Arc::new(claim)))
    }

    /// What a verification in this tenant stands on now.
    async fn grounding(&self, tenant: TenantId) -> Result<Grounding> {
        let control = self.0.grounds.of(TenantId::OPERATOR).await?;
        let own = if tenant == TenantId::OPERATOR { control } else { self.0.grounds.of(tenant).await.map_err(hide_absence)? };
        Ok(Grounding { own, control })
    }

    async fn verify(self, tenant: TenantId, sort: Sort, claim: Arc<Claim>) -> Result<(Identified, Grounding)> {
        // Before any record is read: what changes meanwhile is seen as a change.
        let grounding = self.grounding(tenant).await?;
        let identified = match (&*claim, sort) {
            (Claim::Minted(minted), Sort::Session) => self.session(minted).await?,
            (Claim::Minted(minted), _) => self.api_key(minted).await?,
            (Claim::Token { kid, text }, _) => self.access_token(kid, text.expose()).await?,
        };
        self.tenant(tenant).await?;
        Ok((identified, grounding))
    }

    async fn session(&self, minted: &Minted) -> Result<Identified> {
        let record = self.record(minted, "session").await?;
        let view: SessionView = narrow(&record)?;
        if !minted.matches(&view.digest) || view.expires_at <= self.0.clock.now() {
            return Err(invalid());
        }
        let person = RecordId::parse("per", &view.person_id).ok_or_else(invalid)?;
        let grants = self.member_grants(minted.tenant, person).await?.ok_or_else(invalid)?;
        let principal = Principal::Person { id: person, session: minted.record };
        Ok(Identified { principal, grants: shared(grants), until: Some(view.expires_at) })
    }

    async fn api_key(&self, minted: &Minted) -> Result<Identified> {
        let record = self.record(minted, "api_key").await?;
        let view: KeyView = narrow(&record)?;
        if !minted.matches(&view.digest) {
            return Err(invalid());
        }
        let grants = shared(self.grants_of(&view)?);
        Ok(Identified { principal: Principal::ApiKey(minted.record), grants, until: view.expires_at })
    }

    /// The grants of a key that is still good.
    pub(crate) async fn key_grants(&self, tenant: TenantId, key: RecordId) -> Result<Vec<Grant>> {
        let record = self.0.store.get(&system(tenant, "api_key"), "api_key", key).await?.ok_or_else(invalid)?;
        self.grants_of(&narrow(&record)?)
    }

    fn grants_of(&self, view: &KeyView) -> Result<Vec<Grant>> {
        if view.expires_at.is_some_and(|at| at <= self.0.clock.now()) {
            return Err(invalid());
        }
        let mut grants = permissions(view.permissions.iter().map(String::as_str), Effect::Allow)?;
        if let Some(text) = &view.scope {
            // A scope that no longer reads must not become everywhere: the key is refused.
            let scope = filter::parse(text).map_err(Error::internal)?;
            grants.iter_mut().for_each(|grant| grant.scope = Some(scope.clone()));
        }
        Ok(grants)
    }

    async fn access_token(&self, kid: &str, token: &str) -> Result<Identified> {
        debug_assert!(ground::reads("signing_key") && ground::reads("device"));
        let (tenant, key) = self.0.keys.by_kid(kid).await.map_err(hide_absence)?.ok_or_else(invalid)?;
        let (device, until) = access_token::verify(token, &key, &self.0.public_url, self.0.clock.now()).ok_or_else(invalid)?;
        // A removed device is refused at once, not when its token expires.
        self.0.store.get(&system(tenant, "device"), "device", device).await?.ok_or_else(invalid)?;
        let grants = permissions(DEVICE_PERMISSIONS, Effect::Allow)?;
        Ok(Identified { principal: Principal::Device(device), grants: shared(grants), until: Some(until) })
    }

    async fn record(&self, minted: &Minted, kind: &str) -> Result<Record> {
        debug_assert!(ground::reads(kind));
        let ctx = system(minted.tenant, kind);
        self.0.store.get(&ctx, kind, minted.record).await.map_err(hide_absence)?.ok_or_else(invalid)
    }
}

/// A credential taken apart.
enum Claim {
    Minted(Minted),
    Token { kid: String, text: Secret<String> },
}

pub(crate) fn invalid() -> Error {
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
