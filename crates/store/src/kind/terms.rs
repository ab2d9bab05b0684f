//! Full text: what a text is found by. The same on every engine, and the same when a record is written and when it is searched.
//!
//! NFKC, without case, cut into words as UAX #29 says and at every sign inside them. Scripts that put no blanks between words are cut into
//! overlapping pairs of characters, and the last one stands alone, so that every character begins a term. A search asks for terms that begin with
//! its own. Terms are stored: whoever changes them raises [`TERMS`], and every namespace builds them anew.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;

use super::Kind;

/// Of the way texts are cut; part of what a namespace remembers about its search rows.
const TERMS: u32 = 2;
/// Most terms of one record: a text beyond that is found by its beginning.
const MAX_TERMS: usize = 1_000;
/// Most bytes of one term.
const MAX_BYTES: usize = 64;

/// What a text is found by, in order.
pub(crate) type Terms = Vec<Box<str>>;

impl Kind {
    /// Whether records of the kind are found by their text.
    pub fn is_searchable(&self) -> bool {
        self.fields().iter().any(|field| field.searchable)
    }

    /// What its search rows are made of: other fields, upgrades that touch them, or another way of cutting make other rows. `None` when it has none.
    pub(crate) fn search_rows(&self) -> Option<String> {
        let searchable = self.fields().iter().filter(|field| field.searchable);
        let named = searchable.map(|field| match self.steps_of(field.segments.first().map_or("", String::as_str)) {
            0 => field.path.clone(),
            steps => format!("{}#{steps}", field.path),
        });
        let paths: Vec<String> = named.collect();
        (!paths.is_empty()).then(|| format!("{TERMS}:{}", paths.join(",")))
    }

    /// The texts that a body is searched by.
    pub(crate) fn searched<'b>(&self, body: &'b Map<String, Value>) -> Vec<&'b Value> {
        let mut scalars = Vec::new();
        self.fields().iter().filter(|field| field.searchable).for_each(|field| field.scalars(body, &mut scalars));
        scalars
    }

    /// The terms of a body.
    pub(crate) fn terms(&self, body: &Map<String, Value>) -> Terms {
        let mut terms = BTreeSet::new();
        for scalar in self.searched(body) {
            let room = |terms: &BTreeSet<Box<str>>| terms.len() < MAX_TERMS;
            match scalar {
                Value::String(text) => cut(text, &mut |term| {
                    terms.insert(term.into());
                    room(&terms)
                }),
                number => cut(&number.to_string(), &mut |term| {
                    terms.insert(term.into());
                    room(&terms)
                }),
            }
            if !room(&terms) {
                break;
            }
        }
        terms.into_iter().collect()
    }
}

/// What a search asks for: each is the beginning of a term. One that another begins with says nothing more.
pub(crate) fn asked(text: &str) -> Terms {
    let mut terms = BTreeSet::new();
    let mut pairs = false;
    cut(text, &mut |term: &str| {
        // The last character of a run stands alone only in records: here it is in the pair before.
        let lone = pairs && term.chars().count() == 1 && term.chars().all(is_joined);
        pairs = term.chars().count() == 2 && term.chars().all(is_joined);
        if !lone {
            terms.insert(Box::from(term));
        }
        true
    });
    let all: Terms = terms.into_iter().collect();
    // In order, whatever begins with a term comes right after it.
    all.iter()
        .enumerate()
        .filter(|(at, term)| all.get(at + 1).is_none_or(|next| !next.starts_with(&***term)))
        .map(|(_, term)| term.clone())
        .collect()
}

/// Whether every term asked for begins one of these.
pub(crate) fn meets(terms: &[Box<str>], asked: &[Box<str>]) -> bool {
    asked.iter().all(|start| {
        let at = terms.partition_point(|term| **term < **start);
        terms.get(at).is_some_and(|term| term.starts_with(&**start))
    })
}

/// Hands over each term until it is told to stop.
fn cut(text: &str, take: &mut dyn FnMut(&str) -> bool) {
    if text.is_ascii() {
        let mut folded = [0; MAX_BYTES];
        for word in text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            let many = word.len().min(MAX_BYTES);
            folded[..many].copy_from_slice(&word[..many]);
            folded[..many].make_ascii_lowercase();
            let term = std::str::from_utf8(&folded[..many]).expect("ASCII is UTF-8");
            if !take(term) {
                return;
            }
        }
        return;
    }
    // Upper case first: ß and ss, and the two small sigmas, are one.
    let folded: String = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect();
    let mut run = String::new();
    let sign = |c: char| !c.is_alphanumeric() && (c.is_ascii() || matches!(c, '’' | '·' | '‧' | '․' | '﹒' | '＿' | '‿'));
    for piece in folded.split_word_bounds() {
        // A mark that follows no letter belongs to whatever is before it, so that it begins no run.
        let joined = piece.chars().next().is_some_and(|c| is_joined(c) && !is_combining_mark(c));
        if joined {
            run.push_str(piece);
            continue;
        }
        if !cut_run(&run, take) {
            return;
        }
        run.clear();
        for word in piece.split(sign).filter(|word| word.chars().any(char::is_alphanumeric)) {
            if !take(&word[..word.floor_char_boundary(MAX_BYTES)]) {
                return;
            }
        }
    }
    cut_run(&run, take);
}

