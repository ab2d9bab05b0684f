//! Removing a tenant, and the locks under which it is moved.

use std::sync::Arc;

use deadpool_postgres::Client;
use steward_base::TenantId;

use super::failure::Failure;
use super::held::Held;
use super::namespace::{self, Namespace};
use super::read::hash_at;
use super::{Shared, dialect};

/// The right to move a tenant: a lock that goes with its connection.
pub(crate) struct Guard(#[expect(dead_code, reason = "it is held, not used")] Held);

pub(super) async fn guard(shared: &Shared, tenant: TenantId) -> Result<Option<Guard>, Failure> {
    let client = shared.connections.hold().await?;
    let locked = client.lock(dialect::LOCK_GUARD, &tenant.to_string()).await?;
    Ok(locked.then(|| Guard(client)))
}

/// Removes the schema, or the tenant's rows from the shared one, whose space is then free to be overwritten.
pub(super) async fn run(shared: &Arc<Shared>, namespace: &Namespace) -> Result<(), Failure> {
    let client = shared.connections.hold().await?;
    if client.query_opt(dialect::SCHEMA_EXISTS, &[&namespace.schema]).await?.is_some() {
        if namespace.schema == namespace::SHARED {
            let tables = rows(&client, namespace).await?;
            let names = tables.iter().map(|table| format!("\"{}\".\"{table}\"", namespace.schema));
            vacuum(&client, &names.collect::<Vec<_>>()).await?;
        } else {
            client.batch_execute(&namespace.statements.drop_schema()).await?;
        }
    }
    client.give_back();
    Ok(())
}

/// Gives the space of dead rows free to be overwritten. It takes as long as the tables are large, and no transaction can hold it.
pub(super) async fn vacuum(client: &Client, tables: &[String]) -> Result<(), Failure> {
    if !tables.is_empty() {
        client.batch_execute("SET statement_timeout = 0").await?;
        client.batch_execute(&format!("VACUUM {}", tables.join(", "))).await?;
        client.batch_execute("RESET statement_timeout").await?;
    }
    Ok(())
}

/// Removes a tenant's rows from a schema that it shares, all at once; answers the tables that had them.
pub(super) async fn rows(client: &Client, namespace: &Namespace) -> Result<Vec<String>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let done = async {
        client.batch_execute(dialect::BEGIN_UNLIMITED).await?;
        client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
        // First of all, so that whoever commits is through, and whoever comes finds no tenant.
        let head = client.execute(&namespace.statements.drop_head, &[&tenant]).await?;
        let mut tables = if head > 0 { vec!["tenant_head".to_owned()] } else { Vec::new() };
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

/// A transaction whose client is gone holds the head until it has ended.
pub(super) async fn quiet(shared: &Arc<Shared>, namespace: &Namespace) -> Result<(), Failure> {
    as_tenant(shared, namespace, async |client| {
        client.query(&namespace.statements.lock_head, &[&namespace.tenant.record().uuid()]).await?;
        Ok(())
    })
    .await
}

async fn as_tenant(
    shared: &Arc<Shared>,
    namespace: &Namespace,
    work: impl AsyncFnOnce(&Client) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let client = shared.connections.hold().await?;
    client.batch_execute("BEGIN").await?;
    client.query(dialect::AS_TENANT, &[&namespace.tenant.record().uuid().to_string()]).await?;
    work(&client).await?;
    client.batch_execute("COMMIT").await?;
    client.give_back();
    Ok(())
}
