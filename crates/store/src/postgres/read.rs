//! Reads of one connection. Each names its tenant first: the setting and the statement travel together.

use deadpool_postgres::Client;
use steward_base::{RecordId, Timestamp};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::dialect;
use super::failure::Failure;
use super::namespace::{Namespace, SHARED};
use crate::engine::no_namespace;
use crate::kind::{Kind, Kinds};
use crate::list::{Counted, Drive, Find, MAX_COUNTED, Range, Scan, Scanned, past};
use crate::query::Direction;
use crate::rows::{CREATED_AT, EventRow, IndexField, Row};
use crate::value;

type Bound<'a> = &'a (dyn ToSql + Sync);

/// Runs a statement as the tenant. Where tenants share a schema, one that another process removed would look as if it had no rows.
pub(super) async fn query(client: &Client, namespace: &Namespace, sql: &str, bound: &[Bound<'_>]) -> Result<Vec<SqlRow>, Failure> {
    let rows = ask(client, namespace, sql, bound).await?;
    if rows.is_empty() {
        is_there(client, namespace).await?;
    }
    Ok(rows)
}

/// Fails when the tenant is not in the schema that it shares. From one of its own there would have been no answer.
pub(super) async fn is_there(client: &Client, namespace: &Namespace) -> Result<(), Failure> {
    let tenant = namespace.tenant.record().uuid();
    if namespace.schema == SHARED && ask(client, namespace, &namespace.statements.is_there, &[&tenant]).await?.is_empty() {
        return Err(no_namespace().into());
    }
    Ok(())
}

/// The same without a look at whether the tenant is there.
pub(super) async fn ask(client: &Client, namespace: &Namespace, sql: &str, bound: &[Bound<'_>]) -> Result<Vec<SqlRow>, Failure> {
    let as_tenant = client.prepare_cached(dialect::AS_TENANT).await?;
    let statement = client.prepare_cached(sql).await?;
    let tenant = namespace.tenant.record().uuid().to_string();
    // Polled in order, so that the setting is sent first; the server answers both in one go.
    let tenant_bound: [Bound<'_>; 1] = [&tenant];
    let (set, rows) = futures_util::future::join(client.query(&as_tenant, &tenant_bound), client.query(&statement, bound)).await;
    set?;
    Ok(rows?)
}

pub(super) async fn record(client: &Client, namespace: &Namespace, kind: &Kind, id: RecordId) -> Result<Option<Row>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.record, &[&tenant, &kind.name(), &id.uuid()]).await?;
    Ok(rows.first().map(row_of))
}

pub(super) async fn find(
    client: &Client,
    namespace: &Namespace,
    kind: &Kind,
    field: usize,
    key: &[u8],
) -> Result<Option<(RecordId, Row)>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let field = &kind.fields()[field].path;
    let rows = query(client, namespace, &namespace.statements.found, &[&tenant, &kind.name(), field, &key]).await?;
    Ok(rows.first().map(|row| (id_at(row, 9), row_of(row))))
}

pub(super) async fn count(
    client: &Client,
    namespace: &Namespace,
    kind: &Kind,
    field: IndexField,
    range: &Range,
    most: Option<i64>,
) -> Result<i64, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let field = field_name(kind, field);
    let rows =
        query(client, namespace, &namespace.statements.count, &[&tenant, &kind.name(), &field, &range.low, &range.high, &most]).await?;
    counted(client, namespace, &rows).await
}

async fn counted(client: &Client, namespace: &Namespace, rows: &[SqlRow]) -> Result<i64, Failure> {
    let count = rows.first().map_or(0, |row| row.get(0));
    if count == 0 {
        is_there(client, namespace).await?;
    }
    Ok(count)
}

pub(super) async fn events(client: &Client, namespace: &Namespace, after: i64, limit: usize) -> Result<Vec<EventRow>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.events, &[&tenant, &after, &(limit as i64)]).await?;
    Ok(rows.iter().map(event_of).collect())
}

