//! Which namespaces may have work waiting: control remembers it, so that a start looks into those and no others.
//!
//! Before the first commit into a clean namespace, control durably marks it dirty. Once it has been idle for a while, the mark gives way to
//! the time at which its next job is due, or to nothing.
//!
//! Where several processes write, none knows when another one relies on a mark. So each relies on a mark for a minute after it wrote one, every
//! mark differs from the one before, and one that stood for three minutes is relied on by nobody: it gives way unless it is another by then.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Ctx, Error, ErrorKind, TenantId, Timestamp};
use tokio::sync::Notify;

use crate::engine::Engine;
use crate::places::{Places, ask};
use crate::prepare;
use crate::tally::{MARK, Tally};
use crate::unit::UnitOfWork;

/// How long a process relies on its mark where others may settle it.
const RELIED_ON: Duration = Duration::from_secs(60);
/// After how long nobody does any more: as much again for a commit that began at the last moment, and as much for doubt.
const UNTOUCHED: Duration = Duration::from_secs(180);
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
    /// As a number: what is not positive is dirty since that time before 1970 as it is after, the largest is clean.
    pub(crate) fn number(mark: Option<Self>, now: Timestamp) -> i64 {
        match mark {
            Some(Self::Dirty) => -now.micros().max(0),
            Some(Self::Due(time)) => time.micros().clamp(1, i64::MAX - 1),
            None => i64::MAX,
        }
    }

    pub(crate) fn of(number: i64) -> Option<Self> {
        match number {
            i64::MIN..=0 => Some(Self::Dirty),
            i64::MAX => None,
            time => Some(Self::Due(Timestamp::from_micros(time))),
        }
    }
}

/// What this process knows of the marks it set.
pub(crate) struct Marks {
    dirty: Mutex<HashMap<TenantId, Use>>,
    /// Namespaces into which nothing is committed for a moment.
    held: Mutex<HashSet<TenantId>>,
    /// A held namespace was released, or the last unit of one has ended.
    moved: Notify,
    /// Held while a namespace goes from clean to dirty or back.
    lanes: [tokio::sync::Mutex<()>; LANES],
    /// Marks that others may have set, and since when each is as it is.
    standing: Mutex<HashMap<TenantId, (i64, Duration)>>,
}

#[derive(Clone, Copy)]
struct Use {
    under_way: usize,
    /// Of the monotonic clock, as the other.
    last: Duration,
    /// When the mark was written.
    marked: Duration,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            dirty: Mutex::default(),
            held: Mutex::default(),
            moved: Notify::new(),
            lanes: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            standing: Mutex::default(),
        }
    }
}

/// A unit under way: until it is dropped with its answer, its namespace stays dirty.
pub(crate) struct Using {
    marks: Arc<Marks>,
    tenant: TenantId,
    clock: Clock,
}

impl Drop for Using {
    fn drop(&mut self) {
        let mut dirty = self.marks.dirty.lock();
        let Some(entry) = dirty.get_mut(&self.tenant) else { return };
        entry.under_way -= 1;
        entry.last = self.clock.monotonic();
        if entry.under_way == 0 && !self.marks.held.lock().is_empty() {
            self.marks.moved.notify_waiters();
        }
    }
}

/// A namespace into which nobody commits until this is dropped.
pub(crate) struct Held {
    marks: Arc<Marks>,
    tenant: TenantId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.marks.held.lock().remove(&self.tenant);
        self.marks.moved.notify_waiters();
    }
}

impl fmt::Debug for Using {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Using({})", self.tenant)
    }
}

