//! A tenant as one stream: everything it has in its namespace, written so that any engine can read it back, the same event for the same
//! event.
//!
//! The stream is frames (length, checksum, content; see `frame`), which nobody compresses here: whoever stores it may. First a header, then
//! rows of tables, last an end that repeats position and hash of the last event and counts what was told. What is derived from the rows is not
//! told: index, unique keys and search are made while loading.
//!
//! Nothing is locked while it is read and no snapshot is held for long. Rows are read in steps while commits go on; since every change of a
//! record leaves an event, the events that came meanwhile name the records that must be told again. That is repeated until little is left,
//! and the rest is read in one short snapshot, together with the tables that change without an event. An increment, the events after a
//! position, is the second half of the same.

pub(crate) mod derive;
mod elsewhere;
mod frame;
mod load;
mod read;
mod table;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Error, ErrorKind, RecordId, TenantId};
use tokio::sync::mpsc;

use crate::kind::Kinds;
use crate::places::ask;
use crate::store::Store;
use crate::tally::TallyKey;
use crate::{postgres, sqlite};
pub use elsewhere::Elsewhere;
pub(crate) use frame::Cell;
pub use load::Loading;
pub(crate) use table::{Column, Is, TABLES, Table};

/// Frames that wait for whoever takes them.
const WAITING: usize = 4;

/// A place in the event chain: the position of an event and its hash, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// 0 before the first event.
    pub position: i64,
    /// 64 digits, all 0 before the first event.
    pub hash: String,
}

impl Position {
    pub(crate) fn of((position, hash): (i64, [u8; 32])) -> Self {
        Self { position, hash: steward_base::hex(&hash) }
    }
}

/// Why telling something ended before its end.
#[derive(Debug)]
pub enum Stopped {
    /// Nobody listens any more.
    Unheard,
    /// It could not be told.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A tenant's data on its way out: a stream of bytes.
#[derive(Debug)]
pub struct Dump {
    frames: mpsc::Receiver<Result<Bytes, Error>>,
    end: Arc<OnceLock<Position>>,
}

impl Dump {
    pub(crate) fn of(frames: mpsc::Receiver<Result<Bytes, Error>>, end: Arc<OnceLock<Position>>) -> Self {
        Self { frames, end }
    }

    /// Where it ends, to be asked once the stream has.
    pub fn end(&self) -> Arc<OnceLock<Position>> {
        self.end.clone()
    }
}

impl Stream for Dump {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.poll_recv(context)
    }
}

impl Store {
    /// Everything of a tenant as one stream, or what changed after a position: see [`Dump`]. Commits go on meanwhile; it ends at a position of
    /// its own.
    ///
    /// Errors, in the stream: `dump_position` when there is no event at the position, `dump_cut` when nobody read on while the last moment was
    /// held.
    pub async fn dump(&self, tenant: TenantId, after: Option<i64>) -> Result<Dump, Error> {
        if let Some(remote) = self.remote() {
            return remote.dump(tenant, after).await;
        }
        let reader = ask!(self.0.places, tenant, engine => engine.reader(tenant))?;
        Ok(begin(reader, tenant, (&self.0.kinds, &self.0.clock), after))
    }

    /// Begins to load a tenant that has no namespace: see [`Loading`]. Fails with `tenant_exists` and `tenant_busy`.
    pub async fn load(&self, tenant: TenantId) -> Result<Loading, Error> {
        if let Some(remote) = self.remote() {
            return remote.load(tenant).await;
        }
        let place = self.0.places.place_of(tenant);
        match ask!(self.0.places, tenant, engine => engine.head(tenant)) {
            // Control is always there: as long as nothing happened in it, another one may take its place.
            Ok((position, _)) if tenant == TenantId::OPERATOR && position == 0 => {}
            Ok(_) => return Err(tenant_exists()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // It may be there all the same.
            Err(error) => return Err(error),
        }
        // Where new tenants are put.
        let moves_in = place == self.0.places.home_number() && tenant != TenantId::OPERATOR;
        let place = self.0.places.newcomers().filter(|_| moves_in).unwrap_or(place);
        if place != self.0.places.place_of(tenant) {
            self.note(vec![(TallyKey::Place(tenant), Some(place))]).await?;
            self.0.places.put(tenant, place);
        }
        Ok(Loading::begin(tenant, self.0.places.engine(place)?.writer(tenant).await?))
    }

    /// The hash of the tenant's event at a position; nothing when there is none.
    pub async fn hash_at(&self, ctx: &Ctx, position: i64) -> Result<Option<String>, Error> {
        if position == 0 {
            return Ok(Some(steward_base::hex(&[0; 32])));
        }
        let found = ask!(self.0.places, ctx.tenant(), engine => engine.events(ctx.tenant(), position - 1, 1))?;
        Ok(found.first().filter(|event| event.position == position).map(|event| steward_base::hex(&event.hash)))
    }

    /// Makes what was loaded the tenant's namespace, durably and at once. Fails with `tenant_exists` when there is one.
    pub async fn publish(&self, loading: Loading) -> Result<(), Error> {
        // Its jobs may be due, and its events may wait for consumers.
        let tenant = loading.tenant();
        if self.remote().is_some() {
            // What is to be done beside it is done there.
            loading.finish().await?;
            self.0.positions.begin_life(tenant);
            self.vault().forget(tenant);
            return Ok(());
        }
        let _using = self.0.marks.begin(&self.0.places, self.seen(), tenant).await?;
        self.vault().forget(tenant);
        loading.finish().await?;
        self.0.positions.begin_life(tenant);
        self.0.stirred.add(tenant);
        self.0.told.add(tenant);
        Ok(())
    }
}

/// Begins to tell a tenant; ends by itself when the stream is dropped.
pub(crate) fn begin(reader: Reader, tenant: TenantId, (kinds, clock): (&Kinds, &Clock), after: Option<i64>) -> Dump {
    let (frames, dump) = mpsc::channel(WAITING);
    let kinds = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let end = Arc::new(OnceLock::new());
    tokio::spawn(read::run(reader, read::Telling { tenant, kinds, clock: clock.clone(), after, end: end.clone() }, frames));
    Dump { frames: dump, end }
}

/// Rows of one table and where to go on; `None` behind the last.
pub(crate) struct Page {
    pub(crate) rows: Vec<Vec<Cell>>,
    pub(crate) next: Option<Vec<Cell>>,
}

/// How an engine reads a namespace. Between `hold` and `release` everything is of one moment.
pub(crate) enum Reader {
    Sqlite(sqlite::Reader),
    Postgres(postgres::Reader),
}

impl Reader {
    async fn hold(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(reader) => reader.hold().await,
            Self::Postgres(reader) => reader.hold().await,
        }
    }

