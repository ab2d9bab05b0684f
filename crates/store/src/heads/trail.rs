//! What is signed, and what is held against it.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use steward_base::{Ctx, Error, ErrorKind, TenantId};

use super::SignedHead;
use crate::Store;
use crate::dump::Position;
use crate::places::ask;

/// The tenants whose heads moved since somebody looked, with their last position.
#[derive(Default)]
pub(crate) struct Moved(Mutex<HashMap<TenantId, i64>>);

impl Moved {
    pub(crate) fn to(&self, tenant: TenantId, position: i64) {
        let mut moved = self.0.lock();
        let known = moved.entry(tenant).or_default();
        *known = position.max(*known);
    }
}

impl Store {
    /// The tenants whose events this process added to since it was last asked: for the one task that signs heads.
    pub fn moved(&self) -> Vec<TenantId> {
        let moved = std::mem::take(&mut *self.moved_heads().0.lock());
        moved.into_iter().filter(|(_, position)| *position > 0).map(|(tenant, _)| tenant).collect()
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
            Some(head) if head.head.hash != crate::chain::hex(hash) => Err(rewritten(head)),
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
