//! Looking for a word in many texts at once.

use arrow_array::{Array as _, StringArray};
use regex::bytes::{Regex, RegexBuilder};
use steward_base::filter::fold;

/// A text to look for, compared as [`fold`] says.
#[derive(Debug)]
pub(crate) struct Finder {
    folded: String,
    /// For texts of ASCII only, where folding is lowercasing: one search over all rows' bytes. `None` for a word such texts cannot have.
    ascii: Option<Regex>,
}

impl Finder {
    pub(crate) fn new(word: &str) -> Self {
        let folded = fold(word);
        let build = || RegexBuilder::new(&regex::escape(&folded)).case_insensitive(true).unicode(false).build().ok();
        Self { ascii: if folded.is_ascii() { build() } else { None }, folded }
    }

    /// Whether `text` has the word.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        match &self.ascii {
            Some(regex) if text.is_ascii() => regex.is_match(text.as_bytes()),
            None if text.is_ascii() => self.folded.is_ascii() && fold(text).contains(&self.folded),
            _ => fold(text).contains(&self.folded),
        }
    }

    /// Calls `hit` with the place of each text that has the word.
    pub(crate) fn each(&self, texts: &StringArray, mut hit: impl FnMut(usize)) {
        let offsets = texts.value_offsets();
        let (Some(&start), Some(&end)) = (offsets.first(), offsets.last()) else { return };
        let bytes = &texts.value_data()[start as usize..end as usize];
        let Some(regex) = self.ascii.as_ref().filter(|_| bytes.is_ascii()) else {
            (0..texts.len()).filter(|&at| self.is_in(texts.value(at))).for_each(hit);
            return;
        };
        let mut from = 0;
        while let Some(found) = regex.find_at(bytes, from) {
            let row = offsets.partition_point(|offset| (offset - start) as usize <= found.start()) - 1;
            let Some(next) = offsets.get(row + 1).map(|offset| (offset - start) as usize) else { return };
            if found.end() <= next {
                hit(row);
                from = next;
            } else {
                // It runs over the border of two texts.
                from = found.start() + 1;
            }
        }
    }
}
