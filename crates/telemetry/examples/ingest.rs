//! Ingest and query speed on this machine: `cargo run --release --example ingest [rows] [folder]`.
//!
//! Prints megabytes of JSON lines per CPU-second for decoding alone, to acknowledged rows, and on to the first segment; OTLP-like rows and metric
//! points per CPU-second; and what queries over them cost.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use steward_base::filter::{check, parse};
use steward_base::{Clock, Random, RecordId, Result, TenantId, Timestamp};
use steward_telemetry::{
    Aggregate, AttributeValue, HistogramQuery, LogBatch, LogFields, LogQuery, MetricBatch, MetricKind, Options, Scope, SeriesFields,
    SeriesQuery, Severity, Telemetry, log_registry,
};

const BATCH_BYTES: usize = 4 << 20;
const START: i64 = 1_763_600_000_000_000;

#[derive(Deserialize)]
struct Line<'a> {
    time: &'a str,
    level: &'a str,
    service: &'a str,
    message: &'a str,
    trace_id: &'a str,
    host: &'a str,
    method: &'a str,
    path: &'a str,
    status: i64,
    duration_ms: f64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let rows: usize = args.next().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("steward-ingest"), PathBuf::from);
    let _ = fs::remove_dir_all(&dir);
    let telemetry = Telemetry::open(Options::new(&dir), Clock::system(), Random::system()).await?;
    let tenant: TenantId = RecordId::from_bytes([1; 16]).into();
    println!("{rows} rows");
    let needle = json_lines(&telemetry, tenant, rows).await?;
    queries(&telemetry, tenant, rows, &needle).await?;
    metrics(&telemetry, tenant, rows).await?;
    telemetry.close().await?;
    let _ = fs::remove_dir_all(&dir);
    Ok(())
}

/// Wall clock and CPU time (user and system, all threads), in seconds.
struct Meter {
    clock: Clock,
    wall: Duration,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        let clock = Clock::system();
        Self { wall: clock.monotonic(), cpu: cpu_seconds(), clock }
    }

    fn stop(&self) -> (f64, f64) {
        ((self.clock.monotonic() - self.wall).as_secs_f64(), cpu_seconds() - self.cpu)
    }
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime are fields 14 and 15, counted from the one after the name as 3; ticks are 1/100 s.
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn random_words(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 20
}

/// Lines of about 320 bytes with ten fields and a random trace id, as in the measurements this is compared with.
fn generate(rows: usize) -> Vec<String> {
    let mut seed = 42;
    let mut bodies = vec![String::new()];
    for row in 0..rows {
        let (a, b, c) = (random_words(&mut seed), random_words(&mut seed), random_words(&mut seed));
        let time = Timestamp::from_micros(START + row as i64 * 1_000);
        let level = ["info", "info", "info", "debug", "warn", "error"][(a % 6) as usize];
        let line = format!(
            r#"{{"time":"{time}","level":"{level}","service":"service-{}","message":"request {} for user {} finished after {} retries on node {}, cache {}","trace_id":"{:016x}{:016x}","host":"host-{}.example.net","method":"{}","path":"/api/v1/items/{}/details","status":{},"duration_ms":{}.{}}}"#,
            a % 20,
            b % 1_000_000,
            c % 50_000,
            a % 4,
            b % 64,
            ["hit", "miss"][(c % 2) as usize],
            a.wrapping_mul(b),
            c.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            b % 40,
            ["GET", "POST", "PUT"][(a % 3) as usize],
            c % 2_000,
            [200, 200, 200, 404, 500][(b % 5) as usize],
            a % 900,
            b % 10
        );
        let body = bodies.last_mut().expect("there is always one");
        body.push_str(&line);
        body.push('\n');
        if body.len() >= BATCH_BYTES {
            bodies.push(String::new());
        }
    }
    bodies
}

