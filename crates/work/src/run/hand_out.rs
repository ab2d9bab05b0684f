//! Who gets the places of a process: tenants in turn, each in a task of its own, so that one whose records are slow holds up nobody else.
//!
//! Jobs that may take hours have a quarter of the places, and some places are kept for what somebody waits for, which only the operator's tenant has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use steward_base::{Error, ErrorKind, TenantId, Timestamp};
use steward_store::{Claim, Priority};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Handler, Shared, context};
use crate::job::Running;
use crate::turns::Turns;

/// Most jobs that one tenant gets in one turn: nobody waits longer than the others' turns take.
const TURN: usize = 16;
/// How long a tenant whose namespace cannot be read is left alone.
const TROUBLE: Duration = Duration::from_secs(5);
/// The longest sleep: a clock that was set forward is noticed by then, and so are wake-ups that were lost between processes.
const LOOK: Duration = Duration::from_secs(30);
/// A turn that takes longer gives its places back while it goes on.
const SLOW: Duration = Duration::from_millis(250);

/// How many places there are, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    all: usize,
    of_tenant: usize,
    bulk: usize,
    bulk_of_tenant: usize,
    kept: usize,
}

impl Places {
    pub(super) fn of(at_once: usize) -> Self {
        let share = |part: usize| (at_once / part).max(1);
        Self { all: at_once, of_tenant: share(2), bulk: share(4), bulk_of_tenant: share(8), kept: at_once / 8 }
    }
}

/// The kinds of jobs that are known, by what places they may have.
pub(super) struct Kinds {
    all: Vec<String>,
    /// All but those that may take hours.
    common: Vec<String>,
    urgent: Vec<String>,
    bulk: Vec<String>,
}

impl Kinds {
    pub(super) fn of(handlers: &HashMap<&'static str, Handler>) -> Self {
        let named = |wanted: &dyn Fn(Priority) -> bool| -> Vec<String> {
            let some = handlers.iter().filter(|(_, handler)| wanted(handler.policy.places));
            some.map(|(kind, _)| (*kind).to_owned()).collect()
        };
        Self {
            all: named(&|_| true),
            common: named(&|places| places != Priority::Bulk),
            urgent: named(&|places| places == Priority::Urgent),
            bulk: named(&|places| places == Priority::Bulk),
        }
    }
}

/// Who waits for a place.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those who have as many jobs in hand as they may, and more waiting.
    held_up: HashSet<TenantId>,
    /// Those with bulk jobs, while others have all the places for them.
    bulk: HashSet<TenantId>,
    /// Those whose turn it is, since a job ended.
    ready: HashSet<TenantId>,
    /// Places for bulk jobs that are being claimed.
    taking: usize,
}

impl Line {
    fn release_bulk(&mut self) {
        self.ready.extend(self.bulk.drain());
    }
}

/// What a tenant may take in its turn.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    most: usize,
    only_urgent: bool,
}

/// Places that no job has.
struct Room {
    free: usize,
    /// Those of them that are not kept.
    common: usize,
    /// What the tenant asked for may have of them at most.
    own: usize,
}

/// The turns under way.
#[derive(Default)]
struct Underway {
    turns: HashMap<TenantId, Turn>,
    /// What all of them may take.
    places: usize,
}

struct Turn {
    places: usize,
    /// It is this tenant's turn again behind it.
    again: bool,
}

impl Underway {
    /// Whether it is; then another turn comes behind.
    fn again(&mut self, tenant: TenantId) -> bool {
        let turn = self.turns.get_mut(&tenant);
        turn.map(|turn| turn.again = true).is_some()
    }

    fn begin(&mut self, tenant: TenantId, places: usize) {
        self.places += places;
        self.turns.insert(tenant, Turn { places, again: false });
    }

    /// It goes on without its places.
    fn slow(&mut self, tenant: TenantId) {
        if let Some(turn) = self.turns.get_mut(&tenant) {
            self.places -= std::mem::take(&mut turn.places);
        }
    }

    fn end(&mut self, turns: &mut Turns, tenant: TenantId, when: Option<Timestamp>) {
        let Some(turn) = self.turns.remove(&tenant) else { return };
        self.places -= turn.places;
        match when {
            _ if turn.again => turns.now(tenant),
            Some(time) => turns.at(tenant, time),
            None => {}
        }
    }
}

/// How a turn goes.
enum Told {
    Slow(TenantId),
    /// When the next one is.
    Ended(TenantId, Option<Timestamp>),
}

