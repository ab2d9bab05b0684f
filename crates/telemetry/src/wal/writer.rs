//! The thread that writes: it takes what has queued up, writes it, syncs once and answers everyone.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Error, ErrorKind, Random, Result};
use tokio::sync::oneshot;

use super::frame::{self, FILE_HEADER, Header};
use super::recent::Recent;
use super::recovery::file_name;
use crate::columns::Encoded;
use crate::disk::{Disk, DiskFile};
use crate::{Ack, Delivery, Key};

const PROBE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct WalOptions {
    /// Bytes reserved per file.
    pub(crate) file_bytes: u64,
    /// Bytes written between two syncs at most.
    pub(crate) group_bytes: usize,
}

/// A batch on its way to disk.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) key: Key,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) encoded: Encoded,
    pub(crate) reply: oneshot::Sender<Result<Ack>>,
}

/// What the thread is asked for.
enum Order {
    Append(Append),
    /// Begin a new file, so that the ones before it can be removed once they are published.
    Rotate(SyncSender<io::Result<()>>),
    /// Write nothing until told where to go on; the next sequence is answered.
    Pause(SyncSender<u64>, Receiver<u64>),
}

/// A log that is not written while this lives: everything before its next sequence is readable.
#[derive(Debug)]
pub(crate) struct Paused {
    next_sequence: u64,
    go_on: SyncSender<u64>,
}

impl Paused {
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Goes on at a later sequence, in a new file. Nothing before it may be missing: recovery finds a gap, which must be below the floor.
    pub(crate) fn go_on_at(self, sequence: u64) {
        let _ = self.go_on.send(sequence);
    }
}

/// Whether the log can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WalState {
    Writable,
    Full(String),
    Failed(String),
    Closed,
}

impl WalState {
    pub(crate) fn error(&self) -> Option<Error> {
        let (code, detail, cause) = match self {
            WalState::Writable => return None,
            WalState::Full(cause) => {
                ("telemetry_full", "The disk for telemetry is full. Free space; ingest then resumes by itself.", cause)
            }
            WalState::Failed(cause) => (
                "telemetry_failed",
                "The disk for telemetry cannot be written. Check it; ingest resumes by itself when writing works again.",
                cause,
            ),
            WalState::Closed => {
                return Some(Error::new(ErrorKind::Unavailable, "telemetry_closed", "Steward is shutting down. Send it again."));
            }
        };
        let error = Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(Duration::from_secs(5));
        Some(error.with_source(cause.clone()))
    }
}

/// The log's handle: a queue to its thread.
#[derive(Debug)]
pub(crate) struct Wal {
    sender: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<WalState>,
    files: Mutex<Vec<FileState>>,
}

/// A file and, per tenant and signal, the last sequence in it.
#[derive(Debug)]
pub(crate) struct FileState {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) through: HashMap<Key, u64>,
}

/// Where the log goes on.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) files: Vec<FileState>,
    pub(crate) recent: Recent,
    pub(crate) next_sequence: u64,
    pub(crate) next_file: u64,
    pub(crate) random: Random,
}

/// What the thread does with a group once it is durable: rows must be readable before their senders hear of it.
pub(crate) type Publish = Box<dyn FnMut(Vec<(Header, Key, Vec<u8>, u32)>) + Send>;

