//! Making a schema and bringing it up to date.

use std::collections::BTreeSet;

use deadpool_postgres::Client;
use steward_base::{Clock, Error, ErrorKind, RecordId};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::dialect;
use super::failure::Failure;
use super::namespace::Namespace;
use super::read::{ask, id_at};
use crate::Body;
use crate::building::{self, BUILT_AT_ONCE, Building, Key, KeyId, Role};
use crate::engine::no_namespace;
use crate::kind::{Kind, Kinds};

/// What to do when the tenant is not there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Missing {
    /// The tenant does not exist.
    Refuse,
    /// It is about to.
    Create,
    /// It is about to, and nobody is to see it yet.
    Load,
}

/// Brings a schema up to date, and the keys of a tenant in it; answers the keys that are still to be built.
pub(super) async fn migrate(
    client: &Client,
    namespace: &Namespace,
    kinds: &Kinds,
    clock: &Clock,
    missing: Missing,
) -> Result<Building, Failure> {
    let exists = client.query_opt(dialect::SCHEMA_EXISTS, &[&namespace.schema]).await?.is_some();
    if !exists && missing == Missing::Refuse {
        return Err(no_namespace().into());
    }
    let done = if exists { migrated(client, namespace).await? } else { 0 };
    if done < dialect::MIGRATIONS.len() {
        client.batch_execute(dialect::BEGIN_UNLIMITED).await?;
        let done = make_tables(client, namespace, clock).await;
        client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        done?;
    } else if missing != Missing::Load
        && let Some(building) = current(client, namespace, kinds, missing).await?
    {
        return Ok(building);
    }
    client.batch_execute(dialect::BEGIN_UNLIMITED).await?;
    let done = enter_tenant(client, namespace, kinds, missing).await;
    client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

/// How many migrations were done.
async fn migrated(client: &Client, namespace: &Namespace) -> Result<usize, Failure> {
    // A schema without tables is one whose making was cut short by another hand.
    let Ok(row) = client.query_one(&namespace.statements.migrated, &[]).await else { return Ok(0) };
    let number = row.get::<_, i64>(0) as usize;
    if number > dialect::MIGRATIONS.len() {
        let detail = "This data was written by a newer version of Steward: start that version.";
        return Err(Error::new(ErrorKind::Unavailable, "storage_newer", detail).into());
    }
    Ok(number)
}

/// The keys that are not complete, when the tenant is there and all else is as it should be.
async fn current(client: &Client, namespace: &Namespace, kinds: &Kinds, missing: Missing) -> Result<Option<Building>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    if ask(client, namespace, &namespace.statements.head, &[&tenant]).await?.is_empty() {
        return if missing == Missing::Refuse { Err(no_namespace().into()) } else { Ok(None) };
    }
    let rows = ask(client, namespace, &namespace.statements.key_states, &[&tenant]).await?;
    let mut open = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let (stored, building) = known_keys(&rows, kind);
        if stored != building::keys_of(kind) {
            return Ok(None);
        }
        open.extend(building::numbered(kind, &building).into_iter().map(|(field, role)| (number, field, role)));
    }
    Ok(Some(Building::of(open)))
}

async fn make_tables(client: &Client, namespace: &Namespace, clock: &Clock) -> Result<(), Failure> {
    let statements = &namespace.statements;
    // Two processes that start together: the second finds it done.
    client.query(dialect::LOCK_SCHEMA, &[&namespace.schema]).await?;
    // What a migration changes must be seen by it.
    client.query(dialect::AS_TENANT, &[&namespace.tenant.record().uuid().to_string()]).await?;
    client.batch_execute(&statements.create_schema()).await?;
    client.batch_execute(&statements.migration_table).await?;
    let done = client.query_one(&statements.migrated, &[]).await?.get::<_, i64>(0) as usize;
    for (number, (name, text)) in dialect::MIGRATIONS.iter().enumerate().skip(done) {
        client.batch_execute(&statements.migration(text)).await?;
        client.execute(&statements.remember_migration, &[&(number as i64 + 1), name, &clock.now().micros()]).await?;
    }
    Ok(())
}

