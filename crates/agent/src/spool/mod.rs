//! The spool: batches that are ready to be sent, on disk, in order, bounded.
//!
//! A folder of segments, each a row of frames `length u32 | crc32 u32 | signal u8 | rows u32 | id 16 | payload`, all little-endian, and a
//! file that says how far they are sent. A batch is on disk when [`Spool::append`] returns. After a crash a torn tail is cut off and what
//! was appended before is there. A sent position may be older than the truth, so a batch may be sent again, under the same id. When the
//! limit is reached the oldest segment goes, and its unsent rows are counted.

mod segment;
mod shared;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use steward_base::{RecordId, Result};

pub(crate) use shared::Shared;

use crate::{platform, unusable};
use segment::Segment;

const SENT_FILE: &str = "sent";

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `/otlp/v1/logs`.
    Logs,
    /// `/otlp/v1/metrics`.
    Metrics,
}

/// An OTLP request, encoded and packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where it goes.
    pub signal: Signal,
    /// Stays with it through every attempt.
    pub id: RecordId,
    /// How many log lines or metrics are in it.
    pub rows: u32,
    /// The gzip bytes.
    pub payload: Vec<u8>,
}

/// Where a batch lies, to say that it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    segment: u64,
    offset: u64,
    end: u64,
}

/// How full the spool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes on disk.
    pub bytes: u64,
    /// Rows that will never arrive: pushed out by newer ones, damaged, or refused by the server.
    pub dropped_rows: u64,
}

/// The spool of one agent.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    segment_limit: u64,
    segments: VecDeque<Segment>,
    /// Appends to the last segment; none until the first append, so that a segment of an earlier run is never written again.
    writer: Option<File>,
    reader: Option<(u64, File)>,
    next_number: u64,
    /// Up to where the first segment is sent.
    sent: u64,
    dropped_rows: u64,
    /// The position on disk is older than `sent`, which has been said.
    sent_is_behind: bool,
}

impl Spool {
    /// Opens the folder, or makes it. Fails with `state_unusable`.
    pub fn open(folder: &Path, limit: u64) -> Result<Self> {
        Self::open_folder(folder, limit).map_err(|error| unusable(folder, error))
    }

    fn open_folder(folder: &Path, limit: u64) -> io::Result<Self> {
        platform::private_folder(folder)?;
        let (sent_segment, sent) = read_sent(folder);
        let mut numbers = segment::numbers(folder)?;
        numbers.sort_unstable();
        let mut spool = Self {
            folder: folder.to_owned(),
            limit,
            segment_limit: (limit / 16).clamp(4 * 1024, 4 * 1024 * 1024),
            segments: VecDeque::new(),
            writer: None,
            reader: None,
            // Neither a segment that is there nor one that the sent position speaks of, which may have gone without it.
            next_number: numbers.last().map_or(0, |last| last + 1).max(sent_segment + u64::from(sent > 0)),
            sent: 0,
            dropped_rows: 0,
            sent_is_behind: false,
        };
        for number in numbers {
            let from = if number == sent_segment { sent } else { 0 };
            let found = Segment::recover(folder, number, from)?;
            if number < sent_segment || found.bytes <= found.boundary {
                fs::remove_file(segment::path(folder, number))?;
                continue;
            }
            if spool.segments.is_empty() {
                spool.sent = found.boundary;
            }
            spool.segments.push_back(found);
        }
        Ok(spool)
    }

    /// Bytes on disk and rows lost.
    pub fn figures(&self) -> Figures {
        Figures { bytes: self.bytes(), dropped_rows: self.dropped_rows }
    }

    /// Puts a batch at the end and waits until it is on disk; the oldest ones make room for it.
    ///
    /// A full disk is treated as a lower limit: the oldest segment goes and the append is tried again; without any left the batch itself
    /// is dropped and counted, because an agent must outlive a full disk.
    pub fn append(&mut self, batch: &Batch) -> Result<()> {
        let frame = segment::encode(batch);
        if frame.len() as u64 > self.limit {
            self.dropped_rows += u64::from(batch.rows);
            return Ok(());
        }
        while self.bytes() + frame.len() as u64 > self.limit {
            self.drop_oldest();
        }
        while let Err(error) = self.write(&frame, batch.rows) {
            self.writer = None;
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if !full {
                return Err(unusable(&self.folder, error));
            }
            if self.segments.is_empty() {
                self.dropped_rows += u64::from(batch.rows);
                return Ok(());
            }
            self.drop_oldest();
        }
        Ok(())
    }

