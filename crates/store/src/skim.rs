//! For whoever keeps what was computed from records: how far a tenant has come, and what the events in between are about.

use std::time::Duration;

use steward_base::{Ctx, Error, TenantId};

use crate::Store;
use crate::places::ask;

/// The most events that one look takes.
pub const MAX_SKIMMED: usize = 100;

impl Store {
    /// The position of a tenant's last event, from memory where it is known there. Where other processes write too it is as it was at most `age`
    /// ago; commits of this process are always in it once they are answered.
    pub async fn position(&self, tenant: TenantId, age: Duration) -> Result<i64, Error> {
        ask!(self.0.places, tenant, engine => engine.position(tenant, age))
    }

    /// Shows the position and the wire id of the subject of up to [`MAX_SKIMMED`] events after a position, without reading the rest of them.
    /// Answers the position of the last one, the given one if there are none.
    pub async fn skim(&self, ctx: &Ctx, after: i64, mut each: impl FnMut(i64, &str)) -> Result<i64, Error> {
        let stored = ask!(self.0.places, ctx.tenant(), engine => engine.recent(ctx.tenant(), after, MAX_SKIMMED))?;
        for event in &stored {
            // One that cannot be read could be about anything.
            each(event.position, crate::chain::subject(&event.body).unwrap_or_default());
        }
        Ok(stored.last().map_or(after, |event| event.position))
    }
}
