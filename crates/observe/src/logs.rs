//! Log rows out: pages, counts, live tail.

use std::collections::BTreeMap;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Result, Timestamp};
use steward_telemetry::{HistogramQuery, LogCursor, LogQuery, LogRow, Order, Severity, Tail, log_registry};
use steward_web::cursor::{Bound, Mark};
use steward_web::live::{self, Closed, EventStream, Feed, Message};
use steward_web::{Call, Json, Operation, Page, RateClass, Reply, operation};

use crate::Observe;
use crate::query::{range, step, wanted};

const LIST: &str = "logs.list";
const USUAL_LIMIT: u16 = 100;
const HISTOGRAM_BUCKETS: u64 = 120;

#[derive(Debug, Deserialize, JsonSchema)]
struct ListParameters {
    /// Rows from this time on.
    from: Option<Timestamp>,
    /// Rows before this time.
    to: Option<Timestamp>,
    /// Only rows that pass, as in `severity >= warn service = shop "connection refused"`.
    #[schemars(length(max = 4096))]
    filter: Option<String>,
    /// `desc`, the newest first, unless said.
    order: Option<Direction>,
    /// The most rows of one page; 100 unless said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filter, range and order.
    #[schemars(length(max = 4096))]
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// The oldest first.
    Asc,
    /// The newest first.
    Desc,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct HistogramParameters {
    /// From this time on; an hour before `to` unless said.
    from: Option<Timestamp>,
    /// Up to this time; now unless said.
    to: Option<Timestamp>,
    /// Only rows that pass.
    #[schemars(length(max = 4096))]
    filter: Option<String>,
    /// Seconds of one bucket; chosen by the range unless said.
    #[schemars(range(min = 1, max = 31_536_000))]
    step: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct TailParameters {
    /// Only rows that pass.
    #[schemars(length(max = 4096))]
    filter: Option<String>,
}

/// How bad a row is.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

const LEVELS: [Level; 6] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical];

/// A log row.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LogRow")]
struct Row {
    /// Stable for the row's life.
    id: String,
    /// When it happened.
    time: Timestamp,
    /// When a collector first saw it.
    observed_time: Timestamp,
    /// How bad it is.
    severity: Level,
    /// What it is about; empty where unknown.
    service: String,
    /// What it says.
    message: String,
    /// The stream it was sent to.
    stream: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<String>,
    /// The device it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    /// The project it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    /// The service record it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<String>,
    /// W3C trace id.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// W3C span id.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    /// Everything else.
    attributes: Map<String, Value>,
}

impl From<LogRow> for Row {
    fn from(row: LogRow) -> Self {
        let present = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            id: format!("log_{:016x}{:08x}", row.id.batch, row.id.ordinal),
            time: row.time,
            observed_time: row.observed_time,
            severity: LEVELS[row.severity.level()],
            service: row.service,
            message: row.message,
            stream: row.stream,
            organization_id: present(row.organization_id),
            device_id: present(row.device_id),
            project_id: present(row.project_id),
            service_id: present(row.service_id),
            trace_id: present(row.trace_id),
            span_id: present(row.span_id),
            attributes: row.attributes,
        }
    }
}

/// Rows counted by time and level.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LogHistogram")]
struct Histogram {
    /// Seconds of one bucket.
    step_seconds: u64,
    /// The buckets that have rows, in order of time.
    buckets: Vec<Bucket>,
}

/// One bucket.
#[derive(Debug, Serialize, JsonSchema)]
struct Bucket {
    /// When it begins.
    time: Timestamp,
    /// Rows by level; a level without rows is absent.
    counts: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    count: u64,
}

pub(crate) fn operations(observe: &Observe) -> Vec<Operation> {
    vec![
        operation(LIST, Method::GET, "/api/v1/logs")
            .needs("logs:read")
            .scoped()
            .summary("Log rows by time and filter")
            .description(
                "Rows that arrive between two pages do not shift them. Words are looked for in message, service and text attributes.",
            )
            .tag("logs")
            .handle(observe.clone(), list),
        operation("logs.histogram", Method::GET, "/api/v1/logs/histogram")
            .needs("logs:read")
            .scoped()
            .summary("Log rows counted by time and level")
            .description(
                "Buckets are aligned to the epoch, so the first and the last may reach beyond the range; only rows within it count.",
            )
            .tag("logs")
            .handle(observe.clone(), histogram),
        operation("logs.tail", Method::GET, "/api/v1/logs/tail")
            .needs("logs:read")
            .scoped()
            .summary("Log rows as they arrive")
            .description("Server-sent events: `log` with a row, and `skipped` with `count` when rows arrived faster than they were read.")
            .tag("logs")
            .rate(RateClass::Stream)
            .handle(observe.clone(), tail),
    ]
}

