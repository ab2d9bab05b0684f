//! Loading a namespace into a schema of its own, which is given the tenant's name once it is whole.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::{Error, ErrorKind, RecordId, TenantId};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::dialect::Statements;
use super::failure::Failure;
use super::held::Held;
use super::lives::Sight;
use super::migrate::{Missing, migrate};
use super::namespace::{Namespace, loading_schema, schema_of};
use super::write::{self, Claims};
use super::{Shared, dialect, read, reader, tables};
use crate::building::Building;
use crate::dump::derive::{self, Claim};
use crate::dump::{Cell, Step, TABLES, Table, damaged, tenant_exists};
use crate::engine::closed;
use crate::places::Layout;
use crate::plan::Planner;
use crate::rows::Writes;

/// A namespace that is being written: a schema under a temporary name, or rows of the shared one without a head. Its lock goes with the
/// connection.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    namespace: Box<Namespace>,
    /// Of the lock.
    name: String,
    client: Option<Held>,
    building: Arc<Building>,
    head: (i64, [u8; 32]),
}

impl Writer {
    pub(super) async fn begin(shared: Arc<Shared>, tenant: TenantId) -> Result<Self, Failure> {
        shared.check().await?;
        let name = loading_schema(tenant);
        let layout = if tenant == TenantId::OPERATOR { Layout::Dedicated } else { shared.layout };
        let namespace = match layout {
            Layout::Dedicated => Namespace::new(tenant, Arc::new(Statements::of(&name)), shared.surroundings.positions.of(tenant)),
            Layout::Shared => shared.fresh(tenant),
        };
        let client = shared.connections.hold().await?;
        if !client.lock(dialect::LOCK_LOADING, &name).await? {
            let detail = "This tenant is being loaded already: wait until that has ended.";
            return Err(Error::new(ErrorKind::Conflict, "tenant_busy", detail).into());
        }
        let (namespace, head) = (Box::new(namespace), (0, [0; 32]));
        let mut writer = Self { shared, namespace, name, client: Some(client), building: Arc::default(), head };
        writer.prepare().await?;
        Ok(writer)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let (surroundings, tenant) = (&self.shared.surroundings, self.namespace.tenant.record().uuid());
        let statements = &self.namespace.statements;
        // Only the end must be on disk before anybody relies on it.
        client.batch_execute("SET synchronous_commit = off").await?;
        client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
        if self.is_shared() {
            migrate(client, &self.namespace, &surroundings.kinds, &surroundings.clock, Missing::Load).await?;
            if client.query_opt(&statements.head, &[&tenant]).await?.is_some() {
                return Err(tenant_exists().into());
            }
            // What was left by somebody who is gone.
            super::remove::rows(client, &self.namespace).await?;
            client.execute(&statements.begin_loading, &[&tenant]).await?;
        } else {
            let place = schema_of(self.namespace.tenant, Layout::Dedicated);
            // That nothing happened in control was looked at before.
            if self.namespace.tenant != TenantId::OPERATOR && client.query_opt(dialect::SCHEMA_EXISTS, &[&place]).await?.is_some() {
                return Err(tenant_exists().into());
            }
            client.batch_execute(&statements.drop_schema()).await?;
        }
        migrate(client, &self.namespace, &surroundings.kinds, &surroundings.clock, Missing::Load).await?;
        Ok(())
    }

    /// Control has a schema of its own everywhere.
    fn is_shared(&self) -> bool {
        self.shared.layout == Layout::Shared && self.namespace.tenant != TenantId::OPERATOR
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
        let done = self.enter().await;
        self.client = None;
        let life = done.map_err(|failure| match failure {
            Failure::Refused(error) if error.code() == Some(&SqlState::DUPLICATE_SCHEMA) => tenant_exists(),
            other => other.into_error(),
        })?;
        // Whoever knew it as it was before learns that it is another one, in whichever process.
        self.shared.bell.ring(self.namespace.tenant, Sight { position: self.head.0, life: Some(life) }, true);
        Ok(())
    }

