//! The machine in figures, under the names of the OpenTelemetry semantic conventions.

use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Gauge, Metric, NumberDataPoint, Sum, metric, number_data_point};
use steward_base::{Clock, Error, Random, RecordId, Result, Timestamp};
use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};
use tokio_util::sync::CancellationToken;

use crate::machine::Machine;
use crate::otlp::{self, Scalar, attribute, nanos};
use crate::platform;
use crate::spool::Shared;

/// File systems and interfaces beyond this many are left out: a machine with thousands of mounts must not flood its tenant.
const MOST: usize = 64;

/// What sampling needs.
pub(crate) struct Task {
    pub(crate) machine: Machine,
    pub(crate) spool: Shared,
    pub(crate) interval: Duration,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) stop: CancellationToken,
}

/// Samples until stopped; the first sample comes after a second, because the processor's share needs two looks.
pub(crate) async fn run(task: Task) -> Result<()> {
    let mut sampler = Sampler::new()?;
    let mut wait = Duration::from_secs(1);
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = task.stop.cancelled() => return Ok(()),
        }
        wait = task.interval;
        let now = task.clock.now();
        let (sampled, back) = tokio::task::spawn_blocking(move || (sampler.sample(now), sampler)).await.map_err(Error::internal)?;
        sampler = back;
        let batch = otlp::metrics(&task.machine, RecordId::new(&task.clock, &task.random), sampled);
        if let Err(error) = task.spool.append(batch).await {
            tracing::warn!(error.message = %error, "a sample of the machine is lost");
        }
    }
}

struct Sampler {
    system: System,
    disks: Disks,
    networks: Networks,
}

impl Sampler {
    fn new() -> Result<Self> {
        let kinds =
            RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage()).with_memory(MemoryRefreshKind::nothing().with_ram());
        Ok(Self {
            system: System::new_with_specifics(kinds)
                .map_err(|error| Error::internal(format!("the machine cannot be sampled: {error:?}")))?,
            disks: Disks::new().map_err(|error| Error::internal(format!("the disks cannot be sampled: {error:?}")))?,
            networks: Networks::new().map_err(|error| Error::internal(format!("the networks cannot be sampled: {error:?}")))?,
        })
    }

    fn sample(&mut self, now: Timestamp) -> Vec<Metric> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage().with_io_usage());
        self.networks.refresh(true);
        let points = Points { now: nanos(now), start: System::boot_time().unwrap_or(0).saturating_mul(1_000_000_000) };
        let mut metrics = self.processor_and_memory(&points);
        metrics.extend(self.file_systems(&points));
        metrics.push(self.network(&points));
        metrics
    }

    fn processor_and_memory(&self, points: &Points) -> Vec<Metric> {
        let (total, available, free) = (self.system.total_memory(), self.system.available_memory(), self.system.free_memory());
        let used = total.saturating_sub(available);
        let mut metrics = vec![
            gauge("system.cpu.utilization", "1", vec![points.float(f64::from(self.system.global_cpu_usage()) / 100.0, &[])]),
            gauge("system.cpu.logical.count", "{cpu}", vec![points.int(self.system.cpus().len() as u64, &[])]),
            updown(
                "system.memory.usage",
                "By",
                vec![
                    points.int(used, &[("state", "used")]),
                    points.int(free, &[("state", "free")]),
                    points.int(available.saturating_sub(free), &[("state", "cached")]),
                ],
            ),
            gauge("system.memory.utilization", "1", vec![points.float(ratio(used, total), &[])]),
            gauge("system.uptime", "s", vec![points.int(System::uptime().unwrap_or(0), &[])]),
        ];
        if let Ok(load) = System::load_average() {
            metrics.push(gauge("system.cpu.load_average.1m", "{thread}", vec![points.float(load.one, &[])]));
        }
        if let Some(count) = platform::process_count() {
            metrics.push(updown("system.process.count", "{process}", vec![points.int(count, &[])]));
        }
        metrics
    }

    fn file_systems(&self, points: &Points) -> Vec<Metric> {
        let (mut usage, mut utilization, mut io) = (Vec::new(), Vec::new(), Vec::new());
        let mut devices = Vec::new();
        for disk in self.disks.iter().filter(|disk| disk.total_space() > 0).take(MOST) {
            let (device, mountpoint) = (disk.name().to_string_lossy(), disk.mount_point().to_string_lossy());
            let of = [("device", &*device), ("mountpoint", &*mountpoint)];
            let used = disk.total_space().saturating_sub(disk.available_space());
            usage.push(points.int(used, &[of[0], of[1], ("state", "used")]));
            usage.push(points.int(disk.available_space(), &[of[0], of[1], ("state", "free")]));
            utilization.push(points.float(ratio(used, disk.total_space()), &of));
            // A device mounted twice has its traffic counted once.
            if !devices.contains(&device) {
                let moved = disk.usage();
                io.push(points.int(moved.total_read_bytes, &[of[0], ("direction", "read")]));
                io.push(points.int(moved.total_written_bytes, &[of[0], ("direction", "write")]));
                devices.push(device);
            }
        }
        let found = [
            updown("system.filesystem.usage", "By", usage),
            gauge("system.filesystem.utilization", "1", utilization),
            counter("system.disk.io", "By", io),
        ];
        found.into_iter().filter(has_points).collect()
    }

    fn network(&self, points: &Points) -> Metric {
        let mut io = Vec::new();
        for (name, data) in self.networks.iter().filter(|(name, _)| !platform::is_loopback(name)).take(MOST) {
            let device = name.to_string_lossy();
            io.push(points.int(data.total_received(), &[("device", &*device), ("direction", "receive")]));
            io.push(points.int(data.total_transmitted(), &[("device", &*device), ("direction", "transmit")]));
        }
        counter("system.network.io", "By", io)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

struct Points {
    now: u64,
    start: u64,
}

impl Points {
    fn int(&self, value: u64, attributes: &[(&str, &str)]) -> NumberDataPoint {
        self.point(number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX)), attributes)
    }

    fn float(&self, value: f64, attributes: &[(&str, &str)]) -> NumberDataPoint {
        self.point(number_data_point::Value::AsDouble(value), attributes)
    }

    fn point(&self, value: number_data_point::Value, attributes: &[(&str, &str)]) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes.iter().map(|(key, value)| attribute(key, Scalar::from(*value))).collect(),
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}

fn gauge(name: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, unit, metric::Data::Gauge(Gauge { data_points }))
}

fn counter(name: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    sum(name, unit, data_points, true)
}

fn updown(name: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    sum(name, unit, data_points, false)
}

fn sum(name: &str, unit: &str, data_points: Vec<NumberDataPoint>, is_monotonic: bool) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    metric(name, unit, metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }))
}

fn metric(name: &str, unit: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn has_points(metric: &Metric) -> bool {
    match &metric.data {
        Some(metric::Data::Gauge(gauge)) => !gauge.data_points.is_empty(),
        Some(metric::Data::Sum(sum)) => !sum.data_points.is_empty(),
        _ => false,
    }
}
