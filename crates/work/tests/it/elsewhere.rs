//! Work in a process without the records: what another process commits wakes it, and a restart of that process loses nothing.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use steward_base::{Clock, Event, Random};
use steward_store::{Backend, Bounds, JobDraft, JobState, Kind, Kinds, LinkKey, MasterKey, Store, UnitOfWork, serve_port};
use steward_work::{Consumer, Failure, Handling};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Number, Trace, World, open, short_leases, tracing_with, until};

fn key() -> LinkKey {
    LinkKey::derived(&MasterKey::new([7; 32]))
}

/// The process with the records.
struct DataRole {
    store: Store,
    address: String,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl DataRole {
    async fn start(folder: &TempDir, address: &str) -> Self {
        let store = open(folder.path(), Clock::system()).await;
        let listener = TcpListener::bind(address).await.expect("listens");
        let address = listener.local_addr().expect("is bound").to_string();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve_port(store.clone(), key(), listener, stop.clone()));
        Self { store, address, stop, serving }
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.expect("does not panic");
        self.store.close().await;
    }

    /// A store in a process that asks this one.
    async fn asked(&self) -> Store {
        let backend = Backend::Remote { url: format!("http://{}", self.address), key: key() };
        let kinds = steward_work::kinds().into_iter().fold(Kinds::new().with(Kind::of::<Trace>()), Kinds::with);
        let options = steward_store::Options { backend, master: MasterKey::new([7; 32]) };
        Store::open(options, kinds, Clock::system(), Random::system()).await.expect("opens")
    }
}

/// Counts the traces that jobs leave.
#[derive(Default)]
struct Counting(Mutex<usize>);

impl Consumer for Counting {
    const NAME: &'static str = "counting";
    const WANTS: &'static [&'static str] = &["trace.created"];

    async fn handle(&self, _: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        *self.0.lock() += events.len();
        Ok(UnitOfWork::new().add("counted", events.len() as i64, Bounds::NATURAL))
    }
}

async fn queue(store: &Store, ctx: &steward_base::Ctx, numbers: std::ops::Range<i64>) {
    let draft = |number| JobDraft::new("work", json!(Number { number }));
    let unit = numbers.fold(UnitOfWork::new(), |unit, number| unit.enqueue(store.mint_id(), draft(number)));
    store.commit(ctx, unit).await.expect("queues");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_consumers_run_where_the_records_are_not() {
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    let records = DataRole::start(&folder, &format!("127.0.0.1:{}", crate::ports::own())).await;
    let world = World { store: records.asked().await, folder: folder.clone() };
    let ctx = world.tenant().await;
    let worker = tracing_with(&world.store, short_leases()).consumer(Counting::default()).start().await.expect("starts");
    let done = async |many: u64| {
        until(async || world.store.count(&ctx, "trace", None).await.is_ok_and(|count| count == many)).await;
        until(async || world.store.counter(&ctx, "counted").await.is_ok_and(|count| count == many as i64)).await;
    };
    // Queued here, and by another process.
    queue(&world.store, &ctx, 0..20).await;
    queue(&records.store, &ctx, 20..40).await;
    done(40).await;

    let address = records.address.clone();
    records.end().await;
    let records = DataRole::start(&folder, &address).await;
    // Before anybody here noticed that the other process was gone.
    queue(&records.store, &ctx, 40..60).await;
    done(60).await;
    assert_eq!(world.in_state(&ctx, JobState::Done).await, 60);
    worker.stop(Duration::from_secs(5)).await;
    world.store.close().await;
    records.end().await;
}
