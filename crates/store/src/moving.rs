//! Moving a tenant to another place while it is served, and removing one for good.
//!
//! The tenant is copied, the copy follows it until little is left, commits wait for a moment while the rest follows, control notes the new
//! place, and commits go on there. Reads never wait. At any moment exactly one copy counts: the one at the place that control notes; before
//! another one comes to be, control notes that it does not count, and the next start removes it.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, TenantId};

use crate::dump::{self, Loading, Position};
use crate::engine::Engine;
use crate::marks;
use crate::places::AWAY;
use crate::store::{Inner, Store};
use crate::tally::{Tally, TallyKey};

/// An increment of so few events that took so little time lets commits wait for no longer than that.
const FEW_EVENTS: i64 = 500;
const SHORT: Duration = Duration::from_millis(250);
/// How often a copy goes after its tenant.
const ROUNDS: usize = 60;
/// How long commits that were begun may take to end.
const DRAIN: Duration = Duration::from_secs(1);

/// How often a server that is away is asked again to let commits go on.
const ASKED: usize = 120;
/// How soon a place that is away is asked again to remove what a move left behind.
const LATER: Duration = Duration::from_secs(5);
/// How soon control is asked again what became of a note.
const AGAIN: Duration = Duration::from_secs(1);

/// What moving a tenant came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// The last event before the switch.
    pub position: i64,
    /// How long commits waited.
    pub held: Duration,
    /// How long it took.
    pub took: Duration,
}

/// The tenants that are being moved or erased by this process.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<HashSet<TenantId>>);

impl Busy {
    fn enter(self: &Arc<Self>, tenant: TenantId) -> Result<Alone, Error> {
        if self.0.lock().insert(tenant) { Ok(Alone { busy: self.clone(), tenant }) } else { Err(tenant_busy()) }
    }
}

struct Alone {
    busy: Arc<Busy>,
    tenant: TenantId,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.busy.0.lock().remove(&self.tenant);
    }
}

/// Why a tenant was not moved.
enum Stopped {
    /// It is where it was.
    Undone(Error),
    /// Nobody can tell whether it was moved, or its commits do not go on: the next move or start sees to it.
    Undecided(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Undone(error)
    }
}

impl Store {
    /// The name of the place that a tenant is in; nothing where the configuration does not name it.
    pub async fn place(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        match self.remote() {
            Some(remote) => remote.place(tenant).await,
            None => Ok(self.0.places.name_of(tenant).map(str::to_owned)),
        }
    }

    /// Fails with `place_unknown` when the configuration names no such place.
    pub async fn check_place(&self, name: &str) -> Result<(), Error> {
        match self.remote() {
            Some(remote) => remote.check_place(name).await,
            None => self.0.places.named(name).map(drop),
        }
    }

    /// Moves a tenant to another place, while it is read and written. Events keep ids, positions and hashes.
    ///
    /// Errors: `place_unknown`, `tenant_busy`, `tenant_fixed` for the operator's, `not_found`, and `tenant_restless` when it is written faster
    /// than its copy can follow. After any of them the tenant is where it was.
    pub async fn relocate(&self, tenant: TenantId, place: &str) -> Result<Moved, Error> {
        if let Some(remote) = self.remote() {
            return remote.relocate(tenant, place).await;
        }
        refuse_operator(tenant)?;
        let (store, to) = (self.clone(), self.0.places.named(place)?);
        // Whoever asks may have gone by then: a tenant does not stay halfway.
        tokio::spawn(async move { store.move_to(tenant, to).await }).await.map_err(Error::internal)?
    }

