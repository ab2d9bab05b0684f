//! The engine's handle and the state behind it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use steward_base::{Clock, Error, ErrorKind, Random, Result, TenantId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::columns::{Encoded, PAYLOAD_AT};
use crate::disk::{Disk, Folder};
use crate::manifest::Manifest;
use crate::memtable::{Entry, Tables};
use crate::objects::Objects;
use crate::segment::{Segment, SegmentReader};
use crate::tail::Tails;
use crate::wal::{Append, FileState, Header, Recent, Recovered, Start, Wal, WalOptions, WalState, recover};
use crate::{Ack, Delivery, Key, LogBatch, MetricBatch, Options, Signal};

/// How often the engine looks for what is due when nothing wakes it.
const TICK: Duration = Duration::from_secs(1);
/// How long upkeep rests after a failure: on a full disk it would sort and pack the same rows every second.
const REST: Duration = Duration::from_secs(5);
/// The most one write-ahead log frame may take.
const MAX_BATCH_BYTES: usize = 128 << 20;
/// Bookkeeping per entry, so that batches of one row are not counted as nearly nothing.
const ENTRY_OVERHEAD: usize = 192;
const GROUP_BYTES: usize = 32 << 20;

/// The telemetry engine. Cheap to clone; upkeep ends with the last clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    pub(crate) core: Arc<Core>,
    life: Arc<Life>,
}

#[derive(Debug)]
struct Life {
    closing: watch::Sender<bool>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) objects: Objects,
    pub(crate) reader: SegmentReader,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) tables: Tables,
    pub(crate) budget: Budget,
    pub(crate) tails: Tails,
    /// Compacted away, deleted when nobody reads them.
    pub(crate) retired: Mutex<Vec<Arc<Segment>>>,
    /// Segments that are stored and not published yet, by id: nobody sweeps them.
    pub(crate) arriving: Mutex<HashSet<String>>,
    /// Set once, at the end of opening.
    pub(crate) wal: OnceLock<Wal>,
    damage: Vec<String>,
    upkeep: Mutex<Option<String>>,
    /// Flushes and compactions, one at a time.
    working: Mutex<()>,
    wake: Notify,
}

/// How the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Why appends are refused; `None` when they are not.
    pub ingest: Option<String>,
    /// Why flushing or compacting fails; `None` when it does not.
    pub upkeep: Option<String>,
    /// Damage found in the write-ahead log at the start: what was lost and where the evidence is.
    pub damage: Vec<String>,
    /// Bytes of rows that are not in segments yet.
    pub memory_bytes: usize,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
}

impl Telemetry {
    /// Opens the engine and replays what the write-ahead log has and segments have not.
    ///
    /// Fails with `telemetry_storage`, `telemetry_manifest` or `telemetry_version`; damage inside the log does not fail it, see [`Health`].
    pub async fn open(options: Options, clock: Clock, random: Random) -> Result<Self> {
        let runtime = Handle::current();
        let core = blocking(move || Core::open(options, clock, random, runtime)).await?;
        let closing = watch::Sender::new(false);
        let upkeep = tokio::spawn(Arc::clone(&core).run_upkeep(closing.subscribe()));
        Ok(Self { core, life: Arc::new(Life { closing, upkeep: Mutex::new(Some(upkeep)) }) })
    }

    /// Stores log rows; resolves when they are on disk and readable. A `delivery` that was stored before is not stored again.
    ///
    /// Fails with `telemetry_budget` (slow down), `telemetry_batch_too_large`, `telemetry_full`, `telemetry_failed`, `telemetry_closed`.
    pub async fn append_logs(&self, tenant: TenantId, delivery: Option<Delivery>, batch: LogBatch) -> Result<Ack> {
        if batch.is_empty() {
            return Ok(Ack { batch: 0, rows: 0, repeated: false });
        }
        check_size(batch.bytes())?;
        self.append(Key { tenant, signal: Signal::Logs }, delivery, batch.encode()).await
    }

    /// Stores metric points; resolves when they are on disk and readable. `delivery` and failures are as for [`Telemetry::append_logs`].
    pub async fn append_metrics(&self, tenant: TenantId, delivery: Option<Delivery>, batch: MetricBatch) -> Result<Ack> {
        if batch.is_empty() {
            return Ok(Ack { batch: 0, rows: 0, repeated: false });
        }
        check_size(batch.bytes())?;
        self.append(Key { tenant, signal: Signal::Metrics }, delivery, batch.encode()).await
    }

    /// Fails with `telemetry_budget` when a batch of about so many bytes would be refused now: to be asked before it is decoded.
    pub fn check_room(&self, tenant: TenantId, bytes: usize) -> Result<()> {
        self.core.budget.check(tenant, bytes).inspect_err(|_| self.core.wake.notify_one())
    }

