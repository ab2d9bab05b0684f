//! The heartbeat: still here, and how the agent itself fares.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use steward_base::{Random, Result};
use sysinfo::System;
use tokio_util::sync::CancellationToken;

use crate::VERSION;
use crate::backoff::Backoff;
use crate::http::{Body, Failure, Server};
use crate::spool::Shared;
use crate::token::Tokens;

/// What the heartbeat needs.
pub(crate) struct Task {
    pub(crate) spool: Shared,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) server: Arc<Server>,
    pub(crate) random: Random,
    pub(crate) stop: CancellationToken,
}

#[derive(Deserialize)]
struct Answer {
    next_seconds: u64,
}

/// Beats until stopped. A failure is told once, and so is its end.
pub(crate) async fn run(task: Task) -> Result<()> {
    let mut backoff = Backoff::new(task.random.clone());
    let mut failing = false;
    loop {
        let wait = match beat(&task).await {
            Ok(next) => {
                if failing {
                    tracing::info!("the server takes this device's word again");
                }
                failing = false;
                backoff.reset();
                let millis = u64::try_from(next.as_millis()).unwrap_or(u64::MAX);
                // 90 to 100 % of what was asked for: never late, and not all devices at once.
                Duration::from_millis(millis - task.random.below(millis / 10 + 1))
            }
            Err(failure) => {
                match failure {
                    _ if failing => {}
                    Failure::Refused { .. } => {
                        tracing::warn!(error.message = %failure, "the server refuses this device; logs and metrics wait on disk");
                    }
                    Failure::Unavailable { .. } => {
                        tracing::warn!(error.message = %failure, "the server cannot be reached; logs and metrics wait on disk");
                    }
                }
                failing = true;
                backoff.after_failure(failure.retry_after())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = task.stop.cancelled() => return Ok(()),
        }
    }
}

async fn beat(task: &Task) -> Result<Duration, Failure> {
    let token = task.tokens.access().await?;
    let spool = task.spool.figures();
    let body = json!({
        "agent_version": VERSION,
        "uptime_seconds": System::uptime().unwrap_or(0),
        "spool_bytes": spool.bytes,
        "dropped_total": spool.dropped_rows,
    });
    match task.server.post("/agent/v1/heartbeat", Body::Json(&body), Some(token.expose())).await {
        Ok(body) => {
            let seconds = serde_json::from_slice(&body).map_or(30, |answer: Answer| answer.next_seconds);
            Ok(Duration::from_secs(seconds.clamp(1, 300)))
        }
        Err(failure) => {
            if matches!(failure, Failure::Refused { status: 401, .. }) {
                task.tokens.forget(&token).await;
            }
            Err(failure)
        }
    }
}
