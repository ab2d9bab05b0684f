//! Signed heads of the event chains, kept outside the database: whoever holds the database can rewrite a chain so that it holds again, and
//! cannot make it pass through a head that was signed before.
//!
//! A head is a line of JSON in `heads-<year>-<month>.jsonl`; the public key that it is signed with (Ed25519) stands beside it as
//! `key-<id>.pem`. The same may be written to a second folder, which is best on another machine: whoever can write the one folder and the
//! database too can sign anew only with the master key, and cannot reach the other.

mod key;
mod log;
mod trail;

use serde::{Deserialize, Serialize};
use steward_base::{TenantId, Timestamp};

pub use key::HeadSigner;
pub use log::{HeadLog, Heads};
pub(crate) use trail::Moved;

use crate::dump::Position;

/// That the chain of a tenant had this head at this time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// Whose chain.
    pub tenant: TenantId,
    /// Position and hash of the last event.
    #[serde(flatten)]
    pub head: Position,
    /// When it was signed.
    pub time: Timestamp,
    /// The id of the public key.
    pub key: String,
    /// Ed25519 over tenant, position, hash and time, base64url.
    pub signature: String,
}

/// What is signed. It cannot change: signatures were made over it.
fn signed_text(tenant: TenantId, head: &Position, time: Timestamp) -> Vec<u8> {
    format!("steward chain head v1\n{tenant}\n{}\n{}\n{time}\n", head.position, head.hash).into_bytes()
}
