//! Telemetry over HTTP: OTLP and JSON lines in; logs, counts, live tail and metric series out.
//!
//! Invariants: a request is answered with success only when its rows are on disk and readable; a device's rows carry its own id and
//! organization, whatever they claim; a caller whose permission holds only somewhere reads and writes only there; every row that is refused
//! is counted in the answer, with the reason.

mod access;
mod incoming;
mod lines;
mod logs;
mod metrics;
mod otlp;
mod query;
mod scopes;

use steward_store::Store;
use steward_telemetry::Telemetry;
use steward_web::Operation;

/// What the operations work on. Cheap to clone.
#[derive(Clone)]
pub struct Observe {
    store: Store,
    telemetry: Telemetry,
}

impl Observe {
    /// The operations over a store, where devices are looked up, and an engine.
    pub fn new(store: Store, telemetry: Telemetry) -> Self {
        Self { store, telemetry }
    }

    /// Every operation of this crate.
    pub fn operations(&self) -> Vec<Operation> {
        let mut all = otlp::operations(self);
        all.push(lines::operation(self));
        all.extend(logs::operations(self));
        all.extend(metrics::operations(self));
        all
    }
}
