//! The handle that everything else holds.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use steward_base::filter::Expr;
use steward_base::{Clock, Ctx, Error, ErrorKind, Event, Parts, Principal, Random, RecordId, TenantId, Timestamp};
use tokio::sync::watch;

use crate::attempt::Remembered;
use crate::building::{Role, Unclaimed};
use crate::engine::{Engine, Surroundings};
use crate::heads::Moved;
use crate::job::{Claim, Job, JobChange, JobQuery};
use crate::keys::{MasterKey, Vault};
use crate::kind::{Kind, Kinds, Model};
use crate::list::{FacetQuery, Facets, SearchPage, SearchQuery};
use crate::marks::{Mark, Marks, Seen};
use crate::moving::Busy;
use crate::places::{Place, Places, ask};
use crate::query::{ListQuery, MAX_LIMIT, Page};
use crate::remote::{LinkKey, Remote};
use crate::rows::EventRow;
use crate::stirred::Stirred;
use crate::tally::{MARK, TallyKey};
use crate::unit::{Committed, UnitOfWork};
use crate::{Record, list, prepare};

/// How often [`Store::update`] tries again when someone else was faster.
const UPDATE_TRIES: usize = 16;
/// Most events of one answer.
const MAX_EVENTS: usize = 10_000;

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
    vault: Vault,
    moved: Moved,
    pub(crate) marks: Arc<Marks>,
    pub(crate) busy: Arc<Busy>,
    /// For what the store itself writes into control.
    control: Ctx,
}

impl Store {
    /// Opens the store and provisions the `control` namespace.
    ///
    /// Errors: `data_dir_locked` when another process has the folder open, `storage_*` and `database_unavailable` when it cannot be reached;
    /// `data_unreachable`, `data_refused`, `kinds_differ` and `master_key_wrong` of another process.
    pub async fn open(options: Options, kinds: Kinds, clock: Clock, random: Random) -> Result<Self, Error> {
        kinds.verify().map_err(Error::internal)?;
        let kinds = Arc::new(kinds);
        let (stirred, told) = (Arc::new(Stirred::default()), Arc::new(Stirred::default()));
        let (jobs, events) = (stirred.clone(), told.clone());
        let (vault, master) = (Vault::new(options.master.clone()), options.master);
        let surroundings = Surroundings {
            kinds: kinds.clone(),
            clock: clock.clone(),
            random: random.clone(),
            master,
            positions: Arc::default(),
            stirred: jobs,
            told: events,
        };
        let places = Places::open(options.backend, &surroundings).await?;
        let (marks, busy, control) = (Arc::default(), Arc::default(), own(TenantId::OPERATOR, "marks"));
        let moved = Moved::default();
        let store = Self(Arc::new(Inner { places, kinds, clock, random, stirred, told, vault, moved, marks, busy, control }));
        store.0.places.home().provision(TenantId::OPERATOR).await?;
        store.check_master().await?;
        let strays = store.0.places.learn().await?;
        store.remove_strays(strays).await?;
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

    /// Reads a record, changes it and writes it; tries again when someone else was faster. Fields that `M` does not know stay.
    pub async fn update<M: Model>(
        &self,
        ctx: &Ctx,
        id: RecordId,
        mut change: impl FnMut(&mut M) -> Result<(), Error> + Send,
    ) -> Result<Record, Error> {
        self.update_with(ctx, id, |model, unit| change(model).map(|()| unit)).await
    }

    /// The same, with more to commit beside it: the closure gets a unit to add events, guards and other records to.
    pub async fn update_with<M: Model>(
        &self,
        ctx: &Ctx,
        id: RecordId,
        mut change: impl FnMut(&mut M, UnitOfWork) -> Result<UnitOfWork, Error> + Send,
    ) -> Result<Record, Error> {
        let kind = self.0.kinds.at(self.kind(M::KIND)?).clone();
        let mut tries = 0;
        loop {
            let record = self.get(ctx, M::KIND, id).await?.ok_or_else(|| Error::not_found(&kind.name().replace('_', " ")))?;
            let mut model: M = record.decode()?;
            let unit = change(&mut model, UnitOfWork::new())?;
            let body = with_unknown_fields(&kind, record.body.object()?, &model)?;
            let unit = unit.put(M::KIND, id, body, crate::Expect::Version(record.version));
            tries += 1;
            // A unit under way is large, and this future is part of many.
            match Box::pin(self.commit(ctx, unit)).await {
                Err(error) if error.code() == "version_conflict" && tries < UPDATE_TRIES => {}
                Err(error) => return Err(error),
                Ok(committed) => {
                    let written = committed.records.into_iter().find(|record| record.id == id && *record.kind == *M::KIND);
                    return written.ok_or_else(|| Error::internal("a commit answered without the record it wrote"));
                }
            }
        }
    }

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
        for tenant in self.0.marks.idle(&self.0.clock, idle).into_iter().filter(|tenant| !self.0.moved.waits(*tenant)) {
            self.0.marks.settle(&self.0.places, self.seen(), tenant, handled(tenant)).await?;
        }
        Ok(())
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

    /// The last committed position of a tenant, now and whenever it changes: a wake-up, not a queue. 0 until the first is known.
    pub fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        match self.0.places.of(tenant) {
            Ok(engine) => engine.watch(tenant),
            Err(_) => watch::Sender::new(0).subscribe(),
        }
    }

    /// Whether it can write; otherwise why not: `storage_full`, `storage_read_only`, `storage_failed`, `database_unavailable`.
    pub async fn health(&self) -> Result<(), Error> {
        for engine in self.0.places.each() {
            engine.health().await?;
        }
        Ok(())
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

/// The stored body with the model's fields: what the model does not know, a newer version wrote.
fn with_unknown_fields<M: Model>(kind: &Kind, stored: Map<String, Value>, model: &M) -> Result<Map<String, Value>, Error> {
    let Value::Object(mut body) = serde_json::to_value(model).map_err(Error::internal)? else {
        return Err(Error::internal(format!("the body of kind {} is not an object", kind.name())));
    };
    keep_unknown(kind.schema(), stored, &mut body);
    Ok(body)
}

fn keep_unknown(schema: &Value, stored: Map<String, Value>, body: &mut Map<String, Value>) {
    let known = schema.get("properties").and_then(Value::as_object);
    // An object without declared properties is a map: the model holds all of it.
    let Some(known) = known else { return };
    for (name, value) in stored {
        match (known.get(&name), value) {
            (None, value) => {
                body.entry(name).or_insert(value);
            }
            (Some(below), Value::Object(stored)) => {
                if let Some(Value::Object(body)) = body.get_mut(&name) {
                    keep_unknown(below, stored, body);
                }
            }
            _ => {}
        }
    }
}
