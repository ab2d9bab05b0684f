//! The data keys of a schema.

use deadpool_postgres::Client;
use steward_base::RecordId;
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::namespace::Namespace;
use super::read::{id_at, query};
use crate::keys::{KeyRow, Rewrapped, Which};
use crate::kind::Kinds;
use crate::plan::{State, Subjects, Wanted};

/// The statements of one schema for data keys.
pub(super) struct KeyStatements {
    secrets: String,
    some: String,
    page: String,
    of_subjects: String,
    pub(super) forget: String,
    pub(super) put: String,
    pub(super) rewrap: String,
}

impl KeyStatements {
    pub(super) fn of(schema: &str) -> Self {
        let at = |text: &str| text.replace("{s}", &format!("\"{schema}\"")).replace("{columns}", "id, subject, wrapped, created_at");
        Self {
            secrets: at("SELECT {columns} FROM {s}.data_key WHERE tenant = $1 AND subject IS NULL ORDER BY id"),
            some: at("SELECT {columns} FROM {s}.data_key WHERE tenant = $1 AND id = ANY ($2::uuid[])"),
            of_subjects: at("SELECT {columns} FROM {s}.data_key WHERE tenant = $1 AND subject = ANY ($2::uuid[])"),
            forget: at("DELETE FROM {s}.data_key WHERE tenant = $1 AND subject = ANY ($2::uuid[])"),
            page: at("SELECT {columns} FROM {s}.data_key WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3"),
            rewrap: at("UPDATE {s}.data_key d SET wrapped = k.new FROM unnest($2::uuid[], $3::text[], $4::text[]) k (id, old, new)
                WHERE d.tenant = $1 AND d.id = k.id AND d.wrapped = k.old"),
            put: at("INSERT INTO {s}.data_key (tenant, id, subject, wrapped, created_at)
                SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[])"),
        }
    }
}

pub(super) async fn keys(client: &Client, namespace: &Namespace, which: &Which) -> Result<Vec<KeyRow>, Failure> {
    let (statements, tenant) = (&namespace.statements.keys, namespace.tenant.record().uuid());
    let rows = match which {
        Which::Secrets => query(client, namespace, &statements.secrets, &[&tenant]).await?,
        Which::Ids(ids) => {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
            query(client, namespace, &statements.some, &[&tenant, &ids]).await?
        }
        Which::After(after, limit) => {
            let after = after.map_or(Uuid::nil(), RecordId::uuid);
            query(client, namespace, &statements.page, &[&tenant, &after, &(*limit as i64)]).await?
        }
    };
    Ok(rows.iter().map(row_of).collect())
}

/// The keys that a batch asks for; the connection is the tenant's already.
pub(super) async fn load(client: &Client, namespace: &Namespace, kinds: &Kinds, wanted: &Wanted, state: &mut State) -> Result<(), Failure> {
    let (statements, tenant) = (&namespace.statements.keys, namespace.tenant.record().uuid());
    if !wanted.subjects.is_empty() {
        let names: Vec<Uuid> = Subjects::names(kinds, &wanted.subjects).into_iter().map(RecordId::uuid).collect();
        let statement = client.prepare_cached(&statements.of_subjects).await?;
        let rows = client.query(&statement, &[&tenant, &names]).await?;
        state.subjects.loaded(kinds, &wanted.subjects, &rows.iter().map(row_of).collect::<Vec<_>>());
    }
    if wanted.secrets {
        let statement = client.prepare_cached(&statements.secrets).await?;
        let rows = client.query(&statement, &[&tenant]).await?;
        state.secrets.loaded(rows.iter().map(row_of).collect());
    }
    Ok(())
}

/// Keys by column.
pub(super) struct Keeping<'a> {
    ids: Vec<Uuid>,
    subjects: Vec<Option<Uuid>>,
    wrapped: Vec<&'a str>,
    created_at: Vec<i64>,
}

impl<'a> Keeping<'a> {
    pub(super) fn of(keys: &'a [KeyRow]) -> Self {
        Self {
            ids: keys.iter().map(|key| key.id.uuid()).collect(),
            subjects: keys.iter().map(|key| key.subject.map(RecordId::uuid)).collect(),
            wrapped: keys.iter().map(|key| &*key.wrapped).collect(),
            created_at: keys.iter().map(|key| key.created_at).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.ids, &self.subjects, &self.wrapped, &self.created_at]
    }
}

/// Keys wrapped anew, by column.
pub(super) struct Rewrapping<'a> {
    pub(super) ids: Vec<Uuid>,
    from: Vec<&'a str>,
    to: Vec<&'a str>,
}

impl<'a> Rewrapping<'a> {
    pub(super) fn of(keys: &'a [Rewrapped]) -> Self {
        Self {
            ids: keys.iter().map(|key| key.id.uuid()).collect(),
            from: keys.iter().map(|key| &*key.from).collect(),
            to: keys.iter().map(|key| &*key.to).collect(),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.ids, &self.from, &self.to]
    }
}

fn row_of(row: &SqlRow) -> KeyRow {
    let subject = row.get::<_, Option<Uuid>>(1).map(|subject| RecordId::from_bytes(subject.into_bytes()));
    KeyRow { id: id_at(row, 0), subject, wrapped: row.get::<_, &str>(2).into(), created_at: row.get(3) }
}
