//! Reading a whole file, a step at a time on a connection of its own.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, ToSql, params, params_from_iter};
use steward_base::{Error, RecordId};

use super::codes::Codes;
use super::failure::Failure;
use super::namespace::{Open, connect};
use super::{read, tables};
use crate::dump::{Cell, Page, TABLES, Table};
use crate::engine::closed;

const PAGE_ROWS: usize = 2_000;
const PAGE_BYTES: usize = 512 * 1024;

/// A namespace that is being read. It keeps the file open.
pub(crate) struct Reader {
    connection: Option<Connection>,
    open: Arc<Open>,
    /// For telling what a failing disk looks like.
    dir: PathBuf,
}

impl Reader {
    pub(super) fn new(open: Arc<Open>, dir: PathBuf) -> Result<Self, Failure> {
        open.end_stillness()?;
        let connection = connect(&open.path)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2048")?;
        Ok(Self { connection: Some(connection), open, dir })
    }

    pub(crate) async fn hold(&mut self) -> Result<(), Error> {
        self.run(|connection, _| Ok(connection.execute_batch("BEGIN")?)).await
    }

    pub(crate) async fn release(&mut self) -> Result<(), Error> {
        self.run(|connection, _| Ok(connection.execute_batch("COMMIT")?)).await
    }

    pub(crate) async fn head(&mut self) -> Result<(i64, [u8; 32]), Error> {
        self.run(read::head).await
    }

    pub(crate) async fn page(&mut self, table: &'static Table, after: Option<Vec<Cell>>) -> Result<Page, Error> {
        self.run(move |connection, codes| page(connection, codes, table, after.as_deref())).await
    }

    pub(crate) async fn named(&mut self, ids: Vec<RecordId>) -> Result<Vec<Vec<Cell>>, Error> {
        self.run(move |connection, codes| named(connection, codes, &ids)).await
    }

    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection, &Codes) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let connection = self.connection.take().ok_or_else(closed)?;
        let open = self.open.clone();
        let ran = tokio::task::spawn_blocking(move || {
            let done = work(&connection, &open.codes);
            (connection, done)
        });
        let (connection, done) = ran.await.map_err(Error::internal)?;
        self.connection = Some(connection);
        done.map_err(|failure| failure.into_error(&self.dir))
    }
}

fn page(connection: &Connection, codes: &Codes, table: &Table, after: Option<&[Cell]>) -> Result<Page, Failure> {
    let mut statement = connection.prepare_cached(&tables::page(table, after.is_some()))?;
    let most = PAGE_ROWS as i64;
    let bound = [&codes.tenant as &dyn ToSql, &most].into_iter().chain(after.into_iter().flatten().map(|cell| cell as &dyn ToSql));
    let mut rows = statement.query(params_from_iter(bound))?;
    let (width, mut size) = (table.columns.len(), 0);
    let mut page = Page { rows: Vec::new(), next: None };
    while let Some(row) = rows.next()? {
        let cells = (0..width).map(|at| tables::cell_at(row, at)).collect::<Result<Vec<Cell>, _>>()?;
        size += cells.iter().map(Cell::size).sum::<usize>();
        page.rows.push(cells);
        if size >= PAGE_BYTES || page.rows.len() == PAGE_ROWS {
            let place = (0..table.sqlite_order.len()).map(|at| tables::cell_at(row, width + at));
            page.next = Some(place.collect::<Result<_, _>>()?);
            break;
        }
    }
    Ok(page)
}

pub(super) fn named(connection: &Connection, codes: &Codes, ids: &[RecordId]) -> Result<Vec<Vec<Cell>>, Failure> {
    let mut statement = connection.prepare_cached(&tables::named())?;
    let mut found = Vec::new();
    for id in ids {
        let mut rows = statement.query(params![codes.tenant, &id.bytes()[..]])?;
        while let Some(row) = rows.next()? {
            found.push((0..TABLES[0].columns.len()).map(|at| tables::cell_at(row, at)).collect::<Result<_, _>>()?);
        }
    }
    Ok(found)
}
