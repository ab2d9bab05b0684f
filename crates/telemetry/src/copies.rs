//! Taking a tenant's segments elsewhere and taking them in, for backups.
//!
//! A segment never changes, so that it is copied once: index, filters and rows as one piece. What is taken in is seen when all of it is there, and
//! keeps the ids of its rows; the log goes on behind them, since no two rows of a tenant may share one.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Result, TenantId};

use crate::engine::{Core, blocking};
use crate::manifest::{Delta, SegmentMeta};
use crate::segment::Segment;
use crate::{Key, Signal, Telemetry};

/// What is known of a segment elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    meta: SegmentMeta,
    /// Bytes of the index, which comes first; then the filters, then the rows.
    index: u64,
}

impl Copied {
    /// The segment's id.
    pub fn id(&self) -> &str {
        &self.meta.id
    }
}

/// A tenant's segments as of a moment; none of their files goes while this lives.
#[derive(Debug)]
pub struct Sealed {
    core: Arc<Core>,
    /// No row has a higher batch.
    highest: u64,
    segments: Vec<Arc<Segment>>,
}

impl Sealed {
    /// No row's id has a higher batch.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The ids of the segments.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|segment| segment.meta.id.as_str())
    }

    /// A segment as one piece.
    pub async fn read(&self, id: &str) -> Result<(Copied, Bytes)> {
        let segment = self.segments.iter().find(|segment| segment.meta.id == id).ok_or_else(|| Error::not_found("segment"))?;
        let (core, meta) = (Arc::clone(&self.core), segment.meta.clone());
        blocking(move || {
            let index = core.objects.read(&meta.index_path())?;
            // Filters that are gone are none: they are derived from the rows.
            let grams = if meta.grams > 0 { core.objects.read(&meta.grams_path()).unwrap_or_default() } else { Bytes::new() };
            let rows = core.objects.read(&meta.path())?;
            let whole = Bytes::from([&index[..], &grams, &rows].concat());
            let (length, bytes) = (grams.len() as u64, rows.len() as u64);
            Ok((Copied { meta: SegmentMeta { grams: length, bytes, ..meta }, index: index.len() as u64 }, whole))
        })
        .await
    }
}

/// Segments on their way in; what is not published is deleted with this.
#[derive(Debug)]
pub struct Arriving {
    core: Arc<Core>,
    tenant: TenantId,
    stored: Vec<SegmentMeta>,
    published: bool,
}

impl Telemetry {
    /// What is in a tenant's segments. What was appended before a flush began is in them after it.
    pub fn sealed(&self, tenant: TenantId) -> Sealed {
        let core = Arc::clone(&self.core);
        // One signal after the other: neither knows of the other's rows.
        let segments =
            [Signal::Logs, Signal::Metrics].into_iter().flat_map(|signal| core.tables.snapshot(Key { tenant, signal }).segments.to_vec());
        let segments = segments.collect();
        // After them: nothing in them is behind it.
        let highest = core.manifest.lock().highest();
        Sealed { core, highest, segments }
    }

    /// Begins to take segments of a tenant in.
    pub fn arriving(&self, tenant: TenantId) -> Arriving {
        Arriving { core: Arc::clone(&self.core), tenant, stored: Vec::new(), published: false }
    }
}

impl Arriving {
    /// Stores a segment that nobody sees yet. Fails with `telemetry_segment` when the piece is not one, or another tenant's.
    pub async fn add(&mut self, copied: Copied, whole: Bytes) -> Result<()> {
        let Copied { meta, index } = copied;
        let lengths = [index, meta.grams, meta.bytes];
        if meta.tenant != self.tenant || lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length)) != Some(whole.len() as u64) {
            return Err(Error::new(ErrorKind::Invalid, "telemetry_segment", "This is no segment of the tenant's telemetry."));
        }
        self.core.arriving.lock().insert(meta.id.clone());
        self.stored.push(meta.clone());
        let core = Arc::clone(&self.core);
        blocking(move || {
            let (index, rest) = (whole.slice(..index as usize), whole.slice(index as usize..));
            let (grams, rows) = (rest.slice(..meta.grams as usize), rest.slice(meta.grams as usize..));
            // What is there already is the same: an id is one segment for ever.
            core.objects.create(&meta.index_path(), index)?;
            if !grams.is_empty() {
                core.objects.create(&meta.grams_path(), grams)?;
            }
            core.objects.create(&meta.path(), rows).map(drop)
        })
        .await
    }

    /// Makes all of it readable at once. No row in it has a higher batch than `highest`; the log goes on behind that.
    ///
    /// Fails with `telemetry_in_use` while the same segments are still being deleted.
    pub async fn publish(mut self, highest: u64) -> Result<()> {
        let (core, stored) = (Arc::clone(&self.core), self.stored.clone());
        blocking(move || core.take_in(stored, highest)).await?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let ids: HashSet<&str> = self.stored.iter().map(|meta| meta.id.as_str()).collect();
        self.core.arriving.lock().retain(|id| !ids.contains(id.as_str()));
        if self.published || self.stored.is_empty() {
            return;
        }
        let (core, stored) = (Arc::clone(&self.core), std::mem::take(&mut self.stored));
        // What cannot be deleted now is swept at the next start.
        tokio::task::spawn_blocking(move || {
            let _working = core.working();
            for meta in &stored {
                // Held meanwhile, so that nobody who comes with the same one takes it for stored.
                let arriving = core.arriving.lock();
                if !arriving.contains(&meta.id) && !core.manifest.lock().contains(&meta.id) {
                    core.delete_segment(meta);
                }
            }
        });
    }
}

impl Core {
    fn take_in(&self, stored: Vec<SegmentMeta>, highest: u64) -> Result<()> {
        let _working = self.working();
        if self.retired.lock().iter().any(|retired| stored.iter().any(|meta| meta.id == retired.meta.id)) {
            return Err(crate::erase::in_use());
        }
        self.go_on_behind(highest)?;
        let mut manifest = self.manifest.lock();
        let added: Vec<SegmentMeta> = stored.into_iter().filter(|meta| !manifest.contains(&meta.id)).collect();
        if added.is_empty() {
            return Ok(());
        }
        manifest.commit(Delta { added: added.clone(), ..Delta::default() })?;
        self.tables.load(added.into_iter().map(|meta| Segment { meta }));
        Ok(())
    }

    /// Lets batches be numbered behind `highest`. The log has no gap: what it holds is stored first, while nobody appends.
    fn go_on_behind(&self, highest: u64) -> Result<()> {
        let paused = self.wal()?.pause()?;
        if paused.next_sequence() > highest {
            return Ok(());
        }
        self.flush_waiting()?;
        self.manifest.lock().commit(Delta { log_floor: highest + 1, ..Delta::default() })?;
        paused.go_on_at(highest + 1);
        Ok(())
    }
}
