//! Metric points into columns. A histogram becomes counters under its name: `.count`, `.sum`, `.bucket` with the attribute `le`, and the gauges
//! `.min` and `.max`; a summary becomes `.count`, `.sum` and a gauge per `quantile`.

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    SummaryDataPoint,
};
use steward_base::{Result, Timestamp};
use steward_telemetry::{AttributeValue, MetricBatch, MetricKind, SeriesFields};

use super::attributes::{Owned, Shared, pairs, time};
use super::{OUT_OF_SCOPE, Rejected};
use crate::incoming::bounded;
use crate::scopes::{Claims, Sender};

/// The flag of a point that says only that there is none.
const NO_VALUE: u32 = 1;
const NOT_FINITE: &str = "a value is not a finite number";
const EMPTY: &str = "a metric has no points or no name";

pub(super) fn batch(request: ExportMetricsServiceRequest, sender: &Sender, now: Timestamp) -> Result<(MetricBatch, Rejected)> {
    let mut into = Into { batch: MetricBatch::new(), rejected: Rejected::default(), now };
    for ResourceMetrics { resource, scope_metrics, .. } in request.resource_metrics {
        let shared = Shared::of(resource);
        let Some(claims) = sender.place(shared.claims.clone()) else {
            into.rejected.add(scope_metrics.iter().flat_map(|scope| &scope.metrics).map(points).sum(), OUT_OF_SCOPE);
            continue;
        };
        for ScopeMetrics { scope, metrics, .. } in scope_metrics {
            let scope = Shared::scope(scope);
            for metric in metrics {
                let source = Source { shared: &shared, scope: &scope, claims: &claims, name: metric.name, unit: metric.unit };
                into.metric(&source, metric.data);
                bounded(into.batch.bytes())?;
            }
        }
    }
    Ok((into.batch, into.rejected))
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
        None => 0,
    }
}

struct Source<'a> {
    shared: &'a Shared,
    scope: &'a [(String, Owned)],
    claims: &'a Claims,
    name: String,
    unit: String,
}

struct Into {
    batch: MetricBatch,
    rejected: Rejected,
    now: Timestamp,
}

/// When a point was taken, and since when its total runs.
#[derive(Clone, Copy)]
struct When {
    time: Timestamp,
    start: Timestamp,
}

impl Into {
    fn metric(&mut self, source: &Source<'_>, data: Option<Data>) {
        let Some(data) = data.filter(|_| !source.name.is_empty()) else {
            self.rejected.add(1, EMPTY);
            return;
        };
        match data {
            Data::Gauge(gauge) => gauge.data_points.into_iter().for_each(|point| self.number(source, MetricKind::Gauge, point)),
            Data::Sum(sum) => {
                let kind = kind(sum.aggregation_temporality, sum.is_monotonic);
                sum.data_points.into_iter().for_each(|point| self.number(source, kind, point));
            }
            Data::Histogram(histogram) => {
                let kind = kind(histogram.aggregation_temporality, true);
                histogram.data_points.into_iter().for_each(|point| self.histogram(source, kind, point));
            }
            Data::ExponentialHistogram(histogram) => {
                let kind = kind(histogram.aggregation_temporality, true);
                histogram.data_points.into_iter().for_each(|point| self.exponential(source, kind, point));
            }
            Data::Summary(summary) => summary.data_points.into_iter().for_each(|point| self.summary(source, point)),
        }
    }

    fn when(&self, time_nanos: u64, start_nanos: u64) -> When {
        When { time: time(time_nanos).unwrap_or(self.now), start: time(start_nanos).unwrap_or_default() }
    }

