//! Search rows by column.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::plan::Planner;
use crate::rows::TermKey;

/// Terms that come or go.
pub(super) struct Telling<'a> {
    kinds: Vec<&'a str>,
    terms: Vec<&'a [u8]>,
    pub(super) ids: Vec<Uuid>,
}

impl<'a> Telling<'a> {
    pub(super) fn of(planner: &Planner<'a>, rows: &'a [TermKey]) -> Self {
        Self {
            kinds: rows.iter().map(|(kind, ..)| planner.kinds.at(*kind).name()).collect(),
            terms: rows.iter().map(|(_, term, _)| term.as_bytes()).collect(),
            ids: rows.iter().map(|(.., id)| id.uuid()).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.kinds, &self.terms, &self.ids]
    }
}
