//! Jobs: how many a second, how soon an idle worker has one in hand, and how long one tenant waits while another has a long queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steward_base::{Clock, Ctx};
use steward_store::{JobDraft, Store, UnitOfWork};
use steward_work::{Failure as JobFailure, JobHandler, Options, Running, Work};
use tokio::sync::mpsc;

use crate::Failure;
use crate::load::latencies;
use crate::records::{Place, tenant};

/// Jobs that one unit queues.
const PER_UNIT: u64 = 500;
/// Jobs of which each is queued when the one before is done.
const ALONE: u64 = 500;
/// Between two jobs of the tenant that waits.
const PAUSE: Duration = Duration::from_millis(20);

/// Where, and how many.
#[derive(Args)]
pub(crate) struct Jobs {
    #[command(flatten)]
    place: Place,
    /// Jobs that are queued before they are worked off.
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
}

/// When the job was queued, of the monotonic clock.
#[derive(Serialize, Deserialize)]
struct Queued {
    micros: u64,
}

/// Says when it has a job in hand.
struct Note {
    clock: Clock,
    begun: AtomicU64,
    heard: mpsc::UnboundedSender<u64>,
}

struct Handler(Arc<Note>);

impl JobHandler for Handler {
    const KIND: &'static str = "note";
    type Payload = Queued;

    async fn run(&self, _: Running, payload: Queued) -> Result<UnitOfWork, JobFailure> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        if payload.micros > 0 {
            let waited = micros(&self.0.clock).saturating_sub(payload.micros);
            // Nobody listens at the end of a run.
            let _ = self.0.heard.send(waited);
        }
        Ok(UnitOfWork::new())
    }
}

fn micros(clock: &Clock) -> u64 {
    u64::try_from(clock.monotonic().as_micros()).unwrap_or(u64::MAX)
}

/// Runs the three measurements, each printed as one JSON object.
pub(crate) async fn measure(arguments: &Jobs) -> Result<(), Failure> {
    let clock = Clock::system();
    let (store, busy) = arguments.place.open(clock.clone()).await?;
    let quiet = tenant(&store).await?;
    let (heard, mut waits) = mpsc::unbounded_channel();
    let note = Arc::new(Note { clock: clock.clone(), begun: AtomicU64::new(0), heard });
    let work = || Work::new(store.clone(), Options::default()).with(Handler(note.clone()));

    queue(&store, &busy, arguments.jobs).await?;
    let began = clock.monotonic();
    let worker = work().start().await?;
    while note.begun.load(Ordering::Relaxed) < arguments.jobs || worker.in_hand() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = clock.monotonic().saturating_sub(began).as_secs_f64();
    print("jobs", arguments.jobs, seconds, &latencies())?;

    let began = clock.monotonic();
    let mut alone = latencies();
    for _ in 0..ALONE {
        one(&store, &quiet, &clock).await?;
        alone.saturating_record(waits.recv().await.ok_or("the worker is gone")?);
    }
    print("jobs-idle", ALONE, clock.monotonic().saturating_sub(began).as_secs_f64(), &alone)?;
    worker.stop(Duration::from_secs(10)).await;

    queue(&store, &busy, arguments.jobs).await?;
    note.begun.store(0, Ordering::Relaxed);
    let began = clock.monotonic();
    let worker = work().start().await?;
    let mut beside = latencies();
    while note.begun.load(Ordering::Relaxed) < arguments.jobs {
        one(&store, &quiet, &clock).await?;
        beside.saturating_record(waits.recv().await.ok_or("the worker is gone")?);
        tokio::time::sleep(PAUSE).await;
    }
    print("jobs-beside", beside.len(), clock.monotonic().saturating_sub(began).as_secs_f64(), &beside)?;
    worker.stop(Duration::from_secs(10)).await;
    store.close().await;
    Ok(())
}

async fn queue(store: &Store, ctx: &Ctx, jobs: u64) -> Result<(), Failure> {
    for first in (0..jobs).step_by(usize::try_from(PER_UNIT)?) {
        let draft = || JobDraft::new("note", json!(Queued { micros: 0 }));
        let unit = (first..jobs.min(first + PER_UNIT)).fold(UnitOfWork::new(), |unit, _| unit.enqueue(store.mint_id(), draft()));
        store.commit(ctx, unit).await?;
    }
    Ok(())
}

/// From here to the handler, the commit included.
async fn one(store: &Store, ctx: &Ctx, clock: &Clock) -> Result<(), Failure> {
    let draft = JobDraft::new("note", json!(Queued { micros: micros(clock).max(1) }));
    store.commit(ctx, UnitOfWork::new().enqueue(store.mint_id(), draft)).await?;
    Ok(())
}

fn print(workload: &str, jobs: u64, seconds: f64, waits: &Histogram<u64>) -> Result<(), Failure> {
    let milliseconds = |quantile: f64| Duration::from_micros(waits.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    let (p50, p99, max) = (milliseconds(0.5), milliseconds(0.99), milliseconds(1.0));
    let rate = f64::from(u32::try_from(jobs)?) / seconds;
    println!("{}", json!({ "workload": workload, "jobs": jobs, "per_second": rate.round(), "p50_ms": p50, "p99_ms": p99, "max_ms": max }));
    Ok(())
}
