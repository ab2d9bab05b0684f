//! What is readable: per tenant and signal, entries still in memory and segments.
//!
//! Invariants: entries are in batch order; publishing a segment and dropping the entries it holds are one step under one lock, so that a
//! snapshot has each row exactly once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parking_lot::RwLock;
use steward_base::{Result, TenantId};

use crate::columns::{decode_logs, decode_metrics};
use crate::rows::unreadable;
use crate::segment::Segment;
use crate::{Key, Signal};

/// Decoded rows of payloads at least this large are kept; small ones are decoded each time, which costs less than the memory would.
const KEEP_DECODED: usize = 64 * 1024;

/// Rows in memory: of one batch, or of several that were joined.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The first and the last batch.
    pub(crate) batches: (u64, u64),
    pub(crate) rows: usize,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    /// As counted by the budget.
    pub(crate) bytes: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// As it is in the log.
    Payload { signal: Signal, payload: Bytes, decoded: OnceLock<RecordBatch> },
    /// Joined and sorted.
    Joined(Vec<RecordBatch>),
}

impl Entry {
    pub(crate) fn payload(signal: Signal, batch: u64, payload: Bytes, rows: usize, times: (i64, i64), bytes: usize) -> Self {
        let body = Body::Payload { signal, payload, decoded: OnceLock::new() };
        Self { batches: (batch, batch), rows, min_time: times.0, max_time: times.1, bytes, body }
    }

    pub(crate) fn joined(parts: &[Arc<Entry>], rows: Vec<RecordBatch>) -> Option<Self> {
        let (first, last) = (parts.first()?, parts.last()?);
        let bytes = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        Some(Self {
            batches: (first.batches.0, last.batches.1),
            rows: rows.iter().map(RecordBatch::num_rows).sum(),
            min_time: parts.iter().map(|entry| entry.min_time).min()?,
            max_time: parts.iter().map(|entry| entry.max_time).max()?,
            bytes,
            body: Body::Joined(rows),
        })
    }

    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.body, Body::Joined(_))
    }

    /// The rows; decodes them when need be.
    pub(crate) fn rows(&self) -> Result<Vec<RecordBatch>> {
        match &self.body {
            Body::Joined(rows) => Ok(rows.clone()),
            Body::Payload { signal, payload, decoded } => {
                if let Some(rows) = decoded.get() {
                    return Ok(vec![rows.clone()]);
                }
                let rows = match signal {
                    Signal::Logs => decode_logs(payload.clone(), self.batches.0),
                    Signal::Metrics => decode_metrics(payload.clone(), self.batches.0),
                };
                let rows = rows.map_err(unreadable)?;
                if payload.len() >= KEEP_DECODED {
                    let _ = decoded.set(rows.clone());
                }
                Ok(vec![rows])
            }
        }
    }
}

/// One tenant's signal.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Arc<Entry>>,
    bytes: usize,
    /// Since when (monotonic) the oldest entry waits.
    since: Duration,
    segments: Arc<Vec<Arc<Segment>>>,
}

/// What a query reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
}

/// How much of one tenant's signal waits to be flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) key: Key,
    pub(crate) bytes: usize,
    pub(crate) since: Duration,
    /// Bytes of entries that were not joined yet.
    pub(crate) small: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Tables(RwLock<HashMap<Key, Table>>);

impl Tables {
    /// Returns the bytes of the largest table that grew.
    pub(crate) fn insert(&self, now: Duration, entries: impl IntoIterator<Item = (Key, Arc<Entry>)>) -> usize {
        let mut largest = 0;
        let mut tables = self.0.write();
        for (key, entry) in entries {
            let table = tables.entry(key).or_default();
            if table.entries.is_empty() {
                table.since = now;
            }
            table.bytes += entry.bytes;
            largest = largest.max(table.bytes);
            table.entries.push(entry);
        }
        largest
    }

    pub(crate) fn snapshot(&self, key: Key) -> Snapshot {
        let tables = self.0.read();
        tables.get(&key).map(|table| Snapshot { entries: table.entries.clone(), segments: Arc::clone(&table.segments) }).unwrap_or_default()
    }