    /// One transaction gives it a head and, when it has a schema of its own, its name. Answers its life.
    async fn enter(&self) -> Result<Uuid, Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let (statements, tenant) = (&self.namespace.statements, self.namespace.tenant.record().uuid());
        let (position, hash) = self.head;
        client.batch_execute("SET synchronous_commit = on; BEGIN").await?;
        let life = client.query_one(&statements.put_head, &[&tenant, &position, &&hash[..]]).await?.get(0);
        if self.is_shared() {
            client.execute(&statements.end_loading, &[&tenant]).await?;
        } else {
            let name = schema_of(self.namespace.tenant, Layout::Dedicated);
            if self.namespace.tenant == TenantId::OPERATOR {
                client.batch_execute(&Statements::of(&name).drop_schema()).await?;
            }
            client.batch_execute(&statements.rename_schema(&name)).await?;
        }
        client.batch_execute("COMMIT").await?;
        client.query(dialect::UNLOCK_LOADING, &[&self.name]).await?;
        Ok(life)
    }

    pub(crate) async fn discard(mut self) {
        let Some(client) = self.client.take() else { return };
        let removed = async {
            client.batch_execute("ROLLBACK").await?;
            if self.is_shared() {
                super::remove::rows(&client, &self.namespace).await?;
            } else {
                client.batch_execute(&self.namespace.statements.drop_schema()).await?;
            }
            Ok::<(), Failure>(())
        };
        if let Err(failure) = removed.await {
            let error = failure.into_error();
            tracing::warn!(tenant.id = %self.namespace.tenant, error = %error, "what was loaded is not removed yet; the next load or start does it");
        }
        // Until the server notices that the connection is gone it would say that the tenant is being loaded.
        if let Err(error) = client.query(dialect::UNLOCK_LOADING, &[&self.name]).await {
            tracing::debug!(error = %error, "the lock of a load goes with its connection");
        }
    }

    async fn run(&mut self, step: Step) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        let (schema, tenant) = (&self.namespace.schema, self.namespace.tenant.record().uuid());
        match step {
            Step::Put(table, rows) if table.is_events() => {
                let spans = derive::spans(&rows, self.shared.surroundings.clock.now());
                client.batch_execute("BEGIN").await?;
                put(client, schema, tenant, table, &rows).await?;
                self.derived(client, &Writes { spans, ..Writes::default() }).await?;
            }
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
            // It is written at the end: without one there is no tenant.
            Step::Head(position, hash) => self.head = (position, hash),
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

/// Removes what was left half loaded by whoever is gone.
pub(super) async fn clear_loading(shared: &Shared) -> Result<(), Failure> {
    let client = shared.connections.hold().await?;
    for row in client.query(dialect::LOADING_SCHEMAS, &[]).await? {
        let schema: &str = row.get(0);
        if client.query_one(dialect::TRY_LOCK_LOADING, &[&schema]).await?.get::<_, bool>(0) {
            client.batch_execute(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE")).await?;
            client.query(dialect::UNLOCK_LOADING, &[&schema]).await?;
        }
    }
    // Without the tables nothing is loaded there.
    for row in client.query(&shared.sharing.loading, &[]).await.unwrap_or_default() {
        let tenant = TenantId::from(RecordId::from_bytes(row.get::<_, Uuid>(0).into_bytes()));
        let name = loading_schema(tenant);
        if client.query_one(dialect::TRY_LOCK_LOADING, &[&name]).await?.get::<_, bool>(0) {
            let namespace = Namespace::new(tenant, shared.sharing.clone(), shared.surroundings.positions.of(tenant));
            if is_half_loaded(&client, &namespace).await? {
                super::remove::rows(&client, &namespace).await?;
            }
            client.query(dialect::UNLOCK_LOADING, &[&name]).await?;
        }
    }
    client.give_back();
    Ok(())
}

/// To be asked under the lock: whoever had it may have made the tenant whole, or removed it, since it was listed.
async fn is_half_loaded(client: &Client, namespace: &Namespace) -> Result<bool, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let loading = client.query(&namespace.statements.is_loading, &[&tenant]).await?;
    Ok(!loading.is_empty() && read::ask(client, namespace, &namespace.statements.head, &[&tenant]).await?.is_empty())
}

async fn put(client: &Client, schema: &str, tenant: Uuid, table: &'static Table, rows: &[Vec<Cell>]) -> Result<(), Failure> {
    let columns: Vec<Vec<&Cell>> = (0..table.columns.len()).map(|at| rows.iter().map(|row| &row[at]).collect()).collect();
    let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&tenant];
    bound.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    let statement = client.prepare_cached(&tables::insert(schema, table)).await?;
    client.execute(&statement, &bound).await?;
    Ok(())
}