    async fn append(&self, key: Key, delivery: Option<Delivery>, encoded: Encoded) -> Result<Ack> {
        let core = &self.core;
        let wal = core.wal()?;
        let bytes = cost(encoded.frame.len(), encoded.rows as usize);
        core.budget.acquire(key.tenant, bytes, core.options.patience, || core.wake.notify_one()).await?;
        let (reply, answer) = oneshot::channel();
        let sent = match wal.append(Append { key, delivery, encoded, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(WalState::Closed.error().expect("closed is an error"))),
            Err(error) => Err(error),
        };
        if sent.as_ref().map_or(true, |ack| ack.repeated) {
            core.budget.give_back(key.tenant, bytes);
        } else if core.budget.is_tight() {
            core.wake.notify_one();
        }
        sent
    }

    /// Writes all rows in memory to segments; resolves when they are published and the log is cut.
    pub async fn flush(&self) -> Result<()> {
        let core = Arc::clone(&self.core);
        blocking(move || core.flush_all()).await
    }

    /// Does what is due (flushing, joining batches, joining segments, deleting) now rather than at the next tick.
    pub async fn maintain(&self) -> Result<()> {
        let core = Arc::clone(&self.core);
        blocking(move || core.maintain()).await
    }

    /// How the engine is.
    pub fn health(&self) -> Health {
        let state = self.core.wal.get().map(Wal::state);
        let ingest = state.and_then(|state| state.error().map(|error| format!("{error} ({})", error.causes())));
        Health {
            ingest,
            upkeep: self.core.upkeep.lock().clone(),
            damage: self.core.damage.clone(),
            memory_bytes: self.core.budget.used(),
            wal_bytes: self.core.wal.get().map_or(0, Wal::bytes),
        }
    }

    /// Stops ingest, writes what is in memory to segments and ends live tails. Rows are safe without it: it spares the next start the replay.
    pub async fn close(&self) -> Result<()> {
        self.life.closing.send_replace(true);
        self.core.tails.close();
        let upkeep = self.life.upkeep.lock().take();
        if let Some(upkeep) = upkeep {
            upkeep.await.map_err(Error::internal)?;
        }
        let core = Arc::clone(&self.core);
        blocking(move || {
            core.wal()?.close();
            core.flush_all()
        })
        .await
    }
}

/// What an entry counts for: its payload and the row ids made when it is decoded.
fn cost(bytes: usize, rows: usize) -> usize {
    bytes + rows * 12 + ENTRY_OVERHEAD
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_BATCH_BYTES {
        return Ok(());
    }
    let detail = format!("A batch may have {MAX_BATCH_BYTES} bytes. Send less at once.");
    Err(Error::new(ErrorKind::TooLarge, "telemetry_batch_too_large", detail))
}

/// Runs what blocks on a thread where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

impl Core {
    fn open(options: Options, clock: Clock, random: Random, runtime: Handle) -> Result<Arc<Self>> {
        let store = options.objects.clone().map_or_else(|| Objects::folder(&options.dir.join("objects")), Ok)?;
        let folder = || Folder::open(options.dir.join("wal")).map(|folder| Arc::new(folder) as Arc<dyn Disk>);
        let disk = options.disk.clone().map_or_else(folder, Ok).map_err(log_unreadable)?;
        let objects = Objects::new(store, runtime);
        let manifest = Manifest::load(objects.clone())?;
        let recovered = recover(&*disk, manifest.highest(), manifest.log_floor()).map_err(log_unreadable)?;
        let tables = Tables::default();
        tables.load(manifest.segments().cloned().map(|meta| Segment { meta }));
        for damage in &recovered.damage {
            tracing::error!(%damage, "the telemetry log is damaged");
        }
        if recovered.torn_bytes > 0 {
            tracing::info!(bytes = recovered.torn_bytes, "cut unacknowledged bytes off the telemetry log");
        }
        let core = Arc::new(Self {
            budget: Budget::new(options.memory_bytes, options.tenant_memory_bytes),
            reader: SegmentReader::new(objects.clone()),
            damage: recovered.damage.iter().map(ToString::to_string).collect(),
            manifest: Mutex::new(manifest),
            tails: Tails::default(),
            retired: Mutex::default(),
            arriving: Mutex::default(),
            wal: OnceLock::new(),
            upkeep: Mutex::default(),
            working: Mutex::default(),
            wake: Notify::new(),
            options,
            clock,
            random,
            objects,
            tables,
        });
        core.start_log(disk, recovered)?;
        Ok(core)
    }

