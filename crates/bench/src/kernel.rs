//! The record kernel without HTTP: units of one record with five index rows, a unique claim, text and an event.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Random, Secret, TenantId};
use steward_store::{Backend, Kind, Kinds, MasterKey, Model, Options, Store, UnitOfWork};
use tokio::task::JoinSet;

use crate::Failure;
use crate::load::{Outcome, latencies};
use crate::process::Spent;
use crate::report::Report;

/// Records that one unit writes while the store is filled.
const FILL_PER_UNIT: u64 = 500;

/// Which store, how full, and how many clients.
#[derive(Args)]
pub(crate) struct Kernel {
    /// A folder for SQLite files.
    #[arg(long, conflicts_with = "postgres_file", required_unless_present = "postgres_file")]
    dir: Option<PathBuf>,
    /// A file that holds the address of a PostgreSQL database.
    #[arg(long)]
    postgres_file: Option<PathBuf>,
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

/// What is written: five indexed fields, one of them unique, and a searchable text.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Asset {
    #[schemars(extend("indexed" = true, "unique" = true))]
    serial: String,
    #[schemars(extend("indexed" = true, "searchable" = true))]
    name: String,
    #[schemars(extend("indexed" = true))]
    site: String,
    #[schemars(extend("indexed" = true))]
    state: String,
    #[schemars(extend("indexed" = true))]
    price: i64,
    description: String,
}

impl Model for Asset {
    const KIND: &'static str = "asset";
    const PREFIX: &'static str = "ast";
}

impl Asset {
    fn new(number: u64) -> Self {
        Self {
            serial: format!("serial-{number}"),
            name: format!("asset {number} of house {}", number % 1_000),
            site: format!("site-{}", number % 500),
            state: ["new", "used", "broken"][usize::try_from(number % 3).unwrap_or_default()].to_owned(),
            price: i64::try_from(number * 7_919 % 1_000_000).unwrap_or_default(),
            description: "an asset to look after ".repeat(8),
        }
    }
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
    let backend = match (&arguments.dir, &arguments.postgres_file) {
        (Some(dir), _) => Backend::Sqlite { dir: dir.clone() },
        (None, Some(file)) => Backend::Postgres { url: Secret::new(std::fs::read_to_string(file)?.trim().to_owned()), connections: 16 },
        (None, None) => return Err("name a folder or a database".into()),
    };
    let kinds = Kinds::new().with(Kind::of::<Asset>());
    let store = Store::open(Options { backend, master: MasterKey::new([7; 32]) }, kinds, clock.clone(), Random::system()).await?;
    let tenant = TenantId::new(&clock, &Random::system());
    store.provision(tenant).await?;
    let ctx = steward_auth::system(tenant, "bench");
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

async fn fill(store: &Store, ctx: &Ctx, records: u64) -> Result<(), Failure> {
    for first in (0..records).step_by(usize::try_from(FILL_PER_UNIT)?) {
        let mut unit = UnitOfWork::new();
        for number in first..records.min(first + FILL_PER_UNIT) {
            unit = unit.create(store.mint_id(), &Asset::new(number));
        }
        store.commit(ctx, unit).await?;
    }
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
