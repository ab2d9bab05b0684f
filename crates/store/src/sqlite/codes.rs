//! The small numbers that stand for tenant, kinds and fields in one file, and the tables they are used in.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use steward_base::{Clock, RecordId, TenantId};

use super::dialect;
use super::failure::Failure;
use crate::Body;
use crate::building::{self, BUILT_AT_ONCE, Building, Key, KeyId, Role};
use crate::kind::{Kind, Kinds};
use crate::rows::{CREATED_AT, IndexField, SEARCH};

/// The numbers of one file.
#[derive(PartialEq, Eq, Hash)]
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

    /// Back from the numbers of the file to those of the list of kinds.
    pub(super) fn numbers(&self, kind: i64, field: i64) -> Option<(usize, usize)> {
        let kind = self.kinds.iter().position(|code| *code == kind)?;
        Some((kind, self.fields[kind].iter().position(|code| *code == field)?))
    }

    pub(super) fn index_field(&self, kind: usize, field: IndexField) -> i64 {
        match field {
            IndexField::CreatedAt => self.created_at,
            IndexField::Body(field) => self.field(kind, field),
        }
    }
}

/// The numbers of all files that were open: those that were made by the same version have the same, which are kept once.
#[derive(Default)]
pub(super) struct Known(Mutex<HashSet<Arc<Codes>>>);

impl Known {
    pub(super) fn keep(&self, codes: Codes) -> Arc<Codes> {
        let mut known = self.0.lock();
        if let Some(same) = known.get(&codes) {
            return same.clone();
        }
        let codes = Arc::new(codes);
        known.insert(codes.clone());
        codes
    }
}

/// What a file says, unless it must be brought up to date.
pub(super) fn current(connection: &Connection, kinds: &Kinds, tenant: TenantId) -> Result<Option<(Codes, Building)>, Failure> {
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
    let mut open = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let (stored, building) = known_keys(connection, kind, codes.kind(number))?;
        if stored != building::keys_of(kind) {
            return Ok(None);
        }
        open.extend(building::numbered(kind, &building).into_iter().map(|(field, role)| (number, field, role)));
    }
    Ok(Some((codes, Building::of(open))))
}

/// Brings a file up to date: tables, numbers, and the index of fields that became indexed since it was last open.
pub(super) fn migrate(connection: &Connection, kinds: &Kinds, clock: &Clock, tenant: TenantId) -> Result<(Codes, Building), Failure> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = migrate_inside(connection, kinds, clock, tenant);
    let ended = connection.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" });
    let done = done?;
    if let Err(error) = ended {
        let _ = connection.execute_batch("ROLLBACK");
        return Err(error.into());
    }
    Ok(done)
}