    async fn release(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(reader) => reader.release().await,
            Self::Postgres(reader) => reader.release().await,
        }
    }

    async fn head(&mut self) -> Result<(i64, [u8; 32]), Error> {
        match self {
            Self::Sqlite(reader) => reader.head().await,
            Self::Postgres(reader) => reader.head().await,
        }
    }

    async fn page(&mut self, table: &'static Table, after: Option<Vec<Cell>>) -> Result<Page, Error> {
        match self {
            Self::Sqlite(reader) => reader.page(table, after).await,
            Self::Postgres(reader) => reader.page(table, after).await,
        }
    }

    /// The records with these ids, of whatever kind.
    async fn named(&mut self, ids: Vec<RecordId>) -> Result<Vec<Vec<Cell>>, Error> {
        match self {
            Self::Sqlite(reader) => reader.named(ids).await,
            Self::Postgres(reader) => reader.named(ids).await,
        }
    }
}

/// What an engine does to a namespace that is being loaded; each is a transaction of its own.
#[derive(Debug)]
pub(crate) enum Step {
    /// Rows of a table other than records.
    Put(&'static Table, Vec<Vec<Cell>>),
    /// Records that are not there yet, with what is derived from them.
    Records(Vec<Vec<Cell>>),
    /// No records under these ids any more.
    Remove(Vec<RecordId>),
    /// No rows of a table any more.
    Clear(&'static Table),
    /// Position and hash of the last event.
    Head(i64, [u8; 32]),
}

/// How an engine writes a namespace that nobody sees before it is whole.
pub(crate) enum Writer {
    /// For finding out whether it could be written.
    Nowhere,
    Sqlite(sqlite::Writer),
    Postgres(postgres::Writer),
}

impl Writer {
    async fn step(&mut self, step: Step) -> Result<(), Error> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Sqlite(writer) => writer.step(step).await,
            Self::Postgres(writer) => writer.step(step).await,
        }
    }

    /// Brings to disk what was written, so that little is left to do at the end.
    async fn sync(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(writer) => writer.sync().await,
            Self::Postgres(_) | Self::Nowhere => Ok(()),
        }
    }

    /// Makes it the tenant's namespace, durably and at once. Fails with `tenant_exists` when there is one.
    async fn publish(self) -> Result<(), Error> {
        match self {
            Self::Nowhere => Err(Error::internal("what was only looked at cannot be published")),
            Self::Sqlite(writer) => writer.publish().await,
            Self::Postgres(writer) => writer.publish().await,
        }
    }

    /// Removes what was written.
    async fn discard(self) {
        match self {
            Self::Nowhere => {}
            Self::Sqlite(writer) => writer.discard().await,
            Self::Postgres(writer) => writer.discard().await,
        }
    }
}

/// There is a namespace already where one is to be made.
pub(crate) fn tenant_exists() -> Error {
    let detail = "This tenant is here already: erase it first, or load into another installation.";
    Error::new(ErrorKind::Conflict, "tenant_exists", detail)
}

/// The stream does not hold what it should.
pub(crate) fn damaged(why: impl Into<String>) -> Error {
    let detail = "This copy of a tenant is damaged: take another one.";
    Error::new(ErrorKind::Invalid, "dump_damaged", detail).with_source(why.into())
}
