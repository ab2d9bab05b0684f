//! What every query walks over: parts of the memtable and of segments, pruned.

use std::sync::Arc;

use arrow_array::RecordBatch;
use steward_base::{Error, Result};

use super::Predicate;
use super::prune::Wants;
use crate::engine::Core;
use crate::memtable::{Entry, Snapshot};
use crate::segment::Segment;

/// A consistent view of one tenant's signal.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) core: Arc<Core>,
    pub(super) snapshot: Snapshot,
}

/// Rows that lie together: an entry of the memtable, or a row group of a segment.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<Entry>, usize),
    Group(Arc<Segment>, usize),
}

impl Part {
    /// The segment's id.
    pub(super) fn segment(&self) -> Option<&str> {
        match &self.place {
            Place::Memory(..) => None,
            Place::Group(segment, _) => Some(&segment.meta.id),
        }
    }
}

impl Scan {
    /// The metrics (name, unit, kind) of a row group, as its side index has them. The whole group's: close enough to a time range for a list.
    pub(super) fn names(&self, part: &Part) -> Result<Option<Vec<(String, String, String)>>> {
        let Place::Group(segment, group) = &part.place else { return Ok(None) };
        let index = self.core.reader.index(segment)?;
        let here = index.names.iter().filter(|name| (name.groups.0..=name.groups.1).contains(group));
        Ok(Some(here.map(|name| (name.name.clone(), name.unit.clone(), name.kind.clone())).collect()))
    }

    /// Whether a part may have points of the metric `name`.
    pub(super) fn may_have(&self, part: &Part, name: &str) -> Result<bool> {
        let Place::Group(segment, group) = &part.place else { return Ok(true) };
        let index = self.core.reader.index(segment)?;
        Ok(index.names.iter().any(|known| known.name == name && (known.groups.0..=known.groups.1).contains(group)))
    }

    /// Whether a part may have rows that pass, as far as the filters beside its segment tell.
    pub(super) fn may_pass(&self, part: &Part, predicate: &Predicate) -> bool {
        let Place::Group(segment, group) = &part.place else { return true };
        predicate.wants == Wants::Anything || self.core.reader.grams(segment).is_none_or(|grams| predicate.wants.may_be_in(&grams, *group))
    }

    /// The parts that may have rows from `from` up to, without, `to`.
    pub(super) fn parts(&self, from: i64, to: i64) -> Result<Vec<Part>> {
        let overlaps = |min: i64, max: i64| min < to && max >= from;
        let mut parts = Vec::new();
        for entry in self.snapshot.entries.iter().filter(|entry| overlaps(entry.min_time, entry.max_time)) {
            for at in 0..entry.rows()?.len() {
                parts.push(Part { min_time: entry.min_time, max_time: entry.max_time, place: Place::Memory(Arc::clone(entry), at) });
            }
        }
        for segment in self.snapshot.segments.iter().filter(|segment| overlaps(segment.meta.min_time, segment.meta.max_time)) {
            let index = self.core.reader.index(segment)?;
            for (at, group) in index.groups.iter().enumerate().filter(|(_, group)| overlaps(group.min_time, group.max_time)) {
                parts.push(Part { min_time: group.min_time, max_time: group.max_time, place: Place::Group(Arc::clone(segment), at) });
            }
        }
        Ok(parts)
    }

    /// A part's rows with at least `columns`.
    pub(super) fn read(&self, part: &Part, columns: &[&str]) -> Result<RecordBatch> {
        match &part.place {
            Place::Memory(entry, at) => memory(entry, *at),
            Place::Group(segment, group) => self.core.reader.group(segment, *group, Some(columns), None),
        }
    }

    /// Some of a part's rows, whole; `rows` ascend.
    pub(super) fn fetch(&self, part: &Part, rows: &[usize]) -> Result<(RecordBatch, Vec<usize>)> {
        match &part.place {
            Place::Memory(entry, at) => Ok((memory(entry, *at)?, rows.to_vec())),
            Place::Group(segment, group) => {
                let batch = self.core.reader.group(segment, *group, None, Some(rows))?;
                Ok((batch, (0..rows.len()).collect()))
            }
        }
    }
}

fn memory(entry: &Entry, at: usize) -> Result<RecordBatch> {
    entry.rows()?.into_iter().nth(at).ok_or_else(|| Error::internal("an entry lost a batch"))
}
