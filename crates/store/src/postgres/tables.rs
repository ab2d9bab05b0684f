//! The statements for the tables of a dump, made from their list, and the values that they carry.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::dump::{Cell, Column, Is, Table};

/// The next rows: the table's columns. Parameters: tenant, most, and where to go on.
pub(super) fn page(schema: &str, table: &Table, resumed: bool) -> String {
    let order: Vec<String> = table.postgres_order.iter().map(|name| format!("t.{name}")).collect();
    let order = order.join(", ");
    let places: Vec<String> = (0..table.postgres_order.len()).map(|at| format!("${}", at + 3)).collect();
    let on = if resumed { format!("AND ({order}) > ({})", places.join(", ")) } else { String::new() };
    format!("SELECT {} FROM \"{schema}\".{} t WHERE t.tenant = $1 {on} ORDER BY {order} LIMIT $2", columns(table), table.name)
}

/// The records with these ids, of whatever kind: the kinds are found by leaping from one to the next.
pub(super) fn named(schema: &str) -> String {
    format!(
        "WITH RECURSIVE kinds (kind) AS (
            SELECT min(kind) FROM \"{schema}\".record WHERE tenant = $1
            UNION ALL
            SELECT (SELECT min(kind) FROM \"{schema}\".record WHERE tenant = $1 AND kind > kinds.kind) FROM kinds WHERE kind IS NOT NULL)
        SELECT {} FROM kinds k CROSS JOIN unnest($2::uuid[]) n (id)
        CROSS JOIN LATERAL (SELECT * FROM \"{schema}\".record WHERE tenant = $1 AND kind = k.kind AND id = n.id OFFSET 0) t",
        columns(&crate::dump::TABLES[0])
    )
}

pub(super) fn insert(schema: &str, table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let value = |column: &Column| match column.is {
        Is::Flag => format!("u.{} = 1", column.name),
        _ => format!("u.{}", column.name),
    };
    let values: Vec<String> = table.columns.iter().map(value).collect();
    let arrays: Vec<String> = table.columns.iter().enumerate().map(|(at, column)| format!("${}::{}[]", at + 2, type_of(column))).collect();
    format!(
        "INSERT INTO \"{schema}\".{} (tenant, {names}) SELECT $1, {} FROM unnest({}) u ({names})",
        table.name,
        values.join(", "),
        arrays.join(", "),
        names = names.join(", "),
    )
}

pub(super) fn clear(schema: &str, table: &Table) -> String {
    format!("DELETE FROM \"{schema}\".{} WHERE tenant = $1", table.name)
}

pub(super) fn remove(schema: &str) -> String {
    format!(
        "DELETE FROM \"{schema}\".record r USING unnest($2::text[], $3::uuid[]) k (kind, id) WHERE r.tenant = $1 AND r.kind = k.kind AND r.id = k.id"
    )
}

/// Takes unique keys from whoever has them, and remembers those.
pub(super) fn displace(schema: &str) -> String {
    format!(
        "INSERT INTO \"{schema}\".unclaimed SELECT $1, u.kind, u.field, u.id
        FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[]) k (kind, field, value, id)
        JOIN \"{schema}\".record_unique u ON u.tenant = $1 AND u.kind = k.kind AND u.field = k.field AND u.value = k.value AND u.id <> k.id
        ON CONFLICT DO NOTHING"
    )
}

pub(super) fn claim_over(schema: &str) -> String {
    format!(
        "INSERT INTO \"{schema}\".record_unique SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])
        ON CONFLICT (tenant, kind, field, value) DO UPDATE SET id = excluded.id"
    )
}

fn columns(table: &Table) -> String {
    let one = |column: &Column| match column.is {
        Is::Int => format!("t.{}::bigint", column.name),
        Is::Flag => format!("t.{}::integer::bigint", column.name),
        _ => format!("t.{}", column.name),
    };
    table.columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn type_of(column: &Column) -> &'static str {
    match column.is {
        Is::Int | Is::Flag => "bigint",
        Is::Text | Is::Kind => "text",
        Is::Bytes => "bytea",
        Is::Id => "uuid",
    }
}

pub(super) fn cells(table: &Table, row: &SqlRow) -> Result<Vec<Cell>, tokio_postgres::Error> {
    let cell = |(at, column): (usize, &Column)| -> Result<Cell, tokio_postgres::Error> {
        let found = match column.is {
            Is::Int | Is::Flag => row.try_get::<_, Option<i64>>(at)?.map(Cell::Int),
            Is::Text | Is::Kind => row.try_get::<_, Option<String>>(at)?.map(Cell::Text),
            Is::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Cell::Bytes),
            Is::Id => row.try_get::<_, Option<Uuid>>(at)?.map(|id| Cell::Bytes(id.into_bytes().to_vec())),
        };
        Ok(found.unwrap_or(Cell::Null))
    };
    table.columns.iter().enumerate().map(cell).collect()
}

impl ToSql for Cell {
    fn to_sql(&self, sort: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql(sort, out),
            Self::Text(text) => text.to_sql(sort, out),
            Self::Bytes(bytes) if *sort == Type::UUID => Uuid::from_slice(bytes)?.to_sql(sort, out),
            Self::Bytes(bytes) => bytes.to_sql(sort, out),
        }
    }

    fn accepts(sort: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA, Type::UUID].contains(sort)
    }

    to_sql_checked!();
}