pub(super) async fn history(
    client: &Client,
    namespace: &Namespace,
    subject: RecordId,
    before: i64,
    limit: usize,
) -> Result<Vec<EventRow>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let bound: [Bound<'_>; 4] = [&tenant, &subject.uuid(), &before, &(limit as i64)];
    let rows = query(client, namespace, &namespace.statements.history, &bound).await?;
    Ok(rows.iter().map(event_of).collect())
}

fn event_of(row: &SqlRow) -> EventRow {
    EventRow { position: row.get(0), subject: id_at(row, 1), hash: hash_at(row, 2), body: row.get(3) }
}

pub(super) async fn values(
    client: &Client,
    namespace: &Namespace,
    kind: &Kind,
    field: IndexField,
    most: usize,
) -> Result<Vec<Counted>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let bound: [Bound<'_>; 5] = [&tenant, &kind.name(), &field_name(kind, field), &(most as i64), &MAX_COUNTED];
    let rows = query(client, namespace, &namespace.statements.values, &bound).await?;
    Ok(rows.iter().map(|row| Counted { value: row.get(0), first: id_at(row, 1), count: row.get(2) }).collect())
}

pub(super) async fn count_found(client: &Client, namespace: &Namespace, kind: &Kind, start: &str, most: i64) -> Result<i64, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let bound: [Bound<'_>; 5] = [&tenant, &kind.name(), &start.as_bytes(), &past(start), &most];
    let rows = query(client, namespace, &namespace.statements.count_found, &bound).await?;
    counted(client, namespace, &rows).await
}

pub(super) async fn found(client: &Client, namespace: &Namespace, kinds: &Kinds, find: &Find) -> Result<Vec<RecordId>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let (kind, below) = (kinds.at(find.kind).name(), find.below.map(RecordId::uuid));
    let bound: [Bound<'_>; 6] = [&tenant, &kind, &find.start.as_bytes(), &past(&find.start), &below, &find.most];
    let rows = query(client, namespace, &namespace.statements.found_ids, &bound).await?;
    Ok(rows.iter().map(|row| id_at(row, 0)).collect())
}

/// The live ones of these records, in no order.
pub(super) async fn some(client: &Client, namespace: &Namespace, kind: &Kind, ids: &[RecordId]) -> Result<Vec<(RecordId, Row)>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let kinds = vec![kind.name(); ids.len()];
    let rows = query(client, namespace, &namespace.statements.records, &[&tenant, &kinds, &ids]).await?;
    let live = rows.iter().map(|row| (id_at(row, 10), row_of(row))).filter(|(_, row)| row.deleted_at.is_none());
    Ok(live.collect())
}

/// Kind, field and record of claims that could not be made; of kinds and fields that are gone nothing is told.
pub(super) async fn unclaimed(client: &Client, namespace: &Namespace, kinds: &Kinds) -> Result<Vec<(usize, usize, RecordId)>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.unclaimed, &[&tenant]).await?;
    let numbers = |row: &SqlRow| {
        let (kind, field): (&str, &str) = (row.get(0), row.get(1));
        let kind = kinds.index(kind)?;
        let field = kinds.at(kind).fields().iter().position(|known| known.path == field)?;
        Some((kind, field, id_at(row, 2)))
    };
    Ok(rows.iter().filter_map(numbers).collect())
}

pub(super) async fn head(client: &Client, namespace: &Namespace) -> Result<(i64, [u8; 32]), Failure> {
    Ok(head_row(client, namespace).await?.map_or((0, [0; 32]), |row| (row.get(0), hash_at(&row, 1))))
}

/// Position and life of the head; which life it is cannot be told while the head is away.
pub(super) async fn stand(client: &Client, namespace: &Namespace) -> Result<(i64, Option<Uuid>), Failure> {
    let row = head_row(client, namespace).await?;
    Ok(row.map_or((0, None), |row| (row.get(0), (row.len() > 2).then(|| row.get(2)))))
}

