//! Who hands events to consumers: one task per process, tenants side by side, the events of one tenant in order.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use steward_base::{Ctx, Error, ErrorKind, Event, TenantId, Timestamp};
use steward_store::{ListQuery, Mark, Priority, Stirred, Store, UnitOfWork};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff;
use crate::consume::{Handling, Known, Poison, set_aside};
use crate::job::{Failure, Policy};
use crate::run::Admits;
use crate::turns::Turns;

/// Tenants whose events are handled at once.
const AT_ONCE: usize = 16;
/// One that takes longer gives its place back while it goes on: where its records are may be away.
const SLOW: Duration = Duration::from_millis(250);
/// Most that go on so.
const MOST_SLOW: usize = 240;
/// Events read at once.
const STRIDE: usize = 500;
/// Most events of one commit.
const TOGETHER: usize = 100;
/// Records of a snapshot handed over at once.
const SHOWN: usize = 200;
/// So far an unwritten cursor may be behind the events that were looked at.
const UNWRITTEN: i64 = 1_000;
/// How patient to be with an event.
const PATIENCE: Policy = Policy {
    attempts: 5,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(60),
    longest_run: Duration::from_secs(300),
    places: Priority::Normal,
};
/// The longest sleep: what another process was about to tell when it died, nobody tells.
const LOOK: Duration = Duration::from_secs(30);
/// How long one is left alone of which control does not say whether they do.
const TROUBLE: Duration = Duration::from_secs(5);

/// What is known of where consumers are.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Up to which position every consumer has seen a tenant's events.
    seen: Mutex<HashMap<TenantId, i64>>,
    /// Where each consumer's cursor is, and how far it has looked since.
    places: Mutex<HashMap<(TenantId, &'static str), Place>>,
    troubles: Mutex<HashMap<(TenantId, &'static str), Trouble>>,
    /// In which life of a tenant all this is.
    lives: Mutex<HashMap<TenantId, u64>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    written: i64,
    seen: i64,
}

/// Why a consumer does not get on.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) attempts: i32,
    pub(crate) error: String,
    pub(crate) again_at: Timestamp,
}

impl Followed {
    /// Up to which position a tenant's events are seen to.
    pub(crate) fn seen(&self, tenant: TenantId) -> i64 {
        self.seen.lock().get(&tenant).copied().unwrap_or(-1)
    }

    /// Forgets a tenant: it is gone, or another one has come under its id.
    fn forget(&self, tenant: TenantId) {
        self.seen.lock().remove(&tenant);
        self.lives.lock().remove(&tenant);
        self.places.lock().retain(|(of, _), _| *of != tenant);
        self.troubles.lock().retain(|(of, _), _| *of != tenant);
    }

    /// Whether a tenant lives anew since it was followed last.
    fn is_another(&self, tenant: TenantId, life: u64) -> bool {
        self.lives.lock().insert(tenant, life).is_some_and(|before| before != life)
    }

    /// Whether more events of a tenant are known than there are.
    fn is_beyond(&self, tenant: TenantId, consumers: &[Known], head: i64) -> bool {
        let places = self.places.lock();
        consumers.iter().any(|consumer| places.get(&(tenant, consumer.name)).is_some_and(|place| place.seen > head))
    }

    pub(crate) fn trouble(&self, tenant: TenantId, consumer: &'static str) -> Option<Trouble> {
        self.troubles.lock().get(&(tenant, consumer)).cloned()
    }
}

/// How the turn of a tenant goes.
enum Told {
    Slow(TenantId),
    /// When the next one is.
    Ended(TenantId, Option<Timestamp>),
}

/// The tenants whose turns are under way.
#[derive(Default)]
struct Underway {
    busy: HashSet<TenantId>,
    /// Those of them that gave their places back.
    slow: HashSet<TenantId>,
    /// Those whose turn it is again behind that.
    again: HashSet<TenantId>,
}

impl Underway {
    fn has_room(&self) -> bool {
        self.busy.len() - self.slow.len().min(MOST_SLOW) < AT_ONCE
    }

