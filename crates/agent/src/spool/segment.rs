//! One file of the spool: frames, and what is left of them after a crash.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use steward_base::RecordId;

use super::{Batch, Signal};
use crate::platform;

const HEADER: usize = 8;
const FIXED: usize = 1 + 4 + 16;
/// No batch is near this size; a length above it is damage.
const LONGEST: usize = 32 * 1024 * 1024;

/// What is known of a segment without reading it again.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Up to the end of the last whole frame.
    pub(super) bytes: u64,
    pub(super) unsent_rows: u64,
    /// Where the first unsent frame began when the segment was recovered.
    pub(super) boundary: u64,
}

impl Segment {
    pub(super) fn empty(number: u64) -> Self {
        Self { number, bytes: 0, unsent_rows: 0, boundary: 0 }
    }

    /// Reads a segment of an earlier run up to the first damage, cuts the rest off, and finds the first frame at or after `sent`.
    pub(super) fn recover(folder: &Path, number: u64, sent: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path(folder, number))?;
        let mut segment = Self::empty(number);
        while let Some((batch, end)) = read(&file, segment.bytes)? {
            if segment.bytes >= sent {
                segment.unsent_rows += u64::from(batch.rows);
            } else {
                segment.boundary = end;
            }
            segment.bytes = end;
        }
        if file.metadata()?.len() > segment.bytes {
            file.set_len(segment.bytes)?;
        }
        Ok(segment)
    }
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.segment"))
}

/// The segments of a folder, in no order.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".segment")).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        found.extend(number);
    }
    Ok(found)
}

pub(super) fn encode(batch: &Batch) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame.push(match batch.signal {
        Signal::Logs => 1,
        Signal::Metrics => 2,
    });
    frame.extend(batch.rows.to_le_bytes());
    frame.extend(batch.id.bytes());
    frame.extend(&batch.payload);
    let length = (frame.len() - HEADER) as u32;
    let crc = crc32fast::hash(&frame[HEADER..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..HEADER].copy_from_slice(&crc.to_le_bytes());
    frame
}

/// The frame at `offset` and where it ends; nothing when it is torn, damaged or not there.
///
/// An error is the system's, not the frame's: nothing may be concluded from it about what is in the file.
pub(super) fn read(file: &File, offset: u64) -> io::Result<Option<(Batch, u64)>> {
    let mut header = [0; HEADER];
    if platform::read_at(file, &mut header, offset)? < HEADER {
        return Ok(None);
    }
    let [a, b, c, d, crc @ ..] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if !(FIXED..=LONGEST).contains(&length) || offset + (HEADER + length) as u64 > file.metadata()?.len() {
        return Ok(None);
    }
    let mut content = vec![0; length];
    if platform::read_at(file, &mut content, offset + HEADER as u64)? < length || crc32fast::hash(&content).to_le_bytes() != crc {
        return Ok(None);
    }
    Ok(decode(content).map(|batch| (batch, offset + (HEADER + length) as u64)))
}

fn decode(mut content: Vec<u8>) -> Option<Batch> {
    let payload = content.split_off(FIXED);
    let signal = match content[0] {
        1 => Signal::Logs,
        2 => Signal::Metrics,
        _ => return None,
    };
    let rows = u32::from_le_bytes(content[1..5].try_into().ok()?);
    let id = RecordId::from_bytes(content[5..FIXED].try_into().ok()?);
    Some(Batch { signal, id, rows, payload })
}
