//! How the caches and the parts elsewhere do, for whoever runs the installation.

use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use steward_base::Error;
use steward_fabric::cache::Counters;
use steward_web::{Call, Json, Operation, Reply, operation};

use super::Fabric;

/// One class of the cache of this process, counted since it started.
#[derive(Debug, Serialize, JsonSchema)]
struct CacheClass {
    /// As in `credentials`.
    class: &'static str,
    /// Answered from this process.
    hits: u64,
    /// Answered from what processes share.
    second_hits: u64,
    /// Answered by a load that another request began.
    joined: u64,
    /// Loaded from where it comes from.
    loads: u64,
    /// Loads that failed.
    failures: u64,
    /// Forgotten because of a change.
    invalidations: u64,
    /// Memory of the entries.
    bytes: u64,
    /// Answers without a load, of all; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    hit_rate: Option<f64>,
}

/// The classes, by name.
#[derive(Debug, Serialize, JsonSchema)]
struct Caches {
    /// Each class.
    data: Vec<CacheClass>,
}

impl From<Counters> for CacheClass {
    fn from(counters: Counters) -> Self {
        let Counters { class, hits, second_hits, joined, loads, failures, invalidations, bytes } = counters;
        let spared = hits + second_hits + joined;
        let all = spared + loads;
        let hit_rate = (all > 0).then(|| spared as f64 / all as f64);
        Self { class: class.name(), hits, second_hits, joined, loads, failures, invalidations, bytes, hit_rate }
    }
}

pub(crate) fn operations(fabric: &Fabric) -> Vec<Operation> {
    vec![
        operation("platform.caches", Method::GET, "/api/v1/platform/caches")
            .summary("How the caches do")
            .description("Of the process that answers, since it started.")
            .tag("platform")
            .needs("platform:read")
            .handle(fabric.clone(), async |fabric: Fabric, _: Call| {
                Ok::<Reply<Json<Caches>>, Error>(Reply::json(Caches {
                    data: fabric.cache.counters().into_iter().map(CacheClass::from).collect(),
                }))
            }),
    ]
}

#[cfg(test)]
mod tests {
    use steward_fabric::Class;

    use super::*;

    #[test]
    fn a_rate_is_of_all_answers_and_absent_without_any() {
        let none =
            Counters { class: Class::new("a"), hits: 0, second_hits: 0, joined: 0, loads: 0, failures: 0, invalidations: 0, bytes: 0 };
        assert_eq!(CacheClass::from(none).hit_rate, None);
        let some = Counters { hits: 5, second_hits: 1, joined: 0, loads: 2, ..none };
        assert_eq!(CacheClass::from(some).hit_rate, Some(0.75));
    }
}
