//! Counters and durations in the Prometheus text format. Labels are the route pattern, method and status class: never a tenant, id or raw path.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

/// Upper bounds of the duration buckets, in microseconds, with the text that Prometheus reads.
const BUCKETS: [(u64, &str); 12] = [
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The meter of one route and method.
#[derive(Debug, Default)]
pub struct Meter {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Meter {
    /// Counts one answer and how long its head took.
    pub fn record(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Writes further samples when `/metrics` is read.
pub type Part = Arc<dyn Fn(&mut String) + Send + Sync>;

/// Everything that `/metrics` shows.
#[derive(Default)]
pub struct Metrics {
    routes: Mutex<Vec<(&'static str, String, Arc<Meter>)>>,
    parts: Mutex<Vec<Part>>,
    unrouted: Arc<Meter>,
    connections: AtomicU64,
    refused: AtomicU64,
    streams: AtomicU64,
}

impl Metrics {
    /// Adds samples of another part of the server: whole families in the text format, each line ended.
    pub fn add(&self, part: Part) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// A meter for one route and method.
    pub(crate) fn route(&self, method: &'static str, route: &str) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).push((method, route.to_owned(), Arc::clone(&meter)));
        meter
    }

    /// The meter of what no route takes.
    pub(crate) fn unrouted(&self) -> &Meter {
        &self.unrouted
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    /// Connections that were closed because their address had too many.
    pub(crate) fn refused(&self) -> &AtomicU64 {
        &self.refused
    }

    /// Open event streams.
    pub(crate) fn streams(&self) -> &AtomicU64 {
        &self.streams
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unrouted = ("ANY", "unrouted".to_owned(), Arc::clone(&self.unrouted));
        let routes: Vec<_> = routes.into_iter().chain([unrouted]).collect();
        out.push_str("# HELP steward_http_requests_total Answered requests.\n# TYPE steward_http_requests_total counter\n");
        for (method, route, meter) in &routes {
            for (class, count) in CLASSES.iter().zip(&meter.classes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    put(
                        &mut out,
                        format_args!("steward_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{class}\"}} {count}"),
                    );
                }
            }
        }
        out.push_str("# HELP steward_http_request_duration_seconds From the request's head to the answer's head.\n");
        out.push_str("# TYPE steward_http_request_duration_seconds histogram\n");
        for (method, route, meter) in &routes {
            durations(&mut out, method, route, meter);
        }
        gauge(&mut out, "steward_http_connections", "Open connections.", self.connections.load(Ordering::Relaxed));
        let refused = self.refused.load(Ordering::Relaxed);
        counter(&mut out, "steward_http_connections_refused_total", "Connections closed because their address had too many.", refused);
        gauge(&mut out, "steward_http_streams", "Open event streams.", self.streams.load(Ordering::Relaxed));
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        parts.iter().for_each(|part| part(&mut out));
        out
    }
}

fn durations(out: &mut String, method: &str, route: &str, meter: &Meter) {
    let counts: Vec<u64> = meter.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return;
    }
    let name = "steward_http_request_duration_seconds";
    let mut below = 0;
    for ((_, bound), count) in BUCKETS.iter().zip(&counts) {
        below += count;
        put(out, format_args!("{name}_bucket{{method=\"{method}\",route=\"{route}\",le=\"{bound}\"}} {below}"));
    }
    put(out, format_args!("{name}_bucket{{method=\"{method}\",route=\"{route}\",le=\"+Inf\"}} {total}"));
    let micros = meter.micros.load(Ordering::Relaxed);
    put(out, format_args!("{name}_sum{{method=\"{method}\",route=\"{route}\"}} {}.{:06}", micros / 1_000_000, micros % 1_000_000));
    put(out, format_args!("{name}_count{{method=\"{method}\",route=\"{route}\"}} {total}"));
}

/// Writes one gauge family.
pub fn gauge(out: &mut String, name: &str, help: &str, value: impl fmt::Display) {
    put(out, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"));
}

/// Writes one counter family.
pub fn counter(out: &mut String, name: &str, help: &str, value: impl fmt::Display) {
    put(out, format_args!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}"));
}

fn put(out: &mut String, line: fmt::Arguments<'_>) {
    out.write_fmt(line).expect("writing to a string cannot fail");
    out.push('\n');
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let metrics = Metrics::default();
        let meter = metrics.route("GET", "/api/v1/devices/{id}");
        meter.record(StatusCode::OK, Duration::from_micros(900));
        meter.record(StatusCode::NOT_FOUND, Duration::from_millis(4));
        meter.record(StatusCode::OK, Duration::from_secs(60));
        let text = metrics.render();
        for line in [
            r#"steward_http_requests_total{method="GET",route="/api/v1/devices/{id}",status="2xx"} 2"#,
            r#"steward_http_requests_total{method="GET",route="/api/v1/devices/{id}",status="4xx"} 1"#,
            r#"steward_http_request_duration_seconds_bucket{method="GET",route="/api/v1/devices/{id}",le="0.001"} 1"#,
            r#"steward_http_request_duration_seconds_bucket{method="GET",route="/api/v1/devices/{id}",le="0.005"} 2"#,
            r#"steward_http_request_duration_seconds_bucket{method="GET",route="/api/v1/devices/{id}",le="+Inf"} 3"#,
            r#"steward_http_request_duration_seconds_sum{method="GET",route="/api/v1/devices/{id}"} 60.004900"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
