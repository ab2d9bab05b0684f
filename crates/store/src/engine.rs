//! The engines behind one handle; of a store in another process, those calls that are one question. Whatever takes several is cut at the store's
//! own port.

use std::sync::Arc;
use std::time::Duration;

use steward_base::{AttemptKey, Clock, Error, ErrorKind, Random, RecordId, TenantId};
use tokio::sync::watch;

use crate::attempt::Remembered;
use crate::building::Building;
use crate::dump::{Reader, Writer};
use crate::generations::Generations;
use crate::job::{Job, JobQuery};
use crate::keys::{KeyRow, MasterKey, Which};
use crate::kind::Kinds;
use crate::list::{Counted, Find, Range, Scan, Scanned};
use crate::places::Layout;
use crate::positions::Positions;
use crate::postgres::{self, Postgres};
use crate::prepare::Prepared;
use crate::remote::Remote;
use crate::rows::{EventRow, IndexField, Row};
use crate::sqlite::Sqlite;
use crate::stirred::Stirred;
use crate::store::Backend;
use crate::tally::MARK;
use crate::unit::Committed;

pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Remote(Remote),
}

/// See [`Engine::guard`]. It ends when it is dropped.
pub(crate) enum Guard {
    /// No other process can be there.
    ThisProcess,
    /// A lock of the server.
    Postgres(#[expect(dead_code, reason = "it is held, not used")] Box<postgres::Guard>),
}

/// What both engines are given.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) master: MasterKey,
    /// Tenants whose jobs changed.
    pub(crate) positions: Arc<Positions>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) stirred: Arc<Stirred>,
    /// Tenants with new events.
    pub(crate) told: Arc<Stirred>,
}

impl Engine {
    pub(crate) async fn open(backend: Backend, layout: Layout, surroundings: Surroundings) -> Result<Self, Error> {
        match (backend, layout) {
            (Backend::Sqlite { dir }, Layout::Dedicated) => Sqlite::open(dir, surroundings).await.map(Self::Sqlite),
            (Backend::Postgres { url, connections }, layout) => {
                Postgres::open(&url, connections, layout, surroundings).await.map(Self::Postgres)
            }
            (Backend::Remote { url, key }, Layout::Dedicated) => Remote::open(&url, key, surroundings).await.map(Self::Remote),
            (Backend::Sqlite { .. } | Backend::Remote { .. }, Layout::Shared) | (Backend::Places { .. }, _) => {
                let detail = "A place is a folder, whose tenants have a file each, or a PostgreSQL server.";
                Err(Error::new(ErrorKind::Invalid, "place_unknown", detail))
            }
        }
    }

