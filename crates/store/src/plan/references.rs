//! What the deletion of a record does to those that refer to it: refused first, then deleted or cleared with it.

use std::collections::VecDeque;

use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind};

use super::{Effects, Inbound, Planner, State, deleted};
use crate::building::Role;
use crate::kind::{Kind, OnDelete};
use crate::prepare::{MAX_WRITES, Prepared, inbound};
use crate::rows::{Key, Row};

impl Planner<'_> {
    pub(super) fn follow_references(&self, state: &mut State, unit: &Prepared, now: i64, effects: &mut Effects) -> Result<(), Error> {
        // What is deleted with a record is followed too, whenever that turns out: a record may be cleared first and deleted later.
        let mut gone: VecDeque<Key> = effects.list.iter().filter(|effect| effect.after.is_none()).map(|effect| effect.key).collect();
        while let Some(key) = gone.pop_front() {
            if effects.list.len() > MAX_WRITES {
                break;
            }
            for (kind, field) in inbound(self.kinds, key.0) {
                self.building.refuse(self.kinds, (kind, field, Role::Index))?;
            }
            let referrers = state.inbound.get(&key).cloned().unwrap_or_default();
            for referrer in &referrers {
                let was_gone = effects.deletes(referrer.key);
                self.follow(state, unit, now, key, referrer, effects)?;
                if !was_gone && effects.deletes(referrer.key) {
                    gone.push_back(referrer.key);
                }
            }
        }
        Ok(())
    }

    fn follow(
        &self,
        state: &mut State,
        unit: &Prepared,
        now: i64,
        target: Key,
        referrer: &Inbound,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        // What the unit itself puts is judged by what it then refers to.
        if unit.writes.iter().any(|write| write.key == referrer.key) {
            return Ok(());
        }
        let kind = self.kinds.at(referrer.key.0);
        let field = &kind.fields()[referrer.field];
        let on_delete = field.reference.as_ref().map_or(OnDelete::Restrict, |reference| reference.on_delete);
        if effects.by_key.contains_key(&referrer.key) {
            return self.follow_again(target, referrer, on_delete, effects);
        }
        let (Some(before), Some(row)) = (state.live(self.kinds, referrer.key)?, state.row(referrer.key)) else { return Ok(()) };
        let refers = field.targets(&before.body, self.kinds.at(target.0).prefix()).contains(&target.1);
        match on_delete {
            _ if !refers => {}
            OnDelete::Restrict => return Err(self.referenced(target, kind)),
            OnDelete::Cascade => effects.add(deleted(referrer.key, before, row, now, &unit.actor, false)),
            OnDelete::Clear => {
                let mut body = (*before.body).clone();
                clear(&mut body, &field.segments, &target.1.wire(self.kinds.at(target.0).prefix()));
                let canonical = kind.canonical(body).map_err(|_| self.referenced(target, kind))?;
                let row =
                    Row { version: row.version + 1, body: canonical.text.clone(), updated_at: now, updated_by: unit.actor.clone(), ..row };
                let after = Some(super::Live::of(canonical));
                effects.add(super::Effect {
                    key: referrer.key,
                    before: Some(before),
                    row,
                    after,
                    changed: true,
                    told: false,
                    restored: false,
                });
            }
        }
        Ok(())
    }

    /// A record that refers to two deleted ones, or in two fields to one.
    fn follow_again(&self, target: Key, referrer: &Inbound, on_delete: OnDelete, effects: &mut Effects) -> Result<(), Error> {
        let kind = self.kinds.at(referrer.key.0);
        let Some(effect) = effects.get_mut(referrer.key) else { return Ok(()) };
        let Some(after) = &effect.after else { return Ok(()) };
        match on_delete {
            OnDelete::Restrict => Err(self.referenced(target, kind)),
            OnDelete::Cascade => {
                effect.after = None;
                effect.row.deleted_at = Some(effect.row.updated_at);
                if let Some(before) = &effect.before {
                    // What was cleared meanwhile stays readable in the recycle bin.
                    effect.row.body = serde_json::to_string(&*before.body).map_err(Error::internal)?.into();
                }
                Ok(())
            }
            OnDelete::Clear => {
                let mut body = (*after.body).clone();
                clear(&mut body, &kind.fields()[referrer.field].segments, &target.1.wire(self.kinds.at(target.0).prefix()));
                let canonical = kind.canonical(body).map_err(|_| self.referenced(target, kind))?;
                effect.row.body = canonical.text.clone();
                effect.after = Some(super::Live::of(canonical));
                Ok(())
            }
        }
    }

    fn referenced(&self, target: Key, by: &Kind) -> Error {
        let noun = self.kinds.at(target.0).name().replace('_', " ");
        let detail = format!("This {noun} is still used by a {}: remove or change that first.", by.name().replace('_', " "));
        Error::new(ErrorKind::Conflict, "referenced", detail)
    }
}

/// Removes `id` at a path: from lists the item, elsewhere the field.
fn clear(object: &mut Map<String, Value>, segments: &[String], id: &str) {
    let Some((first, rest)) = segments.split_first() else { return };
    let Some(value) = object.get_mut(first) else { return };
    if rest.is_empty() {
        match value {
            Value::Array(items) => items.retain(|item| item.as_str() != Some(id)),
            one if one.as_str() == Some(id) => {
                object.remove(first);
            }
            _ => {}
        }
        return;
    }
    match value {
        Value::Object(below) => clear(below, rest, id),
        Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| clear(item, rest, id)),
        _ => {}
    }
}