impl Wal {
    pub(crate) fn start(disk: Arc<dyn Disk>, options: WalOptions, start: Start, publish: Publish) -> io::Result<Self> {
        let Start { files, recent, next_sequence, next_file, random } = start;
        let shared = Arc::new(Shared { state: Mutex::new(WalState::Writable), files: Mutex::new(files) });
        let (sender, receiver) = channel();
        let writer = Writer {
            disk: Arc::clone(&disk),
            options,
            shared: Arc::clone(&shared),
            file: None,
            next_sequence,
            next_file,
            random,
            durable: next_sequence - 1,
            recent,
            publish,
        };
        let thread = std::thread::Builder::new().name("telemetry-wal".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), shared, disk })
    }

    pub(crate) fn append(&self, append: Append) -> Result<()> {
        let closed = || WalState::Closed.error().expect("closed is an error");
        self.sender.lock().as_ref().ok_or_else(closed)?.send(Order::Append(append)).map_err(|_| closed())
    }

    /// Begins a new file behind everything that was appended before. Blocks.
    pub(crate) fn rotate(&self) -> Result<()> {
        let closed = || WalState::Closed.error().expect("closed is an error");
        let (reply, answer) = sync_channel(1);
        self.sender.lock().as_ref().ok_or_else(closed)?.send(Order::Rotate(reply)).map_err(|_| closed())?;
        answer.recv().map_err(|_| closed())?.map_err(|error| WalState::Failed(error.to_string()).error().unwrap_or_else(closed))
    }

    /// Stops writing until the answer is dropped or goes on. Blocks.
    pub(crate) fn pause(&self) -> Result<Paused> {
        let closed = || WalState::Closed.error().expect("closed is an error");
        let (reply, answer) = sync_channel(1);
        let (go_on, resume) = sync_channel(1);
        self.sender.lock().as_ref().ok_or_else(closed)?.send(Order::Pause(reply, resume)).map_err(|_| closed())?;
        Ok(Paused { next_sequence: answer.recv().map_err(|_| closed())?, go_on })
    }

    /// Whether any file may hold rows of a tenant.
    pub(crate) fn holds(&self, tenant: steward_base::TenantId) -> bool {
        self.shared.files.lock().iter().any(|file| file.through.keys().any(|key| key.tenant == tenant))
    }

    pub(crate) fn state(&self) -> WalState {
        self.shared.state.lock().clone()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.files.lock().iter().map(|file| file.size).sum()
    }

    /// The tenants and signals that keep the oldest file from being removed, when there is a file after it.
    pub(crate) fn pinning(&self, published: impl Fn(Key, u64) -> bool) -> Vec<Key> {
        let files = self.shared.files.lock();
        let oldest = if files.len() > 1 { files.first() } else { None };
        let pins = oldest.into_iter().flat_map(|file| &file.through).filter(|(key, through)| !published(**key, **through));
        pins.map(|(key, _)| *key).collect()
    }

    /// Removes the oldest files as long as the manifest has published them whole; the one being written stays.
    pub(crate) fn remove_published(&self, published: impl Fn(Key, u64) -> bool) -> io::Result<()> {
        let removed: Vec<FileState> = {
            let mut files = self.shared.files.lock();
            let done = |file: &&FileState| file.through.iter().all(|(key, through)| published(*key, *through));
            let count = files[..files.len().saturating_sub(1)].iter().take_while(done).count();
            files.drain(..count).collect()
        };
        for file in &removed {
            self.disk.remove(&file.name)?;
        }
        if !removed.is_empty() {
            self.disk.sync()?;
        }
        Ok(())
    }

    /// Writes what is queued and stops the thread. Blocks.
    pub(crate) fn close(&self) {
        drop(self.sender.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the telemetry log's thread had panicked");
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        drop(self.sender.lock().take());
        // Waits, so that whoever opens the folder next finds nobody writing; the thread itself may be the last to let go.
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct OpenFile {
    file: Box<dyn DiskFile>,
    offset: u64,
    size: u64,
    salt: u32,
}

struct Writer {
    disk: Arc<dyn Disk>,
    options: WalOptions,
    shared: Arc<Shared>,
    file: Option<OpenFile>,
    next_sequence: u64,
    next_file: u64,
    random: Random,
    durable: u64,
    recent: Recent,
    publish: Publish,
}

struct Sealed {
    header: Header,
    key: Key,
    frame: Vec<u8>,
    rows: u32,
    /// The sender's, and those of other attempts of the same delivery.
    replies: Vec<oneshot::Sender<Result<Ack>>>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Order>) {
        loop {
            let failed = *self.shared.state.lock() != WalState::Writable;
            let first = match if failed { receiver.recv_timeout(PROBE) } else { receiver.recv().map_err(RecvTimeoutError::from) } {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.probe();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut group, mut bytes, mut next) = (Vec::new(), 0, Some(first));
            while let Some(Order::Append(append)) = next {
                bytes += append.encoded.frame.len();
                group.push(append);
                next = if bytes < self.options.group_bytes { receiver.try_recv().ok() } else { None };
            }
            self.commit(group);
            match next {
                Some(Order::Rotate(reply)) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.rotate(self.next_sequence, 0));
                }
                Some(Order::Pause(reply, resume)) => {
                    let _ = reply.send(self.next_sequence);
                    if let Ok(sequence) = resume.recv() {
                        self.go_on_at(sequence);
                    }
                }
                Some(Order::Append(_)) | None => {}
            }
        }
        *self.shared.state.lock() = WalState::Closed;
    }

    /// The next batch begins a file, whose header says where it begins.
    fn go_on_at(&mut self, sequence: u64) {
        if sequence > self.next_sequence {
            self.file = None;
            self.next_sequence = sequence;
            self.durable = sequence - 1;
        }
    }

    fn commit(&mut self, group: Vec<Append>) {
        let first = self.next_sequence;
        let mut sealed: Vec<Sealed> = Vec::with_capacity(group.len());
        for append in group {
            let Some(append) = self.known(append, &mut sealed) else { continue };
            sealed.push(self.seal(append, first + sealed.len() as u64));
        }
        if sealed.is_empty() {
            return;
        }
        let written = match self.write(&mut sealed) {
            Ok(()) => Ok(()),
            // A file that failed once is never trusted again: the kernel may have dropped the dirty pages and call the next sync a success.
            Err(error) => {
                tracing::error!(error = %error, "writing the telemetry log failed; trying a new file");
                self.file = None;
                self.write(&mut sealed)
            }
        };
        match written {
            Ok(()) => self.acknowledge(first, sealed),
            Err(error) => self.refuse(&error, sealed),
        }
    }

    /// Answers a delivery that is stored already, or lets it wait for its twin in the same group; hands back any other.
    fn known(&self, append: Append, sealed: &mut [Sealed]) -> Option<Append> {
        let Some(delivery) = append.delivery else { return Some(append) };
        if let Some(ack) = self.recent.get(append.key, delivery) {
            let _ = append.reply.send(Ok(ack));
            return None;
        }
        match sealed.iter_mut().find(|sealed| sealed.key == append.key && sealed.header.delivery == Some(delivery)) {
            Some(twin) => {
                twin.replies.push(append.reply);
                None
            }
            None => Some(append),
        }
    }

    fn seal(&self, append: Append, sequence: u64) -> Sealed {
        let Append { key, delivery, encoded, reply } = append;
        let length = encoded.frame.len() - crate::columns::PAYLOAD_AT;
        let header = Header {
            length,
            signal: key.signal,
            sequence,
            durable: self.durable,
            tenant: key.tenant,
            min_time: encoded.min_time,
            max_time: encoded.max_time,
            delivery,
        };
        let mut frame = encoded.frame;
        frame::seal(&mut frame, &header);
        Sealed { header, key, frame, rows: encoded.rows, replies: vec![reply] }
    }

    fn write(&mut self, group: &mut [Sealed]) -> io::Result<()> {
        let mut unsynced = false;
        for Sealed { header, key, frame, .. } in group.iter_mut() {
            let length = frame.len() as u64;
            if self.file.as_ref().is_none_or(|file| file.offset + length > file.size) {
                if unsynced && let Some(file) = &mut self.file {
                    file.file.sync()?;
                }
                self.rotate(header.sequence, length)?;
            }
            let Some(open) = &mut self.file else { continue };
            frame::stamp(frame, open.salt);
            open.file.write_at(open.offset, frame)?;
            open.offset += length;
            unsynced = true;
            if let Some(file) = self.shared.files.lock().last_mut() {
                file.through.insert(*key, header.sequence);
            }
        }
        match &mut self.file {
            Some(open) => open.file.sync(),
            None => Ok(()),
        }
    }

    /// Opens the next file. Its header and name are durable before anything in it is acknowledged.
    fn rotate(&mut self, first: u64, room: u64) -> io::Result<()> {
        self.file = None;
        let salt = u32::from_le_bytes(self.random.bytes());
        let name = file_name(self.next_file, salt);
        let size = self.options.file_bytes.max(FILE_HEADER as u64 + room);
        self.next_file += 1;
        let made = self.disk.create(&name, size).and_then(|mut file| {
            file.write_at(0, &frame::file_header(first))?;
            file.sync()?;
            self.disk.sync()?;
            Ok(file)
        });
        let file = made.inspect_err(|_| drop(self.disk.remove(&name)))?;
        self.shared.files.lock().push(FileState { name, size, through: HashMap::new() });
        self.file = Some(OpenFile { file, offset: FILE_HEADER as u64, size, salt });
        Ok(())
    }

    fn acknowledge(&mut self, first: u64, group: Vec<Sealed>) {
        self.next_sequence = first + group.len() as u64;
        self.durable = self.next_sequence - 1;
        *self.shared.state.lock() = WalState::Writable;
        let mut replies = Vec::with_capacity(group.len());
        let mut durable = Vec::with_capacity(group.len());
        for Sealed { header, key, frame, rows, replies: waiting } in group {
            let ack = Ack { batch: header.sequence, rows, repeated: false };
            if let Some(delivery) = header.delivery {
                self.recent.insert(key, delivery, ack);
            }
            replies.extend(
                waiting
                    .into_iter()
                    .zip([false].into_iter().chain(std::iter::repeat(true)))
                    .map(|(reply, repeated)| (reply, Ack { repeated, ..ack })),
            );
            durable.push((header, key, frame, rows));
        }
        (self.publish)(durable);
        for (reply, ack) in replies {
            // A sender that went away still has its rows stored.
            let _ = reply.send(Ok(ack));
        }
    }

    fn refuse(&mut self, error: &io::Error, group: Vec<Sealed>) {
        self.file = None;
        tracing::error!(error = %error, batches = group.len(), "the telemetry log cannot be written; batches are refused");
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let state = if full { WalState::Full(error.to_string()) } else { WalState::Failed(error.to_string()) };
        *self.shared.state.lock() = state.clone();
        for reply in group.into_iter().flat_map(|sealed| sealed.replies) {
            let _ = reply.send(Err(state.error().expect("full and failed are errors")));
        }
    }

    /// Without traffic nobody else would find out that the disk works again.
    fn probe(&mut self) {
        if self.rotate(self.next_sequence, 0).is_ok() {
            tracing::info!("the telemetry log can be written again");
            *self.shared.state.lock() = WalState::Writable;
        }
    }
}
