//! Reading the log back after a stop of any kind.

use std::fmt;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{self, FILE_HEADER, FileHeader, Header};
use crate::columns::PAYLOAD_AT;
use crate::disk::Disk;

/// Acknowledged batches that the disk no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: String,
    /// Sequence numbers of the batches lost.
    pub(crate) lost: Range<u64>,
    /// The copy kept for whoever investigates.
    pub(crate) quarantined: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.lost;
        write!(f, "{} batches (from {start}) of {} are damaged; the file is kept as {}", end - start, self.file, self.quarantined)
    }
}

/// What the log holds.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Every file that is still there, in order, with the highest sequence in it per tenant and signal to be worked out by the caller.
    pub(crate) files: Vec<RecoveredFile>,
    pub(crate) damage: Vec<Damage>,
    /// Bytes after the last whole frame that were cut off; nobody was promised them.
    pub(crate) torn_bytes: u64,
    pub(crate) next_sequence: u64,
    pub(crate) next_file: u64,
}

#[derive(Debug)]
pub(crate) struct RecoveredFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) frames: Vec<(Header, Bytes)>,
}

pub(super) fn file_name(number: u64, salt: u32) -> String {
    format!("{number:016}-{salt:08x}.wal")
}

/// A file's number and the salt of its frames; files of the first version had none.
fn number_and_salt(name: &str) -> Option<(u64, u32)> {
    let stem = name.strip_suffix(".wal")?;
    let (number, salt) = stem.split_once('-').unwrap_or((stem, "0"));
    Some((number.parse().ok()?, u32::from_str_radix(salt, 16).ok()?))
}

/// Reads every file, reports and quarantines damage, cuts the torn tail. `published` is the highest sequence the manifest knows of; what is
/// missing before `floor` is in segments: its file was removed, and perhaps one before it came back after a power cut.
pub(crate) fn recover(disk: &dyn Disk, published: u64, floor: u64) -> io::Result<Recovered> {
    let mut names: Vec<((u64, u32), String)> = disk.list()?.into_iter().filter_map(|name| Some((number_and_salt(&name)?, name))).collect();
    names.sort();
    let next_file = names.last().map_or(1, |((number, _), _)| number + 1);
    let mut out = Recovered { next_sequence: published + 1, next_file, ..Recovered::default() };
    let mut opened = Vec::with_capacity(names.len());
    for ((_, salt), name) in names {
        let bytes = Bytes::from(disk.read(&name)?);
        let first = match frame::read_file_header(&bytes) {
            FileHeader::First(first) => Some(first),
            FileHeader::Blank => {
                disk.remove(&name)?;
                continue;
            }
            // Whatever comes first in it is where it begins.
            FileHeader::Bad => frame::find(&bytes, FILE_HEADER, salt).map(|(_, header)| header.sequence),
            FileHeader::Later(version) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{name} has format {version}, written by a later Steward")));
            }
        };
        opened.push((name, bytes, first, salt));
    }
    let mut expected = None;
    for at in 0..opened.len() {
        // A later file that starts at an earlier sequence replaces what this one has from there on: this one had failed.
        let limit = opened[at + 1..].iter().filter_map(|(_, _, first, _)| *first).min();
        let (name, bytes, first, salt) = &opened[at];
        // The oldest file must reach back to what is not in segments: a file or a frame missing before it is a loss too.
        let start = expected.unwrap_or_else(|| first.map_or(floor, |first| first.min(floor)));
        let scan = Scan::run(bytes, *salt, start, limit);
        expected = Some(scan.expected);
        for lost in scan.lost.into_iter().map(|lost| lost.start.max(floor)..lost.end).filter(|lost| !lost.is_empty()) {
            let quarantined = quarantine(disk, name, bytes)?;
            out.damage.push(Damage { file: name.clone(), lost, quarantined });
        }
        if limit.is_none() && scan.torn > 0 {
            out.torn_bytes = scan.torn as u64;
            disk.truncate(name, scan.end as u64)?;
        }
        out.files.push(RecoveredFile { name: name.clone(), size: bytes.len() as u64, frames: scan.frames });
    }
    disk.sync()?;
    out.next_sequence = out.next_sequence.max(expected.unwrap_or(0));
    Ok(out)
}

struct Scan {
    frames: Vec<(Header, Bytes)>,
    lost: Vec<Range<u64>>,
    expected: u64,
    end: usize,
    torn: usize,
}

impl Scan {
    fn run(bytes: &Bytes, salt: u32, expected: u64, limit: Option<u64>) -> Self {
        let mut scan = Self { frames: Vec::new(), lost: Vec::new(), expected, end: FILE_HEADER, torn: 0 };
        while limit.is_none_or(|limit| scan.expected < limit) {
            let next = match frame::read(&bytes[scan.end.min(bytes.len())..], salt) {
                Some(header) => Some((scan.end, header)),
                None => frame::find(bytes, scan.end, salt),
            };
            match next {
                // What failed files held beyond their successor's start, and what a crash left behind of a group already written again.
                Some((at, header)) if header.sequence < scan.expected => scan.end = at + PAYLOAD_AT + header.length,
                Some((_, header)) if limit.is_some_and(|limit| header.sequence >= limit) => break,
                Some((at, header)) if header.sequence == scan.expected => scan.take(bytes, at, header),
                // The gap was durable when this frame was written, so it had been acknowledged.
                Some((at, header)) if limit.is_some() || header.durable >= scan.expected => {
                    scan.lost.push(scan.expected..header.sequence);
                    scan.take(bytes, at, header);
                }
                _ => break,
            }
        }
        match limit {
            Some(limit) if scan.expected < limit => {
                scan.lost.push(scan.expected..limit);
                scan.expected = limit;
            }
            Some(_) => {}
            None => {
                let rest = &bytes[scan.end.min(bytes.len())..];
                scan.torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            }
        }
        scan
    }

    fn take(&mut self, bytes: &Bytes, at: usize, header: Header) {
        let payload = at + PAYLOAD_AT;
        self.end = payload + header.length;
        self.expected = header.sequence + 1;
        self.frames.push((header, bytes.slice(payload..self.end)));
    }
}

fn quarantine(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<String> {
    let copy = format!("{name}.quarantined");
    if disk.list()?.contains(&copy) {
        return Ok(copy);
    }
    let mut file = disk.create(&copy, bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    Ok(copy)
}