    fn end(&mut self, turns: &mut Turns, tenant: TenantId, when: Option<Timestamp>) {
        self.busy.remove(&tenant);
        self.slow.remove(&tenant);
        match when {
            _ if self.again.remove(&tenant) => turns.now(tenant),
            Some(time) => turns.at(tenant, time),
            None => {}
        }
    }
}

/// Follows the events of every tenant until it is told to stop.
pub(crate) struct Follower {
    pub(crate) store: Store,
    pub(crate) consumers: Arc<Vec<Known>>,
    pub(crate) followed: Arc<Followed>,
    /// Where there are new events.
    pub(crate) told: Arc<Stirred>,
    /// Whose events are seen to now.
    pub(crate) admits: Admits,
    pub(crate) stopping: CancellationToken,
}

impl Follower {
    /// The life of the task.
    pub(crate) async fn run(self: Arc<Self>, marked: Vec<(TenantId, Mark)>) {
        let clock = self.store.clock().clone();
        let (mut turns, mut underway) = (Turns::default(), Underway::default());
        let (tell, mut told) = mpsc::unbounded_channel();
        let (tasks, mut looked) = (TaskTracker::new(), clock.monotonic());
        turns.now(TenantId::OPERATOR);
        // Those that only wait for a job had all their events seen to when that was written.
        marked.into_iter().filter(|(_, mark)| *mark == Mark::Dirty).for_each(|(tenant, _)| turns.now(tenant));
        while !self.stopping.is_cancelled() {
            while underway.has_room()
                && let Some(tenant) = turns.next(clock.now())
            {
                if underway.busy.insert(tenant) {
                    tasks.spawn(self.clone().turn(tenant, tell.clone()));
                } else {
                    underway.again.insert(tenant);
                }
            }
            let wait = turns.next_time().map_or(LOOK, |time| time.since(clock.now()).min(LOOK));
            tokio::select! {
                () = self.stopping.cancelled() => {}
                tenants = self.told.next() => tenants.into_iter().for_each(|tenant| turns.now(tenant)),
                Some(how) = told.recv() => match how {
                    Told::Slow(tenant) => drop(underway.slow.insert(tenant)),
                    Told::Ended(tenant, when) => underway.end(&mut turns, tenant, when),
                },
                () = tokio::time::sleep(wait), if underway.has_room() => {}
            }
            if self.store.is_shared() && clock.monotonic().saturating_sub(looked) >= LOOK {
                looked = clock.monotonic();
                let marked = self.store.marked().await.unwrap_or_default();
                marked.into_iter().for_each(|(tenant, _)| turns.now(tenant));
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn turn(self: Arc<Self>, tenant: TenantId, tell: mpsc::UnboundedSender<Told>) {
        let mut turn = std::pin::pin!(self.tenant(tenant));
        // Nobody listens once the process stops.
        let when = match tokio::time::timeout(SLOW, &mut turn).await {
            Ok(when) => when,
            Err(_) => {
                let _ = tell.send(Told::Slow(tenant));
                turn.await
            }
        };
        let _ = tell.send(Told::Ended(tenant, when));
    }

    /// Hands a tenant's new events to every consumer; answers when to look again if something failed.
    async fn tenant(&self, tenant: TenantId) -> Option<Timestamp> {
        let at = Handling { ctx: steward_auth::system(tenant, "consume"), store: self.store.clone() };
        if self.followed.is_another(tenant, self.store.life(tenant)) {
            self.followed.forget(tenant);
        }
        match self.store.head(&at.ctx).await {
            // It was deleted and restored as it was earlier: its events from then on are others.
            Ok(head) if self.followed.is_beyond(tenant, &self.consumers, head) => self.followed.forget(tenant),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.followed.forget(tenant);
                return None;
            }
            // What else stands in the way, each consumer says for itself.
            Ok(_) | Err(_) => {}
        }
        // While it rests it is not said how far it is seen to: its mark stays, so that nothing is missed over a restart either.
        match (self.admits)(tenant).await {
            Ok(true) => {}
            // Whoever lets it in says so.
            Ok(false) => return None,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, error.code = error.code(), "it cannot be told whether a tenant's events are seen to; trying again");
                return Some(self.store.clock().now().plus(TROUBLE));
            }
        }
        let (mut seen, mut again) = (i64::MAX, None::<Timestamp>);
        for consumer in self.consumers.iter() {
            match self.catch_up(&at, consumer).await {
                Ok(position) => seen = seen.min(position),
                Err(Failure::Again(error) | Failure::Never(error)) => {
                    // Deleted meanwhile; any other record that is missing is a failure.
                    if error.kind() == ErrorKind::NotFound && self.is_gone(&at).await {
                        self.followed.forget(tenant);
                        return None;
                    }
                    seen = -1;
                    let time = self.failed(tenant, consumer, &error);
                    again = Some(again.map_or(time, |again| again.min(time)));
                }
            }
            if self.stopping.is_cancelled() {
                seen = -1;
                break;
            }
        }
        self.followed.seen.lock().insert(tenant, seen);
        again
    }

