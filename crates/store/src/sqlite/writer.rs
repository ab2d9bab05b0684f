//! Loading a namespace into a file of its own, which takes its place among the others once it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ToSql, params, params_from_iter};
use steward_base::{Error, ErrorKind, TenantId};

use super::codes::{self, Codes};
use super::failure::{Failure, system};
use super::namespace::connect;
use super::{Shared, blocking, dialect, reader, tables, write};
use crate::dump::derive::{self, Claim};
use crate::dump::{Cell, Is, Step, Table, damaged, tenant_exists};
use crate::durable;
use crate::engine::{Surroundings, closed};
use crate::kind::Kinds;
use crate::rows::Writes;

/// Nothing of this file counts before it is whole, so it needs neither a journal nor the disk's word.
const UNGUARDED: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY";

/// A file that is being written. Dropping it removes it.
pub(crate) struct Writer {
    connection: Option<Connection>,
    codes: Arc<Codes>,
    tenant: TenantId,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn begin(shared: &Arc<Shared>, tenant: TenantId) -> Result<Self, Error> {
        if !shared.aside.lock().insert(tenant) {
            let detail = "This tenant is being loaded or removed already: wait until that has ended.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_busy", detail));
        }
        // That nothing happened in control was looked at before.
        let taken = match super::has_file(&shared.path(tenant)) {
            Ok(there) => (there && tenant != TenantId::OPERATOR).then(tenant_exists),
            Err(error) => Some(system(error)),
        };
        if let Some(error) = taken {
            shared.aside.lock().remove(&tenant);
            return Err(error);
        }
        let path = shared.dir.join(super::LOADING).join(format!("{tenant}.db"));
        let made = remove(&path).map_err(Failure::from).and_then(|()| create(&path, shared, tenant));
        match made {
            Ok((connection, codes)) => {
                Ok(Self { connection: Some(connection), codes: Arc::new(codes), tenant, path, shared: shared.clone() })
            }
            Err(failure) => {
                shared.aside.lock().remove(&tenant);
                Err(failure.into_error(&shared.dir))
            }
        }
    }

    pub(crate) async fn step(&mut self, step: Step) -> Result<(), Error> {
        let connection = self.connection.take().ok_or_else(closed)?;
        let (codes, shared) = (self.codes.clone(), self.shared.clone());
        let ran = tokio::task::spawn_blocking(move || {
            let done = run(&connection, &codes, &shared.surroundings, step);
            (connection, done)
        });
        let (connection, done) = ran.await.map_err(Error::internal)?;
        self.connection = Some(connection);
        done.map_err(|failure| match failure {
            Failure::Sql(rusqlite::Error::SqliteFailure(refused, told)) if refused.code == ErrorCode::ConstraintViolation => {
                damaged(told.unwrap_or_default())
            }
            other => other.into_error(&self.shared.dir),
        })
    }

    pub(crate) fn sync(&self) -> impl Future<Output = Result<(), Error>> + use<> {
        let path = self.path.clone();
        blocking(move || File::open(path).and_then(|file| file.sync_data()).map_err(system))
    }

    pub(crate) async fn publish(mut self) -> Result<(), Error> {
        let connection = self.connection.take().ok_or_else(closed)?;
        if self.tenant == TenantId::OPERATOR {
            super::remove::namespace(&self.shared, self.tenant).await?;
        }
        self.shared.surroundings.generations.forget(self.tenant);
        let (from, to) = (self.path.clone(), self.shared.path(self.tenant));
        blocking(move || {
            drop(connection);
            File::open(&from).and_then(|file| file.sync_all()).map_err(system)?;
            // Unlike renaming, this replaces nothing.
            std::fs::hard_link(&from, &to).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => tenant_exists(),
                _ => system(error),
            })?;
            durable::sync_name(&to).map_err(system)
        })
        .await
    }

    pub(crate) async fn discard(self) {
        let _ = blocking(move || {
            drop(self);
            Ok(())
        })
        .await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.connection.take();
        // What stays is removed by the next start.
        let _ = remove(&self.path);
        self.shared.aside.lock().remove(&self.tenant);
    }
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(system(error)),
        _ => Ok(()),
    }
}

fn create(path: &Path, shared: &Shared, tenant: TenantId) -> Result<(Connection, Codes), Failure> {
    let connection = connect(path)?;
    connection.execute_batch(UNGUARDED)?;
    let (codes, _) = codes::migrate(&connection, &shared.surroundings.kinds, &shared.surroundings.clock, tenant)?;
    Ok((connection, codes))
}

fn run(connection: &Connection, codes: &Codes, surroundings: &Surroundings, step: Step) -> Result<(), Failure> {
    let kinds = &surroundings.kinds;
    connection.prepare_cached("BEGIN")?.execute([])?;
    match step {
        Step::Put(table, rows) => {
            put(connection, codes, table, &rows)?;
            if table.is_events() {
                let spans = derive::spans(&rows, surroundings.clock.now());
                write::write(connection, codes, kinds, Writes { spans, ..Writes::default() })?;
            }
        }
        Step::Records(rows) => enter(connection, codes, kinds, &rows)?,
        Step::Remove(ids) => {
            let rows = reader::named(connection, codes, &ids)?;
            write::write(connection, codes, kinds, derive::left(kinds, &rows)?)?;
            let mut remove = connection.prepare_cached(tables::REMOVE)?;
            for row in &rows {
                remove.execute(params![codes.tenant, row[0], row[1]])?;
            }
        }
        Step::Clear(table) => {
            connection.prepare_cached(&tables::clear(table))?.execute([codes.tenant])?;
        }
        Step::Head(position, hash) => {
            connection.prepare_cached(dialect::MOVE_HEAD)?.execute(params![codes.tenant, position, &hash[..]])?;
        }
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn put(connection: &Connection, codes: &Codes, table: &Table, rows: &[Vec<Cell>]) -> Result<(), Failure> {
    let mut insert = connection.prepare_cached(&tables::insert(table))?;
    for row in rows {
        let bound = std::iter::once(&codes.tenant as &dyn ToSql).chain(row.iter().map(|cell| cell as &dyn ToSql));
        insert.execute(params_from_iter(bound))?;
    }
    Ok(())
}

fn enter(connection: &Connection, codes: &Codes, kinds: &Kinds, rows: &[Vec<Cell>]) -> Result<(), Failure> {
    let table = &crate::dump::TABLES[0];
    let kind = table.columns.iter().position(|column| column.is == Is::Kind).unwrap_or_default();
    // A kind that this version does not have keeps its records.
    for name in rows.iter().map(|row| &row[kind]).collect::<Vec<_>>().chunk_by(|a, b| a == b).filter_map(|same| same.first()) {
        connection.prepare_cached(dialect::INTERN_KIND)?.execute([name])?;
    }
    put(connection, codes, table, rows)?;
    let (writes, claims) = derive::entered(kinds, rows)?;
    write::write(connection, codes, kinds, writes)?;
    claim(connection, codes, claims)
}

fn claim(connection: &Connection, codes: &Codes, claims: Vec<Claim>) -> Result<(), Failure> {
    let (mut displace, mut over) = (connection.prepare_cached(tables::DISPLACE)?, connection.prepare_cached(tables::CLAIM_OVER)?);
    for ((kind, field, value), id) in claims {
        let id = id.bytes();
        let bound = params![codes.tenant, codes.kind(kind), codes.field(kind, field), value, &id[..]];
        displace.execute(bound)?;
        over.execute(bound)?;
    }
    Ok(())
}
