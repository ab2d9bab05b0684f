//! Load generators: on a server over HTTP, and on the record kernel in this process.
//!
//! Both are closed loops: every client sends its next request when the last one is answered. Each run prints one JSON object with rates,
//! latencies and what the measured process spent: CPU seconds and bytes written. Over HTTP it talks to anything that serves the routes of
//! Steward's projects, so that a peer is measured by the same code.

mod crash;
mod jobs;
mod kernel;
mod live;
mod load;
mod process;
mod queries;
mod records;
mod report;
mod telemetry;
mod tenants;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::workload::Workload;

/// The server's, so that the kernel is measured as it is served.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measure Steward and its peers", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load a server over HTTP from one thread, so that on two cores the server has at least one.
    Http(Http),
    /// Load the record kernel in this process.
    Kernel(kernel::Kernel),
    /// Queue jobs and work them off in this process.
    Jobs(jobs::Jobs),
    /// Ask the record kernel in this process over many records.
    Queries(queries::Queries),
    /// Make many tenants in this process and spread requests over them.
    Tenants(tenants::Tenants),
    /// Kill a process that has written, and start on what it left.
    Crash(crash::Crash),
    /// Follow the live events of a server and time what is created until it is told.
    Live(live::Live),
}

#[derive(Args)]
struct Http {
    /// What every request does.
    workload: Workload,
    /// The address of the server; plain HTTP.
    #[arg(long)]
    url: Url,
    /// A file that holds the bearer token: an argument would be seen by every user of the machine.
    #[arg(long)]
    token_file: PathBuf,
    /// The server's process id, to measure its CPU time and the bytes it writes.
    #[arg(long)]
    pid: Option<u32>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of the same load before that.
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Http(http) => runtime(tokio::runtime::Builder::new_current_thread()).block_on(measure_http(&http)),
        Command::Kernel(kernel) => {
            runtime(tokio::runtime::Builder::new_multi_thread()).block_on(async { kernel::measure(&kernel).await.map(|()| 0) })
        }
        Command::Jobs(jobs) => {
            runtime(tokio::runtime::Builder::new_multi_thread()).block_on(async { jobs::measure(&jobs).await.map(|()| 0) })
        }
        Command::Queries(queries) => {
            runtime(tokio::runtime::Builder::new_multi_thread()).block_on(async { queries::measure(&queries).await.map(|()| 0) })
        }
        Command::Tenants(tenants) => {
            runtime(tokio::runtime::Builder::new_multi_thread()).block_on(async { tenants::measure(&tenants).await.map(|()| 0) })
        }
        Command::Crash(crash) => {
            runtime(tokio::runtime::Builder::new_multi_thread()).block_on(async { crash::measure(&crash).await.map(|()| 0) })
        }
        Command::Live(live) => {
            runtime(tokio::runtime::Builder::new_current_thread()).block_on(async { live::measure(&live).await.map(|()| 0) })
        }
    };
    match outcome {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn runtime(mut builder: tokio::runtime::Builder) -> tokio::runtime::Runtime {
    builder.enable_all().build().expect("a runtime needs only threads and file handles")
}

/// How many requests failed.
async fn measure_http(arguments: &Http) -> Result<u64, Failure> {
    let token = std::fs::read_to_string(&arguments.token_file)?;
    let target = workload::Target::new(&arguments.url, token.trim())?;
    let requests = arguments.workload.prepare(&target).await?;
    let plan = load::Plan {
        connections: arguments.connections,
        warm_up: Duration::from_secs(arguments.warm_up_seconds),
        measured: Duration::from_secs(arguments.seconds),
        pid: arguments.pid,
    };
    let outcome = load::run(&plan, target, requests).await?;
    if let Some(failure) = &outcome.first_failure {
        eprintln!("first of {} failures: {failure}", outcome.failed);
    }
    println!(
        "{}",
        serde_json::to_string(&report::Report::new(arguments.workload.name(), arguments.workload.rows(), plan.connections, &outcome))?
    );
    Ok(outcome.failed)
}
