//! The payload: sections, each padded to 8 bytes, behind a directory of their lengths.
//!
//! ```text
//! version u8 · kind u8 · sections u16 · rows u32 · length u32 × sections · pad · section · pad · section …
//! ```

use arrow_array::builder::BufferBuilder;
use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer, ToByteSlice};
use arrow_schema::ArrowError;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes kept free in front of a payload for the frame header; a multiple of 8, so that sections stay aligned in memory.
pub(crate) const PAYLOAD_AT: usize = 80;

const VERSION: u8 = 1;
const DIRECTORY_AT: usize = 8;

pub(super) struct Writer {
    out: Vec<u8>,
    next: usize,
    directory_end: usize,
}

impl Writer {
    pub(super) fn new(kind: u8, sections: u16, rows: u32, capacity: usize) -> Self {
        let directory = DIRECTORY_AT + usize::from(sections) * 4;
        let mut out = Vec::with_capacity(PAYLOAD_AT + directory + capacity + usize::from(sections + 1) * 8);
        out.resize(PAYLOAD_AT, 0);
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&sections.to_le_bytes());
        out.extend_from_slice(&rows.to_le_bytes());
        out.resize(PAYLOAD_AT + directory, 0);
        let mut writer = Self { out, next: PAYLOAD_AT + DIRECTORY_AT, directory_end: PAYLOAD_AT + directory };
        writer.pad();
        writer
    }

    pub(super) fn put<T: ArrowNativeType>(&mut self, values: &[T]) {
        let bytes = values.to_byte_slice();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.out[self.next..self.next + 4].copy_from_slice(&length.to_le_bytes());
        self.next += 4;
        self.out.extend_from_slice(bytes);
        self.pad();
    }

    pub(super) fn texts(&mut self, texts: &super::text::Texts) {
        self.put(&texts.offsets);
        self.put(&texts.bytes);
    }

    pub(super) fn words(&mut self, words: &super::text::Words) {
        self.texts(&words.values);
        self.put(&words.codes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        debug_assert_eq!(self.next, self.directory_end, "the directory has one entry per section");
        self.out
    }

    fn pad(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(8), 0);
    }
}

pub(super) struct Reader {
    payload: Buffer,
    pub(super) rows: usize,
    sections: usize,
    section: usize,
    at: usize,
}

fn broken(what: &str) -> ArrowError {
    ArrowError::ParseError(format!("telemetry payload: {what}"))
}

impl Reader {
    pub(super) fn new(payload: Bytes, kind: u8) -> Result<Self, ArrowError> {
        let header: &[u8; DIRECTORY_AT] = payload.first_chunk().ok_or_else(|| broken("shorter than its header"))?;
        if header[0] != VERSION {
            return Err(broken("written by a later version"));
        }
        if header[1] != kind {
            return Err(broken("of another signal"));
        }
        let sections = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let rows = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let at = (DIRECTORY_AT + sections * 4).next_multiple_of(8);
        if at > payload.len() {
            return Err(broken("shorter than its directory"));
        }
        Ok(Self { payload: Buffer::from(payload), rows, sections, section: 0, at })
    }

    fn buffer(&mut self) -> Result<Buffer, ArrowError> {
        if self.section == self.sections {
            return Err(broken("too few sections"));
        }
        let entry = DIRECTORY_AT + self.section * 4;
        let length = u32::from_le_bytes(self.payload[entry..entry + 4].try_into().expect("four bytes")) as usize;
        let end = self.at.checked_add(length).filter(|end| *end <= self.payload.len()).ok_or_else(|| broken("a section is cut off"))?;
        let buffer = self.payload.slice_with_length(self.at, length);
        self.section += 1;
        self.at = end.next_multiple_of(8).min(self.payload.len());
        Ok(buffer)
    }

    pub(super) fn bytes(&mut self) -> Result<Buffer, ArrowError> {
        self.buffer()
    }

    pub(super) fn values<T: ArrowNativeType>(&mut self) -> Result<ScalarBuffer<T>, ArrowError> {
        let buffer = self.buffer()?;
        let width = size_of::<T>();
        if !buffer.len().is_multiple_of(width) {
            return Err(broken("a section has half a value"));
        }
        // The allocator aligns large blocks well enough in practice; Arrow insists, so what is not aligned is copied.
        let aligned = if buffer.as_ptr().align_offset(align_of::<T>()) == 0 {
            buffer
        } else {
            let mut copy = BufferBuilder::<u8>::new(buffer.len());
            copy.append_slice(&buffer);
            copy.finish()
        };
        Ok(ScalarBuffer::new(aligned.clone(), 0, aligned.len() / width))
    }

    /// One value per row.
    pub(super) fn column<T: ArrowNativeType>(&mut self) -> Result<ScalarBuffer<T>, ArrowError> {
        let rows = self.rows;
        self.values().and_then(|values| if values.len() == rows { Ok(values) } else { Err(broken("a column has too few rows")) })
    }

    pub(super) fn offsets(&mut self) -> Result<OffsetBuffer<i32>, ArrowError> {
        let values = self.values::<i32>()?;
        // OffsetBuffer::new panics on these.
        if values.first() != Some(&0) || values.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(broken("offsets go backwards"));
        }
        Ok(OffsetBuffer::new(values))
    }

    pub(super) fn texts(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = self.offsets()?;
        let bytes = self.buffer()?;
        Ok(Arc::new(StringArray::try_new(offsets, bytes, None)?))
    }
}