async fn enter_tenant(client: &Client, namespace: &Namespace, kinds: &Kinds, missing: Missing) -> Result<Building, Failure> {
    let (statements, tenant) = (&namespace.statements, namespace.tenant.record().uuid());
    client.query(dialect::LOCK_TENANT, &[&namespace.schema, &tenant.to_string()]).await?;
    client.query(dialect::AS_TENANT, &[&tenant.to_string()]).await?;
    if missing == Missing::Refuse && client.query(&statements.head, &[&tenant]).await?.is_empty() {
        return Err(no_namespace().into());
    }
    let fresh = missing == Missing::Load || client.execute(&statements.first_head, &[&tenant]).await? > 0;
    let rows = client.query(&statements.key_states, &[&tenant]).await?;
    // Without records every key is complete.
    if fresh && rows.is_empty() {
        let keys = kinds.iter().flat_map(|kind| building::keys_of(kind).into_iter().map(|key| (kind.name(), key)));
        begin_keys(client, namespace, keys.collect(), "ready").await?;
        return Ok(Building::default());
    }
    let mut open = Vec::new();
    for number in 0..kinds.iter().count() {
        open.extend(settle_keys(client, namespace, kinds, number, &rows).await?);
    }
    Ok(Building::of(open))
}

/// The keys of a kind as the schema knows them, and which of them are not complete.
fn known_keys(rows: &[SqlRow], kind: &Kind) -> (BTreeSet<Key>, BTreeSet<Key>) {
    let (mut stored, mut building) = (BTreeSet::new(), BTreeSet::new());
    for row in rows.iter().filter(|row| row.get::<_, &str>(4) == kind.name()) {
        let key = building::key_told(kind, row.get(0), row.get(1), row.get(2));
        if row.get::<_, &str>(3) == "building" {
            building.insert(key.clone());
        }
        stored.insert(key);
    }
    (stored, building)
}

async fn begin_keys(client: &Client, namespace: &Namespace, keys: Vec<(&str, Key)>, state: &str) -> Result<(), Failure> {
    let kinds: Vec<&str> = keys.iter().map(|(kind, _)| *kind).collect();
    let fields: Vec<&str> = keys.iter().map(|(_, (field, ..))| field.as_str()).collect();
    let roles: Vec<&str> = keys.iter().map(|(_, (_, role, _))| *role).collect();
    let values: Vec<&str> = keys.iter().map(|(_, (.., value))| value.as_str()).collect();
    let tenant = namespace.tenant.record().uuid();
    client.execute(&namespace.statements.keys_begun, &[&tenant, &kinds, &fields, &roles, &values, &state]).await?;
    Ok(())
}

/// Forgets keys that a kind no longer has and begins new ones. Few records are entered at once; answers the keys that need more.
async fn settle_keys(client: &Client, namespace: &Namespace, kinds: &Kinds, number: usize, rows: &[SqlRow]) -> Result<Vec<KeyId>, Failure> {
    let (kind, statements, tenant) = (kinds.at(number), &namespace.statements, namespace.tenant.record().uuid());
    let wanted = building::keys_of(kind);
    let (stored, building) = known_keys(rows, kind);
    for (field, role, _) in stored.difference(&wanted) {
        let forget: &[&str] = match Role::named(role) {
            Role::Index => &[&statements.forget_index],
            Role::Unique => &[&statements.forget_unique, &statements.forget_unclaimed],
            Role::Search => &[],
        };
        for sql in forget {
            client.execute(*sql, &[&tenant, &kind.name(), field]).await?;
        }
        if Role::named(role) == Role::Search {
            client.execute(&statements.forget_search, &[&tenant, &kind.name()]).await?;
        }
        client.execute(&statements.key_gone, &[&tenant, &kind.name(), field, role]).await?;
    }
    let begun = wanted.difference(&stored).map(|key| (kind.name(), key.clone())).collect();
    begin_keys(client, namespace, begun, "building").await?;
    let open = wanted.iter().filter(|key| building.contains(*key) || !stored.contains(*key)).cloned().collect();
    let open = building::numbered(kind, &open);
    if open.is_empty() || enter(client, namespace, kinds, number, &open, None).await?.is_none() {
        return Ok(Vec::new());
    }
    Ok(open.into_iter().map(|(field, role)| (number, field, role)).collect())
}

