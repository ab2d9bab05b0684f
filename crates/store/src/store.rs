//! The handle that everything else holds: opening it, reading records, committing. What it tells of events is in `told`, of jobs and what else
//! waits in `queued`, and reading to write again in `change`.

mod change;
mod queued;
mod told;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use steward_base::filter::Expr;
use steward_base::{Clock, Ctx, Error, ErrorKind, Parts, Principal, Random, RecordId, TenantId};

use crate::building::{Role, Unclaimed};
use crate::engine::{Engine, Surroundings};
use crate::generations::Generations;
use crate::heads::Moved;
use crate::keys::{MasterKey, Vault};
use crate::kind::Kinds;
use crate::list::{FacetQuery, Facets, SearchPage, SearchQuery};
use crate::marks::{Marks, Seen};
use crate::moving::Busy;
use crate::places::{Place, Places, ask};
use crate::positions::Positions;
use crate::query::{ListQuery, Page};
use crate::remote::{LinkKey, Remote};
use crate::stirred::Stirred;
use crate::tally::TallyKey;
use crate::unit::{Committed, UnitOfWork};
use crate::{Record, list, prepare};

/// Where the data is.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Files in a folder that this process alone opens.
    Sqlite {
        /// Made when missing.
        dir: PathBuf,
    },
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, as libpq reads it; an encrypted connection is always verified.
        url: steward_base::Secret<String>,
        /// Most connections this process opens; 16 is ordinary.
        connections: usize,
    },
    /// Another process of the installation, which has the `data` role.
    Remote {
        /// Scheme, host and port, as in `http://127.0.0.1:8081`.
        url: String,
        /// The key that both have.
        key: LinkKey,
    },
    /// Several of these. The first is home: control is there, and every tenant that was not put elsewhere.
    Places {
        /// Each a folder or a server.
        places: Vec<Place>,
        /// The name of the one that new tenants are put in.
        newcomers: String,
    },
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the data is.
    pub backend: Backend,
    /// Wraps the keys that secrets and personal data are sealed under.
    pub master: MasterKey,
}

/// The record kernel. Clones are one store.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) places: Places,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) clock: Clock,
    random: Random,
    pub(crate) stirred: Arc<Stirred>,
    pub(crate) told: Arc<Stirred>,
    generations: Arc<Generations>,
    vault: Vault,
    moved: Moved,
    pub(crate) positions: Arc<Positions>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) busy: Arc<Busy>,
    /// For what the store itself writes into control.
    control: Ctx,
}

impl Store {
    /// Opens the store and provisions the `control` namespace.
    ///
    /// Errors: `data_dir_locked` when another process has the folder open, `storage_*` and `database_unavailable` when it cannot be reached;
    /// `place_away` when tenants are in a folder that is not there; `data_unreachable`, `data_refused`, `kinds_differ` and `master_key_wrong` of another process.
    pub async fn open(options: Options, kinds: Kinds, clock: Clock, random: Random) -> Result<Self, Error> {
        kinds.verify().map_err(Error::internal)?;
        let kinds = Arc::new(kinds);
        let (stirred, told) = (Arc::new(Stirred::default()), Arc::new(Stirred::default()));
        let (jobs, events) = (stirred.clone(), told.clone());
        let generations: Arc<Generations> = Arc::default();
        let (vault, master) = (Vault::new(options.master.clone()), options.master);
        let positions: Arc<Positions> = Arc::default();
        let surroundings = Surroundings {
            kinds: kinds.clone(),
            clock: clock.clone(),
            random: random.clone(),
            master,
            positions: positions.clone(),
            generations: generations.clone(),
            stirred: jobs,
            told: events,
        };
        let places = Places::open(options.backend, &surroundings).await?;
        let (marks, busy, control) = (Arc::default(), Arc::default(), own(TenantId::OPERATOR, "marks"));
        let moved = Moved::default();
        let inner = Inner { places, kinds, clock, random, stirred, told, generations, vault, moved, positions, marks, busy, control };
        let store = Self(Arc::new(inner));
        store.0.places.home().provision(TenantId::OPERATOR).await?;
        store.check_master().await?;
        let strays = store.0.places.learn().await?;
        store.clear_up(strays).await?;
        Ok(store)
    }

