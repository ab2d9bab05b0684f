//! Secrets at their turn: brought to the keys that the tenant has then.

use std::sync::Arc;

use steward_base::{Error, RecordId};

use super::{Planner, State};
use crate::keys::{DataKey, KeyRow, Sealer, Sealing, TenantKeys};
use crate::kind::Canonical;
use crate::rows::{Key, Row};

/// The keys for the secrets of the tenant, where a batch seals.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    loaded: Vec<KeyRow>,
    /// Open, and which of them was the newest then.
    open: Option<(RecordId, Arc<TenantKeys>)>,
}

impl Secrets {
    /// What the database has, oldest first.
    pub(crate) fn loaded(&mut self, rows: Vec<KeyRow>) {
        self.loaded = rows;
    }
}

impl Planner<'_> {
    /// The body as it is to be stored, where its secrets are to stand in another text than they came in.
    pub(super) fn settled(
        &self,
        state: &mut State,
        key: Key,
        canonical: &Canonical,
        row: Option<&Row>,
    ) -> Result<Option<Canonical>, Error> {
        let Some(sealing) = &canonical.sealing else { return Ok(None) };
        let now = Sealer { keys: self.keys_now(state, sealing)?, random: self.random.clone() };
        let kind = self.kinds.at(key.0);
        let stored = row.map(Row::parse).transpose()?;
        let settled = sealing.settle(&now, (kind, key.1), stored.as_ref(), &canonical.body)?;
        settled.map(|body| kind.canonical(body)).transpose()
    }

    /// The keys with which the unit came, unless there is a newer one since: another process may have made it, or a unit before this one.
    fn keys_now(&self, state: &mut State, sealing: &Sealing) -> Result<Arc<TenantKeys>, Error> {
        let loaded = state.secrets.loaded.iter();
        let mut rows: Vec<&KeyRow> = loaded.chain(state.keys.iter().filter(|row| row.subject.is_none())).collect();
        rows.sort_unstable_by_key(|row| row.id);
        let Some(newest) = rows.last().map(|row| row.id) else { return Ok(sealing.keys().clone()) };
        if sealing.keys().0.last().is_some_and(|key| key.id == newest) {
            return Ok(sealing.keys().clone());
        }
        if let Some((of, keys)) = &state.secrets.open
            && *of == newest
        {
            return Ok(keys.clone());
        }
        let keys = rows.into_iter().map(|row| DataKey::unwrap(self.master, self.tenant, row)).collect::<Result<_, _>>()?;
        let keys = Arc::new(TenantKeys(keys));
        state.secrets.open = Some((newest, keys.clone()));
        Ok(keys)
    }
}
