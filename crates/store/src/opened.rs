//! Events for those who may read what they are about: personal data opened, and what was erased said so.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};
use steward_base::{Ctx, Error, Event, RecordId};

use crate::Store;
use crate::keys::{DataKey, ERASED, SEALED, Which, bound_to_subject, key_of, sealed_text, withheld};
use crate::places::ask;

impl Store {
    /// The events with their personal data in the clear where `may_read` says so. Elsewhere, and for secrets, `{"$sealed": null}` stands for a
    /// value; what was erased is `{"$erased": true}`.
    pub async fn opened(&self, ctx: &Ctx, mut events: Vec<Event>, may_read: impl Fn(&Event) -> bool) -> Result<Vec<Event>, Error> {
        let mut wanted = HashSet::new();
        for event in &mut events {
            let reads = may_read(event);
            each_sealed(&mut event.data, &mut |_, value| match sealed_text(value).and_then(key_of) {
                Some(key) if reads => {
                    wanted.insert(key);
                }
                _ => *value = withheld(),
            });
        }
        let wanted: Vec<RecordId> = wanted.into_iter().collect();
        if wanted.is_empty() {
            return Ok(events);
        }
        let rows = ask!(self.0.places, ctx.tenant(), engine => engine.data_keys(ctx.tenant(), Which::Ids(wanted.clone())))?;
        let mut keys: HashMap<RecordId, (RecordId, DataKey)> = HashMap::new();
        for row in rows {
            if let Some(subject) = row.subject {
                keys.insert(row.id, (subject, DataKey::unwrap(&self.vault().master, ctx.tenant(), &row)?));
            }
        }
        for event in &mut events {
            each_sealed(&mut event.data, &mut |name, value| {
                let Some(text) = sealed_text(value) else { return };
                let Some((subject, key)) = key_of(text).and_then(|id| keys.get(&id)) else {
                    *value = json!({ ERASED: true });
                    return;
                };
                let plain = key.open(&bound_to_subject(*subject, name), text);
                *value = plain.and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_else(withheld);
            });
        }
        Ok(events)
    }
}

/// Visits the sealed members of an event's data: at the top, and in `before` and `after`.
fn each_sealed(data: &mut Map<String, Value>, visit: &mut dyn FnMut(&str, &mut Value)) {
    for (name, value) in data.iter_mut() {
        match value {
            Value::Object(object) if object.contains_key(SEALED) => visit(name, value),
            Value::Object(side) if name == "before" || name == "after" => {
                side.iter_mut().filter(|(_, value)| value.get(SEALED).is_some()).for_each(|(name, value)| visit(name, value));
            }
            _ => {}
        }
    }
}
