//! Which texts a row group may hold: a Bloom filter of pieces of its texts.
//!
//! A filter asks for a text *anywhere* in a message, a service or an attribute, so whole words would not do: `timeout` must find `timeouts`.
//! What is kept are grams, runs of [`GRAM`] bytes of the folded text; of every [`WINDOW`] neighbouring grams the one with the least hash. Equal
//! windows choose equal grams, so every text that contains a needle of at least [`NEEDLE`] bytes has kept all grams that the needle's own windows
//! choose. There is no false negative; shorter needles are not looked up.
//!
//! The filter has two bits per gram, both in one word of 64: one access to memory for each, where a split-block filter has eight and took as long as
//! all the rest of writing a segment; a needle has several grams, so few bits for each suffice. It is filled at its largest size and then halved
//! while it stays sparse, which needs no count of the grams in advance.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use steward_base::filter::fold;

use crate::columns::{hash64, same};
use crate::rows::words;

const GRAM: usize = 6;
const WINDOW: usize = 3;
/// The shortest text that can be looked up.
pub(crate) const NEEDLE: usize = GRAM + WINDOW - 1;

/// Words before halving: 512 KiB.
const MOST_WORDS: usize = 1 << 16;
/// Halved while there are at least this many bits per gram afterwards.
const BITS_PER_GRAM: usize = 6;
/// Gram hashes remembered to skip those that were just added: most of a log line is like the last one.
const REMEMBERED: usize = 1 << 12;

/// A filter in the making.
pub(crate) struct Building {
    words: Vec<u64>,
    grams: usize,
    remembered: Vec<u64>,
    scratch: Vec<u8>,
}

impl Building {
    pub(crate) fn new() -> Self {
        Self { words: vec![0; MOST_WORDS], grams: 0, remembered: vec![0; REMEMBERED], scratch: Vec::new() }
    }

    /// Adds what a filter may look for in log rows: messages, services, attribute values that are text or JSON, trace and span ids.
    pub(crate) fn logs(&mut self, rows: &RecordBatch) {
        rows["message"].as_string::<i32>().iter().flatten().for_each(|text| self.text(text));
        words(&rows["service"]).texts.iter().flatten().for_each(|text| self.text(text));
        for column in ["trace_id", "span_id"] {
            rows[column].as_fixed_size_binary().iter().flatten().filter(|id| id.iter().any(|byte| *byte != 0)).for_each(|id| self.id(id));
        }
        let attributes = rows["attributes"].as_map();
        let values = attributes.values().as_string::<i32>();
        let mut known = vec![usize::MAX; REMEMBERED];
        for (types, row) in rows["attribute_types"].as_binary::<i32>().iter().flatten().zip(attributes.value_offsets()) {
            for (at, _) in (*row as usize..).zip(types).filter(|(_, kind)| matches!(kind, b's' | b'j')) {
                let text = values.value(at);
                // Most values repeat; one that was added need not be taken apart again.
                let place = &mut known[hash64(0, text.as_bytes()) as usize % REMEMBERED];
                if values.len() > *place && same(values.value(*place).as_bytes(), text.as_bytes()) {
                    continue;
                }
                *place = at;
                self.text(text);
            }
        }
    }

    /// Adds a text that may be looked for, whole or in part.
    pub(crate) fn text(&mut self, text: &str) {
        // Folding may make a text longer, but not one of ASCII.
        if text.len() < NEEDLE && text.is_ascii() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if text.is_ascii() {
            scratch.extend_from_slice(text.as_bytes());
            scratch.make_ascii_lowercase();
        } else {
            scratch.extend_from_slice(fold(text).as_bytes());
        }
        each(&mut scratch, |gram| self.gram(gram));
        self.scratch = scratch;
    }

    /// Adds an id that is looked up whole.
    pub(crate) fn id(&mut self, id: &[u8]) {
        self.gram(hash64(0, id));
    }

    fn gram(&mut self, gram: u64) {
        let place = (gram as usize) % REMEMBERED;
        if self.remembered[place] == gram {
            return;
        }
        self.remembered[place] = gram;
        let word = &mut self.words[at(gram, MOST_WORDS)];
        let bits = bits(gram);
        self.grams += usize::from(*word & bits != bits);
        *word |= bits;
    }

