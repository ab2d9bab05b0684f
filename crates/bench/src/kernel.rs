//! The record kernel without HTTP: units of one record with five index rows, a unique claim, text and an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use steward_base::{Clock, Ctx};
use steward_store::{Store, UnitOfWork};
use tokio::task::JoinSet;

use crate::Failure;
use crate::load::{Outcome, latencies};
use crate::process::Spent;
use crate::records::{Asset, Place, fill};
use crate::report::Report;

/// Which store, how full, and how many clients.
#[derive(Args)]
pub(crate) struct Kernel {
    #[command(flatten)]
    place: Place,
    /// Records that are there before anything is measured.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// How many clients commit at once; each number is a run of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    clients: Vec<usize>,
    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of the same load before that.
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
}

/// What the clients share.
struct Shared {
    store: Store,
    ctx: Ctx,
    clock: Clock,
    next: AtomicU64,
    recording: AtomicBool,
    stopping: AtomicBool,
}

/// Fills the store, then runs each number of clients and prints its report.
pub(crate) async fn measure(arguments: &Kernel) -> Result<(), Failure> {
    let clock = Clock::system();
    let (store, ctx) = arguments.place.open(clock.clone()).await?;
    fill(&store, &ctx, arguments.records).await?;

    let shared = Arc::new(Shared {
        store,
        ctx,
        clock,
        next: AtomicU64::new(arguments.records),
        recording: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
    });
    for clients in &arguments.clients {
        let outcome = run(&shared, arguments, *clients).await?;
        println!("{}", serde_json::to_string(&Report::new("kernel", 0, *clients, &outcome))?);
    }
    shared.store.close().await;
    Ok(())
}

async fn run(shared: &Arc<Shared>, arguments: &Kernel, clients: usize) -> Result<Outcome, Failure> {
    shared.stopping.store(false, Ordering::Relaxed);
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let shared = Arc::clone(shared);
        running.spawn(async move {
            let mut histogram = latencies();
            while !shared.stopping.load(Ordering::Relaxed) {
                let number = shared.next.fetch_add(1, Ordering::Relaxed);
                let unit = UnitOfWork::new().create(shared.store.mint_id(), &Asset::new(number));
                let recorded = shared.recording.load(Ordering::Relaxed);
                let began = shared.clock.monotonic();
                shared.store.commit(&shared.ctx, unit).await?;
                let took = shared.clock.monotonic().saturating_sub(began);
                if recorded && shared.recording.load(Ordering::Relaxed) {
                    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                }
            }
            Ok::<_, steward_base::Error>(histogram)
        });
    }
    tokio::time::sleep(Duration::from_secs(arguments.warm_up_seconds)).await;
    let before = Spent::of(std::process::id())?;
    let began = shared.clock.monotonic();
    shared.recording.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    shared.recording.store(false, Ordering::Relaxed);
    let elapsed = shared.clock.monotonic().saturating_sub(began);
    let spent = Spent::of(std::process::id())?.since(before);
    shared.stopping.store(true, Ordering::Relaxed);

    let mut outcome = Outcome {
        latencies: latencies(),
        elapsed,
        body_bytes_sent: 0,
        told_to_wait: 0,
        failed: 0,
        first_failure: None,
        spent: Some(spent),
    };
    while let Some(histogram) = running.join_next().await {
        outcome.latencies.add(histogram??)?;
    }
    Ok(outcome)
}
