//! What waits and what is counted: jobs, marks, counters, cursors, and the keys of requests that may come again.

use std::collections::HashMap;

use steward_base::{Ctx, Error, RecordId, TenantId, Timestamp};

use super::Store;
use crate::attempt::Remembered;
use crate::job::{Claim, Job, JobChange, JobQuery};
use crate::marks::{Mark, write_tallies};
use crate::places::ask;
use crate::query::MAX_LIMIT;
use crate::stirred::Stirred;
use crate::tally::{CALM, MARK, Tally, TallyKey};
use crate::unit::UnitOfWork;

/// How many tenants are noted in one commit.
const NOTED: usize = 500;

impl Store {
    /// Takes jobs that are due: each is running under a lease from now on.
    pub async fn claim(&self, ctx: &Ctx, claim: Claim) -> Result<Vec<Job>, Error> {
        let mut unit = UnitOfWork::new();
        unit.jobs.push(JobChange::Claim(claim));
        let taken = self.commit(ctx, unit).await?.jobs;
        Ok(taken.into_iter().filter(|job| job.state == crate::JobState::Running).collect())
    }

    /// A job, finished or not.
    pub async fn job(&self, ctx: &Ctx, id: RecordId) -> Result<Option<Job>, Error> {
        ask!(self.0.places, ctx.tenant(), engine => engine.job(ctx.tenant(), id))
    }

