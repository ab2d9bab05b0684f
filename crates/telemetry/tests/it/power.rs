//! Power cuts: every write and sync is recorded; the disk is rebuilt as it could be after a cut at any of them, with unsynced data kept, lost
//! or torn at sector borders; the engine then opens it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use proptest::prelude::*;
use steward_base::Random;
use steward_telemetry::{Disk, DiskFile, Options};
use tokio::runtime::Runtime;

use crate::crash::take_in;
use crate::support::{batch, messages, open, options, tenant};

const SECTOR: usize = 512;

/// What happened, in order.
#[derive(Clone, Debug)]
enum Event {
    Create(String, u64),
    Write(String, u64, Vec<u8>),
    Sync(String),
    Truncate(String, u64),
    Remove(String),
    SyncNames,
    Put(String, Bytes),
    PutDone,
    Delete(String),
    Sent(Vec<String>),
    Acked(Vec<String>),
}

type Journal = Arc<Mutex<Vec<Event>>>;

/// What is on the platters after a cut.
#[derive(Clone, Debug, Default)]
struct Platters {
    files: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<String, Bytes>,
}

/// The disk as the running machine sees it.
#[derive(Debug)]
struct Machine {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    journal: Journal,
}

impl Machine {
    fn note(&self, event: Event) {
        self.journal.lock().expect("alive").push(event);
    }
}

impl Disk for Machine {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().expect("alive").keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files.lock().expect("alive").get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        if self.files.lock().expect("alive").insert(name.to_owned(), vec![0; size as usize]).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.note(Event::Create(name.to_owned(), size));
        Ok(Box::new(MachineFile { name: name.to_owned(), files: Arc::clone(&self.files), journal: Arc::clone(&self.journal) }))
    }
    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.files.lock().expect("alive").get_mut(name).expect("exists").truncate(len as usize);
        self.note(Event::Truncate(name.to_owned(), len));
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().expect("alive").remove(name).ok_or(io::ErrorKind::NotFound)?;
        self.note(Event::Remove(name.to_owned()));
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        self.note(Event::SyncNames);
        Ok(())
    }
}

#[derive(Debug)]
struct MachineFile {
    name: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    journal: Journal,
}

impl DiskFile for MachineFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        self.files.lock().expect("alive").get_mut(&self.name).expect("exists")[at..at + bytes.len()].copy_from_slice(bytes);
        self.journal.lock().expect("alive").push(Event::Write(self.name.clone(), offset, bytes.to_vec()));
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        self.journal.lock().expect("alive").push(Event::Sync(self.name.clone()));
        Ok(())
    }
}

