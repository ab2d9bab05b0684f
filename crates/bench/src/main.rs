//! Load over HTTP in a closed loop: every connection sends its next request when the last one is answered.
//!
//! Prints one JSON object with rates, latencies and, given the server's process id, the CPU seconds it spent and the bytes it wrote. Runs on one
//! thread, so that on two cores the server has at least one. It talks to anything that serves the routes of Steward's projects, so that a peer
//! is measured by the same code.

mod load;
mod process;
mod report;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use url::Url;

use crate::workload::Workload;

/// What to measure, where, and for how long.
#[derive(Parser)]
#[command(about = "Measure a server that serves the projects and ingest routes", version)]
struct Arguments {
    /// What every request does.
    workload: Workload,
    /// The address of the server; plain HTTP.
    #[arg(long)]
    url: Url,
    /// A file that holds the bearer token: an argument would be seen by every user of the machine.
    #[arg(long)]
    token_file: std::path::PathBuf,
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
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime needs only threads and file handles");
    match runtime.block_on(measure(&arguments)) {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<u64, Box<dyn std::error::Error>> {
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
    println!("{}", serde_json::to_string(&report::Report::new(arguments.workload, &plan, &outcome))?);
    Ok(outcome.failed)
}