    async fn move_to(&self, tenant: TenantId, to: i64) -> Result<Moved, Error> {
        let _alone = self.0.busy.enter(tenant)?;
        let began = self.0.clock.monotonic();
        let _guard = self.0.places.home().guard(tenant).await?.ok_or_else(tenant_busy)?;
        let from = self.0.places.look_up(tenant).await?;
        let (source, target) = (self.0.places.engine(from)?, self.0.places.engine(to)?);
        let position = source.head(tenant).await?.0;
        if from == to {
            // A move that was not told of its end left what it moved from.
            self.remove_stray(tenant).await?;
            return Ok(Moved { position, held: Duration::ZERO, took: Duration::ZERO });
        }
        // Its note would be lost.
        self.remove_stray(tenant).await?;
        self.note(vec![(TallyKey::Stray(tenant), Some(to))]).await?;
        target.remove(tenant).await?;
        let (position, held) = match self.copy_and_switch(tenant, (source, target), (from, to)).await {
            Ok(moved) => moved,
            Err(Stopped::Undecided(error)) => return Err(error),
            Err(Stopped::Undone(error)) => {
                // The copy does not count: it may stay until the next start.
                if target.remove(tenant).await.is_ok() {
                    self.note(vec![(TallyKey::Stray(tenant), None)]).await?;
                }
                return Err(error);
            }
        };
        match source.remove(tenant).await {
            Ok(()) => self.note(vec![(TallyKey::Stray(tenant), None)]).await?,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, error.causes = error.causes(), "the old copy of a moved tenant stays until the next start")
            }
        }
        self.0.stirred.add(tenant);
        self.0.told.add(tenant);
        Ok(Moved { position, held, took: self.0.clock.monotonic().saturating_sub(began) })
    }

    /// Removes a tenant for good: its namespace, and what control notes of it. May be repeated; one that is not there is fine.
    ///
    /// What was written before may remain where the store does not reach: free blocks of the disk, the write-ahead log of a PostgreSQL server
    /// until it is reused, and backups for as long as they are kept.
    ///
    /// Errors: `tenant_busy`, `tenant_fixed` for the operator's.
    pub async fn erase(&self, tenant: TenantId) -> Result<(), Error> {
        if let Some(remote) = self.remote() {
            remote.erase(tenant).await?;
            self.0.positions.begin_life(tenant);
            self.vault().forget(tenant);
            return Ok(());
        }
        refuse_operator(tenant)?;
        let _alone = self.0.busy.enter(tenant)?;
        let _guard = self.0.places.home().guard(tenant).await?.ok_or_else(tenant_busy)?;
        let place = self.0.places.look_up(tenant).await?;
        self.remove_stray(tenant).await?;
        let held = self.0.marks.hold(tenant, DRAIN).await.ok_or_else(tenant_busy)?;
        self.0.places.engine(place)?.remove(tenant).await?;
        {
            let _lane = self.0.marks.forget(tenant).await;
            let gone = [TallyKey::Mark(tenant), TallyKey::Calm(tenant), TallyKey::Place(tenant), TallyKey::Stray(tenant)];
            self.note(gone.into_iter().map(|key| (key, None)).collect()).await?;
        }
        self.0.places.forget(tenant);
        self.0.positions.begin_life(tenant);
        self.vault().forget(tenant);
        drop(held);
        // Whoever follows its events finds that it is gone, before another one comes under its id.
        self.0.told.add(tenant);
        self.0.places.home().empty_log().await
    }

    async fn copy_and_switch(
        &self,
        tenant: TenantId,
        (source, target): (&Engine, &Engine),
        places: (i64, i64),
    ) -> Result<(i64, Duration), Stopped> {
        let mut loading = Loading::begin(tenant, target.writer(tenant).await?);
        let last = match self.follow(tenant, source, &mut loading).await {
            Ok(last) => last,
            Err(error) => {
                loading.discard().await;
                return Err(error.into());
            }
        };
        let began = self.0.clock.monotonic();
        let Some(_held) = self.0.marks.hold(tenant, DRAIN).await else {
            loading.discard().await;
            return Err(restless().into());
        };
        // From here on no process commits to the source.
        let switched = match source.fence(tenant).await {
            Ok(()) => self.switch(tenant, (source, target), (loading, last), places).await,
            Err(error) => {
                loading.discard().await;
                Err(error.into())
            }
        };
        match switched {
            Ok(position) => Ok((position, self.0.clock.monotonic().saturating_sub(began))),
            Err(Stopped::Undone(error)) if !unfence(source, tenant).await => Err(Stopped::Undecided(error)),
            Err(stopped) => Err(stopped),
        }
    }

    /// Copies the tenant and lets the copy follow until little is left.
    async fn follow(&self, tenant: TenantId, source: &Engine, loading: &mut Loading) -> Result<Position, Error> {
        let by = (&*self.0.kinds, &self.0.clock);
        let mut last = loading.apply(dump::begin(source.reader(tenant).await?, tenant, by, None)).await?;
        for _ in 0..ROUNDS {
            let began = self.0.clock.monotonic();
            let next = loading.apply(dump::begin(source.reader(tenant).await?, tenant, by, Some(last.position))).await?;
            let few = next.position - last.position <= FEW_EVENTS;
            last = next;
            if few && self.0.clock.monotonic().saturating_sub(began) <= SHORT {
                return Ok(last);
            }
        }
        Err(restless())
    }

    /// The last increment, and the note that makes the copy the tenant.
    async fn switch(
        &self,
        tenant: TenantId,
        (source, target): (&Engine, &Engine),
        (mut loading, last): (Loading, Position),
        (from, to): (i64, i64),
    ) -> Result<i64, Stopped> {
        let rest = dump::begin(source.reader(tenant).await?, tenant, (&self.0.kinds, &self.0.clock), Some(last.position));
        let position = match loading.apply(rest).await {
            Ok(position) => position.position,
            Err(error) => {
                loading.discard().await;
                return Err(error.into());
            }
        };
        // Published it is still a copy that does not count.
        loading.finish().await?;
        let noted = self.note(vec![(TallyKey::Place(tenant), Some(to)), (TallyKey::Stray(tenant), Some(from))]).await;
        if let Err(error) = noted {
            match self.noted_place(tenant).await {
                Some(place) if place == to => {}
                Some(_) => return Err(error.into()),
                None => return Err(Stopped::Undecided(error)),
            }
        }
        self.0.places.put(tenant, to);
        // Whoever waits for events goes on waiting: from here on the target tells them.
        drop(target.watch(tenant));
        Ok(position)
    }

    /// Where control says that a tenant is, however long it does not answer: what is committed meanwhile might be committed to a copy that does
    /// not count any more. Nothing once the store is closed.
    async fn noted_place(&self, tenant: TenantId) -> Option<i64> {
        let home = self.0.places.home();
        let asked = async || {
            // The note may still be on its way: whoever reads past it is told what holds no more in a moment.
            home.quiet(TenantId::OPERATOR).await?;
            home.tally(TenantId::OPERATOR, TallyKey::Place(tenant).text()).await
        };
        loop {
            match asked().await {
                Ok(noted) => return Some(noted.unwrap_or(self.0.places.home_number())),
                Err(error) if error.code() == "shutting_down" => return None,
                Err(error) => {
                    tracing::warn!(tenant.id = %tenant, error.code = error.code(), "nobody can tell yet whether the tenant was moved")
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Removes copies that do not count, where nobody is about to make them count. Those of places that are away are removed later.
    pub(crate) async fn clear_up(&self, strays: Vec<(TenantId, i64)>) -> Result<(), Error> {
        let left = self.remove_strays(strays).await?;
        if !left.is_empty() {
            tokio::spawn(clear_up_later(Arc::downgrade(&self.0), left));
        }
        Ok(())
    }

    /// Answers those that cannot be removed now.
    async fn remove_strays(&self, strays: Vec<(TenantId, i64)>) -> Result<Vec<(TenantId, i64)>, Error> {
        let mut left = Vec::new();
        for (tenant, number) in strays {
            let Some(_guard) = self.0.places.home().guard(tenant).await? else { continue };
            if self.0.places.engine(number).is_err() {
                tracing::warn!(tenant.id = %tenant, "a copy that does not count is in a place that the configuration does not name");
                continue;
            }
            match self.remove_stray(tenant).await {
                Err(error) if error.code() == AWAY => left.push((tenant, number)),
                removed => removed?,
            }
        }
        Ok(left)
    }

    /// Removes a tenant's copy that does not count, if control notes one now. Whoever asks has the guard.
    async fn remove_stray(&self, tenant: TenantId) -> Result<(), Error> {
        let noted = self.0.places.home().tally(TenantId::OPERATOR, TallyKey::Stray(tenant).text()).await?;
        let counts = self.0.places.look_up(tenant).await?;
        let Some(stray) = noted.filter(|stray| *stray != counts) else { return Ok(()) };
        tracing::info!(tenant.id = %tenant, "removing what a move left behind");
        self.0.places.engine(stray)?.remove(tenant).await?;
        // It may have been stopped before its commits went on.
        self.0.places.engine(counts)?.unfence(tenant).await?;
        self.note(vec![(TallyKey::Stray(tenant), None)]).await
    }

    /// Writes notes into control, all or none.
    pub(crate) async fn note(&self, notes: Vec<(TallyKey, Option<i64>)>) -> Result<(), Error> {
        let notes = notes.into_iter().map(|(key, value)| Tally::Note { key, value });
        marks::write_tallies(self.0.places.home(), self.seen(), notes.collect()).await
    }
}

/// Tries again for as long as the store is open. Until then the tenants are read, and may not be written to.
async fn clear_up_later(store: Weak<Inner>, mut strays: Vec<(TenantId, i64)>) {
    while !strays.is_empty() {
        tokio::time::sleep(LATER).await;
        let Some(inner) = store.upgrade() else { return };
        match Store(inner).remove_strays(strays.clone()).await {
            Ok(left) => strays = left,
            Err(error) => tracing::debug!(error.code = error.code(), "what moves left behind cannot be removed now"),
        }
    }
}

/// Lets commits go on at the source; answers whether they do. Until then the note stays, by which the next move or start tries again.
async fn unfence(source: &Engine, tenant: TenantId) -> bool {
    for _ in 0..ASKED {
        match source.unfence(tenant).await {
            Ok(()) => return true,
            Err(error) => tracing::debug!(tenant.id = %tenant, error.causes = error.causes(), "commits do not go on yet"),
        }
        tokio::time::sleep(SHORT).await;
    }
    false
}

fn refuse_operator(tenant: TenantId) -> Result<(), Error> {
    if tenant != TenantId::OPERATOR {
        return Ok(());
    }
    let detail = "The operator's tenant is the installation itself: it can be neither moved nor erased.";
    Err(Error::new(ErrorKind::Conflict, "tenant_fixed", detail))
}

fn tenant_busy() -> Error {
    let detail = "This tenant is being moved, loaded or erased, or does not come to rest: try again in a moment.";
    Error::new(ErrorKind::Conflict, "tenant_busy", detail)
}

fn restless() -> Error {
    let detail = "This tenant is written faster than a copy can follow: try again when there is less to do.";
    Error::new(ErrorKind::Unavailable, "tenant_restless", detail).with_retry_after(Duration::from_secs(60))
}