/// Gives tenants their turns for as long as the process works.
pub(super) async fn hand_out(shared: Arc<Shared>, mut turns: Turns) {
    let clock = shared.store.clock().clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let (mut underway, mut looked) = (Underway::default(), clock.monotonic());
    loop {
        while let Some((tenant, allowed)) = shared.next(&mut turns, &mut underway) {
            underway.begin(tenant, allowed.most);
            shared.begin_turn(tenant, allowed, tell.clone());
            // Whoever has something to do by now gets the next turn, also while others have turns without end.
            shared.stirred.next().now_or_never().into_iter().flatten().for_each(|tenant| turns.now(tenant));
        }
        let room = shared.room(TenantId::OPERATOR, &underway);
        let next = if room.common > 0 { turns.next_time() } else { turns.time_of(TenantId::OPERATOR) };
        let wait = next.map_or(LOOK, |time| time.since(clock.now()).min(LOOK));
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            tenants = shared.stirred.next() => tenants.into_iter().for_each(|tenant| turns.now(tenant)),
            Some(how) = told.recv() => match how {
                Told::Slow(tenant) => underway.slow(tenant),
                Told::Ended(tenant, when) => underway.end(&mut turns, tenant, when),
            },
            () = shared.freed.notified() => {}
            () = tokio::time::sleep(wait), if room.free > 0 => {}
        }
        shared.line.lock().ready.drain().for_each(|tenant| turns.now(tenant));
        if shared.store.is_shared() && clock.monotonic().saturating_sub(looked) >= LOOK {
            looked = clock.monotonic();
            shared.look(&mut turns).await;
        }
    }
}

