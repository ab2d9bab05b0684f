//! What happened to one record, also after it was deleted; and bringing it back.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_base::{Error, Event, filter};
use steward_store::{Expect, Model, Shown, UnitOfWork};

use super::one::{again, precondition, written};
use super::{ById, State};
use crate::call::Call;
use crate::cursor::{Bound, Mark};
use crate::events;
use crate::reply::{Json, Reply, Written};
use crate::scope;

const DEFAULT_LIMIT: u16 = 50;
/// Events read at once, and how often, when a scope hides most of them.
const BATCH: usize = 500;
const BATCHES: usize = 20;

/// What a history may be asked.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HistoryParameters {
    /// The most events of one page; 50 unless said.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[schemars(length(max = 4096), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    cursor: Option<String>,
}

/// A page of a record's events.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct History {
    /// The events, newest first.
    data: Vec<Event>,
    /// Give it as `cursor` for the next page; null at the end.
    next_cursor: Option<String>,
    /// Whether there is a next page. A page may be short, even empty, and have one.
    has_more: bool,
}

/// An event is seen as it is in the log: within the scope of the caller at that time of the record, and by whom it came only for auditors.
pub(super) async fn history<M: Model>(state: Arc<State<M>>, call: Call<ById<M>, HistoryParameters>) -> Result<Reply<Json<History>>, Error> {
    let (id, store, ctx) = (call.path.id.record(), &state.store, &call.ctx);
    let scope_text = call.scope.as_ref().map(ToString::to_string).unwrap_or_default();
    let bound = Bound { tenant: ctx.tenant(), operation: state.history_id, shape: &[&id.wire(M::PREFIX), &scope_text] };
    let (now, mut before) = match &call.query.cursor {
        None => (call.site.clock().now(), None),
        Some(cursor) => {
            let mark: Mark<i64> = call.site.cursors().open(bound, cursor)?;
            (mark.now, Some(mark.after))
        }
    };
    let reach = scope::limit(&state.kind, call.scope.as_ref(), now)?;
    let record = store.get_with_deleted(ctx, M::KIND, id).await?;
    if let (Some(record), Some(reach)) = (&record, &reach)
        && !filter::matches(reach, &record.to_json(&state.kind)?)
    {
        return Err(state.writer.absent());
    }
    let (audits, limit) = (events::audits(ctx)?, usize::from(call.query.limit.unwrap_or(DEFAULT_LIMIT)));
    let mut data: Vec<Event> = Vec::new();
    let mut more = true;
    for _ in 0..BATCHES {
        let some = store.history(ctx, M::KIND, id, before, BATCH).await?;
        more = some.len() == BATCH;
        let within = |event: &Event| reach.as_ref().is_none_or(|reach| filter::matches(reach, &Value::Object(event.scope.clone())));
        for mut event in store.opened(ctx, some, within).await? {
            if data.len() == limit {
                more = true;
                break;
            }
            before = Some(event.position);
            if within(&event) {
                event.origin = event.origin.filter(|_| audits);
                data.push(event);
            }
        }
        if !more || data.len() == limit {
            break;
        }
    }
    call.site.saw(ctx, &state.kind, std::iter::once(id), None).await?;
    // Nothing is left of a purged record but its events.
    if record.is_none() && data.is_empty() && call.query.cursor.is_none() {
        return Err(state.writer.absent());
    }
    let next_cursor = before.filter(|_| more).map(|after| call.site.cursors().seal(bound, &Mark { now, after })).transpose()?;
    Ok(Reply::json(History { data, has_more: next_cursor.is_some(), next_cursor }))
}

/// The record as it was when it was deleted.
pub(super) async fn restore<M: Model>(state: Arc<State<M>>, call: Call<ById<M>>) -> Result<Reply<Written<Shown>>, Error> {
    let id = call.path.id.record();
    let mut tries = 0;
    loop {
        let record = state.store.get_with_deleted(&call.ctx, M::KIND, id).await?;
        let record = state.writer.visible(call.by(), record)?;
        let named = precondition(&call.headers, &record)?;
        let unit = UnitOfWork::new().restore(M::KIND, id, Expect::Version(record.version));
        match state.store.commit(&call.ctx, unit).await {
            Ok(committed) => return Ok(state.show(written(committed.records, M::KIND, id)?)),
            Err(error) => again(error, &named, &mut tries)?,
        }
    }
}