async fn list(observe: Observe, call: Call<(), ListParameters>) -> Result<Reply<Json<Page<Row>>>> {
    let query = call.query;
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let (from, to) = (text(query.from), text(query.to));
    let order = query.order.unwrap_or(Direction::Desc);
    let limited = call.scope.as_ref().map(ToString::to_string).unwrap_or_default();
    let filter = query.filter.as_deref().unwrap_or_default();
    let shape = [filter, &from, &to, if matches!(order, Direction::Asc) { "asc" } else { "desc" }, &limited];
    let bound = Bound { tenant: call.ctx.tenant(), operation: LIST, shape: &shape };
    let (now, after) = match &query.cursor {
        None => (call.site.clock().now(), None),
        Some(cursor) => {
            let mark: Mark<String> = call.site.cursors().open(bound, cursor)?;
            (mark.now, Some(mark.after.parse::<LogCursor>()?))
        }
    };
    let asked = LogQuery {
        from: query.from,
        to: query.to,
        filter: wanted(query.filter.as_deref(), call.scope, &log_registry(), now)?,
        order: if matches!(order, Direction::Asc) { Order::Oldest } else { Order::Newest },
        limit: usize::from(query.limit.unwrap_or(USUAL_LIMIT)),
        after,
    };
    let page = observe.telemetry.logs(call.ctx.tenant(), asked).await?;
    let next_cursor = page.next.map(|next| call.site.cursors().seal(bound, &Mark { now, after: next.to_string() })).transpose()?;
    let data = page.rows.into_iter().map(Row::from).collect();
    Ok(Reply::json(Page { data, has_more: next_cursor.is_some(), next_cursor, count: None }))
}

async fn histogram(observe: Observe, call: Call<(), HistogramParameters>) -> Result<Reply<Json<Histogram>>> {
    let (query, now) = (call.query, call.site.clock().now());
    let (from, to) = range(query.from, query.to, now)?;
    let step = step(query.step, from, to, HISTOGRAM_BUCKETS);
    let filter = wanted(query.filter.as_deref(), call.scope, &log_registry(), now)?;
    let counted = observe.telemetry.histogram(call.ctx.tenant(), HistogramQuery { from, to, filter, step }).await?;
    let buckets = counted.buckets.into_iter().map(|bucket| {
        let named = Severity::LEVELS.iter().zip(bucket.counts).filter(|(_, count)| *count > 0);
        Bucket { time: bucket.time, counts: named.map(|((name, ..), count)| (*name, count)).collect() }
    });
    Ok(Reply::json(Histogram { step_seconds: step.as_secs(), buckets: buckets.collect() }))
}

async fn tail(observe: Observe, call: Call<(), TailParameters>) -> Result<Reply<EventStream>> {
    let now = call.site.clock().now();
    let filter = wanted(call.query.filter.as_deref(), call.scope.clone(), &log_registry(), now)?;
    let mut tail = observe.telemetry.tail(call.ctx.tenant(), filter.as_ref())?;
    Ok(live::stream(call.standing(), move |feed| async move {
        // The reader going away is how most tails end.
        let _ = follow(&mut tail, &feed).await;
    }))
}

/// Hands rows on until the reader is gone. A slow reader makes the feed wait; what arrives meanwhile is skipped and counted by the engine.
async fn follow(tail: &mut Tail, feed: &Feed) -> Result<(), Closed> {
    loop {
        let batch = match tail.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(error.code = error.code(), error.causes = error.causes(), "a live tail ended");
                return Ok(());
            }
        };
        if batch.skipped > 0 {
            send(feed, "skipped", &Skipped { count: batch.skipped }).await?;
        }
        for row in batch.rows {
            send(feed, "log", &Row::from(row)).await?;
        }
    }
}

async fn send(feed: &Feed, name: &'static str, data: &impl Serialize) -> Result<(), Closed> {
    match Message::json(name, data) {
        Ok(message) => feed.send(&message).await,
        Err(_) => Err(Closed),
    }
}
