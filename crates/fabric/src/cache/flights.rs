//! Loads under way: whoever wants the same waits for the same load, and an invalidation cuts a load off from what comes after it.
//!
//! A load runs while somebody waits for it, whoever that is; when the last one goes, it ends. One lock orders the end of a load, with its
//! entry into the cache, against invalidations.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use quick_cache::Equivalent as _;
use steward_base::{Error, TenantId};

use super::entry::{Entry, Name, NameRef};

/// What a load brings; all who wait get a copy.
pub(super) type Outcome = Result<Entry, Arc<Error>>;
pub(super) type Load = Shared<BoxFuture<'static, Outcome>>;

/// The loads under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    loads: HashMap<Name, Flight>,
    serial: u64,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    load: WeakShared<BoxFuture<'static, Outcome>>,
}

/// How one gets at the value.
pub(super) enum Boarding {
    /// It came in meanwhile.
    Arrived(Entry),
    /// Somebody loads it already.
    Joined(Load),
    /// This one loads it.
    Leading(Load),
}

/// A load's right to put its entry into the cache; given up when the load is dropped.
pub(super) struct Ticket {
    flights: Flights,
    name: Name,
    number: u64,
}

impl Flights {
    /// Joins the load of `name` or begins one. `arrived` looks once more into the cache.
    pub(super) fn board(
        &self,
        name: &NameRef<'_>,
        arrived: impl FnOnce() -> Option<Entry>,
        begin: impl FnOnce(Ticket) -> BoxFuture<'static, Outcome>,
    ) -> Boarding {
        let name = name.owned();
        let mut under_way = self.0.lock();
        if let Some(load) = under_way.loads.get(&name).and_then(|flight| flight.load.upgrade()) {
            return Boarding::Joined(load);
        }
        if let Some(entry) = arrived() {
            return Boarding::Arrived(entry);
        }
        under_way.serial += 1;
        let number = under_way.serial;
        let load = begin(Ticket { flights: self.clone(), name: name.clone(), number }).shared();
        let weak = load.downgrade().expect("a load that was never polled has not ended");
        under_way.loads.insert(name, Flight { number, load: weak });
        Boarding::Leading(load)
    }

    /// Cuts off the load of one name; `forget` runs in the same breath.
    pub(super) fn forget(&self, name: &NameRef<'_>, forget: impl FnOnce()) {
        let mut under_way = self.0.lock();
        under_way.loads.retain(|known, _| !name.equivalent(known));
        forget();
    }

    /// Cuts off the loads of a tenant.
    pub(super) fn forget_tenant(&self, tenant: TenantId, forget: impl FnOnce()) {
        let mut under_way = self.0.lock();
        under_way.loads.retain(|known, _| known.tenant != tenant);
        forget();
    }
}

impl Ticket {
    /// Ends the load: `keep` runs unless an invalidation came first.
    pub(super) fn land(self, keep: impl FnOnce(Name)) {
        let mut under_way = self.flights.0.lock();
        if under_way.loads.get(&self.name).is_some_and(|flight| flight.number == self.number) {
            under_way.loads.remove(&self.name);
            keep(self.name.clone());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = self.flights.0.lock();
        if under_way.loads.get(&self.name).is_some_and(|flight| flight.number == self.number) {
            under_way.loads.remove(&self.name);
        }
    }
}
