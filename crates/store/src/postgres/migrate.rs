//! Making a schema and bringing it up to date.

use std::collections::BTreeSet;

use deadpool_postgres::Client;
use serde_json::{Map, Value};
use steward_base::{Clock, Error, ErrorKind};
use uuid::Uuid;

use super::dialect;
use super::failure::Failure;
use super::namespace::Namespace;
use crate::engine::no_namespace;
use crate::kind::{Kind, Kinds};

/// What to do when the schema is not there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Missing {
    /// The tenant does not exist.
    Refuse,
    /// It is about to.
    Create,
}

pub(super) async fn migrate(client: &Client, namespace: &Namespace, kinds: &Kinds, clock: &Clock, missing: Missing) -> Result<(), Failure> {
    let exists = client.query_opt(dialect::SCHEMA_EXISTS, &[&namespace.schema]).await?.is_some();
    if !exists && missing == Missing::Refuse {
        return Err(no_namespace().into());
    }
    if exists && is_current(client, namespace, kinds).await? {
        return Ok(());
    }
    client.batch_execute(dialect::BEGIN_UNLIMITED).await?;
    let done = migrate_inside(client, namespace, kinds, clock).await;
    client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

async fn is_current(client: &Client, namespace: &Namespace, kinds: &Kinds) -> Result<bool, Failure> {
    let statements = &namespace.statements;
    // A schema without tables is one whose making was cut short by another hand.
    let Ok(row) = client.query_one(&statements.migrated, &[]).await else { return Ok(false) };
    let number = row.get::<_, i64>(0) as usize;
    if number > dialect::MIGRATIONS.len() {
        let detail = "This data was written by a newer version of Steward: start that version.";
        return Err(Error::new(ErrorKind::Unavailable, "storage_newer", detail).into());
    }
    if number < dialect::MIGRATIONS.len() {
        return Ok(false);
    }
    for kind in kinds.iter() {
        if ready_keys(client, namespace, kind).await? != keys_of(kind) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn migrate_inside(client: &Client, namespace: &Namespace, kinds: &Kinds, clock: &Clock) -> Result<(), Failure> {
    let statements = &namespace.statements;
    let tenant = namespace.tenant.record().uuid();
    // Two processes that start together: the second finds it done.
    client.query(dialect::LOCK_SCHEMA, &[&namespace.schema]).await?;
    client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
    client.batch_execute(&statements.create_schema()).await?;
    client.batch_execute(&statements.migration_table).await?;
    let done = client.query_one(&statements.migrated, &[]).await?.get::<_, i64>(0) as usize;
    for (number, (name, text)) in dialect::MIGRATIONS.iter().enumerate().skip(done) {
        client.batch_execute(&statements.migration(text)).await?;
        client.execute(&statements.remember_migration, &[&(number as i64 + 1), name, &clock.now().micros()]).await?;
    }
    client.execute(&statements.first_head, &[&tenant]).await?;
    for kind in kinds.iter() {
        rebuild_keys(client, namespace, kind, tenant).await?;
    }
    Ok(())
}

type Keys = BTreeSet<(String, String)>;

fn keys_of(kind: &Kind) -> Keys {
    let roles = kind.fields().iter().flat_map(|field| {
        [field.indexed.then(|| (field.path.clone(), "index".to_owned())), field.unique.then(|| (field.path.clone(), "unique".to_owned()))]
    });
    roles.flatten().collect()
}

async fn ready_keys(client: &Client, namespace: &Namespace, kind: &Kind) -> Result<Keys, Failure> {
    let rows = client.query(&namespace.statements.key_states, &[&kind.name()]).await?;
    Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Index and unique rows of fields that gained or lost their keyword.
async fn rebuild_keys(client: &Client, namespace: &Namespace, kind: &Kind, tenant: Uuid) -> Result<(), Failure> {
    let statements = &namespace.statements;
    let (wanted, ready) = (keys_of(kind), ready_keys(client, namespace, kind).await?);
    for (field, role) in ready.difference(&wanted) {
        let forget = if role == "index" { &statements.forget_index } else { &statements.forget_unique };
        client.execute(forget, &[&tenant, &kind.name(), field]).await?;
        client.execute(&statements.key_gone, &[&kind.name(), field, role]).await?;
    }
    let new: Vec<_> = wanted.difference(&ready).collect();
    if new.is_empty() {
        return Ok(());
    }
    for row in client.query(&statements.all_live, &[&tenant, &kind.name()]).await? {
        let (id, text): (Uuid, String) = (row.get(0), row.get(1));
        let body: Map<String, Value> = serde_json::from_str(&text).map_err(Error::internal)?;
        let entries = kind.entries(&body);
        for (field, role) in &new {
            let (of_role, statement) =
                if role == "index" { (&entries.index, &statements.enter) } else { (&entries.unique, &statements.claim) };
            let values: Vec<&[u8]> =
                of_role.iter().filter(|(at, _)| kind.fields()[*at].path == *field).map(|(_, value)| value.as_slice()).collect();
            let (kinds, fields, ids) = (vec![kind.name(); values.len()], vec![field.as_str(); values.len()], vec![id; values.len()]);
            client.execute(statement, &[&tenant, &kinds, &fields, &values, &ids]).await?;
        }
    }
    for (field, role) in new {
        client.execute(&statements.key_ready, &[&kind.name(), field, role]).await?;
    }
    Ok(())
}
