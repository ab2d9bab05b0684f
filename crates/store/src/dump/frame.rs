//! Frames: length and CRC-32 of length and content, four bytes each and little-endian, then the content. Its first byte says of what sort it
//! is. This form is stored and only grows: a reader refuses a format above its own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, RecordId, TenantId};

use super::{Position, damaged};

/// What this version writes.
pub(super) const FORMAT: u32 = 1;
/// Longer ones were never written.
const MAX_FRAME: usize = 128 << 20;
/// More rows were never written in one frame.
const MAX_ROWS: usize = 16 << 10;
const HEAD: usize = 8;

const HEADER: u8 = b'H';
const ROWS: u8 = b'R';
const REPLACED: u8 = b'S';
const CLEARED: u8 = b'C';
const END: u8 = b'E';

const NULL: u8 = 0;
const INT: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;

/// A value as both engines keep it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Int(_) => 9,
            Self::Text(text) => 5 + text.len(),
            Self::Bytes(bytes) => 5 + bytes.len(),
        }
    }

    pub(crate) fn id(&self) -> Option<RecordId> {
        let Self::Bytes(bytes) = self else { return None };
        <[u8; 16]>::try_from(bytes.as_slice()).ok().map(RecordId::from_bytes)
    }

    pub(crate) fn int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// What a stream begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) tenant: TenantId,
    /// Where the copy that this goes onto must be; nothing for a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Position>,
    /// Where the source was when it was begun.
    pub(super) source: Position,
    /// The kinds that the source knew.
    pub(super) kinds: Vec<String>,
    /// What is told of, and the columns of each in their order.
    pub(super) tables: Vec<(String, Vec<String>)>,
}

/// What a stream ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// The last event.
    pub(super) head: Position,
    /// Rows told of, in the order of the header's tables.
    pub(super) rows: Vec<u64>,
}

/// One piece of the stream.
#[derive(Debug)]
pub(super) enum Frame {
    Header(Header),
    /// Rows of a table, by its number in the header.
    Rows(u8, Vec<Vec<Cell>>),
    /// Whatever is known under these ids is told of anew, or gone.
    Replaced(Vec<RecordId>),
    /// A table is told of anew from its first row.
    Cleared(u8),
    End(End),
}

impl Frame {
    pub(super) fn encode(&self) -> Result<Bytes, Error> {
        let mut out = BytesMut::with_capacity(64 * 1024);
        out.put_bytes(0, HEAD);
        match self {
            Self::Header(header) => json(&mut out, HEADER, header)?,
            Self::Rows(table, rows) => {
                out.put_slice(&[ROWS, *table]);
                out.put_u32_le(rows.len() as u32);
                rows.iter().flatten().for_each(|cell| put_cell(&mut out, cell));
            }
            Self::Replaced(ids) => {
                out.put_u8(REPLACED);
                ids.iter().for_each(|id| out.put_slice(&id.bytes()));
            }
            Self::Cleared(table) => out.put_slice(&[CLEARED, *table]),
            Self::End(end) => json(&mut out, END, end)?,
        }
        let length = (out.len() - HEAD) as u32;
        out[..4].copy_from_slice(&length.to_le_bytes());
        let sum = sum(length, &out[HEAD..]);
        out[4..HEAD].copy_from_slice(&sum.to_le_bytes());
        Ok(out.freeze())
    }

    /// Reads a content whose checksum held. `widths` are the numbers of columns of the header's tables.
    fn decode(mut content: &[u8], widths: &[usize]) -> Result<Self, Error> {
        let misshapen = || damaged("a frame is not of its form");
        if content.is_empty() {
            return Err(misshapen());
        }
        match content.get_u8() {
            HEADER => Ok(Self::Header(serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))?)),
            END => Ok(Self::End(serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))?)),
            REPLACED => {
                let (ids, rest) = content.as_chunks::<16>();
                if rest.is_empty() { Ok(Self::Replaced(ids.iter().copied().map(RecordId::from_bytes).collect())) } else { Err(misshapen()) }
            }
            CLEARED if content.len() == 1 && usize::from(content[0]) < widths.len() => Ok(Self::Cleared(content[0])),
            ROWS if content.len() >= 5 => {
                let table = content.get_u8();
                let width = *widths.get(usize::from(table)).ok_or_else(misshapen)?;
                let count = content.get_u32_le() as usize;
                // Of the few bytes that a cell takes on the way, memory takes many times as much.
                if width == 0 || count > MAX_ROWS {
                    return Err(misshapen());
                }
                let mut rows = Vec::with_capacity(count.min(content.len()));
                for _ in 0..count {
                    rows.push((0..width).map(|_| cell(&mut content)).collect::<Option<Vec<Cell>>>().ok_or_else(misshapen)?);
                }
                if content.is_empty() { Ok(Self::Rows(table, rows)) } else { Err(misshapen()) }
            }
            _ => Err(misshapen()),
        }
    }
}