/// Overlapping pairs, and the last character alone.
fn cut_run(run: &str, take: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut starts = run.char_indices().map(|(at, _)| at).peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().map_or(run.len(), |next| run[*next..].chars().next().map_or(run.len(), |c| next + c.len_utf8()));
        if !take(&run[start..end]) {
            return false;
        }
    }
    true
}

/// Letters of scripts that put no blanks between words: Han, Kana, Thai, Lao, Burmese, Khmer.
fn is_joined(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x31f0..=0x31ff | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x1b000..=0x1b16f | 0x20000..=0x3ffff)
        && (c.is_alphanumeric() || matches!(u32::from(c), 0x0e47..=0x0e4e | 0x0ec8..=0x0ecd | 0x1037..=0x103e | 0x17c6..=0x17d3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        cut(text, &mut |term| {
            terms.push(term.to_owned());
            true
        });
        terms
    }

    /// Stored: whoever changes this raises `TERMS`.
    #[test]
    fn texts_are_cut_into_terms() {
        for (text, expected) in [
            ("Printer-3, ground_floor: db01.acme.com", &["printer", "3", "ground", "floor", "db01", "acme", "com"][..]),
            ("192.168.1.17 can't", &["192", "168", "1", "17", "can", "t"]),
            ("Straße STRASSE Σίσυφος ＡＢＣ ﬁx", &["strasse", "strasse", "σίσυφοσ", "abc", "fix"]),
            ("E\u{301}cole étage’s", &["école", "étage", "s"]),
            ("東京都 Tokyo", &["東京", "京都", "都", "tokyo"]),
            ("サーバー室3号", &["サー", "ーバ", "バー", "ー室", "室", "3", "号"]),
            ("서버 관리", &["서버", "관리"]),
            ("नमस्ते दुनिया", &["नमस्ते", "दुनिया"]),
            (" \u{ec8} \u{ec8}", &[]),
            ("ກ\u{ec8}ກ \u{ec8}ກ", &["ກ\u{ec8}", "\u{ec8}ກ", "ກ", "ກ"]),
            ("!? — …", &[]),
        ] {
            assert_eq!(terms(text), expected, "{text}");
        }
        assert_eq!(terms(&"x".repeat(100)), ["x".repeat(64)]);
        assert_eq!(terms(&"é".repeat(100)), ["é".repeat(32)]);
    }

    #[test]
    fn searches_ask_for_beginnings() {
        let asked = |text: &str| asked(text).into_iter().map(String::from).collect::<Vec<_>>();
        assert_eq!(asked("pri print Printer ground"), ["ground", "printer"]);
        assert_eq!(asked("東京都"), ["京都", "東京"]);
        assert_eq!(asked("京"), ["京"]);
        assert_eq!(asked("a東"), ["a", "東"]);
        assert_eq!(asked(" ,. "), Vec::<String>::new());
        let known = ["abc", "abd", "b", "京都", "東京", "都"].map(Box::from);
        let meets = |text: &str| meets(&known, &super::asked(text));
        assert!(meets("ab") && meets("ABD b") && meets("東京都") && meets("京") && meets(""));
        assert!(!meets("abe") && !meets("ab c") && !meets("bb") && !meets("北京"));
    }

    proptest! {
        #[test]
        fn a_text_is_found_by_each_of_its_words(text in "\\PC{0,60}|[ \n'._a1é\u{301}ก\u{e33}\u{e47}ກ\u{ec8}ក\u{17c6}ー\u{3099}京]{0,10}") {
            let mut known: Vec<Box<str>> = terms(&text).into_iter().map(Box::from).collect();
            known.sort();
            known.dedup();
            prop_assert!(meets(&known, &asked(&text)), "{text:?}");
            for word in text.split(' ') {
                prop_assert!(meets(&known, &asked(word)), "{text:?} by {word:?}");
            }
        }

        #[test]
        fn plain_texts_are_cut_as_any_other(text in "[ -~]{0,60}") {
            let mut long = terms(&format!("{text} é"));
            prop_assert_eq!(long.pop(), Some("é".to_owned()));
            prop_assert_eq!(terms(&text), long);
        }
    }
}
