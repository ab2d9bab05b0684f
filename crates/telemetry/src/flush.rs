//! From memory to segments, from small segments to larger ones; off the async threads, one at a time.

use std::sync::Arc;

use bytes::Bytes;
use steward_base::{Error, RecordId, Result};

use crate::engine::Core;
use crate::manifest::{Delta, Published, SegmentMeta, segment_id};
use crate::memtable::Entry;
use crate::objects::delete_staged;
use crate::segment::{self, Segment, Written};
use crate::{Key, Options};

/// Flushed together: one manifest delta instead of many.
const KEYS_PER_DELTA: usize = 64;
/// Entries below this size are joined in memory.
pub(crate) const SMALL_ENTRY: usize = 256 * 1024;

/// What one tenant's signal had in memory, stored; `added` is `None` when that was no row.
#[derive(Debug)]
struct Flushed {
    key: Key,
    through: u64,
    added: Option<SegmentMeta>,
}

/// What failed in one round: one tenant's damage must not keep the others waiting.
#[derive(Debug, Default)]
struct Failures(Option<Error>);

impl Failures {
    fn note<T>(&mut self, key: Key, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let Key { tenant, signal } = key;
        let signal = signal.name();
        tracing::warn!(tenant.id = %tenant, signal, error.causes = error.causes(), "telemetry of one tenant cannot be stored; it is tried again");
        self.add(error);
        None
    }

    fn add(&mut self, error: Error) {
        self.0.get_or_insert(error);
    }

