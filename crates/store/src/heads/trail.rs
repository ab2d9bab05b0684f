//! What is signed, and what is held against it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use steward_base::{Ctx, Error, ErrorKind, TenantId};

use super::SignedHead;
use crate::Store;
use crate::dump::Position;
use crate::places::ask;

/// The tenants whose heads moved since they were signed, with their last position.
#[derive(Default)]
pub(crate) struct Moved {
    heads: Mutex<HashMap<TenantId, i64>>,
    /// Somebody signs.
    signed: AtomicBool,
}

impl Moved {
    pub(crate) fn to(&self, tenant: TenantId, position: i64) {
        let mut moved = self.heads.lock();
        let known = moved.entry(tenant).or_default();
        *known = position.max(*known);
    }

    /// Whether somebody signs heads and has not come to this one's yet.
    pub(crate) fn waits(&self, tenant: TenantId) -> bool {
        self.signed.load(Ordering::Relaxed) && self.heads.lock().get(&tenant).is_some_and(|position| *position > 0)
    }
}

impl Store {
    /// The tenants whose events this process added to and whose heads are not [signed](Self::signed) since: for the one task that signs them.
    /// From the first call on these stay marked, so that a process which starts after a crash knows whose heads to sign.
    pub fn moved(&self) -> Vec<TenantId> {
        let moved = self.moved_heads();
        moved.signed.store(true, Ordering::Relaxed);
        moved.heads.lock().iter().filter(|(_, position)| **position > 0).map(|(tenant, _)| *tenant).collect()
    }

    /// The head at this position, or a later one, is signed; `None` says that the tenant is gone.
    pub fn signed(&self, tenant: TenantId, position: Option<i64>) {
        let mut moved = self.moved_heads().heads.lock();
        if position.is_none_or(|signed| moved.get(&tenant).is_some_and(|moved| *moved <= signed)) {
            moved.remove(&tenant);
        }
    }

    /// Position and hash of the tenant's last event.
    pub async fn chain_head(&self, ctx: &Ctx) -> Result<Position, Error> {
        ask!(self.0.places, ctx.tenant(), engine => engine.head(ctx.tenant())).map(Position::of)
    }

    /// Follows the whole chain of a tenant, and checks that it passes through each head that was signed; answers the last position.
    ///
    /// Errors: `chain_broken` where an event does not follow from the one before, `chain_rewritten` where the chain follows from itself and
    /// another one was signed, `chain_cut` where a signed head lies behind the end; each names the position.
    pub async fn verify_trail(&self, ctx: &Ctx, heads: &[SignedHead]) -> Result<i64, Error> {
        let mut signed: BTreeMap<i64, &SignedHead> = BTreeMap::new();
        for head in heads.iter().filter(|head| head.tenant == ctx.tenant()) {
            if let Some(other) = signed.insert(head.head.position, head)
                && other.head != head.head
            {
                return Err(rewritten(other));
            }
        }
        let passes = |position: i64, hash: &[u8; 32]| match signed.get(&position) {
            Some(head) if head.head.hash != steward_base::hex(hash) => Err(rewritten(head)),
            _ => Ok(()),
        };
        let last = ask!(self.0.places, ctx.tenant(), engine => crate::chain::verify(engine, ctx.tenant(), passes))?;
        match signed.last_key_value().filter(|(position, _)| **position > last) {
            Some((position, head)) => {
                let detail = format!(
                    "The event chain ends at position {last}; at {} it reached {position}. Its end was cut off, or an older copy of the \
                     database is in its place.",
                    head.time
                );
                Err(Error::new(ErrorKind::Internal, "chain_cut", detail))
            }
            None => Ok(last),
        }
    }
}

fn rewritten(head: &SignedHead) -> Error {
    let detail = format!(
        "The event chain is not the one that was signed at {}: at position {} it had another hash. It was written anew outside of Steward.",
        head.time, head.head.position
    );
    Error::new(ErrorKind::Internal, "chain_rewritten", detail)
}