    /// The kinds it was opened with.
    pub fn kinds(&self) -> &Kinds {
        &self.0.kinds
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Its randomness.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// A new id for a record.
    pub fn mint_id(&self) -> RecordId {
        RecordId::new(&self.0.clock, &self.0.random)
    }

    /// Makes the namespace of a tenant, where new ones are put; nothing happens when it is there.
    pub async fn provision(&self, tenant: TenantId) -> Result<(), Error> {
        let places = &self.0.places;
        if let Some(place) = places.newcomers()
            && tenant != TenantId::OPERATOR
            && places.place_of(tenant) == places.home_number()
        {
            match places.home().head(tenant).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            self.note(vec![(TallyKey::Place(tenant), Some(place))]).await?;
            places.put(tenant, place);
        }
        places.of(tenant)?.provision(tenant).await
    }

    /// A live record.
    pub async fn get(&self, ctx: &Ctx, kind: &str, id: RecordId) -> Result<Option<Record>, Error> {
        let kind = self.kind(kind)?;
        let found = ask!(self.0.places, ctx.tenant(), engine => engine.get(ctx.tenant(), kind, id))?;
        Ok(found.filter(|row| row.deleted_at.is_none()).map(|row| row.into_record(self.0.kinds.at(kind), id)))
    }

    /// A record, live or in the recycle bin.
    pub async fn get_with_deleted(&self, ctx: &Ctx, kind: &str, id: RecordId) -> Result<Option<Record>, Error> {
        let kind = self.kind(kind)?;
        let found = ask!(self.0.places, ctx.tenant(), engine => engine.get(ctx.tenant(), kind, id))?;
        Ok(found.map(|row| row.into_record(self.0.kinds.at(kind), id)))
    }

    /// The live record with this value in a unique field; text is compared without case.
    pub async fn find(&self, ctx: &Ctx, kind: &str, field: &str, value: &str) -> Result<Option<Record>, Error> {
        if let Some(remote) = self.remote() {
            return remote.find(ctx.tenant(), kind, field, value).await;
        }
        let at = self.kind(kind)?;
        let kind = self.0.kinds.at(at);
        let unique = kind.fields().iter().enumerate().find(|(_, known)| known.path == field && known.unique);
        let (number, field) = unique.ok_or_else(|| Error::internal(format!("{}.{field} is not unique", kind.name())))?;
        let Some(key) = crate::value::unique(field.value, &Value::from(value)) else { return Ok(None) };
        ask!(self.0.places, ctx.tenant(), engine => engine.building(ctx.tenant()))?.refuse(&self.0.kinds, (at, number, Role::Unique))?;
        let found = ask!(self.0.places, ctx.tenant(), engine => engine.find(ctx.tenant(), at, number, key.clone()))?;
        Ok(found.map(|(id, row)| row.into_record(kind, id)))
    }

    /// The live records that share a value which became unique only after they had it.
    pub async fn unclaimed(&self, ctx: &Ctx) -> Result<Vec<Unclaimed>, Error> {
        if let Some(remote) = self.remote() {
            return remote.unclaimed(ctx.tenant()).await;
        }
        let mut unclaimed = Vec::new();
        for (at, number, id) in ask!(self.0.places, ctx.tenant(), engine => engine.unclaimed(ctx.tenant()))? {
            let kind = self.0.kinds.at(at);
            let Some(row) =
                ask!(self.0.places, ctx.tenant(), engine => engine.get(ctx.tenant(), at, id))?.filter(|row| row.deleted_at.is_none())
            else {
                continue;
            };
            let field = &kind.fields()[number];
            for key in field.unique_values(&row.parse()?) {
                let holder = ask!(self.0.places, ctx.tenant(), engine => engine.find(ctx.tenant(), at, number, key.clone()))?
                    .map(|(holder, _)| holder);
                if holder != Some(id) {
                    unclaimed.push(Unclaimed { kind: kind.shared_name(), field: field.path.clone(), id, holder });
                }
            }
        }
        Ok(unclaimed)
    }

    /// A page of live records, or of those in the recycle bin.
    ///
    /// Errors: `order_unknown`, `order_unsupported`, `cursor`, and `index_building` for an order that an upgrade just made possible.
    pub async fn list(&self, ctx: &Ctx, query: ListQuery) -> Result<Page, Error> {
        if let Some(remote) = self.remote() {
            return remote.list(ctx.tenant(), query).await;
        }
        let kind = self.kind(&query.kind)?;
        ask!(self.0.places, ctx.tenant(), engine => list::page(engine, ctx.tenant(), &self.0.kinds, kind, query.clone()))
    }

    /// A number that is another one as soon as a commit that changed a record of the kind is answered: what was read after asking for it holds for as
    /// long as it stays. `None` where other processes write too, and for kinds that are not known.
    pub fn generation(&self, tenant: TenantId, kind: &str) -> Option<u64> {
        let alone = self.0.places.of(tenant).is_ok_and(|engine| engine.is_alone());
        let kind = self.kind(kind).ok().filter(|_| alone)?;
        Some(self.0.generations.of(tenant, kind))
    }

    /// How many live records pass a filter, exactly; it looks at every row that no index can count.
    pub async fn count(&self, ctx: &Ctx, kind: &str, filter: Option<Expr>) -> Result<u64, Error> {
        if let Some(remote) = self.remote() {
            return remote.count(ctx.tenant(), kind, filter).await;
        }
        let at = self.kind(kind)?;
        ask!(self.0.places, ctx.tenant(), engine => list::count(engine, ctx.tenant(), &self.0.kinds, at, filter.clone()))
    }

    /// Which values the live records that pass a filter have in some fields, and how often.
    ///
    /// Errors: `facet_unknown`, `too_many_facets`.
    pub async fn facets(&self, ctx: &Ctx, query: FacetQuery) -> Result<Facets, Error> {
        if let Some(remote) = self.remote() {
            return remote.facets(ctx.tenant(), query).await;
        }
        let kind = self.kind(&query.kind)?;
        ask!(self.0.places, ctx.tenant(), engine => list::facets(engine, ctx.tenant(), &self.0.kinds, kind, query.clone()))
    }

    /// The live records that have some words in their searchable fields, newest first, over several kinds.
    ///
    /// Errors: `cursor`, and `index_building` while an upgrade made other fields searchable.
    pub async fn search(&self, ctx: &Ctx, query: SearchQuery) -> Result<SearchPage, Error> {
        if let Some(remote) = self.remote() {
            return remote.search(ctx.tenant(), query).await;
        }
        ask!(self.0.places, ctx.tenant(), engine => list::search(engine, ctx.tenant(), &self.0.kinds, query.clone()))
    }

    /// Commits a unit of work: when it answers, everything is on disk. Dropping the future does not stop a commit that has begun.
    ///
    /// Errors: `invalid` with fields, `version_conflict`, `already_exists`, `not_found`, `unique_taken`, `reference_missing`, `referenced`,
    /// `record_too_large`, `unit_too_large`, `job_too_large`, `job_not_finished`, `lease_lost`, `counter_bound`, `cursor_moved`,
    /// `already_received`, `idempotency_key_reused` and `idempotency_in_flight` when another request has the key of the context,
    /// `index_building` for what cannot be decided before a new key is built, and the `Unavailable` ones of [`Store::health`].
    pub async fn commit(&self, ctx: &Ctx, mut unit: UnitOfWork) -> Result<Committed, Error> {
        if let Some(remote) = self.remote() {
            let committed = remote.commit(ctx, unit).await?;
            self.0.moved.to(ctx.tenant(), committed.position);
            return Ok(committed);
        }
        self.with_sealer(ctx, &mut unit).await?;
        let mut prepared = prepare::unit(&self.0.kinds, ctx, unit)?;
        prepared.using = self.0.marks.begin(&self.0.places, self.seen(), ctx.tenant()).await?;
        // While it is under way its tenant is not moved.
        let done = self.0.places.of(ctx.tenant())?.commit(ctx.tenant(), prepared).await;
        if let Err(error) = &done
            && self.0.places.is_leaving(ctx.tenant(), error).await
        {
            let detail = "This tenant was moved to another place just now: try again.";
            let moved = Error::new(ErrorKind::Unavailable, "tenant_moved", detail);
            return Err(moved.with_retry_after(std::time::Duration::from_secs(1)));
        }
        let committed = done?;
        self.0.moved.to(ctx.tenant(), committed.position);
        Ok(committed)
    }

    /// Fails as [`Store::commit`] would, and does nothing.
    pub async fn rehearse(&self, ctx: &Ctx, unit: UnitOfWork) -> Result<(), Error> {
        self.commit(ctx, UnitOfWork { rehearsal: true, ..unit }).await.map(|_| ())
    }

    /// Whether it can write at home, without which nothing is served; otherwise why not: `storage_full`, `storage_read_only`, `storage_failed`,
    /// `database_unavailable`.
    pub async fn health(&self) -> Result<(), Error> {
        self.0.places.home().health().await
    }

    /// The same of each other place, by its name: only the tenants in it need it.
    pub async fn health_elsewhere(&self) -> Result<(), Error> {
        self.0.places.health_elsewhere().await
    }

    /// Finishes what was begun, refuses what comes after and lets go of the files.
    pub async fn close(&self) {
        for engine in self.0.places.each() {
            engine.close().await;
        }
    }

    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen { kinds: &self.0.kinds, clock: &self.0.clock, control: &self.0.control }
    }

    /// The process that has the data, when it is another one.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match self.0.places.home() {
            Engine::Remote(remote) => Some(remote),
            Engine::Sqlite(_) | Engine::Postgres(_) => None,
        }
    }

    pub(crate) fn moved_heads(&self) -> &Moved {
        &self.0.moved
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn kind(&self, name: &str) -> Result<usize, Error> {
        self.0.kinds.index(name).ok_or_else(|| unknown_kind(name))
    }
}

/// The store's own context: it restores what it promised.
pub(crate) fn own(tenant: TenantId, reason: &str) -> Ctx {
    Ctx::mint(Parts {
        principal: Principal::System,
        tenant,
        grants: Arc::new([]),
        reason: reason.into(),
        origin: None,
        trace_id: None,
        request_id: None,
    })
}

pub(crate) fn unknown_kind(name: &str) -> Error {
    Error::new(ErrorKind::Internal, "internal", "Something went wrong on our side. Quote the request id when you report it.")
        .with_source(format!("no kind is called {name}"))
}
