//! The way out: oldest batch first, one at a time, until the server has it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use steward_base::{Random, Result};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::http::{Body, Failure, Server};
use crate::otlp::BATCH;
use crate::spool::{Batch, Position, Shared, Signal};
use crate::token::Tokens;

/// What the sender needs.
pub(crate) struct Task {
    pub(crate) spool: Shared,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) server: Arc<Server>,
    pub(crate) random: Random,
    pub(crate) stop: CancellationToken,
}

/// Sends until stopped.
pub(crate) async fn run(task: Task) -> Result<()> {
    let stop = task.stop.clone();
    tokio::select! {
        result = send_all(&task) => result,
        () = stop.cancelled() => Ok(()),
    }
}

async fn send_all(task: &Task) -> Result<()> {
    let mut backoff = Backoff::new(task.random.clone());
    loop {
        let (position, mut batch) = next(task).await;
        let payload = Bytes::from(std::mem::take(&mut batch.payload));
        loop {
            match send(task, &batch, payload.clone()).await {
                Ok(()) => {
                    task.spool.sent(position, batch).await?;
                    break backoff.reset();
                }
                Err(Failure::Refused { status, detail }) if is_about_the_batch(status) => {
                    tracing::warn!(
                        http.status = i64::from(status),
                        error.message = detail,
                        rows = batch.rows,
                        "the server refuses a batch; it is dropped"
                    );
                    task.spool.refused(position, batch).await?;
                    break backoff.reset();
                }
                Err(failure) => tokio::time::sleep(patience(&failure, &mut backoff)).await,
            }
        }
    }
}

/// The oldest batch. What cannot be read for the moment (no file descriptors left, a disk that stumbles) is waited for: it is not lost.
async fn next(task: &Task) -> (Position, Batch) {
    let mut backoff = Backoff::new(task.random.clone());
    let mut said = false;
    loop {
        match task.spool.next().await {
            Ok(found) => return found,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "the spool cannot be read; it is tried again");
                }
                tokio::time::sleep(backoff.after_failure(None)).await;
            }
        }
    }
}

fn patience(failure: &Failure, backoff: &mut Backoff) -> Duration {
    let wait = backoff.after_failure(failure.retry_after());
    tracing::debug!(error.message = %failure, retry.seconds = wait.as_secs(), "a batch waits");
    wait
}

/// Whether the same bytes would be refused again; everything else concerns the credential, the server or the way to it.
fn is_about_the_batch(status: u16) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}

async fn send(task: &Task, batch: &Batch, payload: Bytes) -> Result<(), Failure> {
    match attempt(task, batch, payload.clone()).await {
        // The token ended on the way, and is forgotten now: one fresh try before the refusal counts.
        Err(Failure::Refused { status: 401, .. }) => attempt(task, batch, payload).await,
        result => result,
    }
}

async fn attempt(task: &Task, batch: &Batch, payload: Bytes) -> Result<(), Failure> {
    // A refused assertion is not about this batch.
    let token = task.tokens.access().await.map_err(|failure| match failure {
        Failure::Refused { status, detail } => {
            Failure::Unavailable { retry_after: None, reason: format!("no access token, {status}: {detail}") }
        }
        failure => failure,
    })?;
    let path = match batch.signal {
        Signal::Logs => "/otlp/v1/logs",
        Signal::Metrics => "/otlp/v1/metrics",
    };
    let body = Body::Otlp { packed: payload, batch: &batch.id.wire(BATCH) };
    match task.server.post(path, body, Some(token.expose())).await {
        Ok(answer) => {
            report_rejected(batch.signal, &answer);
            Ok(())
        }
        Err(failure) => {
            if matches!(failure, Failure::Refused { status: 401, .. }) {
                task.tokens.forget(&token).await;
            }
            Err(failure)
        }
    }
}

/// A partial success: the server took the batch and left some rows out, which sending again would not change.
fn report_rejected(signal: Signal, answer: &[u8]) {
    let (rejected, reason) = match signal {
        Signal::Logs => match ExportLogsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success) {
            Some(partial) => (partial.rejected_log_records, partial.error_message),
            None => return,
        },
        Signal::Metrics => match ExportMetricsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success) {
            Some(partial) => (partial.rejected_data_points, partial.error_message),
            None => return,
        },
    };
    if rejected > 0 {
        tracing::warn!(rows = rejected, error.message = reason, "the server left rows of a batch out");
    }
}