async fn head_row(client: &Client, namespace: &Namespace) -> Result<Option<SqlRow>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let mut rows = ask(client, namespace, &namespace.statements.head, &[&tenant]).await?;
    if rows.is_empty() {
        // Away while another process moves the tenant: it would be where the events end.
        rows = query(client, namespace, &namespace.statements.last_event, &[&tenant]).await?;
    }
    Ok(rows.into_iter().next())
}

pub(super) async fn scan(client: &Client, namespace: &Namespace, kinds: &Kinds, scan: &Scan) -> Result<Scanned, Failure> {
    let kind = kinds.at(scan.kind);
    let up = scan.direction == Direction::Ascending;
    let sql = namespace.statements.scan(&scan.drive, up, scan.after.is_some());
    let tenant = namespace.tenant.record().uuid();
    // With few matches wanted and no filter, every row fetched is one that is used.
    let limit = scan.rows as i64;
    let name = kind.name();
    let mut bound: Vec<Bound<'_>> = vec![&tenant, &name, &limit];
    let after_id = scan.after.as_ref().map(|(_, id)| id.uuid());
    let (field, near, far, deleted);
    match &scan.drive {
        Drive::Id => bound.extend(after_id.as_ref().map(|id| id as Bound<'_>)),
        Drive::Deleted => {
            deleted = scan.after.as_ref().and_then(|(value, _)| value::micros(value));
            if let (Some(deleted), Some(id)) = (&deleted, &after_id) {
                bound.extend([deleted as Bound<'_>, id]);
            }
        }
        Drive::Equal(index, value) => {
            field = field_name(kind, *index);
            bound.extend([&field as Bound<'_>, value]);
            bound.extend(after_id.as_ref().map(|id| id as Bound<'_>));
        }
        Drive::Index(index, range) => {
            field = field_name(kind, *index);
            (near, far) = if up { (&range.low, &range.high) } else { (&range.high, &range.low) };
            bound.extend([&field as Bound<'_>, far]);
            match (&scan.after, &after_id) {
                (Some((value, _)), Some(id)) => bound.extend([value as Bound<'_>, id]),
                _ => bound.push(near),
            }
        }
    }
    let rows = query(client, namespace, &sql, &bound).await?;
    let mut scanned = Scanned::default();
    for row in &rows {
        let (id, columns) = (id_at(row, 9), row_of(row));
        let value = match (&scan.drive, columns.deleted_at) {
            (Drive::Index(..), _) => row.get(10),
            (Drive::Deleted, Some(at)) => value::time(Timestamp::from_micros(at)),
            _ => Vec::new(),
        };
        if !scan.look(&mut scanned, value, id, columns)? {
            break;
        }
    }
    Ok(scan.finish(scanned))
}

pub(super) fn field_name(kind: &Kind, field: IndexField) -> &str {
    match field {
        IndexField::CreatedAt => CREATED_AT,
        IndexField::Body(field) => &kind.fields()[field].path,
    }
}

/// The nine columns that every statement for records begins with.
pub(super) fn row_of(row: &SqlRow) -> Row {
    Row {
        version: row.get(0),
        parent: row.get::<_, Option<Uuid>>(1).map(|parent| RecordId::from_bytes(parent.into_bytes())),
        body: row.get::<_, &str>(2).into(),
        created_at: row.get(3),
        created_by: row.get::<_, &str>(4).into(),
        updated_at: row.get(5),
        updated_by: row.get::<_, &str>(6).into(),
        deleted_at: row.get(7),
        shape: row.get(8),
    }
}

pub(super) fn id_at(row: &SqlRow, column: usize) -> RecordId {
    RecordId::from_bytes(row.get::<_, Uuid>(column).into_bytes())
}

/// Another length can only be another hand's work: it is then no hash of ours.
pub(super) fn hash_at(row: &SqlRow, column: usize) -> [u8; 32] {
    row.get::<_, &[u8]>(column).try_into().unwrap_or_default()
}
