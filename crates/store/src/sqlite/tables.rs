//! The statements for the tables of a dump, made from their list.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::dump::{Cell, Is, TABLES, Table};

/// Takes a unique key from whoever has it, and remembers that one.
pub(super) const DISPLACE: &str = "INSERT INTO unclaimed SELECT tenant, kind, field, id FROM record_unique
    WHERE tenant = ?1 AND kind = ?2 AND field = ?3 AND value = ?4 AND id <> ?5 ON CONFLICT DO NOTHING";
pub(super) const CLAIM_OVER: &str = "INSERT INTO record_unique VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET id = excluded.id";
pub(super) const REMOVE: &str = "DELETE FROM record WHERE tenant = ?1 AND kind = (SELECT kind FROM kind WHERE name = ?2) AND id = ?3";

/// The next rows: the table's columns, then those of its order. Parameters: tenant, most, and where to go on.
pub(super) fn page(table: &Table, resumed: bool) -> String {
    let order: Vec<String> = table.sqlite_order.iter().map(|name| format!("t.{name}")).collect();
    let order = order.join(", ");
    // An index would be followed by a sort of everything.
    let by_row = matches!(table.sqlite_order, ["row" | "rowid"]);
    let tenant = if by_row { "+t.tenant" } else { "t.tenant" };
    let places: Vec<String> = (0..table.sqlite_order.len()).map(|at| format!("?{}", at + 3)).collect();
    let on = if resumed { format!("AND ({order}) > ({})", places.join(", ")) } else { String::new() };
    format!("SELECT {}, {order} FROM {} t WHERE {tenant} = ?1 {on} ORDER BY {order} LIMIT ?2", columns(table), table.name)
}

/// The records with an id, of whatever kind.
pub(super) fn named() -> String {
    let record = &TABLES[0];
    format!("SELECT {} FROM kind k CROSS JOIN record t ON t.tenant = ?1 AND t.kind = k.kind AND t.id = ?2", columns(record))
}

pub(super) fn insert(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let values = table.columns.iter().enumerate().map(|(at, column)| match column.is {
        Is::Kind => format!("(SELECT kind FROM kind WHERE name = ?{})", at + 2),
        _ => format!("?{}", at + 2),
    });
    let values: Vec<String> = values.collect();
    format!("INSERT INTO {} (tenant, {}) VALUES (?1, {})", table.name, names.join(", "), values.join(", "))
}

pub(super) fn clear(table: &Table) -> String {
    format!("DELETE FROM {} WHERE tenant = ?1", table.name)
}

fn columns(table: &Table) -> String {
    let one = |column: &crate::dump::Column| match column.is {
        Is::Kind => format!("(SELECT name FROM kind WHERE kind = t.{})", column.name),
        _ => format!("t.{}", column.name),
    };
    table.columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn cell_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Cell> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(rusqlite::Error::InvalidColumnType(column, "no cell".into(), rusqlite::types::Type::Real)),
    })
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rusqlite::Connection;
    use steward_base::{Clock, TenantId};

    use super::*;
    use crate::kind::Kinds;

    /// Numbers of the file, what is derived from records and events, and what belongs to the file itself.
    const NOT_TOLD: [&str; 12] = [
        "migration",
        "tenant",
        "kind",
        "field",
        "key_state",
        "tenant_head",
        "record_index",
        "record_unique",
        "record_search",
        "request_span",
        "unclaimed",
        "probe",
    ];

    #[test]
    fn a_dump_forgets_no_table_and_no_column() {
        let connection = Connection::open_in_memory().expect("opens");
        super::super::codes::migrate(&connection, &Kinds::new(), &Clock::system(), TenantId::OPERATOR).expect("migrates");
        let sql = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
        let mut statement = connection.prepare(sql).expect("is a statement");
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).expect("asks");
        let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            let (table, column) = row.expect("reads");
            if !NOT_TOLD.contains(&table.as_str()) && column != "tenant" && column != "row" {
                there.entry(table).or_default().insert(column);
            }
        }
        let told = TABLES.iter().map(|table| (table.name.to_owned(), table.columns.iter().map(|column| column.name.to_owned()).collect()));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), there, "a new table is one entry in dump/table.rs, or is derived and named above");
    }
}
