//! How the engine is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;

use crate::disk::Disk;

/// Where the engine keeps its data and how much it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; `wal` and `objects` are made in it.
    pub dir: PathBuf,
    /// Bytes of rows not yet in segments, all tenants together; beyond it appends wait, then are refused with `telemetry_budget`.
    pub memory_bytes: usize,
    /// The same for one tenant.
    pub tenant_memory_bytes: usize,
    /// How long an append waits for room before it is refused.
    pub patience: Duration,
    /// Bytes of one tenant's signal that make a segment.
    pub segment_bytes: usize,
    /// Below this many bytes small batches stay as they came; beyond it they are joined.
    pub coalesce_bytes: usize,
    /// The longest a row waits to be in a segment.
    pub flush_age: Duration,
    /// Bytes of one write-ahead log file.
    pub wal_file_bytes: u64,
    /// Bytes of all of them: beyond it, whoever keeps the oldest file is flushed. Bounds the time of a start after a crash.
    pub wal_bytes: u64,
    /// Segments smaller than this are joined.
    pub compact_bytes: u64,
    /// How many of them there must be.
    pub compact_segments: usize,
    /// Bytes of rows, unpacked, that are joined at once: logs that pack well must not fill the memory. Segments of half as many stay as they are.
    pub compact_raw_bytes: u64,
    /// Replaces the folder `wal`.
    pub disk: Option<Arc<dyn Disk>>,
    /// Replaces the folder `objects`, as by a bucket. A put must be durable when it returns.
    pub objects: Option<Arc<dyn ObjectStore>>,
}

impl Options {
    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            memory_bytes: 256 << 20,
            tenant_memory_bytes: 128 << 20,
            patience: Duration::from_secs(5),
            segment_bytes: 32 << 20,
            coalesce_bytes: 1 << 20,
            flush_age: Duration::from_secs(300),
            wal_file_bytes: 64 << 20,
            wal_bytes: 256 << 20,
            compact_bytes: 16 << 20,
            compact_segments: 8,
            compact_raw_bytes: 128 << 20,
            disk: None,
            objects: None,
        }
    }
}