/// Objects in memory whose puts and deletes are recorded. A put is durable when it returns, a delete some time later.
#[derive(Debug)]
struct Bucket {
    store: InMemory,
    journal: Journal,
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bucket")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        let bytes: Bytes = payload.iter().flat_map(|part| part.iter().copied()).collect();
        self.journal.lock().expect("alive").push(Event::Put(location.to_string(), bytes));
        let result = self.store.put_opts(location, payload, options).await;
        self.journal.lock().expect("alive").push(Event::PutDone);
        result
    }
    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.store.get_opts(location, options).await
    }
    fn delete_stream(&self, locations: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        let journal = Arc::clone(&self.journal);
        let noted = locations.inspect(move |location| {
            if let Ok(location) = location {
                journal.lock().expect("alive").push(Event::Delete(location.to_string()));
            }
        });
        self.store.delete_stream(noted.boxed())
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.store.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// A coin that the test case throws.
fn coin(random: &Random) -> bool {
    random.below(2) == 0
}

#[derive(Default)]
struct File {
    /// As it is on the platters.
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    /// Whether its name is on the platters, and should be.
    named: bool,
    wanted: bool,
}

/// The platters after a cut right after the last of `events`.
fn cut(before: &Platters, events: &[Event], random: &Random) -> Platters {
    let name = |(name, durable): (&String, &Vec<u8>)| {
        (name.clone(), File { durable: durable.clone(), named: true, wanted: true, ..File::default() })
    };
    let mut files: BTreeMap<String, File> = before.files.iter().map(name).collect();
    let mut objects = before.objects.clone();
    let mut deleted = BTreeMap::new();
    let mut putting = None;
    for event in events {
        match event {
            Event::Create(name, size) => {
                files.insert(name.clone(), File { durable: vec![0; *size as usize], wanted: true, ..File::default() });
            }
            Event::Write(name, offset, bytes) => files.get_mut(name).expect("exists").pending.push((*offset as usize, bytes.clone())),
            Event::Sync(name) => {
                let file = files.get_mut(name).expect("exists");
                for (at, bytes) in std::mem::take(&mut file.pending) {
                    file.durable[at..at + bytes.len()].copy_from_slice(&bytes);
                }
            }
            Event::Truncate(name, len) => files.get_mut(name).expect("exists").durable.truncate(*len as usize),
            Event::Remove(name) => files.get_mut(name).expect("exists").wanted = false,
            Event::SyncNames => {
                files.retain(|_, file| file.wanted);
                files.values_mut().for_each(|file| file.named = true);
            }
            Event::Put(path, bytes) => putting = Some((path.clone(), bytes.clone())),
            Event::PutDone => {
                if let Some((path, bytes)) = putting.take() {
                    // A put of a name that is taken changes nothing.
                    objects.entry(path).or_insert(bytes);
                }
            }
            Event::Delete(path) => {
                if let Some(bytes) = objects.remove(path) {
                    deleted.insert(path.clone(), bytes);
                }
            }
            Event::Sent(_) | Event::Acked(_) => {}
        }
    }
    if let Some((path, bytes)) = putting.filter(|_| coin(random)) {
        objects.entry(path).or_insert(bytes);
    }
    for (path, bytes) in deleted {
        if coin(random) {
            objects.entry(path).or_insert(bytes);
        }
    }
    let survived = files.into_iter().filter(|(_, file)| if file.named == file.wanted { file.named } else { coin(random) });
    let files = survived.map(|(name, file)| (name, settle(file, random))).collect();
    Platters { files, objects }
}

/// Of each unsynced write, every sector reached the disk or did not.
fn settle(file: File, random: &Random) -> Vec<u8> {
    let mut bytes = file.durable;
    for (at, written) in file.pending {
        if coin(random) {
            continue;
        }
        let torn = coin(random);
        let sectors: Vec<Range<usize>> = (at..at + written.len())
            .step_by(1)
            .collect::<Vec<_>>()
            .chunk_by(|left, right| left / SECTOR == right / SECTOR)
            .map(|run| run[0]..run[run.len() - 1] + 1)
            .collect();
        for sector in sectors {
            if !torn || coin(random) {
                bytes[sector.clone()].copy_from_slice(&written[sector.start - at..sector.end - at]);
            }
        }
    }
    bytes
}

/// An engine over the platters, and the journal of what it does to them.
fn machine(platters: &Platters) -> (Options, Journal) {
    let journal = Journal::default();
    let bucket = Bucket { store: InMemory::new(), journal: Arc::clone(&journal) };
    for (path, bytes) in &platters.objects {
        futures_util::future::FutureExt::now_or_never(bucket.store.put(&Path::from(path.as_str()), bytes.clone().into()))
            .expect("memory does not wait")
            .expect("stores");
    }
    let disk = Machine { files: Arc::new(Mutex::new(platters.files.clone())), journal: Arc::clone(&journal) };
    let mut options = options(std::path::Path::new("unused"));
    options.wal_file_bytes = 4096;
    options.compact_segments = 3;
    options.disk = Some(Arc::new(disk));
    options.objects = Some(Arc::new(bucket));
    (options, journal)
}

#[derive(Clone, Debug)]
enum Step {
    /// Batches sent at once: they share a sync.
    Append(Vec<(u8, usize)>),
    /// A segment of somebody else, with rows of batches up to this one, while a batch is sent.
    TakeIn(u64),
    Flush,
    Maintain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => proptest::collection::vec((0u8..2, 1usize..8), 1..4).prop_map(Step::Append),
        1 => (1u64..200).prop_map(Step::TakeIn),
        1 => Just(Step::Flush),
        1 => Just(Step::Maintain),
    ];
    proptest::collection::vec(step, 1..10)
}