fn decode(body: &str) -> LogBatch {
    let mut batch = LogBatch::new();
    for line in body.lines() {
        let line: Line<'_> = serde_json::from_str(line).expect("a line that was just made");
        batch.attribute("host.name", AttributeValue::Text(line.host));
        batch.attribute("http.method", AttributeValue::Text(line.method));
        batch.attribute("http.path", AttributeValue::Text(line.path));
        batch.attribute("http.status", AttributeValue::Int(line.status));
        batch.attribute("duration_ms", AttributeValue::Float(line.duration_ms));
        let time = line.time.parse().expect("a time that was just made");
        batch.push(&LogFields {
            time,
            observed_time: time,
            severity: line.level.parse().unwrap_or(Severity::INFO),
            severity_text: line.level,
            service: line.service,
            message: line.message,
            trace_id: u128::from_str_radix(line.trace_id, 16).unwrap_or(0).to_be_bytes(),
            scope: Scope { device_id: "dev_00000000000000000000000000", ..Scope::default() },
            ..LogFields::default()
        });
    }
    batch
}

async fn append(telemetry: &Telemetry, tenant: TenantId, make: impl Fn() -> LogBatch) -> Result<()> {
    loop {
        match telemetry.append_logs(tenant, None, make()).await {
            Err(error) if error.code() == "telemetry_budget" => telemetry.flush().await?,
            other => return other.map(|_| ()),
        }
    }
}

/// Returns filters that one row passes: one by its text, one by its id.
async fn json_lines(telemetry: &Telemetry, tenant: TenantId, rows: usize) -> Result<[String; 2]> {
    let bodies = generate(rows);
    let line: Line<'_> =
        serde_json::from_str(bodies[bodies.len() / 2].lines().next().unwrap_or_default()).expect("a line that was just made");
    let request = line.message.split(" finished").next().unwrap_or_default();
    let needle = [format!("\"{request}\""), format!("trace_id = \"{}\"", line.trace_id)];
    let megabytes = bodies.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    let meter = Meter::start();
    let decoded: usize = bodies.iter().map(|body| decode(body).len()).sum();
    let (_, cpu) = meter.stop();
    println!("JSON lines, {megabytes:.0} MB, decoded only: {:.0} MB per CPU-second, {decoded} rows", megabytes / cpu);
    let meter = Meter::start();
    for body in &bodies {
        append(telemetry, tenant, || decode(body)).await?;
    }
    let (wall, cpu) = meter.stop();
    println!("JSON lines, to acknowledged: {:.0} MB/s wall, {:.0} MB per CPU-second", megabytes / wall, megabytes / cpu);
    telemetry.flush().await?;
    let (wall, cpu) = meter.stop();
    println!("JSON lines, to first segment: {:.0} MB/s wall, {:.0} MB per CPU-second", megabytes / wall, megabytes / cpu);
    let batches: Vec<&String> = bodies.iter().take(40).collect();
    let decoded: Vec<LogBatch> = batches.iter().map(|body| decode(body)).collect();
    let count: usize = decoded.iter().map(LogBatch::len).sum();
    let other: TenantId = RecordId::from_bytes([2; 16]).into();
    let meter = Meter::start();
    for batch in decoded {
        telemetry.append_logs(other, None, batch).await?;
        if telemetry.health().memory_bytes > 100 << 20 {
            telemetry.flush().await?;
        }
    }
    telemetry.flush().await?;
    let (wall, cpu) = meter.stop();
    println!("built columns to first segment: {:.0} rows/s wall, {:.0} rows per CPU-second", count as f64 / wall, count as f64 / cpu);
    Ok(needle)
}

