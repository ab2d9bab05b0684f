//! The cache of what is dear: cache-aside, one loader per key, bounded by bytes, with a second level that processes share.
//!
//! Invariants: what was invalidated before a `get` began is never its answer, also when a load was under way meanwhile; a value that was
//! loaded before an invalidation is not kept after it; while the event feed is not fresh, nothing cached is trusted on either level.

mod counters;
mod entry;
mod flights;
mod freshness;
mod second;
mod shelf;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use quick_cache::Weighter as _;
use steward_base::{Clock, Random, TenantId};

pub use counters::Counters;
pub use freshness::{FRESH_FOR, Freshness};
pub use second::Codec;
pub use shelf::{Cached, Loaded, Shelf};

use crate::Class;
use crate::kv::Kv;
use counters::Tally;
use entry::{Entry, Name, NameRef, Weight};
use flights::Flights;
use second::Second;

/// The longest life of an entry that processes share: a process that starts while Redis is away cannot know what was invalidated meanwhile, and
/// trusts what it finds for this long at most.
pub const MAX_SHARED_TTL: Duration = Duration::from_secs(300);

/// What a cache is made of.
#[derive(Debug)]
pub struct Options {
    /// How much memory the entries of all classes take together.
    pub bytes: u64,
    /// Whether this process hears of what others change.
    pub freshness: Freshness,
    /// Where processes share what they loaded.
    pub second: Option<Kv>,
}

/// The cache of this process.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    freshness: Freshness,
    first: quick_cache::sync::Cache<Name, Entry, Weight>,
    flights: Flights,
    second: Option<Second>,
    classes: RwLock<BTreeMap<Class, Arc<Kept>>>,
}

/// A class of entries.
#[derive(Debug)]
struct Kept {
    class: Class,
    ttl: Duration,
    shared: bool,
    tally: Tally,
}

impl Cache {
    /// An empty one.
    pub fn new(options: Options, clock: Clock, random: Random) -> Self {
        // The estimate only sizes tables at the start.
        let first = quick_cache::sync::Cache::with_weighter((options.bytes / 1_024) as usize, options.bytes, Weight);
        let second = options.second.map(|kv| Second::new(kv, clock.clone(), random));
        let shared = Shared { clock, freshness: options.freshness, first, flights: Flights::default(), second, classes: RwLock::default() };
        Self(Arc::new(shared))
    }

    /// A class whose values stay in this process.
    ///
    /// # Panics
    ///
    /// When the class is there already: two owners would take each other's values for their own.
    pub fn class<V: Any + Send + Sync>(&self, class: Class, ttl: Duration) -> Shelf<V> {
        Shelf::new(self.clone(), self.add(class, ttl, false), None)
    }

    /// A class whose values processes share, where there is a second level; the time to live is cut at [`MAX_SHARED_TTL`].
    ///
    /// # Panics
    ///
    /// When the class is there already.
    pub fn shared_class<V: Any + Send + Sync>(&self, class: Class, ttl: Duration, codec: Codec<V>) -> Shelf<V> {
        Shelf::new(self.clone(), self.add(class, ttl.min(MAX_SHARED_TTL), true), Some(codec))
    }

    /// Forgets one entry, on both levels: what was committed to make it untrue is seen by every `get` that begins after this returns.
    pub async fn invalidate(&self, tenant: TenantId, class: Class, key: &str) {
        let name = NameRef { tenant, class, key };
        let forget = || {
            self.0.flights.forget(&name, || {
                self.0.first.remove(&name);
            });
        };
        forget();
        let kept = self.0.classes.read().get(&class).cloned();
        let Some(kept) = kept else { return };
        kept.tally.invalidated();
        if let (Some(second), true) = (&self.0.second, kept.shared) {
            second.invalidate(&name).await;
            // A load that began in between may have found the old value on the second level.
            forget();
        }
    }

    /// Forgets everything of a tenant, on both levels.
    pub async fn invalidate_tenant(&self, tenant: TenantId) {
        let forget = || self.0.flights.forget_tenant(tenant, || self.0.first.retain(|name, _| name.tenant != tenant));
        forget();
        if let Some(second) = &self.0.second {
            second.invalidate_tenant(tenant).await;
            forget();
        }
    }

    /// What happened in each class since the start, and what it takes now. Looks at every entry: for whoever asks now and then.
    pub fn counters(&self) -> Vec<Counters> {
        let mut bytes: BTreeMap<Class, u64> = BTreeMap::new();
        for (name, entry) in self.0.first.iter() {
            *bytes.entry(name.class).or_default() += Weight.weight(&name, &entry);
        }
        let counters = |kept: &Arc<Kept>| kept.tally.counters(kept.class, bytes.get(&kept.class).copied().unwrap_or_default());
        self.0.classes.read().values().map(counters).collect()
    }

    /// How many bytes the entries take.
    pub fn bytes(&self) -> u64 {
        self.0.first.weight()
    }

    fn add(&self, class: Class, ttl: Duration, shared: bool) -> Arc<Kept> {
        let kept = Arc::new(Kept { class, ttl, shared, tally: Tally::default() });
        let before = self.0.classes.write().insert(class, kept.clone());
        assert!(before.is_none(), "the class {class} of the cache has two owners");
        kept
    }
}
