//! Loading a namespace into a schema of its own, which is given the tenant's name once it is whole.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::{Error, ErrorKind, TenantId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::migrate::{Missing, migrate};
use super::namespace::Namespace;
use super::write::{self, Claims};
use super::{Shared, dialect, reader, tables};
use crate::building::Building;
use crate::dump::derive::{self, Claim};
use crate::dump::{Cell, Step, TABLES, Table, damaged, tenant_exists};
use crate::engine::closed;
use crate::plan::Planner;
use crate::rows::Writes;

/// A schema that is being written. Its lock goes with the connection.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Under its temporary name.
    namespace: Box<Namespace>,
    client: Option<Client>,
    building: Arc<Building>,
}

impl Writer {
    pub(super) async fn begin(shared: Arc<Shared>, tenant: TenantId) -> Result<Self, Failure> {
        let namespace = Box::new(Namespace::loading(tenant));
        let client = shared.connections.pool.get().await?;
        if !client.query_one(dialect::TRY_LOCK_LOADING, &[&namespace.schema]).await?.get::<_, bool>(0) {
            let detail = "This tenant is being loaded already: wait until that has ended.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_busy", detail).into());
        }
        let mut writer = Self { shared, namespace, client: Some(client), building: Arc::default() };
        writer.prepare(tenant).await?;
        Ok(writer)
    }

    async fn prepare(&mut self, tenant: TenantId) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let place = Namespace::new(tenant);
        if client.query_opt(dialect::SCHEMA_EXISTS, &[&place.schema]).await?.is_some() {
            return Err(tenant_exists().into());
        }
        client.batch_execute(&self.namespace.statements.drop_schema()).await?;
        // Only the end must be on disk before anybody relies on it.
        client.batch_execute("SET synchronous_commit = off").await?;
        let surroundings = &self.shared.surroundings;
        migrate(client, &self.namespace, &surroundings.kinds, &surroundings.clock, Missing::Create).await?;
        client.query(dialect::AS_TENANT, &[&tenant.record().uuid().to_string()]).await?;
        Ok(())
    }

    pub(crate) async fn step(&mut self, step: Step) -> Result<(), Error> {
        self.run(step).await.map_err(|failure| match failure {
            // 22 and 23: what was told cannot stand in the tables.
            Failure::Refused(error) if error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23")) => {
                damaged(error.to_string())
            }
            other => other.into_error(),
        })
    }

    pub(crate) async fn publish(mut self) -> Result<(), Error> {
        let done = self.rename().await;
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
        done.map_err(|failure| match failure {
            Failure::Refused(error) if error.code() == Some(&tokio_postgres::error::SqlState::DUPLICATE_SCHEMA) => tenant_exists(),
            other => other.into_error(),
        })
    }

    async fn rename(&self) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let name = Namespace::new(self.namespace.tenant).schema;
        client.batch_execute("SET synchronous_commit = on").await?;
        client.batch_execute(&self.namespace.statements.rename_schema(&name)).await?;
        client.query(dialect::UNLOCK_LOADING, &[&self.namespace.schema]).await?;
        Ok(())
    }

    pub(crate) async fn discard(mut self) {
        let Some(client) = self.client.take() else { return };
        let removed = async {
            client.batch_execute(&format!("ROLLBACK; {}", self.namespace.statements.drop_schema())).await?;
            // Before the connection is gone the server would say that it is being loaded.
            client.query(dialect::UNLOCK_LOADING, &[&self.namespace.schema]).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(tenant.id = %self.namespace.tenant, error = %error, "what was loaded is not removed yet; the next start does it");
        }
        drop(Client::take(client));
    }

    async fn run(&mut self, step: Step) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let (schema, tenant) = (&self.namespace.schema, self.namespace.tenant.record().uuid());
        match step {
            Step::Put(table, rows) => put(client, schema, tenant, table, &rows).await?,
            Step::Records(rows) => {
                let (writes, claims) = derive::entered(&self.shared.surroundings.kinds, &rows)?;
                client.batch_execute("BEGIN").await?;
                put(client, schema, tenant, &TABLES[0], &rows).await?;
                for claims in derive::in_turns(claims) {
                    self.claim(client, tenant, &claims).await?;
                }
                self.derived(client, &writes).await?;
            }
            Step::Remove(ids) => {
                let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
                let rows = reader::named(client, &self.namespace, &ids).await?;
                let writes = derive::left(&self.shared.surroundings.kinds, &rows)?;
                client.batch_execute("BEGIN").await?;
                let (kinds, ids): (Vec<&Cell>, Vec<&Cell>) = rows.iter().map(|row| (&row[0], &row[1])).unzip();
                client.execute(&tables::remove(schema), &[&tenant, &kinds, &ids]).await?;
                self.derived(client, &writes).await?;
            }
            Step::Clear(table) => {
                client.execute(&tables::clear(schema, table), &[&tenant]).await?;
            }
            Step::Head(position, hash) => {
                client.execute(&self.namespace.statements.move_head, &[&tenant, &position, &&hash[..]]).await?;
            }
        }
        Ok(())
    }

    /// Writes what is derived, and commits.
    async fn derived(&self, client: &Client, writes: &Writes) -> Result<(), Failure> {
        write::write(client, &self.namespace, &self.planner(), writes).await
    }

    async fn claim(&self, client: &Client, tenant: Uuid, claims: &[Claim]) -> Result<(), Failure> {
        let planner = self.planner();
        let claims = Claims::of(&planner, claims);
        let schema = &self.namespace.schema;
        client.execute(&tables::displace(schema), &claims.bound(&tenant)).await?;
        client.execute(&tables::claim_over(schema), &claims.bound(&tenant)).await?;
        Ok(())
    }

    fn planner(&self) -> Planner<'_> {
        let surroundings = &self.shared.surroundings;
        Planner {
            kinds: &surroundings.kinds,
            clock: &surroundings.clock,
            random: &surroundings.random,
            master: &surroundings.master,
            tenant: self.namespace.tenant,
            building: &self.building,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}

/// Removes what was left half loaded by whoever is gone.
pub(super) async fn clear_loading(shared: &Shared) -> Result<(), Failure> {
    let client = shared.connections.pool.get().await?;
    for row in client.query(dialect::LOADING_SCHEMAS, &[]).await? {
        let schema: &str = row.get(0);
        if client.query_one(dialect::TRY_LOCK_LOADING, &[&schema]).await?.get::<_, bool>(0) {
            client.batch_execute(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE")).await?;
            client.query(dialect::UNLOCK_LOADING, &[&schema]).await?;
        }
    }
    Ok(())
}

async fn put(client: &Client, schema: &str, tenant: Uuid, table: &'static Table, rows: &[Vec<Cell>]) -> Result<(), Failure> {
    let columns: Vec<Vec<&Cell>> = (0..table.columns.len()).map(|at| rows.iter().map(|row| &row[at]).collect()).collect();
    let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&tenant];
    bound.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    let statement = client.prepare_cached(&tables::insert(schema, table)).await?;
    client.execute(&statement, &bound).await?;
    Ok(())
}
