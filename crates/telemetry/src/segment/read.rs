//! Parquet to rows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::errors::ParquetError;
use steward_base::{Error, Result};

use super::{Grams, METRIC_GROUP_ROWS, SideIndex};
use crate::manifest::SegmentMeta;
use crate::objects::Objects;

/// Footers and indexes kept in memory.
const KEPT: usize = 256;
/// Bytes of filters kept in memory: those of about 4 GB of logs.
const KEPT_GRAMS: usize = 64 << 20;

/// A segment named by the manifest.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
}

#[derive(Clone, Debug)]
struct Opened {
    footer: ArrowReaderMetadata,
    index: Arc<SideIndex>,
}

/// Opens segments, and remembers how those used last are laid out.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    objects: Objects,
    opened: Mutex<VecDeque<(String, Opened)>>,
    grams: Mutex<KeptGrams>,
}

/// The filters read last; `None` for a segment whose filters cannot be read.
#[derive(Debug, Default)]
struct KeptGrams {
    of: HashMap<String, (u64, Option<Arc<Grams>>)>,
    uses: u64,
    bytes: usize,
}

impl KeptGrams {
    fn get(&mut self, id: &str) -> Option<Option<Arc<Grams>>> {
        self.uses += 1;
        let (used, grams) = self.of.get_mut(id)?;
        *used = self.uses;
        Some(grams.clone())
    }

    fn keep(&mut self, id: &str, grams: Option<Arc<Grams>>) {
        let bytes = |grams: &Option<Arc<Grams>>| grams.as_ref().map_or(0, |grams| grams.bytes());
        self.bytes += bytes(&grams);
        if let Some((_, former)) = self.of.insert(id.to_owned(), (self.uses, grams)) {
            self.bytes -= bytes(&former);
        }
        while self.bytes > KEPT_GRAMS || self.of.len() > KEPT_GRAMS / 1024 {
            let Some(oldest) = self.of.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone()) else { return };
            self.bytes -= self.of.remove(&oldest).map_or(0, |(_, grams)| bytes(&grams));
        }
    }
}

impl SegmentReader {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, opened: Mutex::new(VecDeque::new()), grams: Mutex::default() }
    }

    pub(crate) fn index(&self, segment: &Segment) -> Result<Arc<SideIndex>> {
        self.opened(segment).map(|opened| opened.index)
    }

    /// A segment's filters; `None` when it has none or they cannot be read: then its rows are.
    pub(crate) fn grams(&self, segment: &Segment) -> Option<Arc<Grams>> {
        let meta = &segment.meta;
        if meta.grams == 0 {
            return None;
        }
        if let Some(kept) = self.grams.lock().get(&meta.id) {
            return kept;
        }
        let read = self.objects.read(&meta.grams_path());
        let grams = read.as_ref().ok().and_then(|bytes| Grams::from_object(bytes.clone())).map(Arc::new);
        if grams.is_none() {
            tracing::warn!(path = meta.grams_path(), "the filters of a segment are damaged or missing; its rows are read instead");
        }
        self.grams.lock().keep(&meta.id, grams.clone());
        grams
    }

    /// One row group; all columns when `columns` is `None`, all rows when `rows` is. `rows` ascend.
    pub(crate) fn group(&self, segment: &Segment, group: usize, columns: Option<&[&str]>, rows: Option<&[usize]>) -> Result<RecordBatch> {
        let opened = self.opened(segment)?;
        let blob = self.objects.open(&segment.meta.path())?;
        let mask = match columns {
            None => ProjectionMask::all(),
            Some(names) => ProjectionMask::columns(opened.footer.parquet_schema(), names.iter().copied()),
        };
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(blob, opened.footer)
            .with_row_groups(vec![group])
            // Never less than a group has.
            .with_batch_size(METRIC_GROUP_ROWS)
            .with_projection(mask);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(selection(rows));
        }
        let mut batches = builder.build().map_err(unreadable)?;
        match batches.next() {
            Some(batch) => batch.map_err(Error::internal),
            None => Err(Error::internal("a row group of a segment is empty")),
        }
    }

    fn opened(&self, segment: &Segment) -> Result<Opened> {
        {
            let mut kept = self.opened.lock();
            if let Some(at) = kept.iter().position(|(id, _)| *id == segment.meta.id) {
                let found = kept.remove(at).expect("the position was just found");
                let opened = found.1.clone();
                kept.push_front(found);
                return Ok(opened);
            }
        }
        let blob = self.objects.open(&segment.meta.path())?;
        let footer = ArrowReaderMetadata::load(&blob, ArrowReaderOptions::new()).map_err(unreadable)?;
        let index = self.objects.read(&segment.meta.index_path())?;
        let index = Arc::new(serde_json::from_slice::<SideIndex>(&index).map_err(Error::internal)?);
        let opened = Opened { footer, index };
        let mut kept = self.opened.lock();
        kept.push_front((segment.meta.id.clone(), opened.clone()));
        kept.truncate(KEPT);
        Ok(opened)
    }
}

fn selection(rows: &[usize]) -> RowSelection {
    let mut selectors = Vec::with_capacity(rows.len() * 2);
    let mut next = 0;
    for &row in rows {
        if row > next {
            selectors.push(RowSelector::skip(row - next));
        }
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    RowSelection::from(selectors)
}

fn unreadable(error: ParquetError) -> Error {
    Error::internal(error)
}
