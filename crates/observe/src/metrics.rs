//! Metrics out: names and series.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::filter::{Expr, Literal, Op};
use steward_base::{Result, Timestamp};
use steward_telemetry::{Aggregate, MetricKind, NamesQuery, SeriesQuery, metric_registry};
use steward_web::{Call, Json, Operation, Reply, operation};

use crate::Observe;
use crate::query::{range, step, wanted};

const POINTS: u64 = 240;
/// How far back names are looked for unless said.
const NAMES_BACK: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Deserialize, JsonSchema)]
struct NamesParameters {
    /// Only metrics of this device.
    #[schemars(length(min = 1, max = 64))]
    device_id: Option<String>,
    /// Only metrics with points that pass, as in `service = shop attributes.state:*`.
    #[schemars(length(max = 4096))]
    filter: Option<String>,
    /// Metrics with points from this time on; a day before `to` unless said.
    from: Option<Timestamp>,
    /// Metrics with points before this time; now unless said.
    to: Option<Timestamp>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct SeriesParameters {
    /// The metric, as in `system.cpu.utilization`.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// Only points that pass, as in `device_id = dev_… attributes.state = used`.
    #[schemars(length(max = 4096))]
    filter: Option<String>,
    /// From this time on; an hour before `to` unless said.
    from: Option<Timestamp>,
    /// Up to this time; now unless said.
    to: Option<Timestamp>,
    /// Seconds of one step; chosen by the range unless said.
    #[schemars(range(min = 1, max = 31_536_000))]
    step: Option<u32>,
    /// How the points of a step become one; `avg` unless said.
    aggregate: Option<Together>,
    /// Attributes that make a series each, separated by commas; `device_id`, `service` and the other ids too.
    #[schemars(length(max = 1024))]
    group_by: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Together {
    /// The mean of all points.
    Avg,
    /// The smallest point.
    Min,
    /// The largest point.
    Max,
    /// The last value of each series in the step, added up; of deltas, all points.
    Sum,
    /// The latest point.
    Last,
    /// Growth per second of running totals, restarts taken into account; of deltas, their sum per second.
    Rate,
    /// How many points.
    Count,
}

impl From<Together> for Aggregate {
    fn from(together: Together) -> Self {
        match together {
            Together::Avg => Aggregate::Avg,
            Together::Min => Aggregate::Min,
            Together::Max => Aggregate::Max,
            Together::Sum => Aggregate::Sum,
            Together::Last => Aggregate::Last,
            Together::Rate => Aggregate::Rate,
            Together::Count => Aggregate::Count,
        }
    }
}

/// How the points of a series relate to each other.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A value as it stands.
    Gauge,
    /// A running total that only grows, until it starts again.
    Counter,
    /// A running total that may shrink.
    Sum,
    /// What was added since the previous point.
    Delta,
}

impl From<MetricKind> for Kind {
    fn from(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Gauge => Kind::Gauge,
            MetricKind::Counter => Kind::Counter,
            MetricKind::Sum => Kind::Sum,
            MetricKind::Delta => Kind::Delta,
        }
    }
}

/// A metric.
#[derive(Debug, Serialize, JsonSchema)]
struct Metric {
    /// As in `system.cpu.utilization`.
    name: String,
    /// UCUM, as in `By`.
    unit: String,
    /// How its points relate to each other.
    kind: Kind,
}

/// The metrics there are, by name.
#[derive(Debug, Serialize, JsonSchema)]
struct Metrics {
    /// The metrics.
    data: Vec<Metric>,
}

/// One metric over time.
#[derive(Debug, Serialize, JsonSchema)]
struct MetricSeries {
    /// The metric.
    name: String,
    /// UCUM; empty when there are no points.
    unit: String,
    /// Seconds of one step.
    step_seconds: u64,
    /// One per group.
    series: Vec<Line>,
}

/// One line of a chart.
#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    /// The group's values; one that the group has not is absent.
    labels: BTreeMap<String, String>,
    /// Unix milliseconds of the step's start, and the value; a step without points is absent.
    points: Vec<(i64, f64)>,
}

pub(crate) fn operations(observe: &Observe) -> Vec<Operation> {
    vec![
        operation("metrics.list", Method::GET, "/api/v1/metrics")
            .needs("metrics:read")
            .scoped()
            .summary("The metrics that have points")
            .tag("metrics")
            .handle(observe.clone(), names),
        operation("metrics.series", Method::GET, "/api/v1/metrics/series")
            .needs("metrics:read")
            .scoped()
            .summary("One metric over time")
            .description("Steps are aligned to the epoch. At most 1000 groups and 11000 steps.")
            .tag("metrics")
            .error(http::StatusCode::UNPROCESSABLE_ENTITY, "too_many_groups")
            .error(http::StatusCode::UNPROCESSABLE_ENTITY, "too_many_points")
            .handle(observe.clone(), series),
    ]
}

async fn names(observe: Observe, call: Call<(), NamesParameters>) -> Result<Reply<Json<Metrics>>> {
    let (query, now) = (call.query, call.site.clock().now());
    let filter = wanted(query.filter.as_deref(), call.scope, &metric_registry(), now)?;
    let device = query.device_id.map(|id| Expr::compare("device_id", Op::Eq, Literal::Text(id)));
    let filter = match (filter, device) {
        (Some(filter), Some(device)) => Some(filter.and(device)),
        (filter, device) => filter.or(device),
    };
    let to = query.to.unwrap_or(now);
    let from = query.from.unwrap_or_else(|| to.minus(NAMES_BACK));
    let found = observe.telemetry.metric_names(call.ctx.tenant(), NamesQuery { from: Some(from), to: Some(to), filter }).await?;
    let data = found.into_iter().map(|metric| Metric { name: metric.name, unit: metric.unit, kind: metric.kind.into() }).collect();
    Ok(Reply::json(Metrics { data }))
}

async fn series(observe: Observe, call: Call<(), SeriesParameters>) -> Result<Reply<Json<MetricSeries>>> {
    let (query, now) = (call.query, call.site.clock().now());
    let (from, to) = range(query.from, query.to, now)?;
    let step = step(query.step, from, to, POINTS);
    let asked = SeriesQuery {
        name: query.name.clone(),
        filter: wanted(query.filter.as_deref(), call.scope, &metric_registry(), now)?,
        from,
        to,
        step,
        aggregate: query.aggregate.map(Aggregate::from).unwrap_or_default(),
        group_by: query
            .group_by
            .iter()
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    let set = observe.telemetry.series(call.ctx.tenant(), asked).await?;
    let series = set.series.into_iter().map(|series| Line {
        labels: series.labels,
        points: series.points.into_iter().map(|(time, value)| (time.millis(), value)).collect(),
    });
    Ok(Reply::json(MetricSeries { name: query.name, unit: set.unit, step_seconds: step.as_secs(), series: series.collect() }))
}
