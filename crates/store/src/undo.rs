//! Taking back what one request did: its events, turned round, as one unit of work.
//!
//! Which events these are is kept for a day (see `span`), so that it costs what the request did, however much happened since. A record was changed
//! since when the last event about it is not one of these, for every change of a record is told under its id.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Ctx, Error, ErrorKind, Event, RecordId};

use crate::keys::{ERASED, SEALED};
use crate::places::ask;
use crate::unit::{Expect, UnitOfWork};
use crate::{Record, Store, span};

/// Most events of a request that is undone: what it changed is written back as one unit.
const MAX_EVENTS: i64 = 10_000;

/// What is done to a record to take back what happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// It gets its former values.
    Update,
    /// It goes to the recycle bin.
    Delete,
    /// It comes from there.
    Restore,
}

/// One record of what is to be taken back.
#[derive(Clone, Debug)]
pub struct Reversal {
    /// What is done to it.
    pub act: Act,
    /// The record as it is.
    pub current: Record,
    /// Its body as it will be.
    pub body: Map<String, Value>,
}

/// A record while its events are turned round, from the last to the first.
enum Was {
    Live(Map<String, Value>),
    Gone,
}

impl Store {
    /// Takes back what the events of one request did, all of it or nothing; `allow` sees the records before and may refuse. Answers each with the
    /// record as it is afterwards.
    ///
    /// Errors: `not_found` when the last day has no such events; `version_conflict` when something was changed since, `referenced` when something
    /// else depends on it since; `unit_too_large`; `undo_impossible` when an event does not hold what it takes: sealed values, or a change that was told in other words.
    pub async fn undo(
        &self,
        ctx: &Ctx,
        correlation_id: &str,
        allow: impl FnOnce(&[Reversal]) -> Result<(), Error>,
    ) -> Result<Vec<(Act, Record)>, Error> {
        let reversals = self.reversals(ctx, correlation_id).await?;
        allow(&reversals)?;
        if reversals.is_empty() {
            return Ok(Vec::new());
        }
        let acts: HashMap<_, _> = reversals.iter().map(|undone| ((undone.current.kind.clone(), undone.current.id), undone.act)).collect();
        let unit = reversals.into_iter().fold(UnitOfWork::new().contained(), |unit, undone| {
            let (kind, id, expect) = (undone.current.kind.to_string(), undone.current.id, Expect::Version(undone.current.version));
            match undone.act {
                Act::Update => unit.put(kind, id, undone.body, expect),
                Act::Delete => unit.delete(kind, id, expect),
                Act::Restore => unit.restore(kind, id, expect),
            }
        });
        let committed = self.commit(ctx, unit).await?;
        let told = committed.records.into_iter().filter_map(|record| Some((*acts.get(&(record.kind.clone(), record.id))?, record)));
        Ok(told.collect())
    }

    /// What is to be done to which record, in the order in which they were first touched.
    async fn reversals(&self, ctx: &Ctx, correlation_id: &str) -> Result<Vec<Reversal>, Error> {
        let events = self.correlated(ctx, correlation_id).await?;
        if events.is_empty() {
            return Err(Error::not_found("request in the last day"));
        }
        let mut by_subject: HashMap<&str, Vec<&Event>> = HashMap::new();
        events.iter().for_each(|event| by_subject.entry(&event.subject).or_default().push(event));
        let mut reversals = Vec::new();
        for event in events.iter().rev() {
            if let Some(about) = by_subject.remove(event.subject.as_str()) {
                reversals.extend(self.reversal(ctx, &about).await?);
            }
        }
        Ok(reversals)
    }

    /// The events of a request, newest first.
    pub(crate) async fn correlated(&self, ctx: &Ctx, correlation_id: &str) -> Result<Vec<Event>, Error> {
        if let Some(remote) = self.remote() {
            return remote.correlated(ctx.tenant(), correlation_id).await;
        }
        let now = self.clock().now();
        let (request, hours) = (span::named(correlation_id), span::hours(now));
        let mut spans = ask!(self.0.places, ctx.tenant(), engine => engine.spans(ctx.tenant(), request, hours.clone()))?;
        spans.sort_unstable();
        if spans.iter().map(|(first, last)| last - first + 1).sum::<i64>() > MAX_EVENTS {
            let detail = format!("The request left more than {MAX_EVENTS} events, more than can be undone at once.");
            return Err(Error::new(ErrorKind::TooLarge, "unit_too_large", detail));
        }
        let mut found = Vec::new();
        for (first, last) in spans.into_iter().rev() {
            let many = usize::try_from(last - first + 1).unwrap_or(0);
            found.extend(self.events(ctx, first - 1, many).await?.into_iter().rev());
        }
        let oldest = now.minus(span::DAY);
        found.retain(|event| event.correlation_id.as_deref() == Some(correlation_id) && event.time >= oldest);
        // Personal values are put back and not shown; secrets and what was erased stay closed.
        self.opened(ctx, found, |_| true).await
    }

