//! What a run prints.

use serde::Serialize;

use crate::load::Outcome;

/// One run, as one JSON object.
#[derive(Serialize)]
pub(crate) struct Report {
    workload: &'static str,
    connections: usize,
    seconds: f64,
    requests: u64,
    told_to_wait: u64,
    failed: u64,
    per_second: f64,
    megabytes_per_second: f64,
    megabytes_per_cpu_second: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    cpu_seconds: Option<f64>,
    per_cpu_second: Option<f64>,
    rows_per_cpu_second: Option<f64>,
    kb_written_per_request: Option<f64>,
}

impl Report {
    /// `rows` are those of one request.
    pub(crate) fn new(workload: &'static str, rows: u64, connections: usize, outcome: &Outcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let requests = outcome.latencies.len();
        let count = float(requests);
        let quantile = |quantile: f64| float(outcome.latencies.value_at_quantile(quantile)) / 1_000.0;
        Self {
            workload,
            connections,
            seconds: rounded(seconds),
            requests,
            told_to_wait: outcome.told_to_wait,
            failed: outcome.failed,
            per_second: rounded(count / seconds),
            megabytes_per_second: rounded(float(outcome.body_bytes_sent) / 1e6 / seconds),
            megabytes_per_cpu_second: outcome.spent.map(|spent| rounded(float(outcome.body_bytes_sent) / 1e6 / spent.cpu_seconds)),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: float(outcome.latencies.max()) / 1_000.0,
            cpu_seconds: outcome.spent.map(|spent| rounded(spent.cpu_seconds)),
            per_cpu_second: outcome.spent.map(|spent| rounded(count / spent.cpu_seconds)),
            rows_per_cpu_second: outcome.spent.filter(|_| rows > 0).map(|spent| (count * float(rows) / spent.cpu_seconds).round()),
            kb_written_per_request: outcome.spent.map(|spent| rounded(float(spent.bytes_written) / 1024.0 / count)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
