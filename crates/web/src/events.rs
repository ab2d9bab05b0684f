//! The event log of a tenant: read by position, or followed live.
//!
//! An event is seen by who may read its subject: the permission is that of the kind's own read operation, and a scope is put to the scope fields
//! that the event carries. What no operation reads as a record, such as sessions, tells its events only to holders of `events:read`; so is the
//! origin of a change, which says where a colleague was. Personal data in events is shown to who may read the record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::filter::{self, Expr, FieldType, Registry};
use steward_base::{Ctx, Error, ErrorKind, Event, Permission, RecordId};
use steward_store::{Kind, Store};

use crate::call::Call;
use crate::draft::operation;
use crate::input::FilterText;
use crate::live::{self, Closed, EventStream, Feed, Message};
use crate::operation::{HeaderInput, Operation, RateClass};
use crate::reply::{Json, Reply};
use crate::scope::Reach;
use crate::site::Site;

/// How many events are read at once.
const BATCH: usize = 500;
/// Events looked at for one page of a filter that matches rarely.
const MOST_SCANNED: usize = 20_000;
/// The message to whoever knows of events that there are not.
const START_OVER: &str = "start_over";
/// Shows the events that no other permission shows, and origins.
const AUDIT: &str = "events:read";

#[derive(Debug, Deserialize, JsonSchema)]
struct EventsQuery {
    /// Only events after this position, in the order asked for: newest first these are the older ones.
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// `position` is oldest first, as without it; `position desc` is newest first.
    order_by: Option<EventOrder>,
    /// The most events of one page.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// Only events that pass, as in `type = "device.updated" AND time > now-1h`.
    filter: Option<FilterText>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum EventOrder {
    /// Oldest first.
    #[default]
    #[serde(rename = "position")]
    OldestFirst,
    /// Newest first.
    #[serde(rename = "position desc")]
    NewestFirst,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct StreamQuery {
    /// Starts after this position; without it and without `Last-Event-ID`, with what happens from now on.
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// Only events that pass.
    filter: Option<FilterText>,
}

/// A page of events.
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
    let whose = "Only events of what the caller may read are told.";
    vec![
        operation("events.list", Method::GET, "/api/v1/events")
            .summary("Events by position")
            .description(format!(
                "What happened in the tenant, by gapless position, oldest first unless asked otherwise. {whose} A page may be empty and have more \
                 after it when a filter matches rarely."
            ))
            .tag("events")
            .signed_in()
            .handle(store.clone(), list),
        operation("events.stream", Method::GET, "/api/v1/events/stream")
            .summary("Events as they happen")
            .description(format!(
                "Server-sent events: the name is the type, the data is the event, the id says where it is and of which history. {whose} A \
                 reconnect goes on after Last-Event-ID. A client that knows of what did not happen, since the tenant was restored as it was \
                 earlier, is sent `start_over` first: what it knows may not hold. The stream ends when the caller's permissions change."
            ))
            .tag("events")
            .rate(RateClass::Stream)
            .reads(HeaderInput::LastEventId)
            .signed_in()
            .handle(store.clone(), follow),
    ]
}

async fn list(store: Store, call: Call<(), EventsQuery>) -> Result<Reply<Json<EventPage>>, Error> {
    let wanted = Wanted::read(&store, &call, call.query.filter.as_ref())?;
    let (order, limit) = (call.query.order_by.unwrap_or_default(), usize::from(call.query.limit.unwrap_or(50)));
    let (mut data, mut scanned) = (Vec::new(), 0);
    let mut position = match (call.query.after, order) {
        (after, EventOrder::OldestFirst) => after.unwrap_or(0),
        // Beyond the newest there is nothing that a page could step over.
        (after, EventOrder::NewestFirst) => after.unwrap_or(i64::MAX).min(store.head(&call.ctx).await? + 1),
    };
    let has_more = loop {
        let (batch, complete) = batch(&store, &call.ctx, position, order).await?;
        let batch = store.opened(&call.ctx, batch, |event| wanted.sight.reads(event)).await?;
        let mut left = batch.len();
        for event in batch {
            (position, left) = (event.position, left - 1);
            data.extend(wanted.show(event));
            if data.len() >= limit {
                break;
            }
        }
        scanned += BATCH;
        if data.len() >= limit || complete || scanned >= MOST_SCANNED {
            break left > 0 || !complete;
        }
    };
    wanted.saw(&call.site, &call.ctx, &data).await?;
    Ok(Reply::json(EventPage { data, next_cursor: position.to_string(), has_more }))
}

/// The events that follow a position in this order, and whether there are no more.
async fn batch(store: &Store, ctx: &Ctx, position: i64, order: EventOrder) -> Result<(Vec<Event>, bool), Error> {
    if order == EventOrder::OldestFirst {
        let events = store.events(ctx, position, BATCH).await?;
        let complete = events.len() < BATCH;
        return Ok((events, complete));
    }
    // Positions have no gap, so the ones before it are known without looking.
    let start = (position - 1 - BATCH as i64).max(0);
    let many = usize::try_from(position - 1 - start).unwrap_or(0);
    if many == 0 {
        return Ok((Vec::new(), true));
    }
    let mut events = store.events(ctx, start, many).await?;
    events.reverse();
    Ok((events, start == 0))
}

async fn follow(store: Store, call: Call<(), StreamQuery>) -> Result<Reply<EventStream>, Error> {
    let wanted = Wanted::read(&store, &call, call.query.filter.as_ref())?;
    let resumed = live::last_event_id(&call.headers).map(Place::read);
    let start = match resumed.or(call.query.after.map(Place::unproven)) {
        Some(place) => place,
        None => Place::head(&store, &call.ctx).await?,
    };
    let (standing, site, ctx) = (call.standing(), call.site, call.ctx);
    Ok(live::stream(standing, move |feed| async move {
        if let Err(error) = produce(&store, (&site, &ctx), &feed, &wanted, start).await {
            tracing::warn!(error.code = error.code(), error.causes = error.causes(), "event stream ended");
        }
    }))
}

/// Sends until the reader is gone; a failing store ends the stream and the client connects again.
async fn produce(store: &Store, (site, ctx): (&Site, &Ctx), feed: &Feed, wanted: &Wanted, mut place: Place) -> Result<(), Error> {
    let mut changed = store.watch(ctx.tenant());
    loop {
        changed.borrow_and_update();
        loop {
            let Some(batch) = place.next(store, ctx).await? else {
                place = Place::head(store, ctx).await?;
                if feed.send(&start_over(&place)?).await.is_err() {
                    return Ok(());
                }
                break;
            };
            let complete = batch.len() < BATCH;
            place = batch.last().map_or(place, Place::at);
            let batch = store.opened(ctx, batch, |event| wanted.sight.reads(event)).await?;
            let shown: Vec<Event> = batch.into_iter().filter_map(|event| wanted.show(event)).collect();
            wanted.saw(site, ctx, &shown).await?;
            for event in &shown {
                let message = Message::json(event.event_type.clone(), event)?.id(Place::at(event).to_string());
                if let Err(Closed) = feed.send(&message).await {
                    return Ok(());
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

/// Up to which event a reader knows the tenant's history, on the wire `1234-5f2a90c41b7e`. The mark begins the event's hash, which stands for all
/// that happened before: a tenant that was restored as it was earlier has another history from there on, also at the same position.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    position: i64,
    /// None when nobody said it.
    mark: Option<String>,
}

impl Place {
    /// Hexadecimal digits of a mark.
    const DIGITS: usize = 12;

    fn unproven(position: i64) -> Self {
        Self { position, mark: None }
    }

    fn of(position: i64, hash: &str) -> Self {
        Self { position, mark: hash.get(..Self::DIGITS).map(str::to_owned) }
    }

    fn at(event: &Event) -> Self {
        Self::of(event.position, &event.hash)
    }

    /// After all that happened by now.
    async fn head(store: &Store, ctx: &Ctx) -> Result<Self, Error> {
        let head = store.chain_head(ctx).await?;
        Ok(Self::of(head.position, &head.hash))
    }

    /// What is no id of ours is of another history.
    fn read(id: &str) -> Self {
        let (position, mark) = id.split_once('-').map_or((id, None), |(position, mark)| (position, Some(mark.to_owned())));
        Self { position: position.parse().unwrap_or(i64::MAX), mark }
    }

    /// The events after it, at most a batch; `None` when the history that the reader knows is not the tenant's.
    async fn next(&self, store: &Store, ctx: &Ctx) -> Result<Option<Vec<Event>>, Error> {
        if self.position <= 0 {
            return store.events(ctx, 0, BATCH).await.map(Some);
        }
        let mut events = store.events(ctx, self.position - 1, BATCH + 1).await?.into_iter();
        let holds = |last: Event| last.position == self.position && (self.mark.is_none() || self.mark == Self::at(&last).mark);
        Ok(events.next().is_some_and(holds).then(|| events.collect()))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.position)?;
        self.mark.iter().try_for_each(|mark| write!(f, "-{mark}"))
    }
}

/// That what a client knows may not hold, and where it goes on.
fn start_over(place: &Place) -> Result<Message, Error> {
    Ok(Message::json(START_OVER, &json!({ "position": place.position }))?.id(place.to_string()))
}

/// Whether the caller sees origins and what is no record that anybody reads. A scope is over fields that those events do not have.
pub(crate) fn audits(ctx: &Ctx) -> Result<bool, Error> {
    let permission: Permission = AUDIT.parse()?;
    Ok(matches!(steward_auth::require(ctx, &permission), Ok(None)))
}

/// Which events a caller wants and may see.
#[derive(Clone)]
struct Wanted {
    filter: Option<Arc<Expr>>,
    /// The filter as it was asked.
    text: Arc<str>,
    sight: Arc<Sight>,
}

impl Wanted {
    fn read<Q>(store: &Store, call: &Call<(), Q>, text: Option<&FilterText>) -> Result<Self, Error> {
        let sight = Arc::new(Sight::of(store, &call.site, &call.ctx)?);
        let now = call.site.clock().now();
        let filter = text.cloned().unwrap_or_default().check(&registry(), now)?.map(Arc::new);
        let text = text.map_or("", FilterText::as_str).into();
        Ok(Self { filter, text, sight })
    }

    /// Says that the caller is about to be shown what these events hold of records with personal data.
    async fn saw(&self, site: &Site, ctx: &Ctx, events: &[Event]) -> Result<(), Error> {
        let mut seen: BTreeMap<&str, (&Kind, Vec<RecordId>)> = BTreeMap::new();
        for event in events.iter().filter(|event| self.sight.reads(event)) {
            if let (Some((kind, _)), Some(id)) = (self.sight.kind(event).filter(|(kind, _)| kind.is_personal()), event.subject_record()) {
                let ids = &mut seen.entry(kind.name()).or_insert_with(|| (kind, Vec::new())).1;
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        for (kind, ids) in seen.into_values() {
            site.saw(ctx, kind, ids.into_iter(), Some(&self.text)).await?;
        }
        Ok(())
    }

    /// The event as this caller gets it, when it does.
    fn show(&self, mut event: Event) -> Option<Event> {
        if !self.sight.includes(&event) {
            return None;
        }
        if !self.sight.audit {
            // Before the filter: what is not shown must not be found out by asking either.
            event.origin = None;
        }
        let passes = self.filter.as_ref().is_none_or(|wanted| serde_json::to_value(&event).is_ok_and(|row| filter::matches(wanted, &row)));
        passes.then_some(event)
    }
}

/// What a caller's permissions show of the log.
struct Sight {
    /// Also what is no record that anybody reads.
    audit: bool,
    /// For each kind that some permission reads, by the prefix of its ids.
    kinds: HashMap<String, (Arc<Kind>, Reach)>,
}

impl Sight {
    /// Fails with `permission_denied` for a caller who may read nothing at all.
    fn of(store: &Store, site: &Site, ctx: &Ctx) -> Result<Self, Error> {
        let now = site.clock().now();
        let mut kinds = HashMap::new();
        for (kind, permission) in site.readers().filter_map(|(name, permission)| Some((store.kinds().get(name)?, permission))) {
            kinds.insert(kind.prefix().to_owned(), (kind.clone(), Reach::of(kind, ctx, permission, now)));
        }
        let audit = audits(ctx)?;
        if !audit && kinds.values().all(|(_, reach)| matches!(reach, Reach::Nowhere)) {
            let detail =
                "Events are seen by who may read what they are about, and you may read nothing. Ask an owner or admin of the tenant.";
            return Err(Error::new(ErrorKind::Forbidden, "permission_denied", detail));
        }
        Ok(Self { audit, kinds })
    }

    fn includes(&self, event: &Event) -> bool {
        self.reach(event).map_or(self.audit, |reach| reach.includes(&Value::Object(event.scope.clone())))
    }

    /// Whether the caller may read what the event is about, and so the personal data in it: auditors see that something happened, not to whom.
    fn reads(&self, event: &Event) -> bool {
        self.reach(event).is_some_and(|reach| reach.includes(&Value::Object(event.scope.clone())))
    }

    fn reach(&self, event: &Event) -> Option<&Reach> {
        self.kind(event).map(|(_, reach)| reach)
    }

    fn kind(&self, event: &Event) -> Option<&(Arc<Kind>, Reach)> {
        self.kinds.get(event.subject.split_once('_').map_or("", |(prefix, _)| prefix))
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
