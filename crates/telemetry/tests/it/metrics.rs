//! Metric series.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use steward_base::Timestamp;
use steward_telemetry::{
    Aggregate, AttributeValue, MetricBatch, MetricKind, NamesQuery, Scope, SeriesFields, SeriesQuery, SeriesSet, Telemetry,
};
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::support::{metrics, open, options, points, tenant, time};

fn query(name: &str, aggregate: Aggregate, step: u64, group_by: &[&str]) -> SeriesQuery {
    SeriesQuery {
        name: name.to_owned(),
        filter: None,
        from: time(0),
        to: time(600),
        step: Duration::from_secs(step),
        aggregate,
        group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// The same in memory, joined, and in a segment.
async fn each_way(telemetry: &Telemetry, query: SeriesQuery) -> SeriesSet {
    let fresh = telemetry.series(tenant(1), query.clone()).await.expect("answers");
    telemetry.flush().await.expect("flushes");
    let stored = telemetry.series(tenant(1), query).await.expect("answers");
    assert_eq!(fresh, stored);
    stored
}

fn values(set: &SeriesSet) -> Vec<f64> {
    set.series.iter().flat_map(|series| &series.points).map(|point| point.1).collect()
}

#[tokio::test]
async fn a_counter_that_restarts_keeps_its_rate() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut batch = MetricBatch::new();
    // 10 per second for 60 s, a restart, 10 per second again.
    let counts = [0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0];
    points(&mut batch, "system.network.io", MetricKind::Counter, &[("direction", AttributeValue::Text("receive"))], &counts);
    telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
    let set = each_way(&telemetry, query("system.network.io", Aggregate::Rate, 60, &["direction"])).await;
    assert_eq!((set.unit.as_str(), set.kind), ("By", MetricKind::Counter));
    assert_eq!(set.series[0].labels, BTreeMap::from([("direction".to_owned(), "receive".to_owned())]));
    for value in values(&set) {
        assert!((value - 10.0).abs() < 1e-9, "{set:?}");
    }
}

#[tokio::test]
async fn a_rate_needs_the_point_before_its_range() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut batch = MetricBatch::new();
    points(&mut batch, "requests", MetricKind::Counter, &[], &[0.0, 50.0, 100.0]);
    telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
    let set = each_way(&telemetry, SeriesQuery { from: time(15), to: time(20), ..query("requests", Aggregate::Rate, 5, &[]) }).await;
    assert_eq!(values(&set), [5.0]);
}

#[tokio::test]
async fn deltas_add_up() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut batch = MetricBatch::new();
    points(&mut batch, "jobs", MetricKind::Delta, &[("queue", AttributeValue::Text("a"))], &[1.0, 2.0, 3.0]);
    points(&mut batch, "jobs", MetricKind::Delta, &[("queue", AttributeValue::Text("b"))], &[10.0]);
    telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
    assert_eq!(values(&each_way(&telemetry, query("jobs", Aggregate::Sum, 600, &[])).await), [16.0]);
    let rate = values(&each_way(&telemetry, query("jobs", Aggregate::Rate, 600, &["queue"])).await);
    assert_eq!(rate, [6.0 / 600.0, 10.0 / 600.0]);
}

#[tokio::test]
async fn a_sum_adds_series_not_points() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let mut batch = MetricBatch::new();
    points(&mut batch, "system.memory.usage", MetricKind::Gauge, &[("state", AttributeValue::Text("used"))], &[1.0, 2.0, 3.0]);
    points(&mut batch, "system.memory.usage", MetricKind::Gauge, &[("state", AttributeValue::Text("free"))], &[9.0, 8.0, 7.0]);
    telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
    assert_eq!(values(&each_way(&telemetry, query("system.memory.usage", Aggregate::Sum, 600, &[])).await), [10.0]);
    let mut filtered = query("system.memory.usage", Aggregate::Last, 600, &["state", "device_id", "absent"]);
    filtered.filter = metrics("attributes.state = used device_id = dev_1");
    let set = each_way(&telemetry, filtered).await;
    assert_eq!(values(&set), [3.0]);
    let labels = [("device_id", "dev_1"), ("state", "used")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(set.series[0].labels, BTreeMap::from(labels));
}

