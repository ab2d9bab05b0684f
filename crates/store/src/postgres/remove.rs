//! Removing a tenant, and the locks under which it is moved.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::TenantId;

use super::failure::Failure;
use super::namespace::{self, Namespace};
use super::read::hash_at;
use super::{Shared, dialect};

/// The right to move a tenant: a lock that goes with its connection.
pub(crate) struct Guard(Option<Client>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}

pub(super) async fn guard(shared: &Shared, tenant: TenantId) -> Result<Option<Guard>, Failure> {
    let client = shared.connections.pool.get().await?;
    let locked = client.query_one(dialect::TRY_GUARD, &[&tenant.to_string()]).await?.get::<_, bool>(0);
    Ok(locked.then(|| Guard(Some(client))))
}

/// Removes the schema, or the tenant's rows from the shared one, whose space is then free to be overwritten.
pub(super) async fn run(shared: &Arc<Shared>, namespace: &Namespace) -> Result<(), Failure> {
    let client = shared.connections.pool.get().await?;
    if client.query_opt(dialect::SCHEMA_EXISTS, &[&namespace.schema]).await?.is_none() {
        return Ok(());
    }
    if namespace.schema != namespace::SHARED {
        return Ok(client.batch_execute(&namespace.statements.drop_schema()).await?);
    }
    let tables = rows(&client, namespace).await?;
    for table in tables {
        client.batch_execute(&format!("VACUUM \"{}\".\"{table}\"", namespace.schema)).await?;
    }
    Ok(())
}

/// Removes a tenant's rows from a schema that it shares, all at once; answers the tables that had them.
pub(super) async fn rows(client: &Client, namespace: &Namespace) -> Result<Vec<String>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let done = async {
        client.batch_execute(dialect::BEGIN_UNLIMITED).await?;
        client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
        let mut tables = Vec::new();
        for row in client.query(&namespace.statements.tables, &[]).await? {
            let table: String = row.get(0);
            let gone = client.execute(&format!("DELETE FROM \"{}\".\"{table}\" WHERE tenant = $1", namespace.schema), &[&tenant]).await?;
            if gone > 0 {
                tables.push(table);
            }
        }
        client.execute(&namespace.statements.end_loading, &[&tenant]).await?;
        client.batch_execute("COMMIT").await?;
        Ok(tables)
    };
    let done = done.await;
    if done.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    done
}

/// Waits for whoever commits, then takes the head away.
pub(super) async fn fence(shared: &Arc<Shared>, namespace: &Namespace) -> Result<(), Failure> {
    as_tenant(shared, namespace, async |client| {
        let tenant = namespace.tenant.record().uuid();
        client.execute(&namespace.statements.drop_head, &[&tenant]).await?;
        Ok(())
    })
    .await
}

/// Puts the head back where the events end. One that is there stays, and a tenant that is not there has none.
pub(super) async fn unfence(shared: &Arc<Shared>, namespace: &Namespace) -> Result<(), Failure> {
    let client = shared.connections.pool.get().await?;
    if client.query_opt(dialect::SCHEMA_EXISTS, &[&namespace.schema]).await?.is_none() {
        return Ok(());
    }
    drop(client);
    as_tenant(shared, namespace, async |client| {
        let tenant = namespace.tenant.record().uuid();
        let exists = !client.query(&namespace.statements.key_states, &[&tenant]).await?.is_empty();
        if exists && client.query_opt(&namespace.statements.head, &[&tenant]).await?.is_none() {
            let last = client.query_opt(&namespace.statements.last_event, &[&tenant]).await?;
            let (position, hash) = last.map_or((0i64, [0u8; 32]), |row| (row.get(0), hash_at(&row, 1)));
            client.execute(&namespace.statements.put_head, &[&tenant, &position, &&hash[..]]).await?;
        }
        Ok(())
    })
    .await
}

async fn as_tenant(
    shared: &Arc<Shared>,
    namespace: &Namespace,
    work: impl AsyncFnOnce(&Client) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let client = shared.connections.pool.get().await?;
    let done = async {
        client.batch_execute("BEGIN").await?;
        client.query(dialect::AS_TENANT, &[&namespace.tenant.record().uuid().to_string()]).await?;
        work(&client).await?;
        client.batch_execute("COMMIT").await?;
        Ok(())
    };
    let done = done.await;
    if done.is_err() {
        // Whatever state its transaction is in, nobody should meet it.
        drop(Client::take(client));
    }
    done
}
