//! Ten thousand tenants in one store: what one costs, requests spread over all of them, and a start that looks into few.

use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;
use steward_base::{Clock, Ctx};
use steward_store::{ListQuery, Model, Store, UnitOfWork};
use steward_work::{Options, Work};
use tokio::task::JoinSet;

use crate::Failure;
use crate::load::latencies;
use crate::process::resident_mb;
use crate::records::{Asset, Place, tenant};

/// Where, and how many.
#[derive(Args)]
pub(crate) struct Tenants {
    #[command(flatten)]
    place: Place,
    /// Tenants that are made.
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// Requests a second: four reads to one write, each of another tenant.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Seconds that requests are sent.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Makes the tenants, sends the requests, opens everything anew; each prints one JSON object.
pub(crate) async fn measure(arguments: &Tenants) -> Result<(), Failure> {
    let clock = Clock::system();
    let (store, first) = arguments.place.open(clock.clone()).await?;
    let (mut made, mut tenants) = (latencies(), vec![first]);
    for _ in 1..arguments.tenants {
        let began = clock.monotonic();
        tenants.push(tenant(&store).await?);
        record(&mut made, &clock, began);
    }
    print(json!({ "workload": "tenants-made", "tenants": tenants.len() }), &made);

    // One record each, so that every read finds something; this is not measured.
    for ctx in &tenants {
        write(&store, ctx, 0).await?;
    }
    store.settle(Duration::ZERO, |_| i64::MAX).await?;
    let worker = Work::new(store.clone(), Options::default()).start().await?;
    let (mut reads, mut writes) = (latencies(), latencies());
    let mut running = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_nanos(1_000_000_000 / arguments.rate.max(1)));
    for number in 0..arguments.rate * arguments.seconds {
        tick.tick().await;
        // Every tenant comes before any comes again, in no order that files could follow.
        let at = usize::try_from(number * 7_919)? % tenants.len();
        let (store, ctx, clock) = (store.clone(), tenants[at].clone(), clock.clone());
        running.spawn(async move {
            let (began, writing) = (clock.monotonic(), number % 5 == 4);
            if writing {
                write(&store, &ctx, number).await?;
            } else {
                let query = ListQuery { kind: Asset::KIND.to_owned(), limit: 20, ..ListQuery::default() };
                store.list(&ctx, query).await?;
            }
            Ok::<_, Failure>((writing, clock.monotonic().saturating_sub(began)))
        });
        while let Some(done) = running.try_join_next() {
            note(done??, &mut reads, &mut writes);
        }
    }
    while let Some(done) = running.join_next().await {
        note(done??, &mut reads, &mut writes);
    }
    print(json!({ "workload": "tenants-reads", "rate": arguments.rate, "rss_mb": resident_mb()?, "open_files": open_files()? }), &reads);
    print(json!({ "workload": "tenants-writes", "rate": arguments.rate }), &writes);
    worker.stop(Duration::from_secs(10)).await;
    drop(worker);
    store.close().await;
    drop(store);

    let began = clock.monotonic();
    let store = arguments.place.reopen(clock.clone()).await?;
    let worker = Work::new(store.clone(), Options::default()).start().await?;
    let took = clock.monotonic().saturating_sub(began).as_secs_f64() * 1_000.0;
    println!(
        "{}",
        json!({ "workload": "tenants-start", "tenants": tenants.len(), "milliseconds": took.round(), "marked": store.marked().await?.len() })
    );
    worker.stop(Duration::from_secs(10)).await;
    store.close().await;
    Ok(())
}

async fn write(store: &Store, ctx: &Ctx, number: u64) -> Result<(), Failure> {
    store.commit(ctx, UnitOfWork::new().create(store.mint_id(), &Asset::new(number))).await?;
    Ok(())
}

fn note((writing, took): (bool, Duration), reads: &mut Histogram<u64>, writes: &mut Histogram<u64>) {
    let histogram = if writing { writes } else { reads };
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

fn record(took: &mut Histogram<u64>, clock: &Clock, began: Duration) {
    took.saturating_record(u64::try_from(clock.monotonic().saturating_sub(began).as_micros()).unwrap_or(u64::MAX));
}

fn open_files() -> Result<usize, Failure> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

fn print(mut line: serde_json::Value, took: &Histogram<u64>) {
    let milliseconds = |quantile: f64| Duration::from_micros(took.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    line["count"] = took.len().into();
    for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
        line[name] = milliseconds(quantile).into();
    }
    println!("{line}");
}
