//! The keys a tenant signs its access tokens with: ES256, the private half sealed under the master key.
//!
//! A key's id carries its tenant, so that a token names the issuer to look in before anything is known of it.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Error, Random, RecordId, Result, TenantId, base32};
use steward_store::{ListQuery, MasterKey, Model, Record, Store, UnitOfWork};

use crate::system;

const LABEL: &str = "signing-key";

/// A tenant's signing key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SigningKey {
    /// `ES256`.
    pub algorithm: String,
    /// The public point's x, base64url.
    pub x: String,
    /// The public point's y, base64url.
    pub y: String,
    /// The private key (PKCS#8), sealed.
    #[schemars(extend("secret" = "hashed"))]
    pub sealed: String,
}

impl Model for SigningKey {
    const KIND: &'static str = "signing_key";
    const PREFIX: &'static str = "sgk";
}

/// A key ready to sign with.
pub(crate) struct Signing {
    pub(crate) kid: String,
    pub(crate) encoding: EncodingKey,
}

/// A key as it was opened, good for as long as its record has this version.
#[derive(Clone)]
struct Opened {
    id: RecordId,
    version: i64,
    key: Arc<Signing>,
}

/// The signing keys of all tenants. Their records are read at every use, so that one that was ended is used no more; only what opening the
/// private half of one came to is kept.
pub(crate) struct SigningKeys {
    store: Store,
    master: MasterKey,
    clock: Clock,
    random: Random,
    opened: RwLock<HashMap<TenantId, Opened>>,
}

/// Opened keys kept at once; beyond it the cache starts anew, since to open one costs some 50 µs.
const KEPT: usize = 20_000;

impl SigningKeys {
    pub(crate) fn new(store: Store, master: MasterKey, clock: Clock, random: Random) -> Self {
        Self { store, master, clock, random, opened: RwLock::default() }
    }

    /// The key that `tenant` signs with now; made at first need.
    pub(crate) async fn current(&self, tenant: TenantId) -> Result<Arc<Signing>> {
        let ctx = system(tenant, "signing-key");
        let known = self.opened.read().get(&tenant).cloned();
        if let Some(known) = known
            && self.store.get(&ctx, SigningKey::KIND, known.id).await?.is_some_and(|record| record.version == known.version)
        {
            return Ok(known.key);
        }
        let page = self.store.list(&ctx, ListQuery { limit: 1, kind: SigningKey::KIND.to_owned(), ..ListQuery::default() }).await?;
        let record = match page.records.into_iter().next() {
            Some(record) => record,
            None => self.create(&ctx).await?,
        };
        let opened = self.open(tenant, &record)?;
        let key = opened.key.clone();
        let mut all = self.opened.write();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(tenant, opened);
        Ok(key)
    }

    /// The public half of the key that `kid` names; `None` when there is none.
    pub(crate) async fn by_kid(&self, kid: &str) -> Result<Option<(TenantId, DecodingKey)>> {
        let Some((tenant, id)) = read_kid(kid) else { return Ok(None) };
        let Some(record) = self.store.get(&system(tenant, "signing-key"), SigningKey::KIND, id).await? else { return Ok(None) };
        let key: SigningKey = record.decode()?;
        Ok(Some((tenant, DecodingKey::from_ec_components(&key.x, &key.y).map_err(Error::internal)?)))
    }

    /// Seals the keys of a tenant under the current master key; answers how many were not.
    pub(crate) async fn reseal(&self, tenant: TenantId) -> Result<usize> {
        let ctx = system(tenant, "signing-key");
        let mut query = ListQuery { limit: 500, kind: SigningKey::KIND.to_owned(), ..ListQuery::default() };
        let mut done = 0;
        loop {
            let page = self.store.list(&ctx, query.clone()).await?;
            for record in &page.records {
                let sealed = record.decode::<SigningKey>()?.sealed;
                if self.master.is_current(&sealed) {
                    continue;
                }
                let private = self.master.open(LABEL, &record.id.bytes(), &sealed).ok_or_else(wrong_master)?;
                let resealed = self.master.seal(LABEL, &record.id.bytes(), &private, &self.random);
                let change = |key: &mut SigningKey| {
                    key.sealed.clone_from(&resealed);
                    Ok(())
                };
                self.store.update::<SigningKey>(&ctx, record.id, change).await?;
                done += 1;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(done),
            }
        }
    }

    async fn create(&self, ctx: &Ctx) -> Result<Record> {
        let id = RecordId::new(&self.clock, &self.random);
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
        let private = pair.to_pkcs8v1().map_err(Error::internal)?;
        // An uncompressed point: 0x04, then x and y of 32 bytes each.
        let point = pair.public_key().as_ref();
        let key = SigningKey {
            algorithm: "ES256".to_owned(),
            x: URL_SAFE_NO_PAD.encode(&point[1..33]),
            y: URL_SAFE_NO_PAD.encode(&point[33..65]),
            sealed: self.master.seal(LABEL, &id.bytes(), private.as_ref(), &self.random),
        };
        let committed = self.store.commit(ctx, UnitOfWork::new().create(id, &key)).await?;
        committed.records.into_iter().next().ok_or_else(|| Error::internal("what was created was not answered"))
    }

    fn open(&self, tenant: TenantId, record: &Record) -> Result<Opened> {
        let sealed = record.decode::<SigningKey>()?.sealed;
        let private = self.master.open(LABEL, &record.id.bytes(), &sealed).ok_or_else(wrong_master)?;
        let key = Arc::new(Signing { kid: write_kid(tenant, record.id), encoding: EncodingKey::from_ec_der(&private) });
        Ok(Opened { id: record.id, version: record.version, key })
    }
}

fn wrong_master() -> Error {
    Error::internal("the signing key does not open: the master key is not the one it was sealed under")
}

fn write_kid(tenant: TenantId, key: RecordId) -> String {
    base32::encode(&[tenant.bytes(), key.bytes()].concat())
}

/// The tenant that a key id names.
pub(crate) fn tenant(kid: &str) -> Option<TenantId> {
    read_kid(kid).map(|(tenant, _)| tenant)
}

fn read_kid(kid: &str) -> Option<(TenantId, RecordId)> {
    let bytes: [u8; 32] = base32::decode(kid)?;
    let (tenant, key) = bytes.split_at(16);
    let id = |bytes: &[u8]| bytes.try_into().ok().map(RecordId::from_bytes);
    Some((id(tenant)?.into(), id(key)?))
}