    /// Everything that has entries.
    pub(crate) fn waiting(&self, small_entry: usize) -> Vec<Waiting> {
        let tables = self.0.read();
        let busy = tables.iter().filter(|(_, table)| !table.entries.is_empty());
        let waiting = busy.map(|(key, table)| {
            let small = table.entries.iter().filter(|entry| !entry.is_joined() && entry.bytes < small_entry).map(|entry| entry.bytes).sum();
            Waiting { key: *key, bytes: table.bytes, since: table.since, small }
        });
        waiting.collect()
    }

    /// The first batch that is still in memory only once `through` (per tenant and signal) is published.
    pub(crate) fn first_waiting(&self, through: impl Fn(Key) -> u64) -> Option<u64> {
        let tables = self.0.read();
        let first = |(key, table): (&Key, &Table)| table.entries.iter().map(|entry| entry.batches.0).find(|batch| *batch > through(*key));
        tables.iter().filter_map(first).min()
    }

    /// Swaps entries for the segment that holds their rows. Returns the bytes set free.
    pub(crate) fn publish(&self, now: Duration, key: Key, through: u64, added: Option<Arc<Segment>>) -> usize {
        let mut tables = self.0.write();
        let table = tables.entry(key).or_default();
        let before = table.bytes;
        table.entries.retain(|entry| entry.batches.0 > through);
        table.bytes = table.entries.iter().map(|entry| entry.bytes).sum();
        table.since = now;
        if let Some(segment) = added {
            Arc::make_mut(&mut table.segments).push(segment);
        }
        before - table.bytes
    }

    /// Swaps neighbouring entries for one that holds their rows. Returns bytes before and after.
    pub(crate) fn join(&self, key: Key, joined: Entry) -> (usize, usize) {
        let mut tables = self.0.write();
        let Some(table) = tables.get_mut(&key) else { return (0, 0) };
        let (first, last) = joined.batches;
        let Some(at) = table.entries.iter().position(|entry| entry.batches.0 == first) else { return (0, 0) };
        let end = table.entries.partition_point(|entry| entry.batches.1 <= last);
        let before = table.entries[at..end].iter().map(|entry| entry.bytes).sum();
        let after = joined.bytes;
        table.entries.splice(at..end, [Arc::new(joined)]);
        table.bytes = table.bytes + after - before;
        (before, after)
    }

    /// Swaps segments for the one that holds their rows.
    pub(crate) fn replace(&self, key: Key, removed: &[String], added: Arc<Segment>) -> Vec<Arc<Segment>> {
        let mut tables = self.0.write();
        let segments = Arc::make_mut(&mut tables.entry(key).or_default().segments);
        let (gone, mut kept): (Vec<_>, Vec<_>) = segments.drain(..).partition(|segment| removed.contains(&segment.meta.id));
        kept.push(added);
        *segments = kept;
        gone
    }

    /// Lets go of a tenant's segments. Entries that came meanwhile stay: what the log holds must be published before its files can go.
    pub(crate) fn forget(&self, tenant: TenantId) -> Vec<Arc<Segment>> {
        let mut tables = self.0.write();
        let mut segments = Vec::new();
        for (_, table) in tables.iter_mut().filter(|(key, _)| key.tenant == tenant) {
            segments.extend(std::mem::take(&mut table.segments).iter().cloned());
        }
        tables.retain(|key, table| key.tenant != tenant || !table.entries.is_empty());
        segments
    }

    /// Puts in what the manifest names at the start.
    pub(crate) fn load(&self, segments: impl IntoIterator<Item = Segment>) {
        let mut tables = self.0.write();
        for segment in segments {
            let table = tables.entry(segment.meta.key()).or_default();
            Arc::make_mut(&mut table.segments).push(Arc::new(segment));
        }
    }

    /// Every tenant and signal with its segments.
    pub(crate) fn segments(&self) -> Vec<(Key, Arc<Vec<Arc<Segment>>>)> {
        self.0.read().iter().map(|(key, table)| (*key, Arc::clone(&table.segments))).collect()
    }
}
