//! Reading columns of a record batch.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use steward_base::Error;

/// A dictionary column: distinct texts (perhaps twice) and a code per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) codes: &'a [i32],
    pub(crate) texts: &'a StringArray,
}

impl<'a> Words<'a> {
    pub(crate) fn code(&self, row: usize) -> i32 {
        self.codes[row]
    }

    /// How many texts there are; codes are below it.
    pub(crate) fn texts_len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn text(&self, code: i32) -> &'a str {
        self.texts.value(code as usize)
    }

    pub(crate) fn at(&self, row: usize) -> &'a str {
        self.text(self.codes[row])
    }
}

/// The dictionary column `column`. Our schemas have no other kind of dictionary.
pub(crate) fn words(column: &ArrayRef) -> Words<'_> {
    let column = column.as_dictionary::<Int32Type>();
    Words { codes: column.keys().values(), texts: column.values().as_string() }
}

/// A row's place in the order of arrival: the batch that brought it and its place there. Stable through compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// The batch's sequence number in the write-ahead log.
    pub batch: u64,
    /// The row's place in the batch.
    pub ordinal: u32,
}

/// The columns every row has, of both signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    pub(crate) time: &'a [i64],
    pub(crate) batch: &'a [u64],
    pub(crate) ordinal: &'a [u32],
}

impl<'a> Places<'a> {
    pub(crate) fn of(rows: &'a RecordBatch) -> Self {
        Self {
            time: rows["time"].as_primitive::<TimestampMicrosecondType>().values(),
            batch: rows["batch"].as_primitive::<UInt64Type>().values(),
            ordinal: rows["ordinal"].as_primitive::<UInt32Type>().values(),
        }
    }

    pub(crate) fn id(&self, row: usize) -> RowId {
        RowId { batch: self.batch[row], ordinal: self.ordinal[row] }
    }
}

/// Our own rows that cannot be read are a defect or damage, never the caller's fault.
pub(crate) fn unreadable(error: ArrowError) -> Error {
    Error::internal(error)
}