    /// Takes over what recovery found and starts writing.
    fn start_log(self: &Arc<Self>, disk: Arc<dyn Disk>, recovered: Recovered) -> Result<()> {
        let mut recent = Recent::default();
        let mut files = Vec::with_capacity(recovered.files.len());
        let now = self.clock.monotonic();
        for file in recovered.files {
            let mut through = HashMap::new();
            for (header, payload) in file.frames {
                let key = Key { tenant: header.tenant, signal: header.signal };
                through.insert(key, header.sequence);
                if let Some(delivery) = header.delivery {
                    let ack = Ack { batch: header.sequence, rows: rows_of(&payload) as u32, repeated: false };
                    recent.insert(key, delivery, ack);
                }
                if !self.manifest.lock().has(key, header.sequence) {
                    // A copy, so that one live row does not keep a whole file in memory.
                    let payload = Bytes::copy_from_slice(&payload);
                    let rows = rows_of(&payload);
                    let bytes = cost(payload.len() + PAYLOAD_AT, rows);
                    let times = (header.min_time, header.max_time);
                    let entry = Entry::payload(header.signal, header.sequence, payload, rows, times, bytes);
                    self.budget.force(key.tenant, bytes);
                    self.tables.insert(now, [(key, Arc::new(entry))]);
                }
            }
            files.push(FileState { name: file.name, size: file.size, through });
        }
        let options = WalOptions { file_bytes: self.options.wal_file_bytes, group_bytes: GROUP_BYTES };
        let core = Arc::downgrade(self);
        let publish = Box::new(move |group: Vec<(Header, Key, Vec<u8>, u32)>| {
            let Some(core) = core.upgrade() else { return };
            let entries: Vec<(Key, Arc<Entry>)> =
                group.into_iter().map(|(header, key, frame, rows)| (key, entry_of(&header, frame, rows))).collect();
            let largest = core.tables.insert(core.clock.monotonic(), entries.iter().cloned());
            core.tails.publish(&entries);
            // Not at the next tick: senders would fill the memory and wait for it.
            if largest >= core.segment_bytes() {
                core.wake.notify_one();
            }
        });
        let (next_sequence, next_file) = (recovered.next_sequence, recovered.next_file);
        let start = Start { files, recent, next_sequence, next_file, random: self.random.clone() };
        let wal = Wal::start(disk, options, start, publish).map_err(log_unreadable)?;
        self.wal.set(wal).map_err(|_| Error::internal("the log was started twice"))?;
        self.remove_published_log()
    }

    /// The one at work; flushing, joining and sweeping must not see each other's half-done segments.
    pub(crate) fn working(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.working.lock()
    }

    /// Bytes of one tenant's signal that are due to be stored.
    pub(crate) fn segment_bytes(&self) -> usize {
        self.options.segment_bytes.min(self.budget.tenant() / 2)
    }

    pub(crate) fn wal(&self) -> Result<&Wal> {
        self.wal.get().ok_or_else(|| Error::internal("the log is not open yet"))
    }

    fn flush_all(&self) -> Result<()> {
        let _working = self.working();
        self.flush_waiting()
    }

    /// Stores everything and removes every file of the log but a new one.
    pub(crate) fn begin_log_anew(&self) -> Result<()> {
        self.wal()?.rotate()?;
        self.flush_waiting()
    }

    /// Whether the log or the memory has rows of a tenant.
    pub(crate) fn holds(&self, tenant: TenantId) -> bool {
        let waits = self.tables.waiting(0).iter().any(|waiting| waiting.key.tenant == tenant);
        waits || self.wal.get().is_some_and(|wal| wal.holds(tenant))
    }

    pub(crate) fn flush_waiting(&self) -> Result<()> {
        let keys: Vec<Key> = self.tables.waiting(0).into_iter().map(|waiting| waiting.key).collect();
        self.flush_keys(&keys)
    }

    /// Flushes, joins and deletes until the engine closes.
    async fn run_upkeep(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let core = Arc::clone(&self);
        self.note(blocking(move || core.sweep()).await);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            let core = Arc::clone(&self);
            if self.note(blocking(move || core.maintain()).await).is_none() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }

    /// Keeps why upkeep fails, and logs when that changes.
    fn note(&self, result: Result<()>) -> Option<String> {
        let now = result.err().map(|error| format!("{error} ({})", error.causes()));
        let mut last = self.upkeep.lock();
        if *last != now {
            match &now {
                Some(error) => tracing::error!(error, "telemetry upkeep fails; it is tried again in some seconds"),
                None => tracing::info!("telemetry upkeep works"),
            }
            last.clone_from(&now);
        }
        now
    }
}

fn entry_of(header: &Header, frame: Vec<u8>, rows: u32) -> Arc<Entry> {
    let bytes = cost(frame.len(), rows as usize);
    let payload = Bytes::from(frame).slice(PAYLOAD_AT..);
    let times = (header.min_time, header.max_time);
    Arc::new(Entry::payload(header.signal, header.sequence, payload, rows as usize, times, bytes))
}

/// The number of rows, as the payload's header says.
fn rows_of(payload: &[u8]) -> usize {
    payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
}

fn log_unreadable(error: std::io::Error) -> Error {
    let later = error.kind() == std::io::ErrorKind::Unsupported;
    let (code, detail) = if later {
        ("telemetry_version", "The telemetry log was written by a later version of Steward. Start that version.")
    } else {
        ("telemetry_storage", "The telemetry log cannot be read or written. Check the disk and the folder's permissions.")
    };
    Error::new(ErrorKind::Unavailable, code, detail).with_source(error)
}