impl Marks {
    /// Makes sure that control knows before anything is committed. Control itself needs no mark: every start looks into it.
    pub(crate) async fn begin(self: &Arc<Self>, places: &Places, seen: Seen<'_>, tenant: TenantId) -> Result<Option<Using>, Error> {
        if tenant == TenantId::OPERATOR {
            return Ok(None);
        }
        let lasts = if places.home().is_alone() { Duration::MAX } else { RELIED_ON };
        loop {
            if self.released(tenant).await {
                // It may have been erased.
                ask!(places, tenant, engine => engine.head(tenant))?;
            }
            if let Some(using) = self.enter(tenant, seen.clock, lasts) {
                return Ok(Some(using));
            }
            let _lane = self.lane(tenant).lock().await;
            if self.is_held(tenant) {
                continue;
            }
            if let Some(using) = self.enter(tenant, seen.clock, lasts) {
                return Ok(Some(using));
            }
            // Before it is written: it is relied on for less than others believe.
            let now = seen.clock.monotonic();
            let mark = Tally::Mark { tenant, number: Mark::number(Some(Mark::Dirty), seen.clock.now()), instead_of: None };
            write_tallies(places.home(), seen, vec![mark]).await?;
            let mut dirty = self.dirty.lock();
            dirty.entry(tenant).or_insert(Use { under_way: 0, last: now, marked: now }).marked = now;
        }
    }

    /// Counts a unit in, when the namespace is marked and nobody holds it.
    fn enter(self: &Arc<Self>, tenant: TenantId, clock: &Clock, lasts: Duration) -> Option<Using> {
        let mut dirty = self.dirty.lock();
        let entry = dirty.get_mut(&tenant).filter(|_| !self.is_held(tenant))?;
        if clock.monotonic().saturating_sub(entry.marked) >= lasts {
            return None;
        }
        entry.under_way += 1;
        Some(Using { marks: self.clone(), tenant, clock: clock.clone() })
    }

    fn is_held(&self, tenant: TenantId) -> bool {
        let held = self.held.lock();
        !held.is_empty() && held.contains(&tenant)
    }

