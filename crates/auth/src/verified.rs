//! Credentials that were verified, kept in this process while what they stand on has not changed.
//!
//! A request in the same credential then costs two looks at positions in memory in place of a signature or a digest and three records.
//! Invariants: no credential is kept, only a keyed hash of it; an end of validity counts on every use; a change that was committed before a request
//! began is never missed by it, see [`Ground`].

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use steward_base::{Grant, Principal, Random, Result, TenantId, Timestamp};
use steward_fabric::Class;
use steward_fabric::cache::{Cache, Loaded, Shelf};

use crate::ground::{Ground, Sort};

const CLASS: Class = Class::new("credentials");
/// After this a credential is verified anew, whatever is known.
const KEPT: Duration = Duration::from_secs(60);
/// About what an entry takes, and each of its grants.
const ENTRY: usize = 256;
const GRANT: usize = 160;

/// Who a credential belongs to and what they may do.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) principal: Principal,
    pub(crate) grants: Arc<[Grant]>,
    /// When it ends by itself.
    pub(crate) until: Option<Timestamp>,
}

/// The ground of a credential's tenant and of control, where the tenant's own record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grounding {
    pub(crate) own: Ground,
    pub(crate) control: Ground,
}

impl Grounding {
    fn bears(&self, earlier: &Self, sort: Sort) -> bool {
        self.own.bears(&earlier.own, sort) && self.control.bears(&earlier.control, sort)
    }
}

/// What is kept.
#[derive(Debug)]
struct Verified {
    identified: Identified,
    grounding: Grounding,
}

/// The verified credentials of this process.
#[derive(Debug)]
pub(crate) struct Known {
    cache: Cache,
    shelf: Shelf<Verified>,
    key: hmac::Key,
}

/// A credential's name in the cache.
pub(crate) struct Fingerprint {
    pub(crate) tenant: TenantId,
    pub(crate) sort: Sort,
    hash: String,
}

impl Known {
    pub(crate) fn new(cache: Cache, random: &Random) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>());
        Self { shelf: cache.class(CLASS, KEPT), cache, key }
    }

    pub(crate) fn fingerprint(&self, tenant: TenantId, sort: Sort, text: &str) -> Fingerprint {
        // A text is a credential of one sort only, so the sort need not be hashed.
        Fingerprint { tenant, sort, hash: URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, text.as_bytes()).as_ref()) }
    }

    /// Who it is, standing on `now`; `verify` runs when that is not known, and answers what it stands on.
    pub(crate) async fn get<F>(
        &self,
        fingerprint: &Fingerprint,
        now: &Grounding,
        verify: impl Fn() -> F + Clone + Send + 'static,
    ) -> Result<Identified>
    where
        F: Future<Output = Result<(Identified, Grounding)>> + Send + 'static,
    {
        let Fingerprint { tenant, sort, hash } = fingerprint;
        // A verification that another request began may be too old for this one, once.
        for _ in 0..2 {
            let verify = verify.clone();
            let load = move || async move {
                let (identified, grounding) = verify().await?;
                let bytes = ENTRY + identified.grants.len() * GRANT;
                Ok(Loaded { value: Verified { identified, grounding }, version: 0, bytes })
            };
            let found = self.shelf.get(*tenant, hash, load).await?.value;
            if now.bears(&found.grounding, *sort) {
                return Ok(found.identified.clone());
            }
            self.cache.invalidate(*tenant, CLASS, hash).await;
        }
        Ok(verify().await?.0)
    }
}
