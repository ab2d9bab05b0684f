//! The closed loop: connections, the measured window, and what happened in it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use steward_base::Clock;
use tokio::task::{JoinSet, LocalSet};

use crate::Failure;
use crate::process::Spent;
use crate::workload::{Requests, Target};

/// How a run is done.
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) pid: Option<u32>,
}

/// What happened in the measured window.
pub(crate) struct Outcome {
    /// Microseconds from sending a request to the last byte of its answer.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) elapsed: Duration,
    /// Of requests that were answered as expected.
    pub(crate) body_bytes_sent: u64,
    /// Answers that said to come back later; each was sent again.
    pub(crate) told_to_wait: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    pub(crate) spent: Option<Spent>,
}

/// What the connections share. One thread runs them all, so plain cells do.
struct Shared {
    clock: Clock,
    target: Target,
    requests: Requests,
    next: Cell<u64>,
    recording: Cell<bool>,
    stopping: Cell<bool>,
}

struct Tally {
    latencies: Histogram<u64>,
    body_bytes_sent: u64,
    told_to_wait: u64,
    failed: u64,
    first_failure: Option<String>,
}

/// Runs the plan to its end.
pub(crate) async fn run(plan: &Plan, target: Target, requests: Requests) -> Result<Outcome, Failure> {
    let clock = Clock::system();
    // Numbers start at the wall clock, so that runs against one server never name the same project twice.
    let first = u64::try_from(clock.now().micros()).unwrap_or_default();
    let shared = Rc::new(Shared {
        clock: clock.clone(),
        target,
        requests,
        next: Cell::new(first),
        recording: Cell::new(false),
        stopping: Cell::new(false),
    });
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut connections = JoinSet::new();
            for _ in 0..plan.connections {
                let shared = Rc::clone(&shared);
                connections.spawn_local(async move { connection(&shared).await.map_err(|error| error.to_string()) });
            }
            tokio::time::sleep(plan.warm_up).await;
            let before = plan.pid.map(Spent::of).transpose()?;
            let began = clock.monotonic();
            shared.recording.set(true);
            tokio::time::sleep(plan.measured).await;
            shared.recording.set(false);
            let elapsed = clock.monotonic().saturating_sub(began);
            let after = plan.pid.map(Spent::of).transpose()?;
            shared.stopping.set(true);

            let mut outcome = Outcome {
                latencies: latencies(),
                elapsed,
                body_bytes_sent: 0,
                told_to_wait: 0,
                failed: 0,
                first_failure: None,
                spent: after.zip(before).map(|(after, before)| after.since(before)),
            };
            while let Some(tally) = connections.join_next().await {
                let tally = tally??;
                outcome.latencies.add(&tally.latencies)?;
                outcome.body_bytes_sent += tally.body_bytes_sent;
                outcome.told_to_wait += tally.told_to_wait;
                outcome.failed += tally.failed;
                outcome.first_failure = outcome.first_failure.or(tally.first_failure);
            }
            Ok(outcome)
        })
        .await
}

async fn connection(shared: &Shared) -> Result<Tally, Failure> {
    let mut tally = Tally { latencies: latencies(), body_bytes_sent: 0, told_to_wait: 0, failed: 0, first_failure: None };
    let mut sender = shared.target.connect().await?;
    let next = || shared.next.replace(shared.next.get() + 1);
    let mut number = next();
    while !shared.stopping.get() {
        let (request, expected) = shared.requests.make(&shared.target, number);
        let size = hyper::body::Body::size_hint(request.body()).exact().unwrap_or_default();
        if sender.ready().await.is_err() {
            sender = shared.target.connect().await?;
        }
        let recorded = shared.recording.get();
        let began = shared.clock.monotonic();
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let later = answer.headers().get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = answer.into_body().collect().await?.to_bytes();
        let took = shared.clock.monotonic().saturating_sub(began);
        if status == StatusCode::TOO_MANY_REQUESTS {
            tally.told_to_wait += u64::from(recorded && shared.recording.get());
            tokio::time::sleep(Duration::from_secs(later.unwrap_or(1))).await;
            continue;
        }
        number = next();
        if status != expected {
            tally.failed += 1;
            tally.first_failure.get_or_insert_with(|| format!("{status}: {}", String::from_utf8_lossy(&body)));
        } else if recorded && shared.recording.get() {
            tally.latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            tally.body_bytes_sent += size;
        }
    }
    Ok(tally)
}

pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("one microsecond to two minutes with three digits is a valid range")
}