    /// Waits while the namespace is held; answers whether it was.
    async fn released(&self, tenant: TenantId) -> bool {
        let mut waited = false;
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if !self.is_held(tenant) {
                return waited;
            }
            waited = true;
            moved.await;
        }
    }

    /// Lets no more units begin and waits for those under way; nothing when these take longer than `patience`, or when it is held already.
    pub(crate) async fn hold(self: &Arc<Self>, tenant: TenantId, patience: Duration) -> Option<Held> {
        if !self.held.lock().insert(tenant) {
            return None;
        }
        let held = Held { marks: self.clone(), tenant };
        let drained = async {
            loop {
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if self.dirty.lock().get(&tenant).is_none_or(|entry| entry.under_way == 0) {
                    return;
                }
                moved.await;
            }
        };
        tokio::time::timeout(patience, drained).await.ok().map(|()| held)
    }

    /// Forgets a namespace that is gone. Until the answer is dropped, nobody marks it.
    pub(crate) async fn forget(&self, tenant: TenantId) -> tokio::sync::MutexGuard<'_, ()> {
        let lane = self.lane(tenant).lock().await;
        self.dirty.lock().remove(&tenant);
        lane
    }

    /// The namespaces that have been idle for so long.
    pub(crate) fn idle(&self, clock: &Clock, since: Duration) -> Vec<TenantId> {
        let now = clock.monotonic();
        let dirty = self.dirty.lock();
        let idle = dirty.iter().filter(|(_, entry)| entry.under_way == 0 && now.saturating_sub(entry.last) >= since);
        idle.map(|(tenant, _)| *tenant).collect()
    }

    /// Replaces the mark of an idle namespace by what it waits for, unless it has events after `handled`.
    pub(crate) async fn settle(&self, places: &Places, seen: Seen<'_>, tenant: TenantId, handled: i64) -> Result<(), Error> {
        look_first(places, tenant).await?;
        let _lane = self.lane(tenant).lock().await;
        {
            let mut dirty = self.dirty.lock();
            if dirty.get(&tenant).is_none_or(|entry| entry.under_way > 0) {
                return Ok(());
            }
            // Whoever commits from here on waits for the lane and marks it again.
            dirty.remove(&tenant);
        }
        let asked = async {
            let is_behind = ask!(places, tenant, engine => engine.head(tenant))?.0 > handled;
            if is_behind { Ok(None) } else { waits_for(places, seen, tenant).await.map(Some) }
        };
        let number = match asked.await {
            Ok(Some(number)) => number,
            kept => {
                // Its mark is as it was, and is settled another time, unless the tenant is gone.
                if kept.as_ref().map_or_else(|error| error.kind() == ErrorKind::Unavailable, |_| true) {
                    let now = seen.clock.monotonic();
                    self.dirty.lock().insert(tenant, Use { under_way: 0, last: now, marked: now });
                }
                return kept.map(drop);
            }
        };
        write_tallies(places.home(), seen, vec![Tally::Mark { tenant, number, instead_of: None }]).await
    }

    /// The dirty marks that have stood for so long, and for long enough that no process relies on them, whoever set them.
    pub(crate) async fn untouched(&self, places: &Places, clock: &Clock, idle: Duration) -> Result<Vec<(TenantId, i64)>, Error> {
        let marks = places.home().notes(MARK).await?;
        let marks = marks.into_iter().filter_map(|(tenant, number)| Some((tenant.parse::<TenantId>().ok()?, number)));
        let dirty: HashMap<TenantId, i64> = marks.filter(|(_, number)| Mark::of(*number) == Some(Mark::Dirty)).collect();
        let now = clock.monotonic();
        let mut standing = self.standing.lock();
        standing.retain(|tenant, (number, _)| dirty.get(tenant) == Some(number));
        let since = |(tenant, number): (TenantId, i64)| {
            let (_, since) = *standing.entry(tenant).or_insert((number, now));
            (now.saturating_sub(since) >= idle.max(UNTOUCHED)).then_some((tenant, number))
        };
        Ok(dirty.into_iter().filter_map(since).collect())
    }

    /// Replaces a mark that nobody relies on by what its namespace waits for, unless that has events after `handled` or somebody marks it anew.
    pub(crate) async fn settle_untouched(
        &self,
        places: &Places,
        seen: Seen<'_>,
        (tenant, number): (TenantId, i64),
        handled: i64,
    ) -> Result<(), Error> {
        look_first(places, tenant).await?;
        let _lane = self.lane(tenant).lock().await;
        if self.dirty.lock().get(&tenant).is_some_and(|entry| entry.under_way > 0) {
            return Ok(());
        }
        let head = async || ask!(places, tenant, engine => engine.head(tenant));
        let waits = match head().await {
            Ok((position, _)) if position > handled => return Ok(()),
            Ok(_) => waits_for(places, seen, tenant).await?,
            // Erased, or it was never made.
            Err(error) if error.kind() == ErrorKind::NotFound => Mark::number(None, seen.clock.now()),
            Err(error) => return Err(error),
        };
        write_tallies(places.home(), seen, vec![Tally::Mark { tenant, number: waits, instead_of: Some(number) }]).await?;
        // Whoever commits from here on marks it again.
        self.dirty.lock().remove(&tenant);
        Ok(())
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

/// That a tenant's place hangs is found out before anybody waits for its lane.
async fn look_first(places: &Places, tenant: TenantId) -> Result<(), Error> {
    match ask!(places, tenant, engine => engine.head(tenant)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The mark of an idle namespace, as a number.
async fn waits_for(places: &Places, seen: Seen<'_>, tenant: TenantId) -> Result<i64, Error> {
    let due = ask!(places, tenant, engine => engine.next_due(tenant, None))?;
    Ok(Mark::number(due.map(|due| Mark::Due(Timestamp::from_micros(due))), seen.clock.now()))
}

/// Commits numbers into control.
pub(crate) async fn write_tallies(home: &Engine, seen: Seen<'_>, tallies: Vec<Tally>) -> Result<(), Error> {
    let unit = UnitOfWork { tallies, ..UnitOfWork::new() };
    let unit = prepare::unit(seen.kinds, seen.control, unit)?;
    home.commit(TenantId::OPERATOR, unit).await.map(|_| ())
}
