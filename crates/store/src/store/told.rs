//! What happened: events, histories, and the chain.

use steward_base::{Ctx, Error, Event, RecordId, TenantId};
use tokio::sync::watch;

use super::Store;
use crate::places::ask;
use crate::rows::EventRow;

/// Most events of one answer.
const MAX_EVENTS: usize = 10_000;

impl Store {
    /// Events after a position, oldest first. Personal data in them are sealed: [`Store::opened`] opens them for who may read the record.
    pub async fn events(&self, ctx: &Ctx, after: i64, limit: usize) -> Result<Vec<Event>, Error> {
        let stored = self.stored_events(ctx, after, limit).await?;
        stored.iter().map(|event| crate::chain::decode(ctx.tenant(), event)).collect()
    }

    /// The same as they are stored.
    pub(crate) async fn stored_events(&self, ctx: &Ctx, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        ask!(self.0.places, ctx.tenant(), engine => engine.events(ctx.tenant(), after, limit.min(MAX_EVENTS)))
    }

    /// The events about one record before a position, newest first; also about one that is deleted or purged.
    pub async fn history(&self, ctx: &Ctx, kind: &str, id: RecordId, before: Option<i64>, limit: usize) -> Result<Vec<Event>, Error> {
        let subject = id.wire(self.0.kinds.at(self.kind(kind)?).prefix());
        let (mut before, limit) = (before.unwrap_or(i64::MAX), limit.clamp(1, MAX_EVENTS));
        let mut found = Vec::new();
        loop {
            let stored = ask!(self.0.places, ctx.tenant(), engine => engine.history(ctx.tenant(), id, before, limit))?;
            let events = stored.iter().map(|event| crate::chain::decode(ctx.tenant(), event)).collect::<Result<Vec<_>, _>>()?;
            // Kinds may share an id: each subject has its own prefix.
            found.extend(events.into_iter().filter(|event| event.subject == subject).take(limit - found.len()));
            match stored.last() {
                Some(last) if stored.len() == limit && found.len() < limit => before = last.position,
                _ => return Ok(found),
            }
        }
    }

    /// Of the events after a position, those of wanted types; also the position of the last one that was looked at, the given one if there are none.
    pub async fn events_of(&self, ctx: &Ctx, after: i64, limit: usize, wants: impl Fn(&str) -> bool) -> Result<(Vec<Event>, i64), Error> {
        let stored = self.stored_events(ctx, after, limit).await?;
        let last = stored.last().map_or(after, |event| event.position);
        let wanted = stored.iter().filter(|event| crate::chain::event_type(&event.body).is_none_or(&wants));
        Ok((wanted.map(|event| crate::chain::decode(ctx.tenant(), event)).collect::<Result<_, _>>()?, last))
    }

    /// Checks that every event of the tenant follows from the one before; answers the head's position.
    ///
    /// Errors: `chain_broken`, naming the position.
    pub async fn verify_chain(&self, ctx: &Ctx) -> Result<i64, Error> {
        if let Some(remote) = self.remote() {
            return remote.verify_chain(ctx.tenant()).await;
        }
        ask!(self.0.places, ctx.tenant(), engine => crate::chain::verify(engine, ctx.tenant(), |_, _| Ok(())))
    }

    /// The position of the tenant's last event; 0 before the first.
    pub async fn head(&self, ctx: &Ctx) -> Result<i64, Error> {
        ask!(self.0.places, ctx.tenant(), engine => engine.head(ctx.tenant())).map(|(position, _)| position)
    }

    /// Which life of a tenant this is, as far as this process knows. It is another one when the tenant was erased and loaded again, by whichever
    /// process: whoever remembers positions of the one before begins anew. A [watch](Self::watch) wakes after that, also where the new position is
    /// lower.
    pub fn life(&self, tenant: TenantId) -> u64 {
        self.0.positions.life(tenant)
    }

    /// The last committed position of a tenant, now and whenever it changes: a wake-up, not a queue. 0 until the first is known.
    pub fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        match self.0.places.of(tenant) {
            Ok(engine) => engine.watch(tenant),
            Err(_) => watch::Sender::new(0).subscribe(),
        }
    }
}
