//! A job as it goes: one message whenever it changes, until it is finished.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use steward_base::Error;
use steward_store::Store;
use steward_web::live::{self, EventStream, Message};
use steward_web::{Call, Operation, RateClass, Reply, operation};

use crate::operations::{ByJob, JobView, readable};

/// How often a job is looked at: its progress tells no event.
const LOOK: Duration = Duration::from_millis(250);

/// `jobs.stream`.
pub(crate) fn stream_operation(store: &Store) -> Operation {
    operation("jobs.stream", Method::GET, "/api/v1/jobs/{id}/stream")
        .summary("Follow a job until it is finished")
        .description(
            "Server-sent events, each the job as it is: `progress` whenever it has changed, and `finished` as the last one. A client that connects \
             again is told how the job stands. For whoever queued it, and for whoever may read all jobs (`jobs:read`).",
        )
        .tag("jobs")
        .signed_in()
        .rate(RateClass::Stream)
        .handle(store.clone(), stream)
}

async fn stream(store: Store, call: Call<ByJob>) -> Result<Reply<EventStream>, Error> {
    let (ctx, id) = (call.ctx.clone(), call.path.id.record());
    let mut job = readable(&store, &call).await?;
    Ok(live::stream(call.standing(), move |feed| async move {
        let mut told = Value::Null;
        loop {
            let finished = job.state.is_finished();
            let Ok(view) = serde_json::to_value(JobView::from(job.clone())) else { return };
            if view != told {
                let name = if finished { "finished" } else { "progress" };
                let Ok(message) = Message::json(name, &view) else { return };
                if feed.send(&message).await.is_err() {
                    return;
                }
                told = view;
            }
            if finished {
                return;
            }
            tokio::time::sleep(LOOK).await;
            match store.job(&ctx, id).await {
                Ok(Some(now)) => job = now,
                // Forgotten: nothing more will happen to it.
                Ok(None) => return,
                // The store is away: that says nothing about the job.
                Err(error) => tracing::debug!(error.code = error.code(), "a job cannot be looked at now"),
            }
        }
    }))
}
