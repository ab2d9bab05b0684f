//! Rows as they arrive, to whoever listens. A slow listener loses rows, not the engine its pace, and is told how many.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use steward_base::filter::Expr;
use steward_base::{Result, TenantId};
use tokio::sync::Notify;

use crate::engine::blocking;
use crate::memtable::Entry;
use crate::query::{LogRow, Predicate, row_of};
use crate::{Key, Signal, Telemetry};

/// Rows that may wait for one listener.
const WAITING_ROWS: usize = 10_000;
/// Rows handed over at once.
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
        Ok(Tail { listener, predicate })
    }
}

impl Tail {
    /// Waits for rows that pass, or for word that some were skipped; `None` once the engine closes. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<TailBatch>> {
        loop {
            // Registered before looking, so that what arrives in between is not missed.
            let arrived = self.listener.arrived.notified();
            let (entry, skipped, closed) = self.listener.queue.lock().take();
            if let Some(entry) = entry {
                let predicate = Arc::clone(&self.predicate);
                let batch = blocking(move || filter(&entry, &predicate, skipped)).await?;
                if !batch.rows.is_empty() || batch.skipped > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            if skipped > 0 {
                return Ok(Some(TailBatch { rows: Vec::new(), skipped }));
            }
            if closed {
                return Ok(None);
            }
            arrived.await;
        }
    }
}

fn filter(entry: &Entry, predicate: &Predicate, skipped: u64) -> Result<TailBatch> {
    let mut out = TailBatch { rows: Vec::new(), skipped };
    for batch in entry.rows()? {
        let mask = predicate.mask(&batch);
        for row in (0..mask.len()).filter(|row| mask[*row]) {
            if out.rows.len() < BATCH_ROWS {
                out.rows.push(row_of(&batch, row));
            } else {
                out.skipped += 1;
            }
        }
    }
    Ok(out)
}

impl Queue {
    fn take(&mut self) -> (Option<Arc<Entry>>, u64, bool) {
        let entry = self.entries.pop_front();
        self.rows -= entry.as_ref().map_or(0, |entry| entry.rows);
        (entry, std::mem::take(&mut self.skipped), self.closed)
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
