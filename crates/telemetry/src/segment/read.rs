//! Parquet to rows.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::errors::ParquetError;
use steward_base::{Error, Result};

use super::{GROUP_ROWS, SideIndex};
use crate::manifest::SegmentMeta;
use crate::objects::Objects;

/// Footers and indexes kept in memory.
const KEPT: usize = 256;

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
}

impl SegmentReader {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, opened: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn index(&self, segment: &Segment) -> Result<Arc<SideIndex>> {
        self.opened(segment).map(|opened| opened.index)
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
            .with_batch_size(GROUP_ROWS)
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
