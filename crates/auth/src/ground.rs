//! What verified credentials stand on: how far each tenant has come, and when records that a verification reads were last changed.
//!
//! Invariants: every event of a tenant is looked through once, by what it is about, before anything that was computed at an earlier position is
//! used again; what cannot be told, because too much happened or a tenant was loaded anew, counts as changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use steward_base::{Result, TenantId};
use steward_fabric::cache::FRESH_FOR;
use steward_store::Store;

use crate::system;

/// Tenants remembered at once, at some 100 bytes; beyond it all are forgotten and what stood on them is computed anew.
const KEPT: usize = 20_000;

/// What sort of credential it is: each reads other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Key,
    Session,
    Device,
}

const SORTS: usize = 3;

/// The kinds that a verification reads, and whose. A tenant's own record carries them all.
const READ: [(&str, &[Sort]); 8] = [
    ("tenant", &[Sort::Key, Sort::Session, Sort::Device]),
    ("api_key", &[Sort::Key]),
    ("session", &[Sort::Session]),
    ("member", &[Sort::Session]),
    ("role", &[Sort::Session]),
    ("person", &[Sort::Session]),
    ("device", &[Sort::Device]),
    ("signing_key", &[Sort::Device]),
];

/// Whether events about this kind are looked for: nothing else may go into what is kept.
pub(crate) fn reads(kind: &str) -> bool {
    READ.iter().any(|(known, _)| *known == kind)
}

/// How far a tenant was looked through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    /// Positions of different eras say nothing about each other.
    era: u64,
    /// Of the tenant, and neither do those of different lives.
    life: u64,
    looked: i64,
    /// By sort, the last event about a record that it reads.
    changed: [i64; SORTS],
}

impl Ground {
    /// Whether what was computed on `earlier` ground is still true.
    pub(crate) fn bears(&self, earlier: &Ground, sort: Sort) -> bool {
        self.era == earlier.era && self.changed[sort as usize] <= earlier.looked
    }

    fn merge(&mut self, other: &Ground) {
        self.looked = self.looked.max(other.looked);
        for (changed, seen) in self.changed.iter_mut().zip(other.changed) {
            *changed = seen.max(*changed);
        }
    }
}

/// The ground of each tenant.
pub(crate) struct Grounds {
    store: Store,
    /// Id prefixes of the kinds that are read.
    prefixes: Vec<(String, &'static [Sort])>,
    eras: AtomicU64,
    tenants: Mutex<HashMap<TenantId, Ground>>,
}

impl Grounds {
    pub(crate) fn new(store: Store) -> Self {
        let prefix = |(name, sorts): &(&str, &'static [Sort])| store.kinds().get(name).map(|kind| (kind.prefix().to_owned(), *sorts));
        let prefixes = READ.iter().filter_map(prefix).collect();
        Self { store, prefixes, eras: AtomicU64::default(), tenants: Mutex::default() }
    }

    /// The ground as it is now. Read it before the records that are to stand on it. Where other processes write too, what they did in the last
    /// [`FRESH_FOR`] may be missing.
    pub(crate) async fn of(&self, tenant: TenantId) -> Result<Ground> {
        let (mut position, life) = self.stand(tenant).await?;
        let Some(known) = self.tenants.lock().get(&tenant).copied().filter(|known| known.life == life) else {
            return Ok(self.begin(tenant, life, position));
        };
        if position < known.looked {
            // Another request looked further meanwhile; or the tenant was taken back to an earlier state, and then it stays behind.
            position = self.store.position(tenant, FRESH_FOR).await?;
            if position < known.looked {
                return Ok(self.begin(tenant, life, position));
            }
        }
        if position == known.looked { Ok(known) } else { self.catch_up(tenant, known, position).await }
    }

    /// The position, and the life that it is of.
    async fn stand(&self, tenant: TenantId) -> Result<(i64, u64)> {
        loop {
            let life = self.store.life(tenant);
            let position = self.store.position(tenant, FRESH_FOR).await?;
            if self.store.life(tenant) == life {
                return Ok((position, life));
            }
        }
    }

    fn begin(&self, tenant: TenantId, life: u64, position: i64) -> Ground {
        let era = self.eras.fetch_add(1, Ordering::Relaxed);
        let ground = Ground { era, life, looked: position, changed: [position; SORTS] };
        let mut tenants = self.tenants.lock();
        if tenants.len() >= KEPT && !tenants.contains_key(&tenant) {
            tenants.clear();
        }
        tenants.insert(tenant, ground);
        ground
    }

    async fn catch_up(&self, tenant: TenantId, known: Ground, position: i64) -> Result<Ground> {
        let mut ground = known;
        let note = |at: i64, subject: &str| self.note(&mut ground, at, subject);
        let last = self.store.skim(&system(tenant, "credentials"), known.looked, note).await?;
        if last < position {
            // Reading all that happened would cost more than what it might save.
            ground.changed = [position; SORTS];
        }
        ground.looked = last.max(position);
        let mut tenants = self.tenants.lock();
        match tenants.get_mut(&tenant) {
            // Whoever was faster may have looked further.
            Some(current) if current.era == ground.era => {
                current.merge(&ground);
                Ok(*current)
            }
            _ => Ok(ground),
        }
    }

    fn note(&self, ground: &mut Ground, at: i64, subject: &str) {
        let prefix = subject.split_once('_').map(|(prefix, _)| prefix);
        let all = [Sort::Key, Sort::Session, Sort::Device];
        let sorts = match prefix {
            Some(prefix) => self.prefixes.iter().find(|(known, _)| known == prefix).map_or(&[][..], |(_, sorts)| sorts),
            None => &all[..],
        };
        sorts.iter().for_each(|sort| ground.changed[*sort as usize] = at);
    }
}