    /// The oldest batch that is not sent. One that turns out damaged is counted and passed over.
    ///
    /// Fails with `state_unusable` when the disk or the system refuses to read, which says nothing about the batch: it stays.
    pub fn oldest(&mut self) -> Result<Option<(Position, Batch)>> {
        loop {
            let Some(first) = self.segments.front() else { return Ok(None) };
            let (number, bytes) = (first.number, first.bytes);
            if self.sent < bytes {
                if let Some((batch, end)) = self.read(number).map_err(|error| unusable(&self.folder, error))? {
                    return Ok(Some((Position { segment: number, offset: self.sent, end }, batch)));
                }
                tracing::warn!(file.path = %segment::path(&self.folder, number).display(), "a spool segment is damaged; its rest is lost");
            } else if self.segments.len() == 1 {
                return Ok(None);
            }
            self.drop_oldest();
        }
    }

    /// Says that the batch at this position is sent; one that was pushed out meanwhile is no matter.
    ///
    /// A disk that does not take the position is logged and outlived: this run goes on from memory, the next may send a batch again.
    pub fn sent(&mut self, position: Position, batch: &Batch) {
        let alone = self.segments.len() == 1;
        let Some(first) = self.segments.front_mut() else { return };
        if (first.number, self.sent) != (position.segment, position.offset) {
            return;
        }
        first.unsent_rows = first.unsent_rows.saturating_sub(u64::from(batch.rows));
        self.sent = position.end;
        // A segment that is sent as a whole goes, unless it is small and still being filled.
        if self.sent >= first.bytes && (!alone || self.writer.is_none() || first.bytes >= self.segment_limit / 2) {
            self.drop_oldest();
        }
        let number = self.segments.front().map_or(self.next_number, |first| first.number);
        match write_sent(&self.folder, number, self.sent) {
            Ok(()) => self.sent_is_behind = false,
            Err(error) if !self.sent_is_behind => {
                self.sent_is_behind = true;
                tracing::warn!(error.message = %error, "how far the spool is sent cannot be written; a restart may send batches again");
            }
            Err(_) => {}
        }
    }

    /// Counts a batch the server refuses for good as lost, and passes over it.
    pub fn refused(&mut self, position: Position, batch: &Batch) {
        self.dropped_rows += u64::from(batch.rows);
        self.sent(position, batch);
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn write(&mut self, frame: &[u8], rows: u32) -> io::Result<()> {
        if self.segments.back().is_some_and(|last| last.bytes + frame.len() as u64 > self.segment_limit) {
            self.writer = None;
        }
        if self.writer.is_none() {
            // Taken before the file is made: one that is left over from a failure must not stand in the way of every later try.
            let number = self.next_number;
            self.next_number += 1;
            let path = segment::path(&self.folder, number);
            let file = platform::create_private_file(&path)?;
            if let Err(error) = platform::sync_folder(&self.folder) {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            if self.segments.is_empty() {
                self.sent = 0;
            }
            self.segments.push_back(Segment::empty(number));
            self.writer = Some(file);
        }
        let (Some(file), Some(last)) = (&mut self.writer, self.segments.back_mut()) else { return Ok(()) };
        if let Err(error) = file.write_all(frame).and_then(|()| file.sync_data()) {
            // What was written of it must not stand before a later frame; a tail that cannot be cut is passed over like a torn one.
            let _ = file.set_len(last.bytes);
            return Err(error);
        }
        last.bytes += frame.len() as u64;
        last.unsent_rows += u64::from(rows);
        Ok(())
    }

    /// The batch at the sent position; nothing when the frame is damaged or the file is gone.
    fn read(&mut self, number: u64) -> io::Result<Option<(Batch, u64)>> {
        let file = match self.reader.take() {
            Some((open, file)) if open == number => file,
            _ => match File::open(segment::path(&self.folder, number)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let found = segment::read(&file, self.sent)?;
        self.reader = Some((number, file));
        Ok(found)
    }

    fn drop_oldest(&mut self) {
        let Some(first) = self.segments.pop_front() else { return };
        self.dropped_rows += first.unsent_rows;
        self.sent = 0;
        if self.segments.is_empty() {
            self.writer = None;
        }
        if self.reader.as_ref().is_some_and(|(open, _)| *open == first.number) {
            self.reader = None;
        }
        if let Err(error) = fs::remove_file(segment::path(&self.folder, first.number)) {
            tracing::warn!(error.message = %error, "a spool segment cannot be removed");
        }
    }
}

/// How far was sent; without a readable file, nothing was.
fn read_sent(folder: &Path) -> (u64, u64) {
    let text = fs::read_to_string(folder.join(SENT_FILE)).unwrap_or_default();
    text.trim().split_once(' ').and_then(|(segment, offset)| Some((segment.parse().ok()?, offset.parse().ok()?))).unwrap_or((0, 0))
}

/// Not waited for: an older position only sends a batch once more.
fn write_sent(folder: &Path, segment: u64, offset: u64) -> io::Result<()> {
    let new = folder.join("sent.new");
    fs::write(&new, format!("{segment} {offset}\n"))?;
    fs::rename(new, folder.join(SENT_FILE))
}
