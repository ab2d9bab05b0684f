//! One namespace: a schema, its statements, and the queue of units for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Error, TenantId};
use tokio::sync::{OnceCell, oneshot, watch};

use super::dialect::Statements;
use super::lives::Life;
use crate::building::Building;
use crate::places::Layout;
use crate::plan::Done;
use crate::prepare::Prepared;

/// A batch should take this long at most.
const BATCH_NANOS: u64 = 8_000_000;
const FIRST_PACE: u64 = 8_000;
/// Round trips and the sync cost the same for any number of rows: smaller batches than this only cost more per row.
const LEAST_BUDGET: u64 = 1_000;

/// A unit of work and where its answer goes.
pub(super) struct Pending {
    pub(super) unit: Prepared,
    pub(super) answer: oneshot::Sender<Result<Done, Error>>,
}

#[derive(Default)]
struct Queue {
    units: VecDeque<Pending>,
    /// A task is at it.
    scheduled: bool,
}

pub(super) struct Namespace {
    pub(super) tenant: TenantId,
    pub(super) schema: String,
    pub(super) statements: Arc<Statements>,
    /// Set once the schema was found or made, and brought up to date.
    /// With the keys that are still being built.
    pub(super) ready: OnceCell<Arc<Building>>,
    queue: Mutex<Queue>,
    pace: AtomicU64,
    pub(super) position: Arc<watch::Sender<i64>>,
    /// Of which life the position is.
    pub(super) life: Mutex<Life>,
    /// When the position was asked for last: microseconds of the monotonic clock, plus one; zero before the first time.
    looked: AtomicU64,
}

/// The schema of control.
const CONTROL: &str = "control";
/// The schema that tenants share.
pub(super) const SHARED: &str = "tenants";

/// The schema of a tenant.
pub(super) fn schema_of(tenant: TenantId, layout: Layout) -> String {
    match layout {
        _ if tenant == TenantId::OPERATOR => CONTROL.to_owned(),
        Layout::Dedicated => tenant.record().wire("t"),
        Layout::Shared => SHARED.to_owned(),
    }
}

/// The schema of a tenant that is being loaded and will have one of its own.
pub(super) fn loading_schema(tenant: TenantId) -> String {
    tenant.record().wire("loading")
}

impl Namespace {
    pub(super) fn new(tenant: TenantId, statements: Arc<Statements>, position: Arc<watch::Sender<i64>>) -> Self {
        Self {
            tenant,
            schema: statements.schema.clone(),
            statements,
            ready: OnceCell::new(),
            queue: Mutex::default(),
            pace: AtomicU64::new(FIRST_PACE),
            position,
            life: Mutex::default(),
            looked: AtomicU64::new(0),
        }
    }

    /// Adds a unit; answers whether a task must be started.
    pub(super) fn enqueue(&self, pending: Pending) -> bool {
        let mut queue = self.queue.lock();
        queue.units.push_back(pending);
        !std::mem::replace(&mut queue.scheduled, true)
    }

    /// The units of the next batch; when there are none, the task ends.
    pub(super) fn take(&self) -> Vec<Pending> {
        let budget = (BATCH_NANOS / self.pace.load(Ordering::Relaxed).max(1)).clamp(LEAST_BUDGET, 20_000) as usize;
        let mut queue = self.queue.lock();
        let (mut batch, mut weight) = (Vec::new(), 0);
        while let Some(next) = queue.units.front() {
            if !batch.is_empty() && (next.unit.opens_batch || weight + next.unit.weight > budget) {
                break;
            }
            weight += next.unit.weight;
            batch.extend(queue.units.pop_front());
        }
        if batch.is_empty() {
            queue.scheduled = false;
        }
        batch
    }

    /// Learns how fast the server is; what a round trip costs is not the rows' fault, so small batches teach nothing.
    pub(super) fn paced(&self, rows: usize, nanos: u64) {
        if rows >= 128 {
            let known = self.pace.load(Ordering::Relaxed);
            self.pace.store((known * 7 + nanos / rows as u64) / 8, Ordering::Relaxed);
        }
    }

    /// The position was asked for at this time.
    pub(super) fn looked(&self, at: Duration) {
        self.looked.fetch_max(at.as_micros() as u64 + 1, Ordering::Release);
    }

    /// Whether the position that is known holds all that was committed so long ago.
    pub(super) fn looked_within(&self, now: Duration, age: Duration) -> bool {
        match self.looked.load(Ordering::Acquire) {
            0 => false,
            at => now < Duration::from_micros(at - 1) + age,
        }
    }

    /// What is known of the position may be of a life that is over.
    pub(super) fn doubt(&self) {
        self.looked.store(0, Ordering::Release);
    }
}
