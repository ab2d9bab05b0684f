//! One try of a request that its client may repeat.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{TenantId, Timestamp};

/// What identifies a repeatable request: whoever repeats one says the same key again for the same operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The caller, as events name it.
    pub principal: Arc<str>,
    /// The operation's id.
    pub operation: Arc<str>,
    /// The client's own words.
    pub key: Arc<str>,
}

/// One try of a repeatable request: the first commit under it claims the key, so that no other try has an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// In whose namespace the key is kept.
    pub tenant: TenantId,
    /// What is claimed.
    pub key: AttemptKey,
    /// Digest of everything that the client asked for, under a key: what was asked for may be a secret.
    pub request: [u8; 32],
    /// The same under keys that were used before.
    pub formerly: Vec<[u8; 32]>,
    /// Tells this try from every other one.
    pub nonce: [u8; 16],
    /// Until when the key is remembered.
    pub until: Timestamp,
}