    /// What takes back these events about one record, newest first; `None` when nothing is left of them.
    async fn reversal(&self, ctx: &Ctx, about: &[&Event]) -> Result<Option<Reversal>, Error> {
        let subject = &about[0].subject;
        let kind = subject.split_once('_').and_then(|(prefix, _)| self.kinds().by_prefix(prefix));
        let kind = kind.ok_or_else(|| impossible(about[0]))?;
        let id = RecordId::parse(kind.prefix(), subject).ok_or_else(|| impossible(about[0]))?;
        // Read before its history is: whatever comes between is in the history.
        let current = self.get_with_deleted(ctx, kind.name(), id).await?.ok_or_else(changed_since)?;
        if self.history(ctx, kind.name(), id, None, 1).await?.first().map(|last| last.position) != Some(about[0].position) {
            return Err(changed_since());
        }
        let stored = current.body.object()?;
        let mut was = if current.deleted_at.is_none() { Was::Live(stored.clone()) } else { Was::Gone };
        for (at, event) in about.iter().enumerate() {
            let verb = event.event_type.strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
            // Values of an earlier version of the kind say nothing about a body of the present one.
            let told_now = event.version == kind.version();
            was = match (verb, was) {
                ("created" | "restored", Was::Live(_)) => Was::Gone,
                ("updated", Was::Live(body)) if told_now => Was::Live(former(body, event)?),
                // The row holds it as it was deleted; what it held before it was created again, only the event knows.
                ("deleted", Was::Gone) if at == 0 => Was::Live(stored.clone()),
                ("deleted", Was::Gone) if told_now => Was::Live(side(event, "before")?),
                _ => return Err(impossible(event)),
            };
        }
        let (act, body) = match (current.deleted_at, was) {
            (None, Was::Live(body)) if body == stored => return Ok(None),
            (Some(_), Was::Gone) => return Ok(None),
            (None, Was::Live(body)) => (Act::Update, body),
            (None, Was::Gone) => (Act::Delete, stored),
            (Some(_), Was::Live(body)) if body == stored => (Act::Restore, body),
            // It comes back as it was deleted; changing it as well would be a second write.
            (Some(_), Was::Live(_)) => return Err(impossible(about[0])),
        };
        Ok(Some(Reversal { act, current, body }))
    }
}

/// The body before a change: what the event says it held, and without what came with it.
fn former(mut body: Map<String, Value>, event: &Event) -> Result<Map<String, Value>, Error> {
    let (before, after) = (side(event, "before")?, side(event, "after")?);
    body.retain(|name, _| !after.contains_key(name));
    body.extend(before);
    Ok(body)
}

fn side(event: &Event, name: &str) -> Result<Map<String, Value>, Error> {
    match event.data.get(name) {
        Some(Value::Object(side)) if !side.values().any(is_closed) => Ok(side.clone()),
        _ => Err(impossible(event)),
    }
}

fn is_closed(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key(SEALED) || object.contains_key(ERASED) || object.values().any(is_closed),
        Value::Array(items) => items.iter().any(is_closed),
        _ => false,
    }
}

fn changed_since() -> Error {
    let detail = "Something that this request changed was changed again since, or is gone: nothing was undone.";
    Error::new(ErrorKind::Conflict, "version_conflict", detail)
}

fn impossible(event: &Event) -> Error {
    // Which one it is, only who may read it should learn.
    let detail = "An event of this request does not hold what it takes to undo it: nothing was undone.";
    let source = format!("the event {} of {}", event.event_type, event.subject);
    Error::new(ErrorKind::Conflict, "undo_impossible", detail).with_source(source)
}
