//! Where tenants are: the places of an installation, and which tenant is in which.
//!
//! The first place is home: control is there, and every tenant of which control notes nothing else. A note says where a tenant is, and another
//! one where a copy of it may be that does not count: what a move, or a crash during one, left behind. Notes are read once, at the start.

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::digest;
use futures_util::future::join_all;
use parking_lot::RwLock;
use steward_base::{Error, ErrorKind, TenantId};

use crate::engine::{Engine, Surroundings};
use crate::store::Backend;
use crate::tally::{PLACE, STRAY, TallyKey};

/// How the tenants of a place share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Each has a file or a schema of its own.
    #[default]
    Dedicated,
    /// All are in one schema; the database keeps them apart by row-level security, beside the condition in every statement. PostgreSQL only.
    Shared,
}

/// One place for tenants.
#[derive(Clone, Debug)]
pub struct Place {
    /// Kept with every tenant that is there: it must never name another place.
    pub name: String,
    /// A folder or a server.
    pub backend: Backend,
    /// How its tenants share it.
    pub layout: Layout,
}

/// Asks the engine that has a tenant. When the tenant was moved meanwhile, what failed is asked again where it is now. A function could not
/// say that the future of the question it is given may go to another thread.
macro_rules! ask {
    ($places:expr, $tenant:expr, $engine:ident => $question:expr) => {{
        let mut place = $places.place_of($tenant);
        loop {
            let $engine = $places.engine(place)?;
            match $question.await {
                Ok(answer) => break Ok(answer),
                Err(error) => match $places.moved($tenant, place, &error).await {
                    Some(now) => place = now,
                    None => break Err(error),
                },
            }
        }
    }};
}
pub(crate) use ask;

/// What a database that is away is refused with.
pub(crate) const AWAY: &str = "database_unavailable";

struct Spot {
    name: String,
    number: i64,
    engine: Engine,
}

pub(crate) struct Places {
    spots: Vec<Spot>,
    /// Where new tenants go.
    newcomers: usize,
    /// Tenants that are not at home, by the number of their place.
    placed: RwLock<HashMap<TenantId, i64>>,
}

impl Places {
    pub(crate) async fn open(backend: Backend, surroundings: &Surroundings) -> Result<Self, Error> {
        let (places, newcomers) = match backend {
            Backend::Places { places, newcomers } => (places, Some(newcomers)),
            backend => (vec![Place { name: "home".to_owned(), backend, layout: Layout::Dedicated }], None),
        };
        let mut spots: Vec<Spot> = Vec::with_capacity(places.len());
        for place in places {
            let number = number_of(&place.name);
            if spots.iter().any(|spot| spot.number == number) {
                return Err(Error::new(ErrorKind::Invalid, "place_unknown", format!("Two places are named {}.", place.name)));
            }
            if let (Some(home), Backend::Sqlite { dir }) = (spots.first(), &place.backend) {
                refuse_made_anew(&home.engine, number, (&place.name, dir)).await?;
            }
            let engine = Engine::open(place.backend, place.layout, surroundings.clone()).await?;
            match engine.check().await {
                Err(error) if !spots.is_empty() && error.code() == AWAY => {
                    tracing::warn!(place.name, error.causes = error.causes(), "a place is away: its tenants are refused until it is back");
                }
                checked => checked?,
            }
            spots.push(Spot { name: place.name, number, engine });
        }
        let newcomers = match newcomers {
            Some(name) => spots.iter().position(|spot| spot.name == name).ok_or_else(|| place_unknown(&name))?,
            None => 0,
        };
        if spots.is_empty() {
            return Err(Error::internal("a store needs a place"));
        }
        Ok(Self { spots, newcomers, placed: RwLock::default() })
    }

    /// Reads the notes of control, so that a tenant that is elsewhere does not look as if it were gone. Answers the copies that do not count.
    pub(crate) async fn learn(&self) -> Result<Vec<(TenantId, i64)>, Error> {
        let placed = self.notes(PLACE).await?;
        *self.placed.write() = placed;
        Ok(self.notes(STRAY).await?.into_iter().collect())
    }

    async fn notes(&self, prefix: &str) -> Result<HashMap<TenantId, i64>, Error> {
        let notes = self.home().notes(prefix).await?;
        Ok(notes.into_iter().filter_map(|(tenant, number)| Some((tenant.parse().ok()?, number))).collect())
    }