/// Builds on, a few records in each transaction, so that commits wait for little.
pub(super) async fn build(
    client: &Client,
    namespace: &Namespace,
    kinds: &Kinds,
    number: usize,
    keys: &[(usize, Role)],
    after: Option<RecordId>,
) -> Result<Option<RecordId>, Failure> {
    client.batch_execute("BEGIN").await?;
    let setting = namespace.tenant.record().uuid().to_string();
    client.query(dialect::AS_TENANT, &[&setting]).await?;
    let last = enter(client, namespace, kinds, number, keys, after).await?;
    client.batch_execute("COMMIT").await?;
    Ok(last)
}

/// Enters the next records into keys that are being built; answers the last one's id, or `None` when the keys are complete.
async fn enter(
    client: &Client,
    namespace: &Namespace,
    kinds: &Kinds,
    number: usize,
    keys: &[(usize, Role)],
    after: Option<RecordId>,
) -> Result<Option<RecordId>, Failure> {
    let (kind, statements, tenant) = (kinds.at(number), &namespace.statements, namespace.tenant.record().uuid());
    // Whoever commits holds the head: what is read here stays as it is until it is entered.
    client.query(&statements.lock_head, &[&tenant]).await?;
    let after = after.map_or(Uuid::nil(), RecordId::uuid);
    let rows = client.query(&statements.next_live, &[&tenant, &kind.name(), &after, &BUILT_AT_ONCE]).await?;
    let (mut index, mut unique, mut search) = (Columns::default(), Columns::default(), Columns::default());
    for row in &rows {
        let mut body = Body::stored(row.get::<_, &str>(1).into()).object()?;
        kind.upgrade(row.get(2), &mut body);
        for (field, role, value) in building::entries(kind, &body, keys) {
            let columns = match role {
                Role::Index => &mut index,
                Role::Unique => &mut unique,
                Role::Search => &mut search,
            };
            columns.add(kind, field, value, row.get(0));
        }
    }
    if !index.ids.is_empty() {
        client.execute(&statements.enter_missing, &index.bound(&tenant)).await?;
    }
    if !search.ids.is_empty() {
        let bound: [&(dyn ToSql + Sync); 4] = [&tenant, &search.kinds, &search.values, &search.ids];
        client.execute(&statements.find_missing, &bound).await?;
    }
    if !unique.ids.is_empty() {
        client.execute(&statements.claim_missing, &unique.bound(&tenant)).await?;
        for row in client.query(&statements.remember_unclaimed, &unique.bound(&tenant)).await? {
            let path: &str = row.get(0);
            if let Some(field) = kind.fields().iter().position(|field| field.path == path) {
                building::tell_unclaimed(kind, field, id_at(&row, 1));
            }
        }
    }
    if (rows.len() as i64) < BUILT_AT_ONCE {
        client.execute(&statements.keys_ready, &[&tenant, &kind.name()]).await?;
        return Ok(None);
    }
    Ok(rows.last().map(|row| id_at(row, 0)))
}

/// Entries by column.
#[derive(Default)]
struct Columns<'a> {
    kinds: Vec<&'a str>,
    fields: Vec<&'a str>,
    values: Vec<Vec<u8>>,
    ids: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, kind: &'a Kind, field: usize, value: Vec<u8>, id: Uuid) {
        self.kinds.push(kind.name());
        self.fields.push(&kind.fields()[field].path);
        self.values.push(value);
        self.ids.push(id);
    }

    fn bound<'b>(&'b self, tenant: &'b Uuid) -> [&'b (dyn ToSql + Sync); 5] {
        [tenant, &self.kinds, &self.fields, &self.values, &self.ids]
    }
}
