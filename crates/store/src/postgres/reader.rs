//! Reading all of a namespace, a step at a time.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::{Error, RecordId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::held::Held;
use super::namespace::Namespace;
use super::{Shared, dialect, read, tables};
use crate::dump::{Cell, Page, TABLES, Table};

/// So many bytes of rows are asked for at once, as far as the rows before let one guess.
const PAGE_BYTES: usize = 512 * 1024;
const FEWEST: usize = 16;
const MOST: usize = 2_000;

/// A namespace that is being read.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    namespace: Arc<Namespace>,
    /// The connection of the snapshot.
    held: Option<Held>,
    /// Bytes of a row, about.
    row_size: usize,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, namespace: Arc<Namespace>) -> Self {
        Self { shared, namespace, held: None, row_size: 4_096 }
    }

    pub(crate) async fn hold(&mut self) -> Result<(), Error> {
        let begun = async {
            let client = self.shared.connections.hold().await?;
            client.batch_execute(dialect::BEGIN_SNAPSHOT).await?;
            Ok::<_, Failure>(client)
        };
        self.held = Some(begun.await.map_err(Failure::into_error)?);
        Ok(())
    }

    pub(crate) async fn release(&mut self) -> Result<(), Error> {
        if let Some(client) = self.held.take() {
            client.batch_execute("COMMIT").await.map_err(|error| Failure::from(error).into_error())?;
            client.give_back();
        }
        Ok(())
    }

    /// Read off the events: while the tenant is moved its head is taken away.
    pub(crate) async fn head(&mut self) -> Result<(i64, [u8; 32]), Error> {
        self.run(async |client, namespace| {
            let tenant = namespace.tenant.record().uuid();
            let rows = read::query(client, namespace, &namespace.statements.last_event, &[&tenant]).await?;
            Ok(rows.first().map_or((0, [0; 32]), |row| (row.get(0), read::hash_at(row, 1))))
        })
        .await
    }

    pub(crate) async fn page(&mut self, table: &'static Table, after: Option<Vec<Cell>>) -> Result<Page, Error> {
        let most = (PAGE_BYTES / self.row_size.max(1)).clamp(FEWEST, MOST);
        let rows = self.run(async |client, namespace| page(client, namespace, table, after.as_deref(), most as i64).await).await?;
        let size: usize = rows.iter().flatten().map(Cell::size).sum();
        if !rows.is_empty() {
            self.row_size = size / rows.len();
        }
        let place = |row: &Vec<Cell>| -> Option<Vec<Cell>> {
            table.postgres_order.iter().map(|name| table.column(name).map(|(at, _)| row[at].clone())).collect()
        };
        let next = if rows.len() == most { rows.last().and_then(place) } else { None };
        Ok(Page { rows, next })
    }

    pub(crate) async fn named(&mut self, ids: Vec<RecordId>) -> Result<Vec<Vec<Cell>>, Error> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        self.run(async |client, namespace| named(client, namespace, &ids).await).await
    }

    async fn run<T>(&self, work: impl AsyncFnOnce(&Client, &Namespace) -> Result<T, Failure>) -> Result<T, Error> {
        let done = match &self.held {
            Some(client) => work(client, &self.namespace).await,
            None => match self.shared.connections.pool.get().await {
                Ok(client) => work(&client, &self.namespace).await,
                Err(error) => Err(error.into()),
            },
        };
        done.map_err(Failure::into_error)
    }
}

async fn page(
    client: &Client,
    namespace: &Namespace,
    table: &'static Table,
    after: Option<&[Cell]>,
    most: i64,
) -> Result<Vec<Vec<Cell>>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let sql = tables::page(&namespace.schema, table, after.is_some());
    let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&tenant, &most];
    bound.extend(after.into_iter().flatten().map(|cell| cell as &(dyn ToSql + Sync)));
    let rows = read::query(client, namespace, &sql, &bound).await?;
    Ok(rows.iter().map(|row| tables::cells(table, row)).collect::<Result<_, _>>()?)
}

pub(super) async fn named(client: &Client, namespace: &Namespace, ids: &[Uuid]) -> Result<Vec<Vec<Cell>>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    // Also while it is being loaded.
    let rows = read::ask(client, namespace, &tables::named(&namespace.schema), &[&tenant, &ids]).await?;
    Ok(rows.iter().map(|row| tables::cells(&TABLES[0], row)).collect::<Result<_, _>>()?)
}