impl Shared {
    /// Whose turn it is, and what they may take.
    fn next(&self, turns: &mut Turns, underway: &mut Underway) -> Option<(TenantId, Allowed)> {
        loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            let (room, now) = (self.room(TenantId::OPERATOR, underway), self.store.clock().now());
            let only_urgent = room.common == 0;
            let tenant = match room.free {
                0 => return None,
                _ if !only_urgent => turns.next(now)?,
                // What is kept is for what only the operator's tenant has: nobody else is asked for it.
                _ => turns.take(TenantId::OPERATOR, now).then_some(TenantId::OPERATOR)?,
            };
            if underway.again(tenant) {
                continue;
            }
            // Whoever is counted as running and ends meanwhile finds this tenant in the line.
            let mut line = self.line.lock();
            let room = self.room(tenant, underway);
            let most = if only_urgent { room.free } else { room.common }.min(room.own).min(TURN);
            if most > 0 {
                return Some((tenant, Allowed { most, only_urgent }));
            }
            line.held_up.insert(tenant);
        }
    }

    fn room(&self, tenant: TenantId, underway: &Underway) -> Room {
        let (running, places) = (self.running.lock(), self.places);
        let (mut urgent, mut own) = (0, 0);
        for ((of, _), job) in running.iter() {
            urgent += usize::from(job.places == Priority::Urgent);
            own += usize::from(*of == tenant);
        }
        let free = places.all.saturating_sub(running.len() + underway.places);
        let common = free.saturating_sub(places.kept.saturating_sub(urgent));
        Room { free, common, own: places.of_tenant.saturating_sub(own) }
    }

    fn begin_turn(self: &Arc<Self>, tenant: TenantId, allowed: Allowed, tell: mpsc::UnboundedSender<Told>) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            let mut turn = std::pin::pin!(shared.turn(tenant, allowed));
            let when = match tokio::time::timeout(SLOW, &mut turn).await {
                Ok(when) => when,
                Err(_) => {
                    tracing::debug!(tenant.id = %tenant, "jobs of a tenant are claimed slowly; others go on");
                    // Nobody listens once the process stops.
                    let _ = tell.send(Told::Slow(tenant));
                    tokio::select! {
                        when = turn => when,
                        // What it may still claim is free again when the leases end.
                        () = shared.dropping.cancelled() => return,
                    }
                }
            };
            let _ = tell.send(Told::Ended(tenant, when));
        });
    }

    /// Takes what a tenant has to do; answers when to look again.
    async fn turn(self: &Arc<Self>, tenant: TenantId, allowed: Allowed) -> Option<Timestamp> {
        match self.take(tenant, allowed).await {
            Ok(when) => when,
            // Deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, error.code = error.code(), error.causes = %error.causes(), "jobs of a tenant cannot be read; trying again");
                Some(self.store.clock().now().plus(TROUBLE))
            }
        }
    }

    async fn take(self: &Arc<Self>, tenant: TenantId, allowed: Allowed) -> Result<Option<Timestamp>, Error> {
        let now = || self.store.clock().now();
        if !(self.admits)(tenant).await? {
            // Whoever lets it in says so.
            return Ok(None);
        }
        let kinds = if allowed.only_urgent { &self.kinds.urgent } else { &self.kinds.common };
        if self.claim(tenant, kinds, allowed.most).await? == allowed.most {
            return Ok(Some(now()));
        }
        let next = self.store.next_due(tenant, &self.kinds.all).await?;
        if next.is_none_or(|time| time > now()) {
            return Ok(next);
        }
        // What is due and was not taken waits for a place, or came meanwhile.
        if allowed.only_urgent {
            return self.wait_for_room(tenant).await;
        }
        if self.store.next_due(tenant, &self.kinds.bulk).await?.is_some_and(|time| time <= now()) && self.take_bulk(tenant).await? > 0 {
            return Ok(Some(now()));
        }
        self.store.next_due(tenant, &self.kinds.common).await
    }

    /// For the operator's tenant, whose common jobs wait like everybody's.
    async fn wait_for_room(&self, tenant: TenantId) -> Result<Option<Timestamp>, Error> {
        self.line.lock().held_up.insert(tenant);
        // The last job may have ended just before.
        if self.room(tenant, &Underway::default()).common > 0 {
            return Ok(Some(self.store.clock().now()));
        }
        self.store.next_due(tenant, &self.kinds.urgent).await
    }

    /// One at a time: whoever has all of their places has them for long.
    async fn take_bulk(self: &Arc<Self>, tenant: TenantId) -> Result<usize, Error> {
        {
            let mut line = self.line.lock();
            let (all, own) = self.bulk_in_hand(tenant);
            if all + line.taking >= self.places.bulk || own >= self.places.bulk_of_tenant {
                line.bulk.insert(tenant);
                return Ok(0);
            }
            line.taking += 1;
        }
        let _place = Taking { shared: self, tenant };
        self.claim(tenant, &self.kinds.bulk, 1).await
    }

    /// How many bulk jobs are in hand, and how many of them are a tenant's.
    fn bulk_in_hand(&self, tenant: TenantId) -> (usize, usize) {
        let running = self.running.lock();
        let bulk = || running.iter().filter(|(_, job)| job.places == Priority::Bulk);
        (bulk().count(), bulk().filter(|((of, _), _)| *of == tenant).count())
    }

    /// Takes what is due; looks first, since a claim is a commit.
    async fn claim(self: &Arc<Self>, tenant: TenantId, kinds: &[String], limit: usize) -> Result<usize, Error> {
        let due = self.store.next_due(tenant, kinds).await?;
        if due.is_none_or(|time| time > self.store.clock().now()) {
            return Ok(0);
        }
        let claim = Claim { kinds: kinds.to_vec(), limit, lease: self.options.lease };
        let jobs = self.store.claim(&steward_auth::system(tenant, "work"), claim).await?;
        let taken = jobs.len();
        for job in jobs {
            let places = self.handlers.get(job.kind.as_str()).map_or(Priority::Normal, |handler| handler.policy.places);
            let running = Running {
                ctx: context(tenant, &job),
                job: Arc::new(job),
                store: self.store.clone(),
                lease: self.options.lease,
                places,
                cancelled: CancellationToken::new(),
            };
            self.begin(tenant, running);
        }
        Ok(taken)
    }

    /// There is room for another job.
    pub(super) fn make_room(&self, ended: Priority) {
        let mut line = self.line.lock();
        let Line { held_up, ready, .. } = &mut *line;
        ready.extend(held_up.drain());
        if ended == Priority::Bulk {
            line.release_bulk();
        }
        drop(line);
        self.freed.notify_one();
    }
}

/// A place for a bulk job while it is being claimed.
struct Taking<'a> {
    shared: &'a Shared,
    tenant: TenantId,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut line = self.shared.line.lock();
        line.taking -= 1;
        if self.shared.bulk_in_hand(self.tenant).0 + line.taking < self.shared.places.bulk {
            // Whoever found no place while this one was taken looks again.
            line.release_bulk();
            drop(line);
            self.shared.freed.notify_one();
        }
    }
}