    async fn is_gone(&self, at: &Handling) -> bool {
        self.store.head(&at.ctx).await.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Answers the position up to which the consumer has seen everything.
    async fn catch_up(&self, at: &Handling, consumer: &Known) -> Result<i64, Failure> {
        if let Some(trouble) = self.followed.trouble(at.ctx.tenant(), consumer.name)
            && trouble.again_at > self.store.clock().now()
        {
            return Err(Failure::Again(waiting(&trouble)));
        }
        let mut place = self.place(at, consumer).await?;
        loop {
            // After a failure one by one, to find the event that it is about.
            let together = if self.followed.trouble(at.ctx.tenant(), consumer.name).is_some() { 1 } else { TOGETHER };
            let (events, last) = self.store.events_of(&at.ctx, place.seen, STRIDE, |event_type| consumer.wants(event_type)).await?;
            if last == place.seen || self.stopping.is_cancelled() {
                return Ok(place.seen);
            }
            let mut events = events.into_iter().peekable();
            while events.peek().is_some() {
                let some: Vec<Event> = events.by_ref().take(together).collect();
                let to = if events.peek().is_some() { some.last().map_or(last, |event| event.position) } else { last };
                place = self.hand_over(at, consumer, some, place.written, to).await?;
            }
            place.seen = last;
            if last - place.written >= UNWRITTEN {
                place = self.hand_over(at, consumer, Vec::new(), place.written, last).await?;
            }
            self.followed.places.lock().insert((at.ctx.tenant(), consumer.name), place);
        }
    }

    /// Where to go on; a consumer that is new to the tenant is shown what is there first.
    async fn place(&self, at: &Handling, consumer: &Known) -> Result<Place, Failure> {
        let key = (at.ctx.tenant(), consumer.name);
        if let Some(place) = self.followed.places.lock().get(&key) {
            return Ok(*place);
        }
        let mut written = self.store.cursor(&at.ctx, consumer.name).await?;
        if written == 0 && !consumer.snapshot.is_empty() {
            written = self.show(at, consumer).await?;
        }
        Ok(Place { written, seen: written })
    }

    /// Shows a new consumer the records there are; answers the position from which it follows.
    async fn show(&self, at: &Handling, consumer: &Known) -> Result<i64, Failure> {
        // Read first: what is committed while the records are read comes as events as well.
        let position = self.store.head(&at.ctx).await?;
        for kind in consumer.snapshot {
            let mut query = ListQuery { kind: (*kind).to_owned(), limit: SHOWN, ..ListQuery::default() };
            loop {
                let page = self.store.list(&at.ctx, query.clone()).await?;
                if !page.records.is_empty() {
                    let unit = guarded((consumer.introduce)(at.clone(), page.records)).await?;
                    if !unit.is_empty() {
                        self.store.commit(&at.ctx, unit).await?;
                    }
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        if position > 0 {
            self.store.commit(&at.ctx, UnitOfWork::new().advance(consumer.name, 0, position)).await?;
        }
        Ok(position)
    }

    /// Commits what follows from the events with the cursor after them.
    async fn hand_over(&self, at: &Handling, consumer: &Known, events: Vec<Event>, from: i64, to: i64) -> Result<Place, Failure> {
        let alone = if let [event] = events.as_slice() { Some(event.clone()) } else { None };
        let failure = match self.handle(at, consumer, events).await {
            Ok(unit) => match self.advance(at, consumer, unit, (from, to)).await {
                // The store is away, or another process was faster: that says nothing about the event.
                Err(error) if error.kind() != ErrorKind::Unavailable && error.code() != "cursor_moved" => Failure::Again(error),
                done => return done.map_err(Failure::from),
            },
            Err(failure) => failure,
        };
        match alone {
            Some(event) if consumer.poison == Poison::SetAside && self.is_hopeless(at, consumer, &failure) => {
                Ok(self.advance(at, consumer, self.aside(consumer, &event), (from, to)).await?)
            }
            _ => Err(failure),
        }
    }

    async fn advance(&self, at: &Handling, consumer: &Known, unit: UnitOfWork, (from, to): (i64, i64)) -> Result<Place, Error> {
        let key = (at.ctx.tenant(), consumer.name);
        // Wherever the cursor is, it is looked up again.
        let committed = self.store.commit(&at.ctx, unit.advance(consumer.name, from, to)).await;
        if let Err(error) = committed {
            self.followed.places.lock().remove(&key);
            return Err(error);
        }
        let place = Place { written: to, seen: to };
        self.followed.places.lock().insert(key, place);
        self.followed.troubles.lock().remove(&key);
        Ok(place)
    }

    async fn handle(&self, at: &Handling, consumer: &Known, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        if events.is_empty() {
            return Ok(UnitOfWork::new());
        }
        guarded((consumer.handle)(at.clone(), events)).await
    }

    fn is_hopeless(&self, at: &Handling, consumer: &Known, failure: &Failure) -> bool {
        let attempts = self.followed.trouble(at.ctx.tenant(), consumer.name).map_or(0, |trouble| trouble.attempts);
        matches!(failure, Failure::Never(_)) || attempts + 1 >= PATIENCE.attempts
    }

    fn aside(&self, consumer: &Known, event: &Event) -> UnitOfWork {
        tracing::warn!(consumer.name = consumer.name, event.id, "an event that a consumer cannot handle is set aside as a job");
        UnitOfWork::new().enqueue(self.store.mint_id(), set_aside(consumer.name, event))
    }

    fn failed(&self, tenant: TenantId, consumer: &Known, error: &Error) -> Timestamp {
        let now = self.store.clock().now();
        let mut troubles = self.followed.troubles.lock();
        let before = troubles.get(&(tenant, consumer.name));
        if let Some(before) = before.filter(|before| before.again_at > now) {
            return before.again_at;
        }
        // Another process was faster: nothing is wrong.
        let attempts = if error.code() == "cursor_moved" { 0 } else { before.map_or(0, |before| before.attempts) + 1 };
        let wait = if attempts == 0 { Duration::ZERO } else { backoff::wait(&PATIENCE, attempts, self.store.random()) };
        let again_at = now.plus(wait);
        if attempts > 0 {
            tracing::warn!(tenant.id = %tenant, consumer.name = consumer.name, error.code = error.code(), error.causes = %error.causes(), attempts, "a consumer failed; it tries again");
            troubles
                .insert((tenant, consumer.name), Trouble { attempts, error: format!("{}: {}", error.code(), error.detail()), again_at });
        }
        again_at
    }
}

/// A defect in one consumer, or one that hangs, must not end the others.
async fn guarded(work: impl Future<Output = Result<UnitOfWork, Failure>>) -> Result<UnitOfWork, Failure> {
    match tokio::time::timeout(PATIENCE.longest_run, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Failure::Again(Error::internal("the consumer panicked"))),
        Err(_) => Err(Failure::Again(Error::internal("the consumer took too long"))),
    }
}

fn waiting(trouble: &Trouble) -> Error {
    Error::new(ErrorKind::Unavailable, "consumer_waiting", trouble.error.clone())
}

/// How far a consumer is behind: events, and how long ago the first of them was.
pub(crate) async fn lag(store: &Store, ctx: &Ctx, consumer: &str) -> Result<(i64, i64, Duration), Error> {
    let position = store.cursor(ctx, consumer).await?;
    let head = store.head(ctx).await?;
    let first = store.events(ctx, position, 1).await?;
    Ok((position, head - position, first.first().map_or(Duration::ZERO, |event| store.clock().now().since(event.time))))
}