    /// The engine that holds control.
    pub(crate) fn home(&self) -> &Engine {
        &self.spots[0].engine
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Engine> {
        self.spots.iter().map(|spot| &spot.engine)
    }

    /// Asks each place but home; of those that are not well, the first is named.
    pub(crate) async fn health_elsewhere(&self) -> Result<(), Error> {
        let asked = self.spots[1..].iter().map(|spot| async move { (&spot.name, spot.engine.health().await) });
        for (name, health) in join_all(asked).await {
            if let Err(error) = health {
                let detail = format!("The place {name}: {}", error.detail());
                return Err(Error::new(error.kind(), error.code(), detail).with_source(error));
            }
        }
        Ok(())
    }

    /// The number of the place with a name.
    pub(crate) fn named(&self, name: &str) -> Result<i64, Error> {
        self.spots.iter().find(|spot| spot.name == name).map(|spot| spot.number).ok_or_else(|| place_unknown(name))
    }

    /// Where new tenants go, unless that is home.
    pub(crate) fn newcomers(&self) -> Option<i64> {
        (self.newcomers > 0).then(|| self.spots[self.newcomers].number)
    }

    /// The number of the place that a tenant is in.
    pub(crate) fn place_of(&self, tenant: TenantId) -> i64 {
        self.placed.read().get(&tenant).copied().unwrap_or(self.spots[0].number)
    }

    /// The name of the place that a tenant is in.
    pub(crate) fn name_of(&self, tenant: TenantId) -> Option<&str> {
        let number = self.place_of(tenant);
        self.spots.iter().find(|spot| spot.number == number).map(|spot| spot.name.as_str())
    }

    /// Remembers where a tenant is from now on.
    pub(crate) fn put(&self, tenant: TenantId, number: i64) {
        if number == self.spots[0].number {
            self.placed.write().remove(&tenant);
        } else {
            self.placed.write().insert(tenant, number);
        }
    }

    pub(crate) fn home_number(&self) -> i64 {
        self.spots[0].number
    }

    pub(crate) fn forget(&self, tenant: TenantId) {
        self.placed.write().remove(&tenant);
    }

    /// The engine of a place.
    pub(crate) fn engine(&self, number: i64) -> Result<&Engine, Error> {
        self.spots.iter().find(|spot| spot.number == number).map(|spot| &spot.engine).ok_or_else(|| {
            let detail = "This tenant's data is in a place that the configuration no longer names: name it again.";
            Error::new(ErrorKind::Unavailable, "place_missing", detail)
        })
    }

    /// The engine that has a tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Result<&Engine, Error> {
        self.engine(self.place_of(tenant))
    }

    /// Where a tenant is now that it could not be asked at `place`; nothing when that was not the reason.
    pub(crate) async fn moved(&self, tenant: TenantId, place: i64, error: &Error) -> Option<i64> {
        let mut now = self.place_of(tenant);
        if now == place {
            now = self.told_elsewhere(tenant, error).await?;
        }
        (now != place).then_some(now)
    }

    /// Where control says that a tenant is: another process may have moved it since this one was told. For whoever has the guard.
    pub(crate) async fn look_up(&self, tenant: TenantId) -> Result<i64, Error> {
        let noted = self.home().tally(TenantId::OPERATOR, TallyKey::Place(tenant).text()).await?;
        let number = noted.unwrap_or(self.spots[0].number);
        self.put(tenant, number);
        Ok(number)
    }

    /// Whether another process is moving a tenant away, or has done so: what could not be committed can be once that has ended.
    pub(crate) async fn is_leaving(&self, tenant: TenantId, error: &Error) -> bool {
        if !self.may_be_elsewhere(tenant, error) || error.kind() == ErrorKind::Unavailable {
            return false;
        }
        let noted = self.home().tally(TenantId::OPERATOR, TallyKey::Stray(tenant).text()).await;
        noted.is_ok_and(|stray| stray.is_some()) || self.told_elsewhere(tenant, error).await.is_some()
    }

    fn may_be_elsewhere(&self, tenant: TenantId, error: &Error) -> bool {
        let may_be = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Internal | ErrorKind::Unavailable);
        may_be && self.spots.len() > 1 && !self.home().is_alone() && tenant != TenantId::OPERATOR
    }

    /// Where control says that a tenant is, when another process may have moved or made it.
    async fn told_elsewhere(&self, tenant: TenantId, error: &Error) -> Option<i64> {
        if !self.may_be_elsewhere(tenant, error) {
            return None;
        }
        let noted = self.home().tally(TenantId::OPERATOR, TallyKey::Place(tenant).text()).await.ok()?;
        let number = noted.unwrap_or(self.spots[0].number);
        (number != self.place_of(tenant)).then(|| {
            self.put(tenant, number);
            number
        })
    }
}

/// Fails when tenants are in a folder that is not there: in one that is made in its place they would look as if they were gone.
async fn refuse_made_anew(home: &Engine, number: i64, (name, dir): (&str, &Path)) -> Result<(), Error> {
    if dir.join("tenants").is_dir() {
        return Ok(());
    }
    let notes = match home.notes(PLACE).await {
        Ok(notes) => notes,
        // There is no control yet, and no tenant.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if notes.iter().all(|(_, noted)| *noted != number) {
        return Ok(());
    }
    let detail = format!("Tenants are in the place {name}, and its folder {} is not there: is its disk mounted?", dir.display());
    Err(Error::new(ErrorKind::Unavailable, "place_away", detail))
}

/// A place's name as it is noted.
fn number_of(name: &str) -> i64 {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    i64::from_be_bytes(first) & i64::MAX
}

fn place_unknown(name: &str) -> Error {
    let detail = format!("No place is named {name}: use a name of the configuration.");
    Error::new(ErrorKind::Invalid, "place_unknown", detail)
}
