//! Dictionary columns as Parquet column chunks. The rows carry codes already; Parquet's own writer would hash and compare every row's text to
//! make them once more, which took a third of writing a segment.

use std::collections::HashMap;

use arrow_buffer::bit_util::ceil;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use crate::rows::Words;

/// Values of one data page.
const PAGE_VALUES: usize = 65_536;
/// As for the columns that Parquet's own writer makes.
pub(super) const LEVEL: i32 = 1;

/// How many values each row has, for the leaf of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    /// Arrow's offsets: one more than rows.
    pub(super) offsets: &'a [i32],
}

/// A column chunk's bytes and what the footer says of them.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Makes the chunks of one segment; the compressor's memory is used again and again.
pub(super) struct Encoder(Compressor<'static>);

impl Encoder {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Compressor::new(LEVEL)?))
    }

    /// Encodes a column of `rows` rows. Without `lists` there is one value per row.
    pub(super) fn encode(&mut self, column: ColumnDescPtr, rows: usize, words: Words<'_>, lists: Option<Lists<'_>>) -> Result<Chunk> {
        encode(&mut self.0, column, rows, words, lists)
    }
}

fn encode(
    compressor: &mut Compressor<'_>,
    column: ColumnDescPtr,
    rows: usize,
    words: Words<'_>,
    lists: Option<Lists<'_>>,
) -> Result<Chunk> {
    let first = lists.and_then(|lists| lists.offsets.first().copied()).unwrap_or(0) as usize;
    let last = lists.and_then(|lists| lists.offsets.last().copied()).map_or(rows, |last| last as usize);
    let (texts, codes) = dense(words, &words.codes[first..last]);
    let mut sink = TrackedWrite::new(Vec::new());
    let (mut packed, mut unpacked) = (0, 0);
    let mut write = |sink: &mut TrackedWrite<Vec<u8>>, page: CompressedPage| {
        let written = SerializedPageWriter::new(sink).write_page(page)?;
        packed += written.compressed_size as i64;
        unpacked += written.uncompressed_size as i64;
        Ok::<_, ParquetError>(written.bytes_written as i64)
    };
    let values = u32::try_from(texts.len()).map_err(|error| ParquetError::External(Box::new(error)))?;
    let dictionary = plain(&texts);
    let buf = compress(compressor, &dictionary)?;
    let page = Page::DictionaryPage { buf, num_values: values, encoding: Encoding::PLAIN, is_sorted: false };
    let data_at = write(&mut sink, CompressedPage::new(page, dictionary.len()))?;
    let width = (u32::BITS - values.saturating_sub(1).leading_zeros()).max(1) as u8;
    let mut count = 0;
    for levels in pages(rows, lists) {
        let taken = levels.values;
        let mut data = levels.bytes;
        data.push(width);
        hybrid(&codes[count..count + taken], width, &mut data);
        count += taken;
        let page = Page::DataPage {
            buf: compress(compressor, &data)?,
            num_values: levels.slots,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        write(&mut sink, CompressedPage::new(page, data.len()))?;
    }
    let slots = lists.map_or(rows, |lists| lists.offsets.windows(2).map(|pair| (pair[1] - pair[0]).max(1) as usize).sum());
    let bytes = Bytes::from(sink.into_inner()?);
    let level = ZstdLevel::try_new(LEVEL)?;
    let metadata = ColumnChunkMetaData::builder(column)
        .set_compression(Compression::ZSTD(level))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_total_compressed_size(packed)
        .set_total_uncompressed_size(unpacked)
        .set_num_values(slots as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(data_at)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(Chunk { bytes, close })
}

/// The texts in use, each once, and the codes by their places: a batch's dictionary has texts of other rows, and some twice.
fn dense<'a>(words: Words<'a>, codes: &[i32]) -> (Vec<&'a str>, Vec<u32>) {
    const UNSEEN: u32 = u32::MAX;
    let mut places = vec![UNSEEN; words.texts_len()];
    let (mut texts, mut known) = (Vec::new(), HashMap::<&str, u32>::new());
    let codes = codes.iter().map(|&code| {
        let place = &mut places[code as usize];
        if *place == UNSEEN {
            let text = words.text(code);
            let next = texts.len() as u32;
            *place = *known.entry(text).or_insert(next);
            if *place == next {
                texts.push(text);
            }
        }
        *place
    });
    let codes = codes.collect();
    (texts, codes)
}

fn plain(texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn compress(compressor: &mut Compressor<'_>, bytes: &[u8]) -> Result<Bytes> {
    compressor.compress(bytes).map(Bytes::from).map_err(ParquetError::from)
}

/// What stands before a page's values.
struct Levels {
    bytes: Vec<u8>,
    /// Values, and rows without one.
    slots: u32,
    values: usize,
}

/// Pages of whole rows with their repetition and definition levels; a column with one value per row has none.
fn pages(rows: usize, lists: Option<Lists<'_>>) -> Vec<Levels> {
    let Some(Lists { offsets }) = lists else {
        let sizes = (0..rows).step_by(PAGE_VALUES).map(|start| PAGE_VALUES.min(rows - start));
        return sizes.map(|values| Levels { bytes: Vec::new(), slots: values as u32, values }).collect();
    };
    let mut out = Vec::new();
    let (mut repeated, mut defined, mut values) = (Vec::new(), Vec::new(), 0);
    for (row, pair) in offsets.windows(2).enumerate() {
        let count = (pair[1] - pair[0]) as usize;
        repeated.push(0);
        repeated.resize(repeated.len() + count.saturating_sub(1), 1);
        defined.push(u32::from(count > 0));
        defined.resize(repeated.len(), 1);
        values += count;
        if repeated.len() >= PAGE_VALUES || row + 2 == offsets.len() {
            let mut bytes = Vec::new();
            for levels in [&repeated, &defined] {
                let at = bytes.len();
                bytes.extend_from_slice(&[0; 4]);
                hybrid(levels, 1, &mut bytes);
                let length = (bytes.len() - at - 4) as u32;
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
            out.push(Levels { bytes, slots: repeated.len() as u32, values });
            (repeated, defined, values) = (Vec::new(), Vec::new(), 0);
        }
    }
    out
}

/// Parquet's mix of runs and bit-packed groups of eight.
fn hybrid(values: &[u32], width: u8, out: &mut Vec<u8>) {
    /// Shorter runs are packed: ending a packed stretch costs its header.
    const RUN: usize = 16;
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        // A packed stretch can end only after a multiple of eight.
        let filler = (at - packed).next_multiple_of(8) - (at - packed);
        if run < RUN + filler {
            at += run;
            continue;
        }
        pack(&values[packed..at + filler], width, out);
        varint(((run - filler) as u64) << 1, out);
        out.extend_from_slice(&values[at].to_le_bytes()[..ceil(usize::from(width), 8)]);
        at += run;
        packed = at;
    }
    pack(&values[packed..], width, out);
}

fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * usize::from(width);
    let (mut bits, mut held) = (0u64, 0u32);
    for value in values {
        bits |= u64::from(*value) << held;
        held += u32::from(width);
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits as u8);
    }
    out.resize(end, 0);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
