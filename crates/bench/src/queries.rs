//! Queries of the kernel over many records: orders, facets, sparse and negated filters, full text, and reads beside bulk writes and checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;
use steward_base::filter::{self, Expr};
use steward_base::{Clock, Ctx, RecordId};
use steward_store::{Direction, FacetQuery, ListQuery, Model, Order, SearchQuery, Store};

use crate::Failure;
use crate::load::latencies;
use crate::process::Spent;
use crate::records::{Asset, Place, fill};

/// Where, how many records, and how often each query is asked.
#[derive(Args)]
pub(crate) struct Queries {
    #[command(flatten)]
    place: Place,
    /// Records that are there.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Times that each query is asked.
    #[arg(long, default_value_t = 200)]
    times: u64,
}

/// A query by its name; `{n}` in a filter stands for a number that changes each time.
enum Ask {
    List { filter: &'static str, order: Option<(&'static str, Direction)> },
    Facets { filter: &'static str, fields: &'static [&'static str] },
    Search(&'static str),
}

const ASKED: [(&str, Ask); 15] = [
    ("list by id", Ask::List { filter: "", order: None }),
    ("list by price", Ask::List { filter: "", order: Some(("price", Direction::Descending)) }),
    ("one site by price: sparse, sorted", Ask::List { filter: "site = \"site-{n}\"", order: Some(("price", Direction::Ascending)) }),
    ("one site, by id", Ask::List { filter: "site = \"site-{n}\"", order: None }),
    ("two indexes: site and state", Ask::List { filter: "site = \"site-{n}\" AND state = \"new\"", order: None }),
    ("a few prices by name", Ask::List { filter: "price >= {n} AND price < 5{n}", order: Some(("name", Direction::Ascending)) }),
    ("NOT state", Ask::List { filter: "NOT state = \"new\"", order: Some(("created_at", Direction::Descending)) }),
    ("no match and no index: 20,000 rows", Ask::List { filter: "description = \"nowhere\"", order: None }),
    ("facets of all: state", Ask::Facets { filter: "", fields: &["state"] }),
    ("facets of one site: state", Ask::Facets { filter: "site = \"site-{n}\"", fields: &["state"] }),
    ("facets of a third: site, capped", Ask::Facets { filter: "state = \"used\"", fields: &["site"] }),
    ("search: a word that all have", Ask::Search("asset")),
    ("search: a number that some 2,000 have", Ask::Search("asset {n}")),
    ("search: a number that one has", Ask::Search("house 99{n}999")),
    ("search: no such word", Ask::Search("asset nowhere")),
];

/// Fills the store and asks each query; then reads while records pour in.
pub(crate) async fn measure(arguments: &Queries) -> Result<(), Failure> {
    let clock = Clock::system();
    let (store, ctx) = arguments.place.open(clock.clone()).await?;
    let began = clock.monotonic();
    fill(&store, &ctx, arguments.records).await?;
    let seconds = clock.monotonic().saturating_sub(began).as_secs_f64();
    println!("{}", json!({ "workload": "fill", "records": arguments.records, "seconds": seconds.round() }));
    for (name, ask) in &ASKED {
        let before = Spent::of(std::process::id())?;
        let mut took = latencies();
        let mut rows = 0;
        for number in 0..arguments.times {
            let began = clock.monotonic();
            rows = ask.run(&store, &ctx, number % 500).await?;
            record(&mut took, &clock, began);
        }
        let cpu = Spent::of(std::process::id())?.since(before).cpu_seconds * 1_000.0 / f64::from(u32::try_from(arguments.times)?);
        print(name, &took, Some((rows, cpu)));
    }
    reads_beside_writes(&store, &ctx, &clock, arguments.records).await?;
    store.close().await;
    Ok(())
}

impl Ask {
    /// How many rows or values the answer holds.
    async fn run(&self, store: &Store, ctx: &Ctx, number: u64) -> Result<usize, Failure> {
        Ok(match self {
            Ask::List { filter, order } => {
                let order = order.iter().map(|(field, direction)| Order { field: (*field).to_owned(), direction: *direction }).collect();
                let query = ListQuery {
                    kind: Asset::KIND.to_owned(),
                    filter: parsed(store, filter, number)?,
                    order,
                    limit: 50,
                    ..ListQuery::default()
                };
                store.list(ctx, query).await?.records.len()
            }
            Ask::Facets { filter, fields } => {
                let fields = fields.iter().map(|field| (*field).to_owned()).collect();
                let query = FacetQuery { kind: Asset::KIND.to_owned(), filter: parsed(store, filter, number)?, fields, values: 50 };
                store.facets(ctx, query).await?.fields.iter().map(|facet| facet.values.len()).sum()
            }
            Ask::Search(text) => {
                let kinds = vec![(Asset::KIND.to_owned(), None)];
                let query = SearchQuery { text: text.replace("{n}", &number.to_string()), kinds, limit: 50, after: None };
                store.search(ctx, query).await?.records.len()
            }
        })
    }
}

fn parsed(store: &Store, text: &str, number: u64) -> Result<Option<Expr>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let expr = filter::parse(&text.replace("{n}", &number.to_string()))?;
    let kind = store.kinds().get(Asset::KIND).ok_or("the kind is there")?;
    Ok(Some(filter::check(expr, kind.filter_registry(), store.clock().now())?))
}

/// Point reads and pages of 50, first alone and then while 500 records to a unit are written as fast as they can be.
async fn reads_beside_writes(store: &Store, ctx: &Ctx, clock: &Clock, records: u64) -> Result<(), Failure> {
    let first = store.list(ctx, ListQuery { kind: Asset::KIND.to_owned(), limit: 500, ..ListQuery::default() }).await?;
    let ids: Vec<RecordId> = first.records.iter().map(|record| record.id).collect();
    let (gets, lists) = reads(store, ctx, clock, &ids).await?;
    print("get, alone", &gets, None);
    print("list of 50, alone", &lists, None);
    let stop = Arc::new(AtomicBool::new(false));
    let (own, other, ended) = (store.clone(), ctx.clone(), stop.clone());
    let writer = tokio::spawn(async move {
        let mut number = records;
        while !ended.load(Ordering::Relaxed) {
            let mut unit = steward_store::UnitOfWork::new();
            for _ in 0..500 {
                unit = unit.create(own.mint_id(), &Asset::new(number));
                number += 1;
            }
            own.commit(&other, unit).await?;
        }
        Ok::<_, steward_base::Error>(number - records)
    });
    let before = clock.monotonic();
    let (gets, lists) = reads(store, ctx, clock, &ids).await?;
    let seconds = clock.monotonic().saturating_sub(before).as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let written = writer.await??;
    print("get, beside bulk writes and checkpoints", &gets, None);
    print("list of 50, beside bulk writes and checkpoints", &lists, None);
    println!("{}", json!({ "workload": "bulk", "records_per_second": (f64::from(u32::try_from(written)?) / seconds).round() }));
    Ok(())
}

async fn reads(store: &Store, ctx: &Ctx, clock: &Clock, ids: &[RecordId]) -> Result<(Histogram<u64>, Histogram<u64>), Failure> {
    let (mut gets, mut lists) = (latencies(), latencies());
    let until = clock.monotonic() + Duration::from_secs(8);
    for id in ids.iter().cycle() {
        let began = clock.monotonic();
        if began > until {
            break;
        }
        store.get(ctx, Asset::KIND, *id).await?.ok_or("the record is there")?;
        record(&mut gets, clock, began);
        let began = clock.monotonic();
        store.list(ctx, ListQuery { kind: Asset::KIND.to_owned(), limit: 50, ..ListQuery::default() }).await?;
        record(&mut lists, clock, began);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((gets, lists))
}

fn record(took: &mut Histogram<u64>, clock: &Clock, began: Duration) {
    took.saturating_record(u64::try_from(clock.monotonic().saturating_sub(began).as_micros()).unwrap_or(u64::MAX));
}

fn print(name: &str, took: &Histogram<u64>, more: Option<(usize, f64)>) {
    let milliseconds = |quantile: f64| Duration::from_micros(took.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    let mut line =
        json!({ "workload": "query", "query": name, "asked": took.len(), "p50_ms": milliseconds(0.5), "p99_ms": milliseconds(0.99) });
    if let Some((rows, cpu)) = more {
        line["rows"] = rows.into();
        line["cpu_ms"] = ((cpu * 1_000.0).round() / 1_000.0).into();
    }
    println!("{line}");
}