fn json(out: &mut BytesMut, tag: u8, value: &impl Serialize) -> Result<(), Error> {
    out.put_u8(tag);
    serde_json::to_writer(out.writer(), value).map_err(Error::internal)
}

fn sum(length: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

fn put_cell(out: &mut BytesMut, cell: &Cell) {
    match cell {
        Cell::Null => out.put_u8(NULL),
        Cell::Int(number) => {
            out.put_u8(INT);
            out.put_i64_le(*number);
        }
        Cell::Text(text) => {
            out.put_u8(TEXT);
            out.put_u32_le(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
        Cell::Bytes(bytes) => {
            out.put_u8(BYTES);
            out.put_u32_le(bytes.len() as u32);
            out.put_slice(bytes);
        }
    }
}

fn cell(content: &mut &[u8]) -> Option<Cell> {
    let (tag, rest) = content.split_first()?;
    *content = rest;
    let mut some = || {
        let length = content.try_get_u32_le().ok()? as usize;
        let (value, rest) = content.split_at_checked(length)?;
        *content = rest;
        Some(value)
    };
    match *tag {
        NULL => Some(Cell::Null),
        INT => content.try_get_i64_le().ok().map(Cell::Int),
        TEXT => some().and_then(|value| String::from_utf8(value.to_vec()).ok()).map(Cell::Text),
        BYTES => some().map(|value| Cell::Bytes(value.to_vec())),
        _ => None,
    }
}

/// Takes a stream of bytes, cut wherever, apart into frames.
pub(super) struct Frames<S> {
    stream: S,
    buffer: BytesMut,
    widths: Vec<usize>,
}

impl<S: Stream<Item = Result<Bytes, Error>> + Unpin> Frames<S> {
    pub(super) fn of(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), widths: Vec::new() }
    }

    /// The header, which says how the rest is read.
    pub(super) async fn header(&mut self) -> Result<Header, Error> {
        let Some(content) = self.content().await? else { return Err(cut()) };
        // A newer header may hold what this one does not know, but it says its format.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let told: Option<Format> = content.strip_prefix(&[HEADER]).and_then(|json| serde_json::from_slice(json).ok());
        match told.map(|told| told.format) {
            None => return Err(damaged("it does not begin with a header")),
            Some(format) if format > FORMAT => return Err(newer()),
            Some(_) => {}
        }
        let Frame::Header(header) = Frame::decode(&content, &[])? else { return Err(damaged("it does not begin with a header")) };
        self.widths = header.tables.iter().map(|(_, columns)| columns.len()).collect();
        Ok(header)
    }

    /// The next frame. The stream must not break off before its end.
    pub(super) async fn next(&mut self) -> Result<Frame, Error> {
        match self.content().await? {
            Some(content) => Frame::decode(&content, &self.widths),
            None => Err(cut()),
        }
    }

    /// Nothing may come behind the end.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        if self.buffer.is_empty() && !self.more().await? { Ok(()) } else { Err(damaged("something comes behind its end")) }
    }

    async fn content(&mut self) -> Result<Option<Bytes>, Error> {
        while self.buffer.len() < HEAD {
            if !self.more().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut()) };
            }
        }
        let number = |at: usize| u32::from_le_bytes([self.buffer[at], self.buffer[at + 1], self.buffer[at + 2], self.buffer[at + 3]]);
        let (length, expected) = (number(0), number(4));
        if length as usize > MAX_FRAME {
            return Err(damaged("a frame is longer than any"));
        }
        while self.buffer.len() < HEAD + length as usize {
            if !self.more().await? {
                return Err(cut());
            }
        }
        self.buffer.advance(HEAD);
        let content = self.buffer.split_to(length as usize).freeze();
        if sum(length, &content) == expected { Ok(Some(content)) } else { Err(damaged("a checksum does not hold")) }
    }

    /// Waits for more bytes; answers whether there were some.
    async fn more(&mut self) -> Result<bool, Error> {
        loop {
            match self.stream.next().await.transpose()? {
                None => return Ok(false),
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    self.buffer.extend_from_slice(&bytes);
                    return Ok(true);
                }
            }
        }
    }
}

pub(super) fn cut() -> Error {
    let detail = "This copy of a tenant breaks off before its end: take another one.";
    Error::new(ErrorKind::Invalid, "dump_cut", detail)
}

pub(super) fn newer() -> Error {
    let detail = "This copy of a tenant was written by a newer version of Steward: load it with that version.";
    Error::new(ErrorKind::Invalid, "dump_newer", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_more_rows_than_were_ever_written_is_refused_before_they_are_read() {
        let rows = |count: u32| [&[ROWS, 0][..], &count.to_le_bytes()].concat();
        for (count, width) in [(u32::MAX, 0), (1, 0), (u32::MAX, 1)] {
            assert_eq!(Frame::decode(&rows(count), &[width]).expect_err("is refused").code(), "dump_damaged");
        }
        assert!(matches!(Frame::decode(&[rows(1), vec![NULL]].concat(), &[1]), Ok(Frame::Rows(0, rows)) if rows.len() == 1));
    }
}
