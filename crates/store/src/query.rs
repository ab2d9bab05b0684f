//! Questions about many records.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use steward_base::filter::Expr;
use steward_base::{RecordId, base32};

use crate::Record;

/// Most records of one page.
pub const MAX_LIMIT: usize = 500;

/// A question for records of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListQuery {
    /// The kind's name.
    pub kind: String,
    /// Live records unless said.
    pub among: Among,
    /// Checked against the kind's registry (`steward_base::filter::check`).
    pub filter: Option<Expr>,
    /// At most one field; the id breaks ties. Empty is by id, oldest first. The recycle bin has one order: what was deleted last comes first.
    pub order: Vec<Order>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Most records to answer, up to [`MAX_LIMIT`]; 0 is 50.
    pub limit: usize,
}

/// Which records of a kind are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Among {
    /// Those that can be used.
    #[default]
    Live,
    /// Those in the recycle bin: deleted, and not purged yet.
    Deleted,
}

/// A field to order by: an indexed one that is no list, `created_at` or `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Dotted path.
    pub field: String,
    /// Which way.
    pub direction: Direction,
}

/// Which way an order goes; a field's missing values are the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Order {
    /// Smallest first.
    pub fn ascending(field: impl Into<String>) -> Self {
        Self { field: field.into(), direction: Direction::Ascending }
    }

    /// Largest first.
    pub fn descending(field: impl Into<String>) -> Self {
        Self { field: field.into(), direction: Direction::Descending }
    }
}

/// The place in an order after which a page begins: the order's value and the id, as text. It means nothing under another order or filter:
/// whoever hands it out signs it together with both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Base64 of the index value; absent when the order is by id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value: Option<String>,
    /// Base32 of the id.
    id: String,
}

impl Cursor {
    pub(crate) fn new(value: Option<&[u8]>, id: RecordId) -> Self {
        Self { value: value.map(|value| URL_SAFE_NO_PAD.encode(value)), id: base32::encode(&id.bytes()) }
    }

    /// The parts; `None` when they are not what [`Cursor::new`] wrote.
    pub(crate) fn parts(&self) -> Option<(Option<Vec<u8>>, RecordId)> {
        let value = self.value.as_ref().map(|text| URL_SAFE_NO_PAD.decode(text)).transpose().ok()?;
        Some((value, RecordId::from_bytes(base32::decode(&self.id)?)))
    }
}

/// One page of an answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the order asked for. A page may be short, or empty, and still have a next one: a filter that matches rarely stops after
    /// 20,000 rows looked at.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}
