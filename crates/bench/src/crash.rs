//! A start after `kill -9`: many tenants, a few of them with long logs, and which files it opens.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use steward_base::{Clock, Ctx, TenantId};
use steward_store::{ListQuery, Model, Store, UnitOfWork};
use steward_work::{Options, Work};

use crate::Failure;
use crate::records::{Asset, Place, tenant};

/// Records of one unit.
const PER_UNIT: u64 = 500;
/// Below what makes a log be copied: a tenant keeps so much until it is closed.
const LOG_OF_ONE: u64 = 24 << 20;
/// What the process to be killed says when it has written everything.
const WRITTEN: &str = "written";

/// Where, how many, and how much.
#[derive(Args)]
pub(crate) struct Crash {
    /// A folder for SQLite files.
    #[arg(long)]
    dir: PathBuf,
    /// Tenants that are clean when the process is killed.
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// Megabytes of logs that it leaves behind, 24 of them per dirty tenant.
    #[arg(long, default_value_t = 256)]
    megabytes: u64,
    /// Write, say so and wait: the process that is killed is started with it.
    #[arg(long, hide = true)]
    victim: bool,
}

/// Lets a process of its own write and kills it, then opens what it left; prints one JSON object.
pub(crate) async fn measure(arguments: &Crash) -> Result<(), Failure> {
    let clock = Clock::system();
    let place = Place::folder(arguments.dir.clone());
    if arguments.victim {
        return write(arguments, &place, clock).await;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["crash", "--victim", "--tenants", &arguments.tenants.to_string(), "--megabytes", &arguments.megabytes.to_string(), "--dir"])
        .arg(&arguments.dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut dirty: Vec<TenantId> = Vec::new();
    for line in BufReader::new(child.stdout.take().ok_or("the output is piped")?).lines() {
        let line = line?;
        if line == WRITTEN {
            child.kill()?;
        } else {
            dirty.push(line.parse()?);
        }
    }
    child.wait()?;
    let logs = logs(&arguments.dir)?;

    let began = clock.monotonic();
    let milliseconds = || (clock.monotonic().saturating_sub(began).as_secs_f64() * 1_000.0).round();
    let store = place.reopen(clock.clone()).await?;
    let worker = Work::new(store.clone(), Options::default()).start().await?;
    let started = milliseconds();
    for tenant in &dirty {
        let query = ListQuery { kind: Asset::KIND.to_owned(), limit: 1, ..ListQuery::default() };
        store.list(&steward_auth::system(*tenant, "bench"), query).await?;
    }
    let read = milliseconds();
    println!(
        "{}",
        json!({ "workload": "crash-start", "tenants": arguments.tenants, "dirty": dirty.len(), "marked": store.marked().await?.len(),
            "log_mb": logs >> 20, "milliseconds": started, "all_read_ms": read, "files_opened": open_files(&arguments.dir)?.len() })
    );
    worker.stop(Duration::from_secs(10)).await;
    store.close().await;
    Ok(())
}

async fn write(arguments: &Crash, place: &Place, clock: Clock) -> Result<(), Failure> {
    let store = place.reopen(clock).await?;
    for _ in 0..arguments.tenants {
        let ctx = tenant(&store).await?;
        store.commit(&ctx, UnitOfWork::new().create(store.mint_id(), &Asset::new(0))).await?;
    }
    store.settle(Duration::ZERO, |_| i64::MAX).await?;
    for _ in 0..(arguments.megabytes << 20).div_ceil(LOG_OF_ONE) {
        let ctx = tenant(&store).await?;
        fill_log(&store, &ctx, &arguments.dir).await?;
        println!("{}", ctx.tenant());
    }
    println!("{WRITTEN}");
    std::future::pending().await
}

async fn fill_log(store: &Store, ctx: &Ctx, dir: &Path) -> Result<(), Failure> {
    let log = dir.join("tenants").join(format!("{}.db-wal", ctx.tenant()));
    let mut number = 0;
    while std::fs::metadata(&log)?.len() < LOG_OF_ONE {
        let unit = (number..number + PER_UNIT).fold(UnitOfWork::new(), |unit, number| unit.create(store.mint_id(), &Asset::new(number)));
        store.commit(ctx, unit).await?;
        number += PER_UNIT;
    }
    Ok(())
}

/// Bytes of all logs.
fn logs(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for folder in [dir.to_owned(), dir.join("tenants")] {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "db-wal") {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

/// The tenants' files that this process has open.
fn open_files(dir: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let tenants = dir.canonicalize()?.join("tenants");
    // Between the listing and the look one may have been closed.
    let targets = std::fs::read_dir("/proc/self/fd")?.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    Ok(targets.filter(|path| path.starts_with(&tenants) && path.extension().is_some_and(|end| end == "db")).collect())
}
