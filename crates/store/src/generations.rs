//! Whether the records of a kind may have changed: a number that is another one afterwards, for whoever keeps what was read.

use std::collections::HashMap;

use parking_lot::Mutex;
use steward_base::TenantId;

/// The generations of the kinds that somebody asked for. No number comes twice, also when a tenant is forgotten and comes back.
#[derive(Default)]
pub(crate) struct Generations(Mutex<Known>);

#[derive(Default)]
struct Known {
    last: u64,
    /// By the kind's number; 0 where nobody asked since it changed.
    tenants: HashMap<TenantId, Vec<u64>>,
}

impl Generations {
    /// The generation now. Asked for before a read, it is a lower bound of what the read saw.
    pub(crate) fn of(&self, tenant: TenantId, kind: usize) -> u64 {
        let mut known = self.0.lock();
        if let Some(generation) = known.tenants.get(&tenant).and_then(|kinds| kinds.get(kind)).filter(|generation| **generation > 0) {
            return *generation;
        }
        known.last += 1;
        let next = known.last;
        let kinds = known.tenants.entry(tenant).or_default();
        kinds.resize(kinds.len().max(kind + 1), 0);
        kinds[kind] = next;
        next
    }

    /// Some records of these kinds changed; to be said before whoever changed them is answered.
    pub(crate) fn changed(&self, tenant: TenantId, changed: impl Iterator<Item = usize>) {
        if let Some(kinds) = self.0.lock().tenants.get_mut(&tenant) {
            for kind in changed {
                if let Some(generation) = kinds.get_mut(kind) {
                    *generation = 0;
                }
            }
        }
    }

    /// Nobody knows what changed.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.0.lock().tenants.remove(&tenant);
    }
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, Random};

    use super::*;

    #[test]
    fn a_generation_lasts_until_the_kind_changes_and_never_comes_back() {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let (one, other) = (TenantId::new(&clock, &random), TenantId::new(&clock, &random));
        let generations = Generations::default();
        let first = [generations.of(one, 0), generations.of(one, 3), generations.of(other, 0)];
        assert_eq!([generations.of(one, 0), generations.of(one, 3), generations.of(other, 0)], first);
        generations.changed(one, [3, 7].into_iter());
        assert_eq!((generations.of(one, 0), generations.of(other, 0)), (first[0], first[2]), "others stay");
        let second = generations.of(one, 3);
        assert!(second > first[1]);
        generations.forget(one);
        assert!(generations.of(one, 3) > second && generations.of(one, 0) > first[0]);
        assert_eq!(generations.of(other, 0), first[2]);
    }
}
