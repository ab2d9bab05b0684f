//! How many durable commits a second the kernel does, how long each takes, and what it writes for them.
//!
//! `commits [--seconds 5] [--preload 0] [--dir FOLDER] [--postgres URL]`: creates and updates a record with five indexed fields and a unique
//! one, each its own unit of work, at 1 and at 64 clients in a closed loop; then point reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Parts, Principal, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Expect, Kind, Kinds, Model, Options, Store, UnitOfWork};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A ticket, as a help desk has them.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Ticket {
    #[schemars(extend("indexed" = true))]
    subject: String,
    #[schemars(extend("indexed" = true))]
    status: String,
    #[schemars(extend("indexed" = true))]
    priority: i64,
    #[schemars(extend("indexed" = true))]
    customer: String,
    #[schemars(extend("indexed" = true))]
    minutes: f64,
    #[schemars(extend("unique" = true))]
    number: String,
    text: String,
}

impl Model for Ticket {
    const KIND: &'static str = "ticket";
    const PREFIX: &'static str = "tkt";
}

fn ticket(random: &Random) -> Ticket {
    let number = random.below(u64::MAX);
    Ticket {
        subject: format!("Printer {} does not print", number % 5_000),
        status: ["open", "waiting", "closed"][(number % 3) as usize].into(),
        priority: (number % 5) as i64,
        customer: format!("customer-{}", number % 20_000),
        minutes: (number % 10_000) as f64 / 7.0,
        number: format!("T-{number:020}"),
        text: "The device on the second floor shows a green light and takes paper, yet nothing comes out of it. ".repeat(3),
    }
}

struct Load {
    store: Store,
    ctx: Ctx,
    clock: Clock,
    random: Random,
    seconds: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Create,
    Update,
    Get,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|known| known == name).and_then(|at| arguments.get(at + 1)).cloned();
    let seconds = value("--seconds").map_or(Ok(5), |text| text.parse())?;
    let preload: usize = value("--preload").map_or(Ok(0), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(url) = value("--postgres") {
        println!("postgres");
        let backend = Backend::Postgres { url: Secret::new(url), connections: 16 };
        runtime.block_on(measure(backend, seconds, preload))?;
    } else {
        println!("sqlite");
        let folder = tempfile::tempdir()?;
        let dir = value("--dir").map_or_else(|| folder.path().to_owned(), Into::into);
        runtime.block_on(measure(Backend::Sqlite { dir }, seconds, preload))?;
    }
    Ok(())
}

async fn measure(backend: Backend, seconds: u64, preload: usize) -> Result<(), Failure> {
    let (clock, random) = (Clock::system(), Random::system());
    let tenant = TenantId::new(&clock, &random);
    let store = Store::open(Options { backend }, Kinds::new().with(Kind::of::<Ticket>()), clock.clone(), random.clone()).await?;
    store.provision(tenant).await?;
    let ctx = Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::new([]),
        reason: "bench".into(),
        origin: None,
        trace_id: None,
        request_id: None,
    });
    let load = Arc::new(Load { store, ctx, clock, random, seconds });
    let mut left = preload;
    while left > 0 {
        let many = left.min(1_000);
        let unit = (0..many).fold(UnitOfWork::new(), |unit, _| unit.create(load.store.mint_id(), &ticket(&load.random)));
        load.store.commit(&load.ctx, unit).await?;
        left -= many;
    }
    println!(
        "{:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "work", "clients", "per s", "p50 ms", "p99 ms", "p99.9 ms", "KB/unit", "CPU µs"
    );
    let mut ids = Vec::new();
    for clients in [1, 64] {
        ids.extend(run(&load, Work::Create, clients, &[]).await?);
    }
    for clients in [1, 64] {
        run(&load, Work::Update, clients, &ids).await?;
    }
    for clients in [1, 64] {
        run(&load, Work::Get, clients, &ids).await?;
    }
    println!("chain of {} events holds", load.store.verify_chain(&load.ctx).await?);
    load.store.close().await;
    Ok(())
}

async fn run(load: &Arc<Load>, work: Work, clients: usize, ids: &[RecordId]) -> Result<Vec<RecordId>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let ids: Arc<[RecordId]> = ids.into();
    let (began, written, worked) = (load.clock.monotonic(), written_bytes()?, processor_time()?);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(client(load.clone(), work, stop.clone(), ids.clone()));
    }
    tokio::time::sleep(Duration::from_secs(load.seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Histogram::<u64>::new(3)?;
    let mut made = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (histogram, ids) = done??;
        all.add(histogram)?;
        made.extend(ids);
    }
    let took = (load.clock.monotonic() - began).as_secs_f64();
    let name = match work {
        Work::Create => "create",
        Work::Update => "update",
        Work::Get => "get",
    };
    let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e6;
    let kilobytes = (written_bytes()? - written) as f64 / 1024.0 / all.len() as f64;
    let rate = all.len() as f64 / took;
    let micros = (processor_time()? - worked).as_micros() as f64 / all.len() as f64;
    let (middle, high, highest) = (ms(0.5), ms(0.99), ms(0.999));
    println!("{name:>8} {clients:>7} {rate:>9.0} {middle:>9.3} {high:>9.3} {highest:>9.3} {kilobytes:>9.1} {micros:>9.1}");
    Ok(made)
}

async fn client(
    load: Arc<Load>,
    work: Work,
    stop: Arc<AtomicBool>,
    ids: Arc<[RecordId]>,
) -> Result<(Histogram<u64>, Vec<RecordId>), Failure> {
    let mut histogram = Histogram::<u64>::new(3)?;
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = load.clock.monotonic();
        match work {
            Work::Create => {
                let id = load.store.mint_id();
                load.store.commit(&load.ctx, UnitOfWork::new().create(id, &ticket(&load.random))).await?;
                made.push(id);
            }
            Work::Update => {
                let id = ids[load.random.below(ids.len() as u64) as usize];
                let mut changed = load.store.get(&load.ctx, "ticket", id).await?.ok_or("is there")?.body.object()?;
                changed.insert("status".into(), format!("s{}", load.random.below(9)).into());
                load.store.commit(&load.ctx, UnitOfWork::new().put("ticket", id, changed, Expect::Any)).await?;
            }
            Work::Get => {
                let id = ids[load.random.below(ids.len() as u64) as usize];
                load.store.get(&load.ctx, "ticket", id).await?.ok_or("is there")?;
                // A read that never waits would keep the others from their turn.
                tokio::task::yield_now().await;
            }
        }
        histogram.record((load.clock.monotonic() - began).as_nanos() as u64)?;
    }
    Ok((histogram, made))
}

/// What this process sent to its disks: with PostgreSQL the server writes, and this stays near zero.
fn written_bytes() -> Result<u64, Failure> {
    let counters = std::fs::read_to_string("/proc/self/io")?;
    let line = counters.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.trim().parse()?)
}

/// What this process took of the processors, the bench's own part included: other load on the machine does not change it.
fn processor_time() -> Result<Duration, Failure> {
    let line = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = line.rsplit(')').next().ok_or("no name")?;
    let mut ticks = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64, Failure> { Ok(ticks.next().ok_or("no ticks")?.parse()?) };
    // Linux counts hundredths here, whatever the kernel's own clock.
    Ok(Duration::from_millis((next()? + next()?) * 10))
}
