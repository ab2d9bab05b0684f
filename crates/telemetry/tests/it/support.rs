//! Shared by the topics: tenants, engines, batches.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::ProptestConfig;
use steward_base::filter::{Expr, check, parse};
use steward_base::{Clock, Random, RecordId, Result, TenantId, Timestamp};
use steward_telemetry::{
    AttributeValue, LogBatch, LogFields, LogQuery, LogRow, MetricBatch, MetricKind, Options, Order, Scope, SeriesFields, Severity,
    Telemetry, log_registry, metric_registry,
};

pub(crate) const START: i64 = 1_760_000_000_000_000;

pub(crate) fn tenant(number: u8) -> TenantId {
    RecordId::from_bytes([number; 16]).into()
}

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_micros(START + seconds * 1_000_000)
}

/// Small files and small limits, so that a test sees many of them.
pub(crate) fn options(dir: &Path) -> Options {
    Options { wal_file_bytes: 64 << 10, coalesce_bytes: 8 << 10, ..Options::new(dir) }
}

pub(crate) async fn open(options: Options) -> Telemetry {
    Telemetry::open(options, Clock::system(), Random::seeded(7)).await.expect("opens")
}

/// One row per text, a second apart.
pub(crate) fn batch<'a>(texts: impl IntoIterator<Item = &'a str>) -> LogBatch {
    let mut batch = LogBatch::new();
    for (text, second) in texts.into_iter().zip(0..) {
        row(&mut batch, second, "app", Severity::INFO, text);
    }
    batch
}

pub(crate) fn row(batch: &mut LogBatch, second: i64, service: &str, severity: Severity, message: &str) {
    batch.attribute("http.status", AttributeValue::Int(200 + second % 3));
    batch.push(&LogFields { time: time(second), observed_time: time(second), severity, service, message, ..LogFields::default() });
}

pub(crate) fn logs(filter: &str) -> Option<Expr> {
    checked(filter, true).expect("a valid filter")
}

pub(crate) fn metrics(filter: &str) -> Option<Expr> {
    checked(filter, false).expect("a valid filter")
}

fn checked(filter: &str, logs: bool) -> Result<Option<Expr>> {
    if filter.is_empty() {
        return Ok(None);
    }
    let registry = if logs { log_registry() } else { metric_registry() };
    check(parse(filter)?, &registry, time(0)).map(Some)
}

/// Every row of a tenant, oldest first, page by page.
pub(crate) async fn everything(telemetry: &Telemetry, tenant: TenantId) -> Vec<LogRow> {
    let mut query = LogQuery { order: Order::Oldest, limit: 700, ..LogQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = telemetry.logs(tenant, query.clone()).await.expect("answers");
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

pub(crate) async fn messages(telemetry: &Telemetry, tenant: TenantId) -> Vec<String> {
    everything(telemetry, tenant).await.into_iter().map(|row| row.message).collect()
}

/// Points of one series, ten seconds apart.
pub(crate) fn points(batch: &mut MetricBatch, name: &str, kind: MetricKind, attributes: &[(&str, AttributeValue<'_>)], values: &[f64]) {
    let scope = Scope { device_id: "dev_1", ..Scope::default() };
    let series = batch.series(&SeriesFields { name, unit: "By", kind, service: "agent", scope }, attributes);
    for (value, at) in values.iter().zip(0..) {
        batch.point(series, time(at * 10), Timestamp::default(), *value);
    }
}

/// Waits until `done`, at most ten seconds.
pub(crate) async fn eventually(mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("happens within a minute");
}

/// So many cases; in a long run, where `PROPTEST_CASES` asks for more than usual, as many times more.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let scale = (ProptestConfig::default().cases / 256).max(1);
    ProptestConfig::with_cases(usual * scale)
}
