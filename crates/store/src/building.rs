//! Keys that came to a kind after its records: until all of these are entered, nobody may rely on them.
//!
//! Commits keep such keys from the first moment, so what is built is only what was there before, record by record, and may be built twice. A
//! record whose value is already claimed stays as it is and is remembered as unclaimed.

use std::collections::BTreeSet;

use parking_lot::RwLock;
use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, RecordId};

use crate::kind::{Field, Kind, Kinds};
use crate::rows::SEARCH;

/// Records entered in one transaction; up to so many are entered before a namespace is opened.
pub(crate) const BUILT_AT_ONCE: i64 = 200;

/// What a field's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Index,
    Unique,
    /// The search rows of a whole kind; the field's number means nothing.
    Search,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Index => "index",
            Role::Unique => "unique",
            Role::Search => "search",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "unique" => Role::Unique,
            "search" => Role::Search,
            _ => Role::Index,
        }
    }
}

/// A key: the numbers of kind and field, and what it is for.
pub(crate) type KeyId = (usize, usize, Role);

/// A key as a namespace remembers it: path of the field, role, and type of the values, for another type is another key.
pub(crate) type Key = (String, &'static str, String);

/// The keys that a kind has now.
pub(crate) fn keys_of(kind: &Kind) -> BTreeSet<Key> {
    let roles = |field: &Field| [(field.indexed, Role::Index), (field.unique, Role::Unique)];
    let of_field = |field: &Field| {
        let (path, value) = (field.path.clone(), value_of(kind, field));
        roles(field).into_iter().filter(|(has, _)| *has).map(move |(_, role)| (path.clone(), role.name(), value.clone()))
    };
    let search = kind.search_rows().map(|rows| (SEARCH.to_owned(), Role::Search.name(), rows));
    kind.fields().iter().flat_map(of_field).chain(search).collect()
}

/// The type of a field's values, and how often upgrades of the kind touched them: other values are another key.
fn value_of(kind: &Kind, field: &Field) -> String {
    let top = field.segments.first().map_or("", String::as_str);
    match kind.steps_of(top) {
        0 => field.value.name().to_owned(),
        steps => format!("{}#{steps}", field.value.name()),
    }
}

/// A key as a namespace told it. One that was remembered before types were is of the type that the field has now.
pub(crate) fn key_told(kind: &Kind, field: String, role: &str, value: String) -> Key {
    let now = kind.field(&field).map_or("", |field| field.value.name());
    (field, Role::named(role).name(), if value.is_empty() { now.to_owned() } else { value })
}

/// The field numbers and roles of keys that the kind has.
pub(crate) fn numbered(kind: &Kind, keys: &BTreeSet<Key>) -> Vec<(usize, Role)> {
    let number = |(path, role, _): &Key| match Role::named(role) {
        Role::Search => Some((0, Role::Search)),
        role => Some((kind.fields().iter().position(|field| field.path == *path)?, role)),
    };
    keys.iter().filter_map(number).collect()
}

/// The keys of a namespace that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Building(RwLock<BTreeSet<KeyId>>);

impl Building {
    pub(crate) fn of(keys: impl IntoIterator<Item = KeyId>) -> Self {
        Self(RwLock::new(keys.into_iter().collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// A kind with keys to build, and these.
    pub(crate) fn next(&self) -> Option<(usize, Vec<(usize, Role)>)> {
        let keys = self.0.read();
        let kind = keys.first()?.0;
        Some((kind, keys.iter().filter(|key| key.0 == kind).map(|(_, field, role)| (*field, *role)).collect()))
    }

    /// The keys of a kind are complete.
    pub(crate) fn done(&self, kind: usize) {
        self.0.write().retain(|key| key.0 != kind);
    }

    pub(crate) fn has(&self, key: KeyId) -> bool {
        self.0.read().contains(&key)
    }

    /// Fails with `index_building` while the key cannot be relied on.
    pub(crate) fn refuse(&self, kinds: &Kinds, key: KeyId) -> Result<(), Error> {
        if !self.has(key) {
            return Ok(());
        }
        let kind = kinds.at(key.0);
        let what = match key.2 {
            Role::Search => format!("The full text of {} records", kind.name()),
            Role::Index | Role::Unique => format!("The index of {}.{}", kind.name(), kind.fields()[key.1].path),
        };
        let detail = format!("{what} is still being built after an upgrade: try again in a moment.");
        Err(Error::new(ErrorKind::Unavailable, "index_building", detail).with_retry_after(std::time::Duration::from_secs(5)))
    }
}

/// What one record adds to keys that are being built: field, role and value.
pub(crate) fn entries(kind: &Kind, body: &Map<String, Value>, keys: &[(usize, Role)]) -> Vec<(usize, Role, Vec<u8>)> {
    let of_key = |(field, role): &(usize, Role)| {
        let values = match role {
            Role::Index => kind.fields()[*field].index_values(body),
            Role::Unique => kind.fields()[*field].unique_values(body),
            Role::Search => kind.terms(body).into_iter().map(|term| term.into_boxed_bytes().into_vec()).collect(),
        };
        let (field, role) = (*field, *role);
        values.into_iter().map(move |value| (field, role, value))
    };
    keys.iter().flat_map(of_key).collect()
}

/// Tells of a record that shares what should be its own.
pub(crate) fn tell_unclaimed(kind: &Kind, field: usize, id: RecordId) {
    tracing::warn!(
        record.id = id.wire(kind.prefix()),
        record.field = kind.fields()[field].path,
        "a record has a value that must now be unique and that another one has too: change one of them"
    );
}

/// A record whose value in a field that became unique was already taken when that began. It can be read and changed as ever; giving it a value
/// of its own ends this.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unclaimed {
    /// The kind's name.
    pub kind: std::sync::Arc<str>,
    /// Dotted path of the field.
    pub field: String,
    /// The record without the claim.
    pub id: RecordId,
    /// The record that has it, while there is one.
    pub holder: Option<RecordId>,
}