    fn any(&self) -> bool {
        self.0.is_some()
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Core {
    /// Writes everything that these tenants' signals have in memory to segments and publishes them. Fails with the first failure, after all
    /// that can be flushed was.
    pub(crate) fn flush_keys(&self, keys: &[Key]) -> Result<()> {
        let mut failures = Failures::default();
        let last = |key: &Key| Some((*key, self.tables.snapshot(*key).entries.last()?.batches.1));
        let mut rest: Vec<(Key, u64)> = keys.iter().filter_map(last).collect();
        'rounds: while !rest.is_empty() {
            let mut more = Vec::new();
            for keys in rest.chunks(KEYS_PER_DELTA) {
                let mut flushed = Vec::with_capacity(keys.len());
                for (key, last) in keys {
                    let Some(stored) = failures.note(*key, self.store_waiting(*key, *last)).flatten() else { continue };
                    if stored.through < *last {
                        more.push((*key, *last));
                    }
                    flushed.push(stored);
                }
                // The manifest is everyone's: when it cannot be written, more segments would only be more that nobody names.
                if let Err(error) = self.publish(flushed) {
                    failures.add(error);
                    break 'rounds;
                }
            }
            rest = more;
        }
        failures.finish().and(self.remove_published_log())
    }

    /// Stores what one tenant's signal has in memory, through the batch `last`, as a segment that nobody reads yet: about two segments' bytes at
    /// most, so that memory is given back before all of it is stored.
    fn store_waiting(&self, key: Key, last: u64) -> Result<Option<Flushed>> {
        let mut bytes = 0;
        let fits = |entry: &&Arc<Entry>| {
            let first = bytes == 0;
            bytes += entry.bytes;
            entry.batches.0 <= last && (first || bytes <= self.segment_bytes() * 2)
        };
        let entries: Vec<Arc<Entry>> = self.tables.snapshot(key).entries.iter().take_while(fits).cloned().collect();
        let Some(through) = entries.last().map(|entry| entry.batches.1) else { return Ok(None) };
        let mut rows = Vec::with_capacity(entries.len());
        for entry in &entries {
            rows.extend(entry.rows()?);
        }
        let added = self.store_segment(key, self.clock.now().to_string()[..10].to_owned(), &rows)?;
        Ok(Some(Flushed { key, through, added }))
    }

    /// Swaps entries for the segments that hold their rows.
    fn publish(&self, flushed: Vec<Flushed>) -> Result<()> {
        if flushed.is_empty() {
            return Ok(());
        }
        let mut delta = Delta::default();
        for Flushed { key, through, added } in &flushed {
            delta.added.extend(added.clone());
            delta.published.push(Published { tenant: key.tenant, signal: key.signal, through: *through });
        }
        let through = |key: Key| flushed.iter().find(|flushed| flushed.key == key).map_or(0, |flushed| flushed.through);
        let highest = flushed.iter().map(|flushed| flushed.through).max().unwrap_or(0);
        let mut manifest = self.manifest.lock();
        // Batches that arrive from here on come after every batch seen so far.
        delta.log_floor = self.tables.first_waiting(through).unwrap_or_else(|| highest.max(manifest.highest()) + 1);
        manifest.commit(delta)?;
        drop(manifest);
        let now = self.clock.monotonic();
        for Flushed { key, through, added } in flushed {
            let freed = self.tables.publish(now, key, through, added.map(|meta| Arc::new(Segment { meta })));
            self.budget.give_back(key.tenant, freed);
        }
        Ok(())
    }

    /// Removes log files that are in segments whole.
    pub(crate) fn remove_published_log(&self) -> Result<()> {
        let manifest = self.manifest.lock();
        self.wal.get().map_or(Ok(()), |wal| wal.remove_published(|key, batch| manifest.has(key, batch)).map_err(Error::internal))
    }

    /// Joins the small entries of one tenant's signal, so that ten thousand one-row batches do not cost ten thousand allocations.
    pub(crate) fn coalesce(&self, key: Key) -> Result<()> {
        let entries = self.tables.snapshot(key).entries;
        let small = |entry: &Arc<Entry>| !entry.is_joined() && entry.bytes < SMALL_ENTRY;
        for run in entries.chunk_by(|left, right| small(left) && small(right)).filter(|run| run.len() > 1) {
            let mut rows = Vec::with_capacity(run.len());
            for entry in run {
                rows.extend(entry.rows()?);
            }
            let merged = segment::merge(key.signal, &rows).map_err(Error::internal)?;
            if let Some(joined) = Entry::joined(run, merged) {
                let (before, after) = self.tables.join(key, joined);
                self.budget.force(key.tenant, after);
                self.budget.give_back(key.tenant, before);
            }
        }
        Ok(())
    }

    /// Joins the small segments of one day of one tenant's signal when there are enough of them. Returns whether it did.
    pub(crate) fn compact(&self, key: Key, segments: &[Arc<Segment>]) -> Result<bool> {
        let Some(group) = self.small_segments(segments) else { return Ok(false) };
        let mut rows = Vec::new();
        for segment in &group {
            for part in 0..self.reader.index(segment)?.groups.len() {
                rows.push(self.reader.group(segment, part, None, None)?);
            }
        }
        let Some(added) = self.store_segment(key, group[0].meta.day.clone(), &rows)? else { return Ok(false) };
        let removed: Vec<String> = group.iter().map(|segment| segment.meta.id.clone()).collect();
        self.manifest.lock().commit(Delta { added: vec![added.clone()], removed: removed.clone(), ..Delta::default() })?;
        let gone = self.tables.replace(key, &removed, Arc::new(Segment { meta: added }));
        drop(group);
        self.retired.lock().extend(gone);
        Ok(true)
    }

    /// The small segments of the oldest day that has enough of them: as many as make about one full segment, and as fit in memory to be sorted.
    fn small_segments(&self, segments: &[Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
        let Options { compact_bytes, compact_raw_bytes, compact_segments, .. } = self.options;
        // Below half of each limit, so that two always fit and the result of a group that was cut is not small any more.
        let is_small = |meta: &SegmentMeta| meta.bytes < compact_bytes && meta.raw_bytes() < compact_raw_bytes / 2;
        let mut small: Vec<&Arc<Segment>> = segments.iter().filter(|segment| is_small(&segment.meta)).collect();
        small.sort_by(|left, right| (&left.meta.day, &left.meta.id).cmp(&(&right.meta.day, &right.meta.id)));
        let day = small.chunk_by(|left, right| left.meta.day == right.meta.day).find(|day| day.len() >= compact_segments.max(2))?;
        let (mut bytes, mut raw_bytes) = (0, 0);
        let fits = |segment: &&&Arc<Segment>| {
            bytes += segment.meta.bytes;
            raw_bytes += segment.meta.raw_bytes();
            bytes <= compact_bytes * 2 && raw_bytes <= compact_raw_bytes
        };
        Some(day.iter().take_while(fits).map(|segment| Arc::clone(segment)).collect())
    }

    /// Deletes the objects of segments that no query reads any more.
    pub(crate) fn delete_retired(&self) {
        let mut retired = self.retired.lock();
        retired.retain(|segment| {
            let read = Arc::strong_count(segment) > 1;
            let deleted = !read && self.delete_segment(&segment.meta);
            !deleted
        });
    }

    pub(crate) fn delete_segment(&self, meta: &SegmentMeta) -> bool {
        let paths = [meta.path(), meta.grams_path(), meta.index_path()];
        let result = paths.iter().try_for_each(|path| self.objects.delete(path));
        if let Err(error) = &result {
            tracing::warn!(error = %error, path = paths[0], "deleting a retired segment failed; it is tried again");
        }
        result.is_ok()
    }

    /// Deletes what a crash left between storing a segment and publishing it, or between retiring one and deleting it.
    pub(crate) fn sweep(&self) -> Result<()> {
        let _working = self.working();
        if self.options.objects.is_none() {
            // Held meanwhile: whoever brings segments stages them too. What is not deleted for that is at the next start.
            let arriving = self.arriving.lock();
            if arriving.is_empty() {
                delete_staged(&self.options.dir.join("objects")).map_err(Error::internal)?;
            }
        }
        for path in self.objects.list(None)? {
            let Some(id) = segment_id(&path) else { continue };
            let named = self.manifest.lock().contains(&id);
            let retired = self.retired.lock().iter().any(|segment| segment.meta.id == id);
            // Held meanwhile, so that nobody who comes with the same one takes it for stored.
            let arriving = self.arriving.lock();
            if !named && !retired && !arriving.contains(&id) {
                self.objects.delete(&path)?;
            }
        }
        Ok(())
    }

    fn store_segment(&self, key: Key, day: String, rows: &[arrow_array::RecordBatch]) -> Result<Option<SegmentMeta>> {
        let Some(Written { parquet, index, grams, rows, raw_bytes, min_time, max_time }) =
            segment::write(key.signal, rows).map_err(Error::internal)?
        else {
            return Ok(None);
        };
        let id = RecordId::new(&self.clock, &self.random).wire("seg");
        let Key { tenant, signal } = key;
        let (bytes, grams_bytes) = (parquet.len() as u64, grams.as_ref().map_or(0, |grams| grams.len() as u64));
        let meta = SegmentMeta { id, tenant, signal, day, rows, bytes, raw_bytes, min_time, max_time, grams: grams_bytes };
        let index = serde_json::to_vec(&index).map_err(Error::internal)?;
        let mut objects = vec![(meta.index_path(), Bytes::from(index))];
        objects.extend(grams.map(|grams| (meta.grams_path(), Bytes::from(grams))));
        objects.push((meta.path(), parquet));
        for (at, (path, bytes)) in objects.iter().enumerate() {
            if let Err(error) = self.objects.create(path, bytes.clone()) {
                // On a full disk every try would leave more; what cannot be deleted now is swept at the next start.
                for (path, _) in &objects[..at] {
                    let _ = self.objects.delete(path);
                }
                return Err(error);
            }
        }
        Ok(Some(meta))
    }

    /// What is due: the log too long, memory tight, rows old, segments full.
    pub(crate) fn due(&self) -> Vec<Key> {
        let now = self.clock.monotonic();
        let tight = self.budget.is_tight();
        let waiting = self.tables.waiting(SMALL_ENTRY);
        let largest = waiting.iter().max_by_key(|waiting| waiting.bytes).map(|waiting| waiting.key);
        let is_due = |waiting: &&crate::memtable::Waiting| {
            waiting.bytes >= self.segment_bytes()
                || now.saturating_sub(waiting.since) >= self.options.flush_age
                || (tight && Some(waiting.key) == largest)
        };
        let mut due: Vec<Key> = waiting.iter().filter(is_due).map(|waiting| waiting.key).collect();
        if let Some(wal) = self.wal.get()
            && wal.bytes() > self.options.wal_bytes
        {
            let manifest = self.manifest.lock();
            due.extend(wal.pinning(|key, batch| manifest.has(key, batch)));
        }
        due.sort_unstable();
        due.dedup();
        due
    }

    /// One round of everything that is due. Fails with the first failure, after all that can be done was.
    pub(crate) fn maintain(&self) -> Result<()> {
        let _working = self.working();
        let mut failures = Failures::default();
        loop {
            let due = self.due();
            if !due.is_empty()
                && let Err(error) = self.flush_keys(&due)
            {
                failures.add(error);
            }
            for waiting in self.tables.waiting(SMALL_ENTRY) {
                if waiting.small >= self.options.coalesce_bytes {
                    failures.note(waiting.key, self.coalesce(waiting.key));
                }
            }
            if !self.compact_all(&mut failures) {
                break;
            }
        }
        self.delete_retired();
        failures.finish()
    }

    /// Joins small segments. Returns whether it stopped because something is due meanwhile: senders wait for memory, readers do not for joins.
    fn compact_all(&self, failures: &mut Failures) -> bool {
        for (key, segments) in self.tables.segments() {
            // While the manifest takes no change, every join would leave one more segment that nobody names.
            if failures.any() && !self.manifest.lock().is_settled() {
                return false;
            }
            let joined = failures.note(key, self.compact(key, &segments)).unwrap_or(false);
            if joined && !failures.any() && !self.due().is_empty() {
                return true;
            }
        }
        false
    }
}
