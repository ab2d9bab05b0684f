//! Texts laid end to end, and texts that repeat.

use std::collections::HashMap;

/// Texts laid end to end with Arrow's offsets.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    pub(super) offsets: Vec<i32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl Texts {
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.close();
    }

    pub(super) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.offsets.reserve(texts);
        self.bytes.reserve(bytes);
    }

    /// Adds a whole number as it prints, without the formatting machinery: numbers are half of most rows' attributes.
    pub(super) fn push_int(&mut self, number: i64) {
        let (mut digits, mut first, mut rest) = ([0u8; 20], 20, number.unsigned_abs());
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            self.bytes.push(b'-');
        }
        self.bytes.extend_from_slice(&digits[first..]);
        self.close();
    }

    /// Ends a text whose bytes were appended to `bytes` directly.
    pub(super) fn close(&mut self) {
        // A batch is refused long before 2 GiB; should one get here, decoding it fails instead of this panicking.
        self.offsets.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        let end = self.offsets.last().copied().unwrap_or(0);
        self.bytes.truncate(end as usize);
    }

    pub(super) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }
}

/// A column of texts that repeat: distinct texts and a code per row.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) values: Texts,
    pub(super) codes: Vec<i32>,
    index: HashMap<Box<str>, i32>,
    /// The code that came after each code the last time. Telemetry repeats itself, so this guess spares most look-ups.
    after: Vec<i32>,
    previous: i32,
}

impl Words {
    pub(super) fn push(&mut self, text: &str) {
        let code = self.code(text);
        self.codes.push(code);
    }

    fn code(&mut self, text: &str) -> i32 {
        if let Some(&guess) = self.after.get(self.previous as usize)
            && same(self.values.get(guess as usize), text.as_bytes())
        {
            self.previous = guess;
            return guess;
        }
        let code = match self.index.get(text) {
            Some(&code) => code,
            None => {
                let code = self.values.len() as i32;
                self.values.push(text);
                self.index.insert(text.into(), code);
                self.after.push(code);
                code
            }
        };
        self.after[self.previous as usize] = code;
        self.previous = code;
        code
    }
}

/// Whether two texts are equal. Most are short, and then the call of memcmp costs more than the comparison.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (mut one, mut other) = (one, other);
    while let (Some((left, ones)), Some((right, others))) = (one.split_first_chunk::<8>(), other.split_first_chunk::<8>()) {
        if left != right {
            return false;
        }
        (one, other) = (ones, others);
    }
    one.iter().zip(other).all(|(left, right)| left == right)
}