    /// Jobs, newest first. One more than [`MAX_LIMIT`] may be asked for, to see whether there are more.
    pub async fn jobs(&self, ctx: &Ctx, mut query: JobQuery) -> Result<Vec<Job>, Error> {
        query.limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_LIMIT + 1) };
        ask!(self.0.places, ctx.tenant(), engine => engine.jobs(ctx.tenant(), query.clone()))
    }

    /// When the next unfinished job of these kinds is due; a time in the past means now.
    pub async fn next_due(&self, tenant: TenantId, kinds: &[String]) -> Result<Option<Timestamp>, Error> {
        let due = ask!(self.0.places, tenant, engine => engine.next_due(tenant, Some(kinds.to_vec())))?;
        Ok(due.map(Timestamp::from_micros))
    }

    /// The tenants that may have work waiting, as control remembers them: what a start looks into. Control itself is not among them.
    pub async fn marked(&self) -> Result<Vec<(TenantId, Mark)>, Error> {
        let marks = self.0.places.home().notes(MARK).await?;
        let known = marks.into_iter().filter_map(|(tenant, number)| Some((tenant.parse().ok()?, Mark::of(number)?)));
        Ok(known.collect())
    }

    /// The tenants into which nothing was committed since [`Store::note_calm`] noted it, with the number that it noted. None are known of a store
    /// in another process.
    pub async fn calm(&self) -> Result<HashMap<TenantId, i64>, Error> {
        let notes = self.0.places.home().notes(CALM).await?;
        Ok(notes.into_iter().filter_map(|(tenant, number)| Some((tenant.parse().ok()?, number))).collect())
    }

    /// Notes a number for each of these tenants into which nothing is committed at the moment: those that are not marked dirty. The mark before
    /// the next commit takes it away. Nothing is noted of a store in another process, or of control, which is never marked.
    pub async fn note_calm(&self, tenants: &[TenantId], number: i64) -> Result<(), Error> {
        if self.remote().is_some() {
            return Ok(());
        }
        for some in tenants.chunks(NOTED) {
            let calm = some.iter().filter(|tenant| **tenant != TenantId::OPERATOR).map(|tenant| Tally::Calm { tenant: *tenant, number });
            write_tallies(self.0.places.home(), self.seen(), calm.collect()).await?;
        }
        Ok(())
    }

    /// Removes some of what nobody will ask for any more: jobs finished a week ago, dead ones after 90 days, messages that may come
    /// again, keys of requests that may come again, records that have been in the recycle bin for 30 days. Their history stays.
    pub async fn sweep(&self, ctx: &Ctx) -> Result<(), Error> {
        self.commit(ctx, UnitOfWork { sweep: true, ..UnitOfWork::new() }).await.map(|_| ())
    }

    /// The tenants that this process wrote to and whose marks are not settled.
    pub fn in_use(&self) -> Vec<TenantId> {
        if let Some(remote) = self.remote() {
            return remote.in_use();
        }
        self.0.marks.idle(&self.0.clock, std::time::Duration::ZERO)
    }

    /// Whether other processes write the same data, whose wake-ups may be lost on the way.
    pub fn is_shared(&self) -> bool {
        !self.0.places.home().is_alone()
    }

    /// Replaces the dirty mark of every tenant that was not written to for so long by the time its next job is due. `handled` says up to which
    /// position somebody has seen to a tenant's events: one with later ones keeps its mark. Where several processes write, each settles what any
    /// of them marked, some minutes after nobody touched it any more.
    pub async fn settle(&self, idle: std::time::Duration, handled: impl Fn(TenantId) -> i64) -> Result<(), Error> {
        if let Some(remote) = self.remote() {
            return remote.settle(idle, handled).await;
        }
        if self.is_shared() {
            let mut failed = None;
            for mark in self.0.marks.untouched(&self.0.places, &self.0.clock, idle).await? {
                let settled = self.0.marks.settle_untouched(&self.0.places, self.seen(), mark, handled(mark.0)).await;
                failed = failed.or(settled.err());
            }
            return failed.map_or(Ok(()), Err);
        }
        // One that cannot be read now keeps its mark, and takes it from no other.
        let mut failed = None;
        for tenant in self.0.marks.idle(&self.0.clock, idle).into_iter().filter(|tenant| !self.0.moved.waits(*tenant)) {
            let settled = self.0.marks.settle(&self.0.places, self.seen(), tenant, handled(tenant)).await;
            failed = failed.or(settled.err());
        }
        failed.map_or(Ok(()), Err)
    }

    /// The tenants whose jobs changed since it was last asked; each task that hands out work asks a branch of its own.
    pub fn stirred(&self) -> &Stirred {
        &self.0.stirred
    }

    /// The tenants with new events since it was last asked; each task that hands them to consumers asks a branch of its own.
    pub fn told(&self) -> &Stirred {
        &self.0.told
    }

    /// What a counter stands at.
    pub async fn counter(&self, ctx: &Ctx, name: &str) -> Result<i64, Error> {
        let value = ask!(self.0.places, ctx.tenant(), engine => engine.tally(ctx.tenant(), TallyKey::Counter(name.to_owned()).text()))?;
        Ok(value.unwrap_or(0))
    }

    /// The position up to which a consumer has handled the events.
    pub async fn cursor(&self, ctx: &Ctx, consumer: &str) -> Result<i64, Error> {
        let position =
            ask!(self.0.places, ctx.tenant(), engine => engine.tally(ctx.tenant(), TallyKey::Cursor(consumer.to_owned()).text()))?;
        Ok(position.unwrap_or(0))
    }

    /// What is remembered of an earlier request with the key of this one; `None` when it came without a key.
    pub async fn remembered(&self, ctx: &Ctx) -> Result<Option<Remembered>, Error> {
        let Some(attempt) = ctx.attempt() else { return Ok(None) };
        let found = ask!(self.0.places, ctx.tenant(), engine => engine.remembered(ctx.tenant(), attempt.key.clone()))?;
        Ok(found.filter(|row| row.until > self.0.clock.now()))
    }

    /// Keeps what the request with the context's key is answered, for whoever repeats it; without the rest when that is too large to keep.
    /// Nothing happens when the answer is kept already or the request came without a key.
    pub async fn answer(&self, ctx: &Ctx, status: u16, rest: Option<Vec<u8>>) -> Result<(), Error> {
        if ctx.attempt().is_none() {
            return Ok(());
        }
        self.commit(ctx, UnitOfWork { answer: Some((status, rest)), ..UnitOfWork::new() }).await.map(|_| ())
    }
}
