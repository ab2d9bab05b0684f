//! Rows as they arrive, to whoever listens. A slow listener loses batches, not the engine its pace, and is told how many rows they had.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use steward_base::filter::Expr;
use steward_base::{Result, TenantId};
use tokio::sync::Notify;

use crate::engine::blocking;
use crate::memtable::Entry;
use crate::query::{LogRow, Predicate, row_of};
use crate::{Key, Signal, Telemetry};

/// Rows that may wait for one listener, beside the batch that is being handed over. A batch that finds nobody waiting is never too large.
const WAITING_ROWS: usize = 10_000;
/// Rows handed over at once; what a batch has beyond them comes next.
const BATCH_ROWS: usize = 500;

/// What arrived since the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TailBatch {
    /// Rows that pass the filter, in order of arrival.
    pub rows: Vec<LogRow>,
    /// Rows that were dropped because the listener was slow; nobody knows whether they would have passed.
    pub skipped: u64,
}

/// One listener's subscription; dropping it ends it.
#[derive(Debug)]
pub struct Tail {
    listener: Arc<Listener>,
    predicate: Arc<Predicate>,
    /// Taken from the queue, not handed over whole yet. Changed only when nothing is awaited any more, so that `next` may be cancelled.
    current: Option<Current>,
    /// Dropped, not told yet.
    skipped: u64,
}

/// The batch that is being handed over.
#[derive(Clone, Debug)]
enum Current {
    Waiting(Arc<Entry>),
    /// `next` is the place among the rows that pass.
    Begun {
        passing: Arc<Passing>,
        next: usize,
    },
}

/// The rows of a batch that pass.
#[derive(Debug)]
struct Passing {
    batches: Vec<RecordBatch>,
    /// Batch and row.
    places: Vec<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Listener {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Arc<Entry>>,
    rows: usize,
    skipped: u64,
    closed: bool,
}

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    listeners: Mutex<HashMap<TenantId, Vec<Weak<Listener>>>>,
}

impl Telemetry {
    /// Log rows from now on that pass `filter` (checked against [`crate::log_registry`]).
    pub fn tail(&self, tenant: TenantId, filter: Option<&Expr>) -> Result<Tail> {
        let predicate = Arc::new(Predicate::compile(Signal::Logs, filter)?);
        let listener = Arc::new(Listener::default());
        self.core.tails.listeners.lock().entry(tenant).or_default().push(Arc::downgrade(&listener));
        Ok(Tail { listener, predicate, current: None, skipped: 0 })
    }
}

impl Tail {
    /// Waits for rows that pass, or for word that some were skipped; `None` once the engine closes. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<TailBatch>> {
        loop {
            // Registered before looking, so that what arrives in between is not missed.
            let arrived = self.listener.arrived.notified();
            let closed = self.listener.queue.lock().take(&mut self.current, &mut self.skipped);
            if let Some(current) = self.current.clone() {
                let predicate = Arc::clone(&self.predicate);
                let handed = blocking(move || current.hand_over(&predicate)).await;
                // Also after a failure: a batch that cannot be read must not be tried for ever.
                self.current = None;
                let (rows, rest) = handed?;
                self.current = rest;
                if rows.is_empty() && self.skipped == 0 {
                    continue;
                }
                return Ok(Some(TailBatch { rows, skipped: std::mem::take(&mut self.skipped) }));
            }
            if self.skipped > 0 {
                return Ok(Some(TailBatch { rows: Vec::new(), skipped: std::mem::take(&mut self.skipped) }));
            }
            if closed {
                return Ok(None);
            }
            arrived.await;
        }
    }
}

impl Current {
    /// The next rows, and what is left after them.
    fn hand_over(self, predicate: &Predicate) -> Result<(Vec<LogRow>, Option<Self>)> {
        let (passing, next) = match self {
            Self::Waiting(entry) => (Arc::new(Passing::of(&entry, predicate)?), 0),
            Self::Begun { passing, next } => (passing, next),
        };
        let end = passing.places.len().min(next + BATCH_ROWS);
        let rows = passing.places[next..end].iter().map(|(batch, row)| row_of(&passing.batches[*batch], *row)).collect();
        let rest = (end < passing.places.len()).then_some(Self::Begun { passing, next: end });
        Ok((rows, rest))
    }
}

impl Passing {
    fn of(entry: &Entry, predicate: &Predicate) -> Result<Self> {
        let batches = entry.rows()?;
        let mut places = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            let mask = predicate.mask(batch);
            places.extend((0..mask.len()).filter(|row| mask[*row]).map(|row| (number, row)));
        }
        Ok(Self { batches, places })
    }
}

impl Queue {
    /// Moves the next batch to `current` if that is empty, and adds what was dropped to `skipped`. Returns whether nothing comes any more.
    fn take(&mut self, current: &mut Option<Current>, skipped: &mut u64) -> bool {
        if current.is_none()
            && let Some(entry) = self.entries.pop_front()
        {
            self.rows -= entry.rows;
            *current = Some(Current::Waiting(entry));
        }
        *skipped += std::mem::take(&mut self.skipped);
        self.closed
    }
}

impl Tails {
    /// Hands new entries to the listeners of their tenants. Never waits.
    pub(crate) fn publish(&self, entries: &[(Key, Arc<Entry>)]) {
        let mut listeners = self.listeners.lock();
        if listeners.is_empty() {
            return;
        }
        for (key, entry) in entries.iter().filter(|(key, _)| key.signal == Signal::Logs) {
            let Some(mine) = listeners.get_mut(&key.tenant) else { continue };
            mine.retain(|listener| {
                let Some(listener) = listener.upgrade() else { return false };
                let mut queue = listener.queue.lock();
                if queue.entries.is_empty() || queue.rows + entry.rows <= WAITING_ROWS {
                    queue.rows += entry.rows;
                    queue.entries.push_back(Arc::clone(entry));
                } else {
                    queue.skipped += entry.rows as u64;
                }
                drop(queue);
                listener.arrived.notify_one();
                true
            });
            if mine.is_empty() {
                listeners.remove(&key.tenant);
            }
        }
    }

    /// Ends every subscription once it has handed over what it holds.
    pub(crate) fn close(&self) {
        for listener in self.listeners.lock().drain().flat_map(|(_, listeners)| listeners).filter_map(|listener| listener.upgrade()) {
            listener.queue.lock().closed = true;
            listener.arrived.notify_one();
        }
    }
}
