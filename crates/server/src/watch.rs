//! `steward agent run`; `--watch`, which runs one for this very machine as a child process; and `--demo`, which waits for a tenant likewise.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use steward_base::{Clock, Error, Random, Result, Secret, TenantId};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::App;
use crate::serve::stopped;

/// How long a child that ended is left alone before the next start; doubled for each early end, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Seconds between samples: this machine is watched more closely than a fleet is.
const INTERVAL_SECONDS: &str = "5";

/// The file by which an agent's state folder shows that the device is enrolled.
const DEVICE_FILE: &str = "device.json";

/// What `steward agent run` was told.
pub(crate) struct AgentRun {
    pub(crate) server: String,
    pub(crate) token: Option<String>,
    pub(crate) state: PathBuf,
    pub(crate) log_files: Vec<String>,
    pub(crate) join_lines: bool,
    pub(crate) interval_seconds: u64,
    pub(crate) stop_on_stdin_end: bool,
}

/// Runs the agent in this process until SIGTERM, SIGINT or, for a child of the server, the end of stdin.
pub(crate) async fn agent(run: AgentRun) -> Result<()> {
    let (clock, random) = (Clock::system(), Random::system());
    let (layer, own_log) = steward_agent::own_log(clock.clone());
    let talk = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    tracing_subscriber::registry().with(layer).with(talk).with(level).init();
    let mut options = steward_agent::Options::new(run.server, run.state);
    options.token = run.token.map(Secret::new);
    options.log_files = run.log_files;
    options.join_lines = run.join_lines;
    options.metrics_interval = Duration::from_secs(run.interval_seconds);
    options.own_log = Some(own_log);
    let stop_on_stdin_end = run.stop_on_stdin_end;
    let shutdown = async move {
        tokio::select! {
            () = stopped() => {}
            () = stdin_end(), if stop_on_stdin_end => {}
        }
    };
    steward_agent::run(options, clock, random, shutdown).await
}

/// Ends when the parent closes our stdin, which its death does too.
async fn stdin_end() {
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of stdin cannot be cancelled and must not hold the runtime's end up.
    std::thread::spawn(move || {
        let mut sink = [0u8; 64];
        while matches!(std::io::Read::read(&mut std::io::stdin(), &mut sink), Ok(read) if read > 0) {}
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Keeps the agent running until `stop`.
pub(crate) async fn run(app: App, server_url: String, state: PathBuf, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        match once(&app, &server_url, &state, &stop).await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                tracing::warn!(
                    error.code = error.code(),
                    error.causes = error.causes(),
                    "the agent of this machine ended; it starts again"
                );
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn once(app: &App, server_url: &str, state: &Path, stop: &CancellationToken) -> Result<()> {
    let token = match state.join(DEVICE_FILE).exists() {
        true => None,
        false => {
            let tenant = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                tenant = first_tenant(app) => tenant?,
            };
            Some(app.own_enrolment_token(tenant).await?)
        }
    };
    let mut child = start(server_url, state, token.as_ref().map(|token| token.expose().as_str()))?;
    // Held here, since waiting for the child would close it, and its end is what tells the agent to stop.
    let stdin = child.stdin.take();
    tokio::select! {
        status = child.wait() => {
            let status = status.map_err(Error::internal)?;
            if status.success() { Ok(()) } else { Err(Error::internal(format!("the agent ended with {status}"))) }
        }
        () = stop.cancelled() => {
            // It sends what it holds and leaves.
            drop(stdin);
            let _ = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
            Ok(())
        }
    }
}

/// `--demo`: loads the sample company once there is a tenant; one that is there already stays as it is.
pub(crate) async fn demo(app: App, stop: CancellationToken) {
    let load = async {
        let tenant = first_tenant(&app).await?;
        app.fleet().load_sample(&steward_auth::system(tenant, "demo")).await
    };
    let loaded = tokio::select! {
        () = stop.cancelled() => return,
        loaded = load => loaded,
    };
    match loaded {
        Err(error) if error.code() != "sample_exists" => {
            tracing::error!(error.code = error.code(), error.causes = error.causes(), "the sample company could not be loaded");
        }
        _ => {}
    }
}

/// Waits for the set-up to make the first tenant.
async fn first_tenant(app: &App) -> Result<TenantId> {
    let mut control = app.store().watch(TenantId::OPERATOR);
    loop {
        control.mark_unchanged();
        if let Some(tenant) = app.first_tenant().await? {
            return Ok(tenant);
        }
        control.changed().await.map_err(Error::internal)?;
    }
}

fn start(server_url: &str, state: &Path, token: Option<&str>) -> Result<Child> {
    let binary = std::env::current_exe().map_err(Error::internal)?;
    let mut command = Command::new(binary);
    command
        .args(["agent", "run", "--stop-on-stdin-end", "--interval-seconds", INTERVAL_SECONDS, "--server", server_url, "--state"])
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    if let Some(token) = token {
        command.env("STEWARD_AGENT_TOKEN", token);
    }
    command.spawn().map_err(Error::internal)
}
