//! The small numbers that stand for tenant, kinds and fields in one file, and the tables they are used in.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Map;
use steward_base::{Clock, RecordId, TenantId};

use super::dialect;
use super::failure::Failure;
use crate::kind::{Kind, Kinds};
use crate::rows::{CREATED_AT, IndexField};

/// The numbers of one file.
pub(super) struct Codes {
    pub(super) tenant: i64,
    kinds: Vec<i64>,
    fields: Vec<Vec<i64>>,
    created_at: i64,
}

impl Codes {
    pub(super) fn kind(&self, kind: usize) -> i64 {
        self.kinds[kind]
    }

    pub(super) fn field(&self, kind: usize, field: usize) -> i64 {
        self.fields[kind][field]
    }

    pub(super) fn index_field(&self, kind: usize, field: IndexField) -> i64 {
        match field {
            IndexField::CreatedAt => self.created_at,
            IndexField::Body(field) => self.field(kind, field),
        }
    }
}

/// Brings a file up to date: tables, numbers, and the index of fields that became indexed since it was last open.
pub(super) fn migrate(connection: &Connection, kinds: &Kinds, clock: &Clock, tenant: TenantId) -> Result<Codes, Failure> {
    // Most opens change nothing, and a file on a full or read-only disk must still open for reading.
    if let Some(codes) = current(connection, kinds, tenant)? {
        return Ok(codes);
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = migrate_inside(connection, kinds, clock, tenant);
    let ended = connection.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" });
    let codes = done?;
    if let Err(error) = ended {
        let _ = connection.execute_batch("ROLLBACK");
        return Err(error.into());
    }
    Ok(codes)
}

fn current(connection: &Connection, kinds: &Kinds, tenant: TenantId) -> Result<Option<Codes>, Failure> {
    let has_tables = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'", [], |row| row.get::<_, i64>(0))?;
    if has_tables == 0 {
        return Ok(None);
    }
    let number = connection.query_row(dialect::MIGRATED, [], |row| row.get::<_, i64>(0))? as usize;
    if number > dialect::MIGRATIONS.len() {
        let detail = "This data was written by a newer version of Steward: start that version.";
        return Err(steward_base::Error::new(steward_base::ErrorKind::Unavailable, "storage_newer", detail).into());
    }
    if number < dialect::MIGRATIONS.len() {
        return Ok(None);
    }
    let Some(codes) = read(connection, kinds, tenant)? else { return Ok(None) };
    for (number, kind) in kinds.iter().enumerate() {
        if keys_of(kind, &codes, number) != ready_keys(connection, codes.kind(number))? {
            return Ok(None);
        }
    }
    Ok(Some(codes))
}

fn migrate_inside(connection: &Connection, kinds: &Kinds, clock: &Clock, tenant: TenantId) -> Result<Codes, Failure> {
    connection.execute_batch(dialect::MIGRATION_TABLE)?;
    let done = connection.query_row(dialect::MIGRATED, [], |row| row.get::<_, i64>(0))? as usize;
    for (number, (name, statements)) in dialect::MIGRATIONS.iter().enumerate().skip(done) {
        connection.execute_batch(statements)?;
        connection.execute(dialect::REMEMBER_MIGRATION, params![number as i64 + 1, name, clock.now().micros()])?;
    }
    connection.execute(dialect::INTERN_TENANT, [&tenant.bytes()[..]])?;
    connection.execute(dialect::INTERN_FIELD, [CREATED_AT])?;
    for kind in kinds.iter() {
        connection.execute(dialect::INTERN_KIND, [kind.name()])?;
        for field in kind.fields() {
            connection.execute(dialect::INTERN_FIELD, [&field.path])?;
        }
    }
    let codes = read(connection, kinds, tenant)?.ok_or(Failure::Sql(rusqlite::Error::QueryReturnedNoRows))?;
    connection.execute(dialect::FIRST_HEAD, [codes.tenant])?;
    for (number, kind) in kinds.iter().enumerate() {
        rebuild_keys(connection, kind, &codes, number)?;
    }
    Ok(codes)
}

fn read(connection: &Connection, kinds: &Kinds, tenant: TenantId) -> Result<Option<Codes>, Failure> {
    let one = |sql: &str, text: &str| -> Result<Option<i64>, rusqlite::Error> {
        connection.prepare_cached(sql)?.query_row([text], |row| row.get(0)).optional()
    };
    let tenant = connection.prepare_cached(dialect::TENANT)?.query_row([&tenant.bytes()[..]], |row| row.get(0)).optional()?;
    let (Some(tenant), Some(created_at)) = (tenant, one(dialect::FIELD, CREATED_AT)?) else { return Ok(None) };
    let mut codes = Codes { tenant, kinds: Vec::new(), fields: Vec::new(), created_at };
    for kind in kinds.iter() {
        let Some(code) = one(dialect::KIND, kind.name())? else { return Ok(None) };
        codes.kinds.push(code);
        let mut fields = Vec::with_capacity(kind.fields().len());
        for field in kind.fields() {
            let Some(code) = one(dialect::FIELD, &field.path)? else { return Ok(None) };
            fields.push(code);
        }
        codes.fields.push(fields);
    }
    Ok(Some(codes))
}

type Keys = std::collections::BTreeSet<(i64, String)>;

fn keys_of(kind: &Kind, codes: &Codes, number: usize) -> Keys {
    let roles = kind.fields().iter().enumerate().flat_map(|(at, field)| {
        let code = codes.field(number, at);
        [field.indexed.then(|| (code, "index".to_owned())), field.unique.then(|| (code, "unique".to_owned()))]
    });
    roles.flatten().collect()
}

fn ready_keys(connection: &Connection, kind: i64) -> Result<Keys, Failure> {
    let mut statement = connection.prepare_cached(dialect::KEY_STATES)?;
    let keys = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Keys, _>>()?;
    Ok(keys)
}

/// Index and unique rows of fields that gained or lost their keyword.
fn rebuild_keys(connection: &Connection, kind: &Kind, codes: &Codes, number: usize) -> Result<(), Failure> {
    let code = codes.kind(number);
    let (wanted, ready) = (keys_of(kind, codes, number), ready_keys(connection, code)?);
    for (field, role) in ready.difference(&wanted) {
        let forget = if role == "index" { dialect::FORGET_INDEX } else { dialect::FORGET_UNIQUE };
        connection.execute(forget, params![codes.tenant, code, field])?;
        connection.execute(dialect::KEY_GONE, params![code, field, role])?;
    }
    let new: Vec<_> = wanted.difference(&ready).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut bodies = connection.prepare(dialect::ALL_LIVE)?;
    let mut rows = bodies.query(params![codes.tenant, code])?;
    while let Some(row) = rows.next()? {
        let (id, text): ([u8; 16], String) = (row.get(0)?, row.get(1)?);
        let body: Map<String, serde_json::Value> = serde_json::from_str(&text).map_err(steward_base::Error::internal)?;
        let entries = kind.entries(&body);
        for (field, role) in &new {
            let (of_role, statement) = if role == "index" { (&entries.index, dialect::ENTER) } else { (&entries.unique, dialect::CLAIM) };
            for (_, value) in of_role.iter().filter(|(at, _)| codes.field(number, *at) == *field) {
                connection.prepare_cached(statement)?.execute(params![codes.tenant, code, field, value, &id[..]])?;
            }
        }
    }
    for (field, role) in new {
        connection.execute(dialect::KEY_READY, params![code, field, role])?;
    }
    Ok(())
}

/// An id column.
pub(super) fn id_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<RecordId> {
    row.get::<_, [u8; 16]>(column).map(RecordId::from_bytes)
}