#[tokio::test]
async fn names_come_from_memory_and_segments_and_take_a_filter() {
    let dir = tempdir().expect("a folder");
    let telemetry = open(options(dir.path())).await;
    let send = async |name: &str, device: &str| {
        let mut batch = MetricBatch::new();
        let scope = Scope { device_id: device, ..Scope::default() };
        let series = batch.series(&SeriesFields { name, unit: "1", kind: MetricKind::Gauge, service: "", scope }, &[]);
        batch.point(series, time(1), Timestamp::default(), 1.0);
        telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
    };
    send("b", "dev_1").await;
    telemetry.flush().await.expect("flushes");
    send("a", "dev_2").await;
    let names = async |filter: &str| {
        let found = telemetry.metric_names(tenant(1), NamesQuery { filter: metrics(filter), ..NamesQuery::default() }).await;
        found.expect("answers").into_iter().map(|name| name.name).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["a", "b"]);
    assert_eq!(names("device_id = dev_1").await, ["b"]);
    assert!(telemetry.metric_names(tenant(2), NamesQuery::default()).await.expect("answers").is_empty());
}

#[test]
fn the_order_of_attributes_makes_no_series() {
    let mut batch = MetricBatch::new();
    let fields = SeriesFields { name: "m", unit: "", kind: MetricKind::Gauge, service: "", scope: Scope::default() };
    let (a, b) = (("a", AttributeValue::Text("1\"")), ("b", AttributeValue::Float(0.5)));
    assert_eq!(batch.series(&fields, &[a, b]), batch.series(&fields, &[b, a]));
    assert_ne!(batch.series(&fields, &[a]), batch.series(&fields, &[b]));
}

proptest! {
    #![proptest_config(crate::support::cases(32))]

    /// Aggregates of points agree with a plain loop over them, before and after flushing and joining.
    #[test]
    fn aggregates_agree_with_a_plain_loop(points in proptest::collection::vec((0i64..600, 0u8..3, -5i32..50), 1..200), batches in 1usize..5, step in 7u64..120) {
        let dir = tempdir().expect("a folder");
        Runtime::new().expect("a runtime").block_on(async {
            let telemetry = open(options(dir.path())).await;
            for (at, part) in points.chunks(points.len().div_ceil(batches)).enumerate() {
                let mut batch = MetricBatch::new();
                for (second, host, value) in part {
                    let host = format!("host-{host}");
                    let fields = SeriesFields { name: "load", unit: "1", kind: MetricKind::Gauge, service: "", scope: Scope::default() };
                    let series = batch.series(&fields, &[("host", AttributeValue::Text(&host))]);
                    batch.point(series, time(*second), Timestamp::default(), f64::from(*value));
                }
                telemetry.append_metrics(tenant(1), None, batch).await.expect("stored");
                if at == 1 {
                    telemetry.flush().await.expect("flushes");
                }
            }
            let bucket = |second: i64| time(second).micros().div_euclid(step as i64 * 1_000_000) * step as i64 * 1_000_000;
            let mut model: BTreeMap<(String, i64), Vec<f64>> = BTreeMap::new();
            for (second, host, value) in &points {
                model.entry((format!("host-{host}"), bucket(*second))).or_default().push(f64::from(*value));
            }
            for aggregate in [Aggregate::Avg, Aggregate::Min, Aggregate::Max, Aggregate::Count] {
                let set = each_way(&telemetry, query("load", aggregate, step, &["host"])).await;
                let found: BTreeMap<(String, i64), f64> = set.series.iter()
                    .flat_map(|series| series.points.iter().map(|(time, value)| ((series.labels["host"].clone(), time.micros()), *value)))
                    .collect();
                assert_eq!(found.len(), model.len());
                for (key, values) in &model {
                    let wanted = match aggregate {
                        Aggregate::Avg => values.iter().sum::<f64>() / values.len() as f64,
                        Aggregate::Min => values.iter().copied().fold(f64::MAX, f64::min),
                        Aggregate::Max => values.iter().copied().fold(f64::MIN, f64::max),
                        _ => values.len() as f64,
                    };
                    assert!((found[key] - wanted).abs() < 1e-9, "{aggregate:?} {key:?} {} {wanted}", found[key]);
                }
            }
        });
    }
}
