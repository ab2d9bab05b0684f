//! The open keys of tenants, kept in memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use steward_base::TenantId;
use zeroize::Zeroizing;

use super::MasterKey;
use super::data::{DataKey, key_of};

/// Tenants whose keys are kept open; beyond it whoever comes begins anew, since opening a key takes some 5 µs and a read.
const KEPT: usize = 4_096;

/// The keys for the secrets of one tenant, oldest first: the last one seals.
pub(crate) struct TenantKeys(pub(crate) Vec<DataKey>);

/// The master key and what it opened so far.
pub(crate) struct Vault {
    pub(crate) master: MasterKey,
    open: Mutex<HashMap<TenantId, Arc<TenantKeys>>>,
}

impl TenantKeys {
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.of(sealed)?.open(bound_to, sealed)
    }

    /// Whether it holds the key of a sealed text.
    pub(crate) fn knows(&self, sealed: &str) -> bool {
        self.of(sealed).is_some()
    }

    fn of(&self, sealed: &str) -> Option<&DataKey> {
        let id = key_of(sealed)?;
        self.0.iter().find(|key| key.id == id)
    }
}

impl std::fmt::Debug for TenantKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TenantKeys({})", self.0.len())
    }
}

impl Vault {
    pub(crate) fn new(master: MasterKey) -> Self {
        Self { master, open: Mutex::default() }
    }

    pub(crate) fn at_hand(&self, tenant: TenantId) -> Option<Arc<TenantKeys>> {
        self.open.lock().get(&tenant).cloned()
    }

    /// The tenant is gone, or comes anew with other keys.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.open.lock().remove(&tenant);
    }

    pub(crate) fn keep(&self, tenant: TenantId, keys: Vec<DataKey>) -> Arc<TenantKeys> {
        let keys = Arc::new(TenantKeys(keys));
        let mut open = self.open.lock();
        if open.len() >= KEPT {
            open.clear();
        }
        open.insert(tenant, keys.clone());
        keys
    }
}
