//! Which fields a filter may name, and of what type they are.

use std::collections::BTreeMap;

use super::FieldPath;

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text, compared by folded characters.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// A point in time.
    Time,
    /// Several values; a comparison asks whether any of them passes.
    List(Box<FieldType>),
    /// Values under names that are not known beforehand: `attributes.http.route`.
    Map(Box<FieldType>),
    /// Whatever the row holds; the value's own type decides.
    Any,
}

/// Typed fields by dotted name.
#[derive(Clone, Debug)]
pub struct Registry {
    fields: BTreeMap<String, FieldType>,
    pub(super) words: bool,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// No fields yet; words look through the row's text.
    pub const fn new() -> Self {
        Self { fields: BTreeMap::new(), words: true }
    }

    /// Adds a field, dots and all.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, field_type: FieldType) -> Self {
        self.insert(name, field_type);
        self
    }

    /// Adds a field, dots and all; one of the same name is replaced.
    pub fn insert(&mut self, name: impl Into<String>, field_type: FieldType) {
        self.fields.insert(name.into(), field_type);
    }

    /// Refuses words: the rows have no text to look through.
    #[must_use]
    pub fn without_words(mut self) -> Self {
        self.words = false;
        self
    }

    /// Every field with its type, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldType)> {
        self.fields.iter().map(|(name, field_type)| (name.as_str(), field_type))
    }

    /// The type of a field: the longest registered name that begins the path, then through maps and lists.
    pub fn resolve(&self, path: &FieldPath) -> Option<&FieldType> {
        let segments = path.segments();
        (1..=segments.len()).rev().find_map(|taken| {
            let found = self.fields.get(&segments[..taken].join("."))?;
            if taken == segments.len() { Some(found) } else { inside(found) }
        })
    }

    /// The registered name most like `name`, when one is like it.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let allowed = (name.chars().count() / 3).clamp(1, 4);
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let scored = self.fields.keys().map(|known| (distance(name, known).min(1 + distance(&last(name), &last(known))), known));
        scored.filter(|(score, _)| *score <= allowed).min().map(|(_, known)| known.as_str())
    }
}

/// What lies under a name inside a value of this type. Keys of a map may have dots themselves, so the rest of a path is one key.
fn inside(field_type: &FieldType) -> Option<&FieldType> {
    match field_type {
        FieldType::Map(value) => Some(value),
        FieldType::List(item) => inside(item),
        FieldType::Any => Some(field_type),
        _ => None,
    }
}

/// Levenshtein distance in characters; names longer than 64 characters are like nothing.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().flat_map(char::to_lowercase).collect();
    let one: Vec<char> = one.chars().flat_map(char::to_lowercase).collect();
    if one.len() > 64 || other.len() > 64 {
        return usize::MAX - 1;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[other.len()]
}
