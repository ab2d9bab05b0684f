//! The events of a unit: one standard event for each changed record that no explicit event tells of, then the explicit ones.

use serde_json::{Map, Value, json};
use steward_base::{Error, RecordId, Timestamp};

use super::{Effect, Effects, Live, Planner, State};
use crate::chain::{self, Envelope};
use crate::job::{JOB_PREFIX, Job};
use crate::kind::Kind;
use crate::prepare::{Prepared, PreparedEvent};
use crate::rows::EventRow;

/// One event without what the head adds.
struct Telling<'a> {
    event_type: String,
    subject: RecordId,
    subject_id: String,
    version: i32,
    data: &'a Map<String, Value>,
    scope: Map<String, Value>,
    causation_id: Option<&'a str>,
}

impl Planner<'_> {
    pub(super) fn tell(
        &self,
        state: &State,
        unit: &Prepared,
        now: Timestamp,
        effects: &Effects,
        died: &[Job],
    ) -> Result<Vec<EventRow>, Error> {
        let mut events: Vec<EventRow> = Vec::new();
        let mut head = state.head();
        for effect in effects.list.iter().filter(|effect| effect.changed && !effect.told) {
            let kind = self.kinds.at(effect.key.0);
            let data = changes(kind, effect.before.as_ref(), effect.after.as_ref());
            let telling = Telling {
                event_type: format!("{}.{}", kind.name(), verb(effect)),
                subject: effect.key.1,
                subject_id: effect.key.1.wire(kind.prefix()),
                version: kind.version(),
                data: &data,
                scope: scope_after(kind, effect),
                causation_id: None,
            };
            events.push(self.event(&mut head, unit, now, &telling)?);
        }
        for told in &unit.events {
            let scope = told.scope.clone().unwrap_or_else(|| self.scope_of_subject(effects, told));
            let telling = Telling {
                event_type: told.event_type.clone(),
                subject: told.subject,
                subject_id: told.subject_id.clone(),
                version: told.version,
                data: &told.data,
                scope,
                causation_id: told.causation_id.as_deref(),
            };
            events.push(self.event(&mut head, unit, now, &telling)?);
        }
        for job in died {
            let told = json!({ "kind": job.kind, "attempts": job.attempts, "error": job.last_error });
            let Value::Object(data) = told else { continue };
            let telling = Telling {
                event_type: "job.died".into(),
                subject: job.id,
                subject_id: job.id.wire(JOB_PREFIX),
                version: 1,
                data: &data,
                scope: Map::new(),
                causation_id: None,
            };
            events.push(self.event(&mut head, unit, now, &telling)?);
        }
        Ok(events)
    }

    fn event(&self, head: &mut (i64, [u8; 32]), unit: &Prepared, now: Timestamp, telling: &Telling<'_>) -> Result<EventRow, Error> {
        let position = head.0 + 1;
        let envelope = Envelope {
            actor: &unit.actor,
            causation_id: telling.causation_id,
            correlation_id: unit.ctx.request_id(),
            data: telling.data,
            id: &RecordId::new(self.clock, self.random).wire("evt"),
            origin: unit.ctx.origin(),
            position,
            scope: &telling.scope,
            subject: &telling.subject_id,
            tenant_id: self.tenant,
            time: now,
            trace_id: unit.ctx.trace_id(),
            event_type: &telling.event_type,
            version: telling.version,
        };
        let body = envelope.encode()?;
        let hash = chain::link(&head.1, &body);
        *head = (position, hash);
        Ok(EventRow { position, subject: telling.subject, hash, body })
    }

    fn scope_of_subject(&self, effects: &Effects, told: &PreparedEvent) -> Map<String, Value> {
        let about = effects.list.iter().find(|effect| effect.key.1 == told.subject);
        about.map(|effect| scope_after(self.kinds.at(effect.key.0), effect)).unwrap_or_default()
    }
}

fn verb(effect: &Effect) -> &'static str {
    match (&effect.before, &effect.after) {
        (None, _) if effect.restored => "restored",
        (None, _) => "created",
        (Some(_), Some(_)) => "updated",
        (Some(_), None) => "deleted",
    }
}

/// The fields that differ, as `{"before": {…}, "after": {…}}`. Fields with secret or personal content are named and not told.
fn changes(kind: &Kind, before: Option<&Live>, after: Option<&Live>) -> Map<String, Value> {
    let nothing = Map::new();
    let old = before.map_or(&nothing, |live| &live.body);
    let new = after.map_or(&nothing, |live| &live.body);
    let differs = |name: &String| old.get(name) != new.get(name);
    let side = |body: &Map<String, Value>| -> Map<String, Value> {
        let kept = body.iter().filter(|(name, _)| differs(name));
        kept.map(|(name, value)| (name.clone(), if withheld(kind, name) { json!({ "$sealed": null }) } else { value.clone() })).collect()
    };
    let mut data = Map::new();
    if before.is_some() {
        data.insert("before".into(), Value::Object(side(old)));
    }
    if after.is_some() {
        data.insert("after".into(), Value::Object(side(new)));
    }
    data
}

fn withheld(kind: &Kind, name: &str) -> bool {
    kind.fields().iter().any(|field| (field.secret || field.personal) && field.segments.first().is_some_and(|first| first == name))
}

/// The scope fields of the record as the unit leaves it, or as it was.
fn scope_after(kind: &Kind, effect: &Effect) -> Map<String, Value> {
    let live = effect.after.as_ref().or(effect.before.as_ref());
    live.map(|live| scope_of(kind, &live.body)).unwrap_or_default()
}

/// The scope fields of a body.
pub(crate) fn scope_of(kind: &Kind, body: &Map<String, Value>) -> Map<String, Value> {
    let fields = kind.fields().iter().filter(|field| field.scope && !field.secret && !field.personal);
    let held = fields.filter_map(|field| {
        let mut scalars = Vec::new();
        field.scalars(body, &mut scalars);
        let value = match (field.list, scalars.as_slice()) {
            (_, []) => return None,
            (false, [one, ..]) => (*one).clone(),
            (true, many) => Value::Array(many.iter().map(|value| (*value).clone()).collect()),
        };
        Some((field.path.clone(), value))
    });
    held.collect()
}