    fn number(&mut self, source: &Source<'_>, kind: MetricKind, point: NumberDataPoint) {
        if point.flags & NO_VALUE != 0 {
            return;
        }
        let value = match point.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => return self.rejected.add(1, EMPTY),
        };
        let when = self.when(point.time_unix_nano, point.start_time_unix_nano);
        let own: Vec<(String, Owned)> = pairs(point.attributes).collect();
        self.put(source, "", kind, &labels(source, &own), None, when, value);
    }

    fn histogram(&mut self, source: &Source<'_>, kind: MetricKind, point: HistogramDataPoint) {
        if point.flags & NO_VALUE != 0 {
            return;
        }
        let when = self.when(point.time_unix_nano, point.start_time_unix_nano);
        let own: Vec<(String, Owned)> = pairs(point.attributes).collect();
        let attributes = labels(source, &own);
        let extremes = (point.sum, point.min, point.max);
        self.totals(source, kind, &attributes, when, point.count, extremes);
        let bounds = point.explicit_bounds.into_iter().chain([f64::INFINITY]);
        let mut below = 0u64;
        for (bound, count) in bounds.zip(point.bucket_counts) {
            below = below.saturating_add(count);
            self.bucket(source, kind, &attributes, when, bound, below);
        }
    }

    fn exponential(&mut self, source: &Source<'_>, kind: MetricKind, point: ExponentialHistogramDataPoint) {
        if point.flags & NO_VALUE != 0 {
            return;
        }
        let when = self.when(point.time_unix_nano, point.start_time_unix_nano);
        let own: Vec<(String, Owned)> = pairs(point.attributes).collect();
        let attributes = labels(source, &own);
        self.totals(source, kind, &attributes, when, point.count, (point.sum, point.min, point.max));
        let base = 2f64.powf(2f64.powi(-point.scale));
        let bound = |buckets: &Buckets, at: usize| base.powf(f64::from(buckets.offset) + at as f64);
        let mut below = 0u64;
        // Below zero the bucket farthest from zero comes first, and its upper bound is its end nearer to zero.
        if let Some(negative) = &point.negative {
            for (at, count) in negative.bucket_counts.iter().enumerate().rev() {
                below = below.saturating_add(*count);
                self.bucket(source, kind, &attributes, when, -bound(negative, at), below);
            }
        }
        below = below.saturating_add(point.zero_count);
        self.bucket(source, kind, &attributes, when, point.zero_threshold, below);
        if let Some(positive) = &point.positive {
            for (at, count) in positive.bucket_counts.iter().enumerate() {
                below = below.saturating_add(*count);
                self.bucket(source, kind, &attributes, when, bound(positive, at + 1), below);
            }
        }
        self.bucket(source, kind, &attributes, when, f64::INFINITY, point.count);
    }

    fn summary(&mut self, source: &Source<'_>, point: SummaryDataPoint) {
        if point.flags & NO_VALUE != 0 {
            return;
        }
        let when = self.when(point.time_unix_nano, point.start_time_unix_nano);
        let own: Vec<(String, Owned)> = pairs(point.attributes).collect();
        let attributes = labels(source, &own);
        self.totals(source, MetricKind::Counter, &attributes, when, point.count, (Some(point.sum), None, None));
        for quantile in point.quantile_values {
            let label = ("quantile", quantile.quantile);
            self.put(source, "", MetricKind::Gauge, &attributes, Some(label), when, quantile.value);
        }
    }

    fn totals(
        &mut self,
        source: &Source<'_>,
        kind: MetricKind,
        attributes: Labels<'_>,
        when: When,
        count: u64,
        (sum, min, max): (Option<f64>, Option<f64>, Option<f64>),
    ) {
        self.put(source, ".count", kind, attributes, None, when, count as f64);
        for (suffix, kind, value) in [(".sum", kind, sum), (".min", MetricKind::Gauge, min), (".max", MetricKind::Gauge, max)] {
            if let Some(value) = value {
                self.put(source, suffix, kind, attributes, None, when, value);
            }
        }
    }

    fn bucket(&mut self, source: &Source<'_>, kind: MetricKind, attributes: Labels<'_>, when: When, bound: f64, below: u64) {
        self.put(source, ".bucket", kind, attributes, Some(("le", bound)), when, below as f64);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a point is its source, name, kind, attributes, label, time and value; a struct would only rename them"
    )]
    fn put(
        &mut self,
        source: &Source<'_>,
        suffix: &str,
        kind: MetricKind,
        attributes: Labels<'_>,
        label: Option<(&str, f64)>,
        when: When,
        value: f64,
    ) {
        if !value.is_finite() {
            return self.rejected.add(1, NOT_FINITE);
        }
        let label = label.map(|(key, value)| (key, if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() }));
        let labelled: Vec<(&str, AttributeValue<'_>)>;
        let attributes = match &label {
            None => attributes,
            Some((key, text)) => {
                labelled = [(*key, AttributeValue::Text(text))].into_iter().chain(attributes.iter().copied()).collect();
                &labelled
            }
        };
        let name = if suffix.is_empty() { Cow::Borrowed(&*source.name) } else { Cow::Owned(format!("{}{suffix}", source.name)) };
        let fields = SeriesFields { name: &name, unit: &source.unit, kind, service: &source.shared.service, scope: source.claims.scope() };
        let series = self.batch.series(&fields, attributes);
        self.batch.point(series, when.time, when.start, value);
    }
}

/// What tells a point's series from the metric's others.
type Labels<'a> = &'a [(&'a str, AttributeValue<'a>)];

/// A point's own attributes, then its scope's, then its resource's: of a key given twice, the first value counts.
fn labels<'a>(source: &'a Source<'_>, own: &'a [(String, Owned)]) -> Vec<(&'a str, AttributeValue<'a>)> {
    own.iter().chain(source.scope).chain(&source.shared.attributes).map(|(key, value)| (key.as_str(), value.borrow())).collect()
}

fn kind(temporality: i32, monotonic: bool) -> MetricKind {
    match (AggregationTemporality::try_from(temporality), monotonic) {
        (Ok(AggregationTemporality::Delta), _) => MetricKind::Delta,
        (_, true) => MetricKind::Counter,
        (_, false) => MetricKind::Sum,
    }
}