fn migrate_inside(connection: &Connection, kinds: &Kinds, clock: &Clock, tenant: TenantId) -> Result<(Codes, Building), Failure> {
    connection.execute_batch(dialect::MIGRATION_TABLE)?;
    let done = connection.query_row(dialect::MIGRATED, [], |row| row.get::<_, i64>(0))? as usize;
    for (number, (name, statements)) in dialect::MIGRATIONS.iter().enumerate().skip(done) {
        connection.execute_batch(statements)?;
        connection.execute(dialect::REMEMBER_MIGRATION, params![number as i64 + 1, name, clock.now().micros()])?;
    }
    connection.execute(dialect::INTERN_TENANT, [&tenant.bytes()[..]])?;
    connection.execute(dialect::INTERN_FIELD, [CREATED_AT])?;
    connection.execute(dialect::INTERN_FIELD, [SEARCH])?;
    for kind in kinds.iter() {
        connection.execute(dialect::INTERN_KIND, [kind.name()])?;
        for field in kind.fields() {
            connection.execute(dialect::INTERN_FIELD, [&field.path])?;
        }
    }
    let codes = read(connection, kinds, tenant)?.ok_or(Failure::Sql(rusqlite::Error::QueryReturnedNoRows))?;
    connection.execute(dialect::FIRST_HEAD, [codes.tenant])?;
    let mut open = Vec::new();
    for number in 0..kinds.iter().count() {
        open.extend(settle_keys(connection, kinds, &codes, number)?);
    }
    Ok((codes, Building::of(open)))
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

/// The keys of a kind as the file knows them, and which of them are not complete.
fn known_keys(connection: &Connection, kind: &Kind, code: i64) -> Result<(BTreeSet<Key>, BTreeSet<Key>), Failure> {
    let mut statement = connection.prepare_cached(dialect::KEY_STATES)?;
    let mut rows = statement.query([code])?;
    let (mut stored, mut building) = (BTreeSet::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        let (role, state): (String, String) = (row.get(1)?, row.get(3)?);
        let key = building::key_told(kind, row.get(0)?, &role, row.get(2)?);
        if state == "building" {
            building.insert(key.clone());
        }
        stored.insert(key);
    }
    Ok((stored, building))
}

/// Forgets keys that a kind no longer has and begins new ones. Few records are entered at once; answers the keys that need more.
fn settle_keys(connection: &Connection, kinds: &Kinds, codes: &Codes, number: usize) -> Result<Vec<KeyId>, Failure> {
    let (kind, code) = (kinds.at(number), codes.kind(number));
    let wanted = building::keys_of(kind);
    let (stored, building) = known_keys(connection, kind, code)?;
    for (path, role, _) in stored.difference(&wanted) {
        let field: i64 = connection.query_row(dialect::FIELD, [path], |row| row.get(0))?;
        let forget: &[&str] = match Role::named(role) {
            Role::Index => &[dialect::FORGET_INDEX],
            Role::Unique => &[dialect::FORGET_UNIQUE, dialect::FORGET_UNCLAIMED],
            Role::Search => &[],
        };
        for sql in forget {
            connection.execute(sql, params![codes.tenant, code, field])?;
        }
        if Role::named(role) == Role::Search {
            connection.execute(dialect::FORGET_SEARCH, params![codes.tenant, code])?;
        }
        connection.execute(dialect::KEY_GONE, params![code, field, role])?;
    }
    for (path, role, value) in wanted.difference(&stored) {
        let field: i64 = connection.query_row(dialect::FIELD, [path], |row| row.get(0))?;
        connection.execute(dialect::KEY_BEGUN, params![code, field, role, value])?;
    }
    let open = wanted.iter().filter(|key| building.contains(*key) || !stored.contains(*key)).cloned().collect();
    let open = building::numbered(kind, &open);
    if open.is_empty() || build(connection, codes, kinds, number, &open, None)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(open.into_iter().map(|(field, role)| (number, field, role)).collect())
}

/// Enters the next records into keys that are being built; answers the last one's id, or `None` when the keys are complete.
pub(super) fn build(
    connection: &Connection,
    codes: &Codes,
    kinds: &Kinds,
    number: usize,
    keys: &[(usize, Role)],
    after: Option<RecordId>,
) -> Result<Option<RecordId>, Failure> {
    let (kind, code) = (kinds.at(number), codes.kind(number));
    let after = after.map(|id| id.bytes().to_vec()).unwrap_or_default();
    let mut statement = connection.prepare_cached(dialect::NEXT_LIVE)?;
    let mut rows = statement.query(params![codes.tenant, code, after, BUILT_AT_ONCE])?;
    let (mut last, mut seen) = (None, 0);
    while let Some(row) = rows.next()? {
        let (id, mut body) = (id_at(row, 0)?, Body::stored(row.get(1)?).object()?);
        kind.upgrade(row.get(2)?, &mut body);
        for (field, role, value) in building::entries(kind, &body, keys) {
            if role == Role::Search {
                connection.prepare_cached(dialect::FIND_MISSING)?.execute(params![codes.tenant, code, value, &id.bytes()[..]])?;
                continue;
            }
            let sql = if role == Role::Index { dialect::ENTER_MISSING } else { dialect::CLAIM_MISSING };
            let bound = params![codes.tenant, code, codes.field(number, field), value, &id.bytes()[..]];
            let entered = connection.prepare_cached(sql)?.execute(bound)?;
            if entered == 0 && role == Role::Unique && owner(connection, codes, number, field, &value)? != Some(id) {
                let bound = params![codes.tenant, code, codes.field(number, field), &id.bytes()[..]];
                connection.prepare_cached(dialect::REMEMBER_UNCLAIMED)?.execute(bound)?;
                building::tell_unclaimed(kind, field, id);
            }
        }
        (last, seen) = (Some(id), seen + 1);
    }
    if seen < BUILT_AT_ONCE {
        connection.execute(dialect::KEYS_READY, [code])?;
        return Ok(None);
    }
    Ok(last)
}

fn owner(connection: &Connection, codes: &Codes, kind: usize, field: usize, value: &[u8]) -> Result<Option<RecordId>, Failure> {
    let mut statement = connection.prepare_cached(dialect::OWNER)?;
    let bound = params![codes.tenant, codes.kind(kind), codes.field(kind, field), value];
    Ok(statement.query_row(bound, |row| id_at(row, 0)).optional()?)
}

/// An id column.
pub(super) fn id_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<RecordId> {
    row.get::<_, [u8; 16]>(column).map(RecordId::from_bytes)
}
