//! The agent: what the binary does on a device.
//!
//! It enrols once with a token, makes its own key, proves itself with signed assertions, samples the machine, reads its logs, and sends
//! both as OTLP through a spool on disk.
//!
//! Invariants: a log line's checkpoint advances only after the line is in the spool and the spool is fsynced, so a line is sent at least
//! once; every batch has an id that stays with it through every attempt; memory and disk are bounded, and what is dropped for it is
//! counted and reported; nothing is sent over plain HTTP except to this very machine.

mod backoff;
mod checkpoint;
mod collect;
mod enroll;
mod heartbeat;
mod http;
mod key;
mod logs;
mod machine;
mod metrics;
mod otlp;
mod own_log;
mod platform;
mod send;
pub mod spool;
mod state;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use steward_base::{Clock, Error, ErrorKind, Random, Result, Secret};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use logs::Journal;
pub use own_log::{OwnLayer, OwnLog, own_log};

/// The version the agent reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the agent is told.
#[derive(Debug)]
pub struct Options {
    /// The server's address, as `https://ops.example.com`. Plain HTTP only to this machine.
    pub server: String,
    /// The enrolment token; needed until the device is enrolled.
    pub token: Option<Secret<String>>,
    /// The folder of key, device id, checkpoints and spool; one agent at a time.
    pub state: PathBuf,
    /// The device's name at enrolment; the host name when absent.
    pub name: Option<String>,
    /// Log files by glob; when empty, the usual places of the system.
    pub log_files: Vec<String>,
    /// Whether a line of a log file that begins with a blank belongs to the one before, as in stack traces.
    pub join_lines: bool,
    /// Where the system's journal is read from.
    pub journal: Journal,
    /// Between two samples of the machine; at least one second.
    pub metrics_interval: Duration,
    /// The most the spool takes on disk, in bytes.
    pub spool_limit: u64,
    /// A PEM file with certificate authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The agent's own lines, sent with the others.
    pub own_log: Option<OwnLog>,
}

impl Options {
    /// The defaults: samples every 15 s, journal and log files of the system, a spool of 256 MiB.
    pub fn new(server: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self {
            server: server.into(),
            token: None,
            state: state.into(),
            name: None,
            log_files: Vec::new(),
            join_lines: false,
            journal: Journal::WhenPresent,
            metrics_interval: Duration::from_secs(15),
            spool_limit: 256 * 1024 * 1024,
            ca_file: None,
            own_log: None,
        }
    }
}

/// Runs the agent until `shutdown`; what is not sent by then stays in the spool.
///
/// Fails with `insecure_server`, `invalid_server`, `state_unusable`, `state_in_use`, `not_enrolled` (no token and no identity yet) or
/// `enrollment_refused`. An unreachable server is waited for.
pub async fn run(options: Options, clock: Clock, random: Random, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
    let server = Arc::new(http::Server::new(&options.server, options.ca_file.as_deref(), &clock)?);
    let state = state::State::open(&options.state)?;
    let machine = machine::Machine::inspect(&state, &random)?;
    let key = Arc::new(key::DeviceKey::load_or_create(&state)?);
    tokio::pin!(shutdown);
    let enrolling = enroll::Enrolling {
        options: &options,
        state: &state,
        server: &server,
        machine: &machine,
        key: &key,
        clock: &clock,
        random: &random,
    };
    let tokens = tokio::select! {
        tokens = enrolling.run() => Arc::new(tokens?),
        () = &mut shutdown => return Ok(()),
    };
    let device = tokens.device();
    tracing::info!(device.id = device.device_id, tenant.slug = device.tenant_slug, server.address = %server, "the agent runs");
    let spool = spool::Shared::open(&state.spool(), options.spool_limit)?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(metrics::run(metrics::Task {
        machine: machine.clone(),
        spool: spool.clone(),
        interval: options.metrics_interval.max(Duration::from_secs(1)),
        clock: clock.clone(),
        random: random.clone(),
        stop: stop.clone(),
    }));
    let sources = collect::Sources {
        journal: options.journal,
        log_files: options.log_files,
        join_lines: options.join_lines,
        own_log: options.own_log,
    };
    tasks.spawn(collect::run(collect::Task {
        machine,
        checkpoints: state.checkpoints(),
        spool: spool.clone(),
        sources,
        clock,
        random: random.clone(),
        stop: stop.clone(),
    }));
    tasks.spawn(send::run(send::Task {
        spool: spool.clone(),
        tokens: tokens.clone(),
        server: server.clone(),
        random: random.clone(),
        stop: stop.clone(),
    }));
    tasks.spawn(heartbeat::run(heartbeat::Task { spool, tokens, server, random, stop: stop.clone() }));

    let ended = tokio::select! {
        () = &mut shutdown => Ok(()),
        ended = tasks.join_next() => match ended {
            Some(Ok(result)) => result.and(Err(Error::internal("a part of the agent ended by itself"))),
            Some(Err(panic)) => Err(Error::internal(panic)),
            None => Ok(()),
        },
    };
    stop.cancel();
    // The parts only finish what they hold; one that hangs on the network is dropped with the set.
    let _ = tokio::time::timeout(Duration::from_secs(5), async { while tasks.join_next().await.is_some() {} }).await;
    ended
}

/// An error about the state folder that its owner can do something about.
fn unusable(path: &std::path::Path, source: std::io::Error) -> Error {
    let detail = format!("{} cannot be used: {source}. Check that the folder belongs to the agent's user and has room.", path.display());
    Error::new(ErrorKind::Unavailable, "state_unusable", detail).with_source(source)
}