async fn run(platters: &Platters, life: usize, steps: &[Step]) -> Vec<Event> {
    let (options, journal) = machine(platters);
    let telemetry = open(options).await;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Append(batches) => {
                let sends = batches.iter().enumerate().map(|(at, (who, rows))| {
                    let texts: Vec<String> = (0..*rows).map(|row| format!("{life}.{number}.{at}.{row}")).collect();
                    let (telemetry, journal) = (telemetry.clone(), Arc::clone(&journal));
                    async move {
                        journal.lock().expect("alive").push(Event::Sent(texts.clone()));
                        telemetry.append_logs(tenant(*who), None, batch(texts.iter().map(String::as_str))).await.expect("stored");
                        journal.lock().expect("alive").push(Event::Acked(texts));
                    }
                });
                join_all(sends).await;
            }
            Step::TakeIn(highest) => {
                let taken = || vec!["from elsewhere".to_owned()];
                let text = format!("{life}.{number}.beside");
                let send = async {
                    journal.lock().expect("alive").push(Event::Sent(vec![text.clone()]));
                    telemetry.append_logs(tenant(0), None, batch([text.as_str()])).await.expect("stored");
                    journal.lock().expect("alive").push(Event::Acked(vec![text.clone()]));
                };
                let take = async {
                    journal.lock().expect("alive").push(Event::Sent(taken()));
                    take_in(&telemetry, *highest).await;
                    journal.lock().expect("alive").push(Event::Acked(taken()));
                };
                tokio::join!(take, send);
            }
            Step::Flush => telemetry.flush().await.expect("flushes"),
            Step::Maintain => telemetry.maintain().await.expect("maintains"),
        }
    }
    drop(telemetry);
    journal.lock().expect("alive").clone()
}

/// Opens the platters and compares with the ledger.
async fn inspect(platters: &Platters, sent: &BTreeSet<String>, acked: &BTreeSet<String>) {
    let (options, _) = machine(platters);
    let telemetry = open(options).await;
    assert!(telemetry.health().damage.is_empty(), "{:?}", telemetry.health().damage);
    let mut found = messages(&telemetry, tenant(0)).await;
    found.extend(messages(&telemetry, tenant(1)).await);
    found.extend(messages(&telemetry, tenant(7)).await);
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), distinct.len(), "nothing is doubled");
    assert!(acked.is_subset(&distinct), "lost: {:?}", acked.difference(&distinct).collect::<Vec<_>>());
    assert!(distinct.is_subset(sent), "invented: {:?}", distinct.difference(sent).collect::<Vec<_>>());
}

fn ledger(events: &[Event], sent: &mut BTreeSet<String>, acked: &mut BTreeSet<String>) {
    for event in events {
        match event {
            Event::Sent(texts) => sent.extend(texts.iter().cloned()),
            Event::Acked(texts) => acked.extend(texts.iter().cloned()),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(48))]

    /// Three lives, each ended by a cut; before each ending a dozen other endings are tried as well.
    #[test]
    fn no_power_cut_loses_or_doubles_an_acknowledged_row(lives in proptest::collection::vec(steps(), 3), seed in any::<u64>()) {
        let random = Random::seeded(seed);
        Runtime::new().expect("a runtime").block_on(async {
            let mut platters = Platters::default();
            let (mut sent, mut acked) = (BTreeSet::new(), BTreeSet::new());
            for (life, steps) in lives.iter().enumerate() {
                let events = run(&platters, life, steps).await;
                for _ in 0..12 {
                    let end = random.below(events.len() as u64 + 1) as usize;
                    let (mut sent, mut acked) = (sent.clone(), acked.clone());
                    ledger(&events[..end], &mut sent, &mut acked);
                    inspect(&cut(&platters, &events[..end], &random), &sent, &acked).await;
                }
                let end = random.below(events.len() as u64 + 1) as usize;
                ledger(&events[..end], &mut sent, &mut acked);
                platters = cut(&platters, &events[..end], &random);
            }
            inspect(&platters, &sent, &acked).await;
        });
    }
}
