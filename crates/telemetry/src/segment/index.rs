//! What a query asks of a segment before it opens it: time per row group, rows per minute and level, metric names.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampMicrosecondType, UInt8Type};
use serde::{Deserialize, Serialize};

use crate::rows::words;
use crate::{Severity, Signal};

pub(crate) const MINUTE: i64 = 60_000_000;
/// Beyond this many minutes the counts are left out and histograms read the rows: back-filled data must not blow up the index.
const MAX_MINUTES: usize = 20_000;

/// The rows of one row group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) rows: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
}

/// A metric that has points in the segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) kind: String,
    /// The row groups it is in: rows are sorted by name.
    pub(crate) groups: (usize, usize),
}

/// The side index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SideIndex {
    pub(crate) groups: Vec<Group>,
    /// Per minute since the epoch, rows per level in the order of [`Severity::LEVELS`]. `None` when there were too many minutes.
    pub(crate) minutes: Option<Vec<(i64, [u64; 6])>>,
    pub(crate) names: Vec<Name>,
}

/// Gathers the index while row groups are written.
#[derive(Debug, Default)]
pub(super) struct Gather {
    groups: Vec<Group>,
    minutes: BTreeMap<i64, [u64; 6]>,
    names: BTreeMap<(String, String, String), (usize, usize)>,
}

impl Gather {
    /// Adds the next row group.
    pub(super) fn group(&mut self, signal: Signal, rows: &RecordBatch) {
        let times = rows["time"].as_primitive::<TimestampMicrosecondType>().values();
        let (min_time, max_time) = times.iter().fold((i64::MAX, i64::MIN), |(low, high), &time| (low.min(time), high.max(time)));
        match signal {
            Signal::Logs => self.count(times, rows["severity"].as_primitive::<UInt8Type>().values()),
            Signal::Metrics => self.name(rows),
        }
        self.groups.push(Group { rows: rows.num_rows() as u64, min_time, max_time });
    }

    fn count(&mut self, times: &[i64], severities: &[u8]) {
        let mut at = 0;
        while at < times.len() {
            let minute = times[at].div_euclid(MINUTE);
            let end = at + times[at..].partition_point(|time| time.div_euclid(MINUTE) == minute);
            let counts = self.minutes.entry(minute).or_default();
            for &number in &severities[at..end] {
                counts[Severity::from_number(i32::from(number)).level()] += 1;
            }
            at = end;
        }
    }

    fn name(&mut self, rows: &RecordBatch) {
        let at = self.groups.len();
        let (names, units, kinds) = (words(&rows["name"]), words(&rows["unit"]), words(&rows["kind"]));
        let seen: BTreeSet<(i32, i32, i32)> = (0..rows.num_rows()).map(|row| (names.code(row), units.code(row), kinds.code(row))).collect();
        for (name, unit, kind) in seen {
            let key = (names.text(name).to_owned(), units.text(unit).to_owned(), kinds.text(kind).to_owned());
            self.names.entry(key).or_insert((at, at)).1 = at;
        }
    }

    pub(super) fn finish(self) -> SideIndex {
        let names = self.names.into_iter().map(|((name, unit, kind), groups)| Name { name, unit, kind, groups });
        let minutes = (self.minutes.len() <= MAX_MINUTES).then(|| self.minutes.into_iter().collect());
        SideIndex { groups: self.groups, minutes, names: names.collect() }
    }
}