    /// Fails when what was opened is away, or not as it must be.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) | Self::Remote(_) => Ok(()),
            Self::Postgres(engine) => engine.check().await,
        }
    }

    pub(crate) async fn provision(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.provision(tenant).await,
            Self::Postgres(engine) => engine.provision(tenant).await,
            Self::Remote(remote) => remote.provision(tenant).await,
        }
    }

    /// A record, deleted or not.
    pub(crate) async fn get(&self, tenant: TenantId, kind: usize, id: RecordId) -> Result<Option<Row>, Error> {
        match self {
            Self::Sqlite(engine) => engine.get(tenant, kind, id).await,
            Self::Postgres(engine) => engine.get(tenant, kind, id).await,
            Self::Remote(remote) => remote.get(tenant, kind, id).await,
        }
    }

    /// The live record that holds a unique key.
    pub(crate) async fn find(&self, tenant: TenantId, kind: usize, field: usize, key: Vec<u8>) -> Result<Option<(RecordId, Row)>, Error> {
        match self {
            Self::Sqlite(engine) => engine.find(tenant, kind, field, key).await,
            Self::Postgres(engine) => engine.find(tenant, kind, field, key).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// How many index entries lie in a range, counting no further than `most`.
    pub(crate) async fn count(
        &self,
        tenant: TenantId,
        kind: usize,
        field: IndexField,
        range: Range,
        most: Option<i64>,
    ) -> Result<i64, Error> {
        match self {
            Self::Sqlite(engine) => engine.count(tenant, kind, field, range, most).await,
            Self::Postgres(engine) => engine.count(tenant, kind, field, range, most).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// The keys that cannot be relied on yet.
    pub(crate) async fn building(&self, tenant: TenantId) -> Result<Arc<Building>, Error> {
        match self {
            Self::Sqlite(engine) => engine.building(tenant).await,
            Self::Postgres(engine) => engine.building(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Claims that could not be made when a key was built: kind, field and record. Some may be settled since.
    pub(crate) async fn unclaimed(&self, tenant: TenantId) -> Result<Vec<(usize, usize, RecordId)>, Error> {
        match self {
            Self::Sqlite(engine) => engine.unclaimed(tenant).await,
            Self::Postgres(engine) => engine.unclaimed(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Looks at the next rows along an index.
    pub(crate) async fn scan(&self, tenant: TenantId, scan: Scan) -> Result<Scanned, Error> {
        match self {
            Self::Sqlite(engine) => engine.scan(tenant, scan).await,
            Self::Postgres(engine) => engine.scan(tenant, scan).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    pub(crate) async fn commit(&self, tenant: TenantId, unit: Prepared) -> Result<Committed, Error> {
        match self {
            Self::Sqlite(engine) => engine.commit(tenant, unit).await,
            Self::Postgres(engine) => engine.commit(tenant, unit).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    pub(crate) async fn events(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        match self {
            Self::Sqlite(engine) => engine.events(tenant, after, limit).await,
            Self::Postgres(engine) => engine.events(tenant, after, limit).await,
            Self::Remote(remote) => remote.events(tenant, after, limit).await,
        }
    }

    /// A few events after a position, for which it is not worth waiting in line.
    pub(crate) async fn recent(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        match self {
            Self::Sqlite(engine) => engine.recent(tenant, after, limit).await,
            Self::Postgres(engine) => engine.events(tenant, after, limit).await,
            Self::Remote(remote) => remote.events(tenant, after, limit).await,
        }
    }

    /// The last position as it was at most `age` ago; the very last where no other process writes.
    pub(crate) async fn position(&self, tenant: TenantId, age: Duration) -> Result<i64, Error> {
        match self {
            Self::Sqlite(engine) => engine.position(tenant).await,
            Self::Postgres(engine) => engine.position(tenant, age).await,
            // One question in place of those that it spares.
            Self::Remote(remote) => remote.head(tenant).await.map(|(position, _)| position),
        }
    }

    /// The events about one subject, newest first, before a position.
    pub(crate) async fn history(&self, tenant: TenantId, subject: RecordId, before: i64, limit: usize) -> Result<Vec<EventRow>, Error> {
        match self {
            Self::Sqlite(engine) => engine.history(tenant, subject, before, limit).await,
            Self::Postgres(engine) => engine.history(tenant, subject, before, limit).await,
            Self::Remote(remote) => remote.history(tenant, subject, before, limit).await,
        }
    }

    /// First and last event of each unit of a request in some hours.
    pub(crate) async fn spans(&self, tenant: TenantId, request: i64, hours: Vec<i64>) -> Result<Vec<(i64, i64)>, Error> {
        match self {
            Self::Sqlite(engine) => engine.spans(tenant, request, hours).await,
            Self::Postgres(engine) => engine.spans(tenant, request, hours).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// The first distinct values of an index, each counted up to [`crate::list::MAX_COUNTED`].
    pub(crate) async fn values(&self, tenant: TenantId, kind: usize, field: IndexField, most: usize) -> Result<Vec<Counted>, Error> {
        match self {
            Self::Sqlite(engine) => engine.values(tenant, kind, field, most).await,
            Self::Postgres(engine) => engine.values(tenant, kind, field, most).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// How many search rows begin so, counting no further than `most`.
    pub(crate) async fn count_found(&self, tenant: TenantId, kind: usize, start: Box<str>, most: i64) -> Result<i64, Error> {
        match self {
            Self::Sqlite(engine) => engine.count_found(tenant, kind, start, most).await,
            Self::Postgres(engine) => engine.count_found(tenant, kind, start, most).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// The records of search rows, in no order, perhaps several times.
    pub(crate) async fn found(&self, tenant: TenantId, find: Find) -> Result<Vec<RecordId>, Error> {
        match self {
            Self::Sqlite(engine) => engine.found(tenant, find).await,
            Self::Postgres(engine) => engine.found(tenant, find).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// The live ones of these records, in no order.
    pub(crate) async fn some(&self, tenant: TenantId, kind: usize, ids: Vec<RecordId>) -> Result<Vec<(RecordId, Row)>, Error> {
        match self {
            Self::Sqlite(engine) => engine.some(tenant, kind, ids).await,
            Self::Postgres(engine) => engine.some(tenant, kind, ids).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Position and hash of the last event.
    pub(crate) async fn head(&self, tenant: TenantId) -> Result<(i64, [u8; 32]), Error> {
        match self {
            Self::Sqlite(engine) => engine.head(tenant).await,
            Self::Postgres(engine) => engine.head(tenant).await,
            Self::Remote(remote) => remote.head(tenant).await,
        }
    }

    pub(crate) async fn job(&self, tenant: TenantId, id: RecordId) -> Result<Option<Job>, Error> {
        match self {
            Self::Sqlite(engine) => engine.job(tenant, id).await,
            Self::Postgres(engine) => engine.job(tenant, id).await,
            Self::Remote(remote) => remote.job(tenant, id).await,
        }
    }

    pub(crate) async fn jobs(&self, tenant: TenantId, query: JobQuery) -> Result<Vec<Job>, Error> {
        match self {
            Self::Sqlite(engine) => engine.jobs(tenant, query).await,
            Self::Postgres(engine) => engine.jobs(tenant, query).await,
            Self::Remote(remote) => remote.jobs(tenant, query).await,
        }
    }

    /// When the next job of these kinds, or of any, is due, past or future, in microseconds.
    pub(crate) async fn next_due(&self, tenant: TenantId, kinds: Option<Vec<String>>) -> Result<Option<i64>, Error> {
        match self {
            Self::Sqlite(engine) => engine.next_due(tenant, kinds).await,
            Self::Postgres(engine) => engine.next_due(tenant, kinds).await,
            Self::Remote(remote) => remote.next_due(tenant, kinds).await,
        }
    }

    /// A counter, sequence or cursor by its stored name.
    pub(crate) async fn tally(&self, tenant: TenantId, name: String) -> Result<Option<i64>, Error> {
        match self {
            Self::Sqlite(engine) => engine.tally(tenant, name).await,
            Self::Postgres(engine) => engine.tally(tenant, name).await,
            Self::Remote(remote) => remote.tally(tenant, name).await,
        }
    }

    /// Data keys of a tenant, wrapped.
    pub(crate) async fn data_keys(&self, tenant: TenantId, which: Which) -> Result<Vec<KeyRow>, Error> {
        match self {
            Self::Sqlite(engine) => engine.data_keys(tenant, which).await,
            Self::Postgres(engine) => engine.data_keys(tenant, which).await,
            Self::Remote(remote) => remote.data_keys(tenant, which).await,
        }
    }

    /// What is remembered under the key of a request, expired or not.
    pub(crate) async fn remembered(&self, tenant: TenantId, key: AttemptKey) -> Result<Option<Remembered>, Error> {
        match self {
            Self::Sqlite(engine) => engine.remembered(tenant, key).await,
            Self::Postgres(engine) => engine.remembered(tenant, key).await,
            Self::Remote(remote) => remote.remembered(tenant, key).await,
        }
    }

    /// Overwrites what was deleted.
    pub(crate) async fn scrub(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.scrub(tenant).await,
            Self::Postgres(engine) => engine.scrub(tenant).await,
            Self::Remote(remote) => remote.scrub(tenant).await,
        }
    }

    /// Numbers in control whose names begin with a prefix: what comes behind it, a tenant's wire id, and the number.
    pub(crate) async fn notes(&self, prefix: &str) -> Result<Vec<(String, i64)>, Error> {
        match self {
            Self::Sqlite(engine) => engine.notes(prefix.to_owned()).await,
            Self::Postgres(engine) => engine.notes(prefix).await,
            // Where tenants are is the data role's own affair.
            Self::Remote(remote) if prefix == MARK => remote.marks().await,
            Self::Remote(_) => Ok(Vec::new()),
        }
    }

    /// Removes a tenant's namespace; one that is not there is fine.
    pub(crate) async fn remove(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.remove(tenant).await,
            Self::Postgres(engine) => engine.remove(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Lets no process commit to a tenant any more. Where there is one process, it holds its units back itself.
    pub(crate) async fn fence(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(engine) => engine.fence(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Lets commits go on.
    pub(crate) async fn unfence(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(engine) => engine.unfence(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Waits until no process is about to commit: what was sent before has happened by then, or never will.
    pub(crate) async fn quiet(&self, tenant: TenantId) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(engine) => engine.quiet(tenant).await,
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// The right to move a tenant, among all processes; nothing when another one has it.
    pub(crate) async fn guard(&self, tenant: TenantId) -> Result<Option<Guard>, Error> {
        match self {
            Self::Sqlite(_) => Ok(Some(Guard::ThisProcess)),
            Self::Postgres(engine) => Ok(engine.guard(tenant).await?.map(|guard| Guard::Postgres(Box::new(guard)))),
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// Brings what was deleted in control out of the engine's own log, as far as that is ours to do.
    pub(crate) async fn empty_log(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.empty_log().await,
            Self::Postgres(_) | Self::Remote(_) => Ok(()),
        }
    }

    /// For reading all of a tenant.
    pub(crate) async fn reader(&self, tenant: TenantId) -> Result<Reader, Error> {
        match self {
            Self::Sqlite(engine) => engine.reader(tenant).await.map(Reader::Sqlite),
            Self::Postgres(engine) => engine.reader(tenant).await.map(Reader::Postgres),
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    /// For loading a tenant that has no namespace.
    pub(crate) async fn writer(&self, tenant: TenantId) -> Result<Writer, Error> {
        match self {
            Self::Sqlite(engine) => engine.writer(tenant).await.map(Writer::Sqlite),
            Self::Postgres(engine) => engine.writer(tenant).await.map(Writer::Postgres),
            Self::Remote(_) => Err(elsewhere()),
        }
    }

    pub(crate) fn watch(&self, tenant: TenantId) -> watch::Receiver<i64> {
        match self {
            Self::Sqlite(engine) => engine.watch(tenant),
            Self::Postgres(engine) => engine.watch(tenant),
            Self::Remote(remote) => remote.watch(tenant),
        }
    }

    /// Whether no other process can write what this one writes.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    pub(crate) async fn health(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.health().await,
            Self::Postgres(engine) => engine.health().await,
            Self::Remote(remote) => remote.health().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
            Self::Remote(remote) => remote.close().await,
        }
    }
}

/// This is asked at the port of a store in another process, and not below.
fn elsewhere() -> Error {
    Error::internal("a part of a call was asked of a store in another process")
}

/// The tenant has no namespace.
pub(crate) fn no_namespace() -> Error {
    Error::not_found("tenant")
}

/// The store was closed: the process is going down.
pub(crate) fn closed() -> Error {
    let detail = "The server is shutting down: try again in a moment.";
    Error::new(steward_base::ErrorKind::Unavailable, "shutting_down", detail).with_retry_after(Duration::from_secs(1))
}

/// The same error for each unit of a batch; the cause goes along as text.
pub(crate) fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.code(), error.detail().to_owned()).with_source(error.causes());
    match error.retry_after() {
        Some(after) => copy.with_retry_after(after),
        None => copy,
    }
}
