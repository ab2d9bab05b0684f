//! The event log of a tenant: read by position, or followed live.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_base::filter::{self, Expr, FieldType, Registry};
use steward_base::{Ctx, Error, Event};
use steward_store::Store;

use crate::call::Call;
use crate::draft::operation;
use crate::input::FilterText;
use crate::live::{self, Closed, EventStream, Feed, Message};
use crate::operation::{HeaderInput, Operation, RateClass};
use crate::reply::{Json, Reply};

/// How many events are read at once.
const BATCH: usize = 500;
/// Events looked at for one page of a filter that matches rarely.
const MOST_SCANNED: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
struct EventsQuery {
    /// Only events after this position.
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// The most events of one page.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// Only events that pass, as in `type = "device.updated" AND time > now-1h`.
    filter: Option<FilterText>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct StreamQuery {
    /// Starts after this position; without it and without `Last-Event-ID`, with what happens from now on.
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// Only events that pass.
    filter: Option<FilterText>,
}

/// A page of events, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
struct EventPage {
    /// The events.
    data: Vec<Event>,
    /// Give it as `after` to go on; also when nothing matched yet.
    next_cursor: String,
    /// Whether there is more already.
    has_more: bool,
}

/// `events.list` and `events.stream`.
pub fn operations(store: &Store) -> Vec<Operation> {
    vec![
        operation("events.list", Method::GET, "/api/v1/events")
            .summary("Events, oldest first")
            .description("What happened in the tenant, by gapless position. A page may be empty and have more after it when a filter matches rarely.")
            .tag("events")
            .needs("events:read")
            .handle(store.clone(), list),
        operation("events.stream", Method::GET, "/api/v1/events/stream")
            .summary("Events as they happen")
            .description("Server-sent events: the name is the type, the id is the position, the data is the event. A reconnect goes on after Last-Event-ID.")
            .tag("events")
            .rate(RateClass::Stream)
            .reads(HeaderInput::LastEventId)
            .needs("events:read")
            .handle(store.clone(), follow),
    ]
}

async fn list(store: Store, call: Call<(), EventsQuery>) -> Result<Reply<Json<EventPage>>, Error> {
    let wanted = Wanted::read(&call, call.query.filter.as_ref())?;
    let (start, limit) = (call.query.after.unwrap_or(0), usize::from(call.query.limit.unwrap_or(50)));
    let (mut data, mut position, mut scanned) = (Vec::new(), start, 0);
    let has_more = loop {
        let batch = store.events(&call.ctx, position, BATCH).await?;
        let complete = batch.len() < BATCH;
        let mut left = batch.len();
        for event in batch {
            (position, left) = (event.position, left - 1);
            if wanted.includes(&event) {
                data.push(event);
            }
            if data.len() >= limit {
                break;
            }
        }
        scanned += BATCH;
        if data.len() >= limit || complete || scanned >= MOST_SCANNED {
            break left > 0 || !complete;
        }
    };
    Ok(Reply::json(EventPage { data, next_cursor: position.to_string(), has_more }))
}

async fn follow(store: Store, call: Call<(), StreamQuery>) -> Result<Reply<EventStream>, Error> {
    let wanted = Wanted::read(&call, call.query.filter.as_ref())?;
    let resumed = live::last_event_id(&call.headers).and_then(|id| id.parse::<i64>().ok());
    let start = match resumed.or(call.query.after) {
        Some(position) => position,
        None => head(&store, &call.ctx).await?,
    };
    let (standing, ctx) = (call.standing(), call.ctx);
    Ok(live::stream(standing, move |feed| async move {
        if let Err(error) = produce(&store, &ctx, &feed, &wanted, start).await {
            tracing::warn!(error.code = error.code(), error.causes = error.causes(), "event stream ended");
        }
    }))
}

/// Sends until the reader is gone; a failing store ends the stream and the client connects again.
async fn produce(store: &Store, ctx: &Ctx, feed: &Feed, wanted: &Wanted, start: i64) -> Result<(), Error> {
    let mut changed = store.watch(ctx.tenant());
    let mut position = start;
    loop {
        changed.borrow_and_update();
        loop {
            let batch = store.events(ctx, position, BATCH).await?;
            let complete = batch.len() < BATCH;
            for event in batch {
                position = event.position;
                if wanted.includes(&event) {
                    let message = Message::json(event.event_type.clone(), &event)?.id(event.position.to_string());
                    if let Err(Closed) = feed.send(&message).await {
                        return Ok(());
                    }
                }
            }
            if complete {
                break;
            }
        }
        if changed.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// The last position there is.
async fn head(store: &Store, ctx: &Ctx) -> Result<i64, Error> {
    let known = *store.watch(ctx.tenant()).borrow();
    let mut position = known;
    loop {
        // The watch is a wake-up and may not know the position yet.
        let batch = store.events(ctx, position, BATCH).await?;
        position = batch.last().map_or(position, |event| event.position);
        if batch.len() < BATCH {
            return Ok(position);
        }
    }
}

/// Which events a caller wants and may see.
#[derive(Clone)]
struct Wanted {
    filter: Option<Arc<Expr>>,
    scope: Option<Arc<Expr>>,
}

impl Wanted {
    fn read<Q>(call: &Call<(), Q>, text: Option<&FilterText>) -> Result<Self, Error> {
        let now = call.site.clock().now();
        let filter = text.cloned().unwrap_or_default().check(&registry(), now)?.map(Arc::new);
        Ok(Self { filter, scope: call.scope.clone().map(Arc::new) })
    }

    fn includes(&self, event: &Event) -> bool {
        let allowed = self.scope.as_ref().is_none_or(|scope| filter::matches(scope, &Value::Object(event.scope.clone())));
        allowed && self.filter.as_ref().is_none_or(|wanted| serde_json::to_value(event).is_ok_and(|row| filter::matches(wanted, &row)))
    }
}

fn registry() -> Registry {
    let texts = ["id", "type", "subject", "actor", "trace_id", "causation_id", "correlation_id", "origin.ip", "origin.user_agent"];
    let registry = texts.into_iter().fold(Registry::new(), |registry, name| registry.with(name, FieldType::Text));
    registry
        .with("position", FieldType::Int)
        .with("version", FieldType::Int)
        .with("time", FieldType::Time)
        .with("scope", FieldType::Map(Box::new(FieldType::Text)))
        .with("data", FieldType::Map(Box::new(FieldType::Any)))
}
