//! What a dump holds: one entry per table. A test compares it with the tables of both engines, so that none is forgotten.

use super::Cell;

/// What a column holds, in whatever type an engine keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Int,
    /// 0 or 1.
    Flag,
    Text,
    Bytes,
    /// 16 bytes.
    Id,
    /// The name of a kind, which SQLite keeps as a number.
    Kind,
}

/// A column beside the tenant's.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) is: Is,
    nullable: bool,
}

impl Column {
    /// Whether a value may stand in it.
    pub(crate) fn takes(&self, cell: &Cell) -> bool {
        match (self.is, cell) {
            (_, Cell::Null) => self.nullable,
            (Is::Int, Cell::Int(_)) | (Is::Bytes, Cell::Bytes(_)) => true,
            (Is::Flag, Cell::Int(number)) => (0..=1).contains(number),
            (Is::Text | Is::Kind, Cell::Text(text)) => !text.contains('\0'),
            (Is::Id, cell) => cell.id().is_some(),
            _ => false,
        }
    }
}

const fn has(name: &'static str, is: Is) -> Column {
    Column { name, is, nullable: false }
}

const fn may_have(name: &'static str, is: Is) -> Column {
    Column { name, is, nullable: true }
}

/// When a table is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Each change leaves an event that names the row.
    ByEvents,
    /// It is the events.
    Itself,
    /// It changes without an event, and is told of as a whole.
    Whole,
}

/// A table of a namespace.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) told: Told,
    pub(crate) columns: &'static [Column],
    /// The order in which it is read: on SQLite the order in which it lies there.
    pub(crate) sqlite_order: &'static [&'static str],
    pub(crate) postgres_order: &'static [&'static str],
}

impl Table {
    pub(crate) fn is_records(&self) -> bool {
        self.told == Told::ByEvents
    }

    pub(crate) fn is_events(&self) -> bool {
        self.told == Told::Itself
    }

    pub(crate) fn column(&self, name: &str) -> Option<(usize, &'static Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    /// Rows that belong to the installation and not to the tenant.
    pub(crate) fn keeps(&self, row: &[Cell]) -> bool {
        self.name != "tally" || !row.first().and_then(Cell::text).is_some_and(crate::tally::is_of_installation)
    }
}

/// In the order in which they are told of.
pub(crate) static TABLES: [Table; 7] = [
    Table {
        name: "record",
        told: Told::ByEvents,
        columns: &[
            has("kind", Is::Kind),
            has("id", Is::Id),
            may_have("parent", Is::Id),
            has("version", Is::Int),
            has("body", Is::Text),
            may_have("scope", Is::Text),
            may_have("sealed", Is::Bytes),
            has("created_at", Is::Int),
            has("created_by", Is::Text),
            has("updated_at", Is::Int),
            has("updated_by", Is::Text),
            may_have("deleted_at", Is::Int),
            has("shape", Is::Int),
        ],
        sqlite_order: &["row"],
        postgres_order: &["kind", "id"],
    },
    Table {
        name: "event",
        told: Told::Itself,
        columns: &[has("position", Is::Int), has("subject", Is::Id), has("hash", Is::Bytes), has("body", Is::Bytes)],
        sqlite_order: &["position"],
        postgres_order: &["position"],
    },
    // Sealed under the master key of the installation: what it seals opens only where that key is.
    Table {
        name: "data_key",
        told: Told::Whole,
        columns: &[has("id", Is::Id), may_have("subject", Is::Id), has("wrapped", Is::Text), has("created_at", Is::Int)],
        sqlite_order: &["id"],
        postgres_order: &["id"],
    },
    Table {
        name: "job",
        told: Told::Whole,
        columns: &[
            has("id", Is::Id),
            has("kind", Is::Text),
            has("state", Is::Text),
            has("priority", Is::Int),
            has("run_at", Is::Int),
            may_have("due_at", Is::Int),
            may_have("unique_key", Is::Text),
            has("attempts", Is::Int),
            has("epoch", Is::Int),
            has("payload", Is::Text),
            may_have("progress", Is::Text),
            may_have("last_error", Is::Text),
            has("cancel_requested", Is::Flag),
            has("actor", Is::Text),
            may_have("request_id", Is::Text),
            may_have("trace_id", Is::Text),
            has("created_at", Is::Int),
            may_have("finished_at", Is::Int),
        ],
        sqlite_order: &["row"],
        postgres_order: &["id"],
    },
    Table {
        name: "tally",
        told: Told::Whole,
        columns: &[has("name", Is::Text), has("value", Is::Int)],
        sqlite_order: &["name"],
        postgres_order: &["name"],
    },
    Table {
        name: "inbox",
        told: Told::Whole,
        columns: &[has("source", Is::Text), has("message", Is::Text), has("expires_at", Is::Int)],
        sqlite_order: &["source", "message"],
        postgres_order: &["source", "message"],
    },
    Table {
        name: "idempotency",
        told: Told::Whole,
        columns: &[
            has("principal", Is::Text),
            has("operation", Is::Text),
            has("key", Is::Text),
            has("request", Is::Bytes),
            has("nonce", Is::Bytes),
            has("claimed_at", Is::Int),
            has("written", Is::Text),
            may_have("status", Is::Int),
            may_have("answer", Is::Bytes),
            has("expires_at", Is::Int),
        ],
        sqlite_order: &["rowid"],
        postgres_order: &["principal", "operation", "key"],
    },
];
