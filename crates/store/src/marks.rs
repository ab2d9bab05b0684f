//! Which namespaces may have work waiting: control remembers it, so that a start looks into those and no others.
//!
//! Before the first commit into a clean namespace, control durably marks it dirty. Once it has been idle for a while, the mark gives way to
//! the time at which its next job is due, or to nothing.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Ctx, Error, TenantId, Timestamp};

use crate::engine::Engine;
use crate::prepare;
use crate::tally::Tally;
use crate::unit::UnitOfWork;

/// Marking takes a commit; tenants whose numbers differ are marked side by side.
const LANES: usize = 64;

/// What control says of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was written to: whatever it holds may be due.
    Dirty,
    /// Nothing before this time.
    Due(Timestamp),
}

impl Mark {
    /// As a number: 0 is dirty, the largest is clean.
    pub(crate) fn number(mark: Option<Self>) -> i64 {
        match mark {
            Some(Self::Dirty) => 0,
            Some(Self::Due(time)) => time.micros().clamp(1, i64::MAX - 1),
            None => i64::MAX,
        }
    }

    pub(crate) fn of(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Dirty),
            i64::MAX => None,
            time => Some(Self::Due(Timestamp::from_micros(time))),
        }
    }
}

/// What this process knows of the marks it set.
pub(crate) struct Marks {
    dirty: Mutex<HashMap<TenantId, Use>>,
    /// Held while a namespace goes from clean to dirty or back.
    lanes: [tokio::sync::Mutex<()>; LANES],
}

#[derive(Clone, Copy, Default)]
struct Use {
    under_way: usize,
    /// Of the monotonic clock.
    last: Duration,
}

impl Default for Marks {
    fn default() -> Self {
        Self { dirty: Mutex::default(), lanes: std::array::from_fn(|_| tokio::sync::Mutex::new(())) }
    }
}

/// A commit under way: its namespace stays dirty.
pub(crate) struct Using<'a> {
    marks: &'a Marks,
    tenant: TenantId,
    clock: &'a Clock,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.marks.dirty.lock().get_mut(&self.tenant) {
            entry.under_way -= 1;
            entry.last = self.clock.monotonic();
        }
    }
}

impl Marks {
    /// Makes sure that control knows before anything is committed.
    pub(crate) async fn begin<'a>(&'a self, engine: &Engine, surroundings: Seen<'a>, tenant: TenantId) -> Result<Using<'a>, Error> {
        let using = Using { marks: self, tenant, clock: surroundings.clock };
        // Control itself is looked at by every start.
        if tenant == TenantId::OPERATOR || self.enter(tenant, false) {
            return Ok(using);
        }
        let _lane = self.lane(tenant).lock().await;
        if !self.enter(tenant, false) {
            write(engine, surroundings, tenant, Some(Mark::Dirty)).await?;
            self.enter(tenant, true);
        }
        Ok(using)
    }

    fn enter(&self, tenant: TenantId, new: bool) -> bool {
        let mut dirty = self.dirty.lock();
        let entry = if new { Some(dirty.entry(tenant).or_default()) } else { dirty.get_mut(&tenant) };
        entry.map(|entry| entry.under_way += 1).is_some()
    }

    /// The namespaces that have been idle for so long.
    pub(crate) fn idle(&self, clock: &Clock, since: Duration) -> Vec<TenantId> {
        let now = clock.monotonic();
        let dirty = self.dirty.lock();
        let idle = dirty.iter().filter(|(_, entry)| entry.under_way == 0 && now.saturating_sub(entry.last) >= since);
        idle.map(|(tenant, _)| *tenant).collect()
    }

    /// Replaces the mark of an idle namespace by what it waits for.
    pub(crate) async fn settle(&self, engine: &Engine, surroundings: Seen<'_>, tenant: TenantId) -> Result<(), Error> {
        let _lane = self.lane(tenant).lock().await;
        {
            let mut dirty = self.dirty.lock();
            if dirty.get(&tenant).is_none_or(|entry| entry.under_way > 0) {
                return Ok(());
            }
            // Whoever commits from here on waits for the lane and marks it again.
            dirty.remove(&tenant);
        }
        let due = engine.next_due(tenant, None).await?.map(|due| Mark::Due(Timestamp::from_micros(due)));
        write(engine, surroundings, tenant, due).await
    }

    fn lane(&self, tenant: TenantId) -> &tokio::sync::Mutex<()> {
        let bytes = tenant.bytes();
        &self.lanes[usize::from(bytes[15]) % LANES]
    }
}

/// What marking needs to know of the store around it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) kinds: &'a crate::Kinds,
    pub(crate) clock: &'a Clock,
    /// Of the operator tenant.
    pub(crate) control: &'a Ctx,
}

async fn write(engine: &Engine, surroundings: Seen<'_>, tenant: TenantId, mark: Option<Mark>) -> Result<(), Error> {
    let mut unit = UnitOfWork::new();
    unit.tallies.push(Tally::Mark { tenant, number: Mark::number(mark) });
    let unit = prepare::unit(surroundings.kinds, surroundings.control, unit)?;
    engine.commit(TenantId::OPERATOR, unit).await.map(|_| ())
}
