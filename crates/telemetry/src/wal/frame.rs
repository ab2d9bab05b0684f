//! Frames and file headers, byte by byte.
//!
//! ```text
//! file   magic [8] · version u32 · crc u32 · first sequence u64 · zeros to 64
//! frame  magic u32 · payload length u32 · crc u32 · version u8 · signal u8 · 0 u16
//!        sequence u64 · durable u64 · tenant [16] · earliest time i64 · latest time i64 · delivery [16] · payload
//! ```
//! A frame's CRC covers everything after it and begins at the file's salt, a random number that is part of the file's name: bytes of an earlier
//! file, or a payload made to look like a frame, are never taken for one of this file's. `durable` is the last sequence known durable when the frame was written: it tells a torn tail,
//! which nobody was promised, from damage to acknowledged data.

use steward_base::{RecordId, TenantId};

use crate::columns::PAYLOAD_AT;
use crate::{Delivery, Signal};

pub(super) const FILE_HEADER: usize = 64;
const FILE_MAGIC: [u8; 8] = *b"STWDWAL\0";
const FRAME_MAGIC: [u8; 4] = *b"STWF";
const VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) signal: Signal,
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) tenant: TenantId,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) delivery: Option<Delivery>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    First(u64),
    /// Never written: the machine stopped right after the file was made.
    Blank,
    Bad,
    Later(u32),
}

pub(super) fn file_header(first: u64) -> [u8; FILE_HEADER] {
    let mut out = [0; FILE_HEADER];
    out[..8].copy_from_slice(&FILE_MAGIC);
    out[8..12].copy_from_slice(&u32::from(VERSION).to_le_bytes());
    out[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&out[16..24]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

pub(super) fn read_file_header(bytes: &[u8]) -> FileHeader {
    let Some(header) = bytes.first_chunk::<FILE_HEADER>() else {
        return FileHeader::Blank;
    };
    if header.iter().all(|byte| *byte == 0) {
        return FileHeader::Blank;
    }
    let version = u32_at(header, 8);
    if header[..8] == FILE_MAGIC && version > u32::from(VERSION) {
        return FileHeader::Later(version);
    }
    if header[..8] != FILE_MAGIC || crc32fast::hash(&header[16..24]) != u32_at(header, 12) {
        return FileHeader::Bad;
    }
    FileHeader::First(u64_at(header, 16))
}

/// Fills the room in front of the payload, all but the CRC.
pub(super) fn seal(frame: &mut [u8], header: &Header) {
    let length = (frame.len() - PAYLOAD_AT) as u32;
    frame[..4].copy_from_slice(&FRAME_MAGIC);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[12..16].copy_from_slice(&[VERSION, header.signal.number(), 0, 0]);
    frame[16..24].copy_from_slice(&header.sequence.to_le_bytes());
    frame[24..32].copy_from_slice(&header.durable.to_le_bytes());
    frame[32..48].copy_from_slice(&header.tenant.bytes());
    frame[48..56].copy_from_slice(&header.min_time.to_le_bytes());
    frame[56..64].copy_from_slice(&header.max_time.to_le_bytes());
    frame[64..80].copy_from_slice(&header.delivery.map_or([0; 16], |delivery| delivery.0));
}

/// Puts in the CRC, for a file with this salt.
pub(super) fn stamp(frame: &mut [u8], salt: u32) {
    let crc = checksum(&frame[12..], salt);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// The frame at the front of `bytes`, when it is whole and unharmed.
pub(super) fn read(bytes: &[u8], salt: u32) -> Option<Header> {
    let header = bytes.first_chunk::<PAYLOAD_AT>()?;
    if header[..4] != FRAME_MAGIC || header[12] != VERSION {
        return None;
    }
    let length = u32_at(header, 4) as usize;
    let body = bytes.get(12..PAYLOAD_AT.checked_add(length)?)?;
    if checksum(body, salt) != u32_at(header, 8) {
        return None;
    }
    Some(Header {
        length,
        signal: Signal::from_number(header[13])?,
        sequence: u64_at(header, 16),
        durable: u64_at(header, 24),
        tenant: RecordId::from_bytes(header[32..48].try_into().expect("sixteen bytes")).into(),
        min_time: u64_at(header, 48) as i64,
        max_time: u64_at(header, 56) as i64,
        delivery: Some(Delivery(header[64..80].try_into().expect("sixteen bytes"))).filter(|delivery| delivery.0 != [0; 16]),
    })
}

/// The next place at or after `from` where a whole frame stands.
pub(super) fn find(bytes: &[u8], from: usize, salt: u32) -> Option<(usize, Header)> {
    let rest = bytes.get(from..)?;
    memchr::memmem::find_iter(rest, &FRAME_MAGIC).find_map(|at| Some((from + at, read(&rest[at..], salt)?)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
