//! How the stored bodies of a kind came to be what they are: a row of steps from one version to the next, taken when a body is read.
//!
//! A body keeps the version that it was written in until it is written again, so that an upgrade of the program rewrites nothing. Keys of the
//! fields that a step touches are built anew behind the requests, like those of a field that became indexed.

use serde_json::{Map, Value};

use super::Kind;
use crate::rows::Row;

/// The step from a version of a kind's bodies to the next.
#[derive(Debug)]
pub struct Upgrade {
    /// Names at the top of the body that it reads or writes.
    pub touches: &'static [&'static str],
    /// Makes a body of the version before one of this version. It cannot fail: whatever was stored was valid then.
    pub change: fn(&mut Map<String, Value>),
}

impl Kind {
    /// The version that bodies are written in: 1, and one more for each step.
    pub fn version(&self) -> i32 {
        1 + i32::try_from(self.upgrades.len()).unwrap_or(i32::MAX - 1)
    }

    /// Brings a body from the version that it was written in to the present one. One of a later version stays: types tolerate what they do
    /// not know.
    pub fn upgrade(&self, from: i32, body: &mut Map<String, Value>) {
        let done = usize::try_from(from.max(1) - 1).unwrap_or(0);
        self.upgrades.iter().skip(done).for_each(|step| (step.change)(body));
    }

    /// How many steps touch a field, by the name at the top of its path.
    pub(crate) fn steps_of(&self, name: &str) -> usize {
        self.upgrades.iter().filter(|step| step.touches.contains(&name)).count()
    }

    /// The row as it would be, had it been written now.
    pub(crate) fn current(&self, row: Row) -> Row {
        if row.shape >= self.version() {
            return row;
        }
        // What cannot be read stays as it is: whoever decodes it says so.
        let Ok(mut body) = row.parse() else { return row };
        self.upgrade(row.shape, &mut body);
        let Ok(text) = serde_json::to_string(&body) else { return row };
        Row { shape: self.version(), body: text.into(), ..row }
    }
}