    /// The filter, halved as often as it stays sparse; leaves this one empty.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut len = self.words.len();
        while len > 1 && len / 2 * 64 >= self.grams * BITS_PER_GRAM {
            // A word is chosen by the upper bits of a gram's hash: halving joins neighbours.
            len /= 2;
            for at in 0..len {
                self.words[at] = self.words[at * 2] | self.words[at * 2 + 1];
            }
        }
        let filter = self.words[..len].iter().flat_map(|word| word.to_le_bytes()).collect();
        self.words.fill(0);
        self.remembered.fill(0);
        self.grams = 0;
        filter
    }
}

/// What a filter must hold for a row group to be worth reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<u64>);

impl Wanted {
    /// A text anywhere in another; `None` for one too short to tell.
    pub(crate) fn text(needle: &str) -> Option<Self> {
        let mut grams = Vec::new();
        each(&mut fold(needle).into_bytes(), |gram| grams.push(gram));
        (!grams.is_empty()).then_some(Self(grams))
    }

    /// An id, whole.
    pub(crate) fn id(id: &[u8]) -> Self {
        Self(vec![hash64(0, id)])
    }

    /// Whether a filter may hold it; `false` is certain. A filter of an unknown form may hold anything.
    pub(crate) fn may_be_in(&self, filter: &[u8]) -> bool {
        let (words, rest) = filter.as_chunks::<8>();
        if words.is_empty() || !rest.is_empty() {
            return true;
        }
        self.0.iter().all(|gram| {
            let word = u64::from_le_bytes(words[at(*gram, words.len())]);
            word & bits(*gram) == bits(*gram)
        })
    }
}

/// Calls `gram` with the hash of every gram that a window of the text chooses; runs of the same one are called once. Padding is added to `text`.
fn each(text: &mut Vec<u8>, mut gram: impl FnMut(u64)) {
    let Some(windows) = (text.len() + 1).checked_sub(NEEDLE).filter(|windows| *windows > 0) else { return };
    // So that eight bytes can be read at every gram.
    text.extend_from_slice(&[0; 8]);
    // One multiplication: its upper bits depend on all six bytes, and only the order of hashes matters here.
    let hash = |at: usize| {
        let bytes = u64::from_le_bytes(text[at..at + 8].try_into().expect("eight bytes"));
        (bytes << (64 - GRAM * 8)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    };
    let (mut first, mut second) = (hash(0), hash(1));
    let mut last = None;
    for window in 0..windows {
        let third = hash(window + 2);
        let least = first.min(second).min(third);
        if last != Some(least) {
            gram(spread(least));
            last = Some(least);
        }
        (first, second) = (second, third);
    }
}

/// The least of three hashes is no hash any more: its upper bits are mostly zero.
fn spread(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    (product as u64) ^ ((product >> 64) as u64)
}

fn at(gram: u64, words: usize) -> usize {
    ((gram >> 32) as usize * words) >> 32
}

fn bits(gram: u64) -> u64 {
    1 << (gram & 63) | 1 << (gram >> 6 & 63)
}

const MAGIC: [u8; 8] = *b"STWGRAM1";

/// The filters of a segment's row groups as one object: magic, count, then length and CRC of each, then the filters.
pub(crate) fn to_object(filters: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(filters.iter().map(|filter| filter.len() + 8).sum::<usize>() + 12);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(filters.len() as u32).to_le_bytes());
    for filter in filters {
        out.extend_from_slice(&(filter.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(filter).to_le_bytes());
    }
    filters.iter().for_each(|filter| out.extend_from_slice(filter));
    out
}

/// The filters of a segment, read back.
#[derive(Debug)]
pub(crate) struct Grams {
    bytes: Bytes,
    groups: Vec<Range<usize>>,
}

impl Grams {
    /// `None` for an object that is damaged or of an unknown form: then the rows are read instead.
    pub(crate) fn from_object(bytes: Bytes) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let directory = rest.get(..(u32::from_le_bytes(*count) as usize).checked_mul(8)?)?;
        let mut at = MAGIC.len() + count.len() + directory.len();
        let mut groups = Vec::with_capacity(directory.len() / 8);
        for entry in directory.as_chunks::<8>().0 {
            let [a, b, c, d, crc @ ..] = *entry;
            let end = at.checked_add(u32::from_le_bytes([a, b, c, d]) as usize)?;
            if crc32fast::hash(bytes.get(at..end)?) != u32::from_le_bytes(crc) {
                return None;
            }
            groups.push(at..end);
            at = end;
        }
        Some(Self { bytes, groups })
    }

    /// Whether a row group may hold what is wanted.
    pub(crate) fn may_hold(&self, group: usize, wanted: &Wanted) -> bool {
        self.groups.get(group).is_none_or(|filter| wanted.may_be_in(&self.bytes[filter.clone()]))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