async fn queries(telemetry: &Telemetry, tenant: TenantId, rows: usize, needles: &[String]) -> Result<()> {
    let (from, to) = (Timestamp::from_micros(START), Timestamp::from_micros(START + rows as i64 * 1_000));
    let filter = |text: &str| Ok::<_, steward_base::Error>(Some(check(parse(text)?, &log_registry(), to)?));
    for name in ["cold", "hot"] {
        let meter = Meter::start();
        let page = telemetry.logs(tenant, LogQuery { limit: 100, ..LogQuery::default() }).await?;
        println!("{name}: newest {} rows: {:.1} ms wall, {:.0} ms CPU", page.rows.len(), meter.stop().0 * 1e3, meter.stop().1 * 1e3);
        let meter = Meter::start();
        let found = telemetry
            .logs(tenant, LogQuery { filter: filter("\"user 49999 finished after 3\"")?, limit: 100, ..LogQuery::default() })
            .await?;
        println!("{name}: some rows, {}: {:.1} ms wall, {:.0} ms CPU", found.rows.len(), meter.stop().0 * 1e3, meter.stop().1 * 1e3);
        for needle in needles.iter().map(String::as_str).chain(["no-such-text-anywhere"]) {
            let meter = Meter::start();
            let found = telemetry.logs(tenant, LogQuery { filter: filter(needle)?, limit: 100, ..LogQuery::default() }).await?;
            let (wall, cpu) = meter.stop();
            println!("{name}: needle {needle}, {} rows: {:.1} ms wall, {:.0} ms CPU", found.rows.len(), wall * 1e3, cpu * 1e3);
        }
        let meter = Meter::start();
        let step = Duration::from_secs(60);
        telemetry.histogram(tenant, HistogramQuery { from, to, filter: None, step }).await?;
        println!("{name}: histogram minute × level: {:.1} ms wall, {:.0} ms CPU", meter.stop().0 * 1e3, meter.stop().1 * 1e3);
        let meter = Meter::start();
        telemetry.histogram(tenant, HistogramQuery { from, to, filter: filter("service = service-3")?, step }).await?;
        println!("{name}: the same for one service: {:.1} ms wall, {:.0} ms CPU", meter.stop().0 * 1e3, meter.stop().1 * 1e3);
    }
    Ok(())
}

async fn metrics(telemetry: &Telemetry, tenant: TenantId, rows: usize) -> Result<()> {
    let series = 10_000;
    let labels: Vec<(String, String)> = (0..series)
        .map(|number| {
            (
                format!("host-{number}.rack-{}.dc-{}.example.net", number % 100, number % 7),
                format!("/dev/disk/by-id/volume-{}", number % 13),
            )
        })
        .collect();
    let meter = Meter::start();
    let mut points = 0;
    for round in 0..rows / series {
        let mut batch = MetricBatch::new();
        for (host, device) in &labels {
            let fields =
                SeriesFields { name: "system.disk.io", unit: "By", kind: MetricKind::Counter, service: "agent", scope: Scope::default() };
            let attributes = [
                ("host.name", AttributeValue::Text(host)),
                ("device", AttributeValue::Text(device)),
                ("direction", AttributeValue::Text("read")),
                ("service.namespace", AttributeValue::Text("steward-production-europe")),
            ];
            let at = batch.series(&fields, &attributes);
            batch.point(at, Timestamp::from_micros(START + round as i64 * 10_000_000), Timestamp::default(), (round * 17) as f64);
            points += 1;
        }
        telemetry.append_metrics(tenant, None, batch).await?;
        if telemetry.health().memory_bytes > 100 << 20 {
            telemetry.flush().await?;
        }
    }
    telemetry.flush().await?;
    let (wall, cpu) = meter.stop();
    println!(
        "metric points to first segment: {:.0} per second wall, {:.0} per CPU-second",
        f64::from(points) / wall,
        f64::from(points) / cpu
    );
    let meter = Meter::start();
    let query = SeriesQuery {
        name: "system.disk.io".to_owned(),
        filter: None,
        from: Timestamp::from_micros(START),
        to: Timestamp::from_micros(START + 3_600_000_000),
        step: Duration::from_secs(60),
        aggregate: Aggregate::Rate,
        group_by: vec!["device".to_owned()],
    };
    let set = telemetry.series(tenant, query).await?;
    println!(
        "rate of {series} series by device, {} lines: {:.0} ms wall, {:.0} ms CPU",
        set.series.len(),
        meter.stop().0 * 1e3,
        meter.stop().1 * 1e3
    );
    Ok(())
}
