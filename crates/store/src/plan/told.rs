//! The events of a unit: one standard event for each changed record that no explicit event tells of, then the explicit ones.

use serde_json::{Map, Value, json};
use steward_base::{Error, RecordId, Timestamp};

use super::personal::Subjects;
use super::{Effect, Effects, Planner, State};
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
        state: &mut State,
        unit: &Prepared,
        now: Timestamp,
        effects: &Effects,
        died: &[Job],
    ) -> Result<Vec<EventRow>, Error> {
        let mut events: Vec<EventRow> = Vec::new();
        let mut head = state.head();
        let subjects = &mut state.subjects;
        subjects.begin();
        for effect in effects.list.iter().filter(|effect| effect.changed && !effect.told) {
            let kind = self.kinds.at(effect.key.0);
            let data = self.changes(subjects, effect)?;
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
        for erased in effects.erased.iter().filter(|erased| !erased.told) {
            let kind = self.kinds.at(erased.key.0);
            let telling = Telling {
                event_type: format!("{}.erased", kind.name()),
                subject: erased.key.1,
                subject_id: erased.key.1.wire(kind.prefix()),
                version: 1,
                data: &Map::new(),
                scope: erased.scope.clone(),
                causation_id: None,
            };
            events.push(self.event(&mut head, unit, now, &telling)?);
        }
        for told in &unit.events {
            let kind = self.kinds.at(told.kind);
            let data =
                if kind.is_confidential() { Some(self.told_explicitly(subjects, (told.kind, told.subject), &told.data)?) } else { None };
            let scope = told.scope.clone().unwrap_or_else(|| self.scope_of_subject(effects, told));
            let telling = Telling {
                event_type: told.event_type.clone(),
                subject: told.subject,
                subject_id: told.subject_id.clone(),
                version: told.version,
                data: data.as_ref().unwrap_or(&told.data),
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

    /// The fields that differ, as `{"before": {…}, "after": {…}}`.
    fn changes(&self, subjects: &mut Subjects, effect: &Effect) -> Result<Map<String, Value>, Error> {
        let nothing = Map::new();
        let old = effect.before.as_ref().map_or(&nothing, |live| &live.body);
        let new = effect.after.as_ref().map_or(&nothing, |live| &live.body);
        let side = |body: &Map<String, Value>, other: &Map<String, Value>| -> Map<String, Value> {
            let differs = body.iter().filter(|(name, value)| other.get(*name) != Some(value));
            differs.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let mut data = Map::new();
        for (name, live, told) in [("before", &effect.before, side(old, new)), ("after", &effect.after, side(new, old))] {
            if live.is_some() {
                data.insert(name.into(), Value::Object(self.told(subjects, effect.key, told)?));
            }
        }
        Ok(data)
    }

    fn scope_of_subject(&self, effects: &Effects, told: &PreparedEvent) -> Map<String, Value> {
        let about = effects.list.iter().find(|effect| effect.key == (told.kind, told.subject));
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
