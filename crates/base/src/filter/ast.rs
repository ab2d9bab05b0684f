//! What a filter says.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A filter. Its `Display` form parses back to an equal tree. As data it travels between processes, which may join more of them than the parser
/// reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// Every part is true; without parts, always true. The parser makes none with exactly one part.
    And(Vec<Expr>),
    /// Some part is true; without parts, never true. The parser makes none with fewer than two parts.
    Or(Vec<Expr>),
    /// The part is not true.
    Not(Box<Expr>),
    /// A field compared with a value.
    Compare(Compare),
    /// The text of the row contains this word.
    Word(String),
}

impl Expr {
    /// The filter that everything passes.
    pub const fn everything() -> Self {
        Expr::And(Vec::new())
    }

    /// `field op value`, for filters that code makes; `field` is split at its dots.
    pub fn compare(field: &str, op: Op, value: Literal) -> Self {
        Expr::Compare(Compare { field: FieldPath::dotted(field), op, value, column: 1 })
    }

    /// Both are true.
    #[must_use]
    pub fn and(self, other: Expr) -> Self {
        match (self, other) {
            (Expr::And(parts), other) if parts.is_empty() => other,
            (one, Expr::And(parts)) if parts.is_empty() => one,
            (one, other) => Expr::And(vec![one, other]),
        }
    }
}

/// `field op value`. Equality ignores where it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compare {
    /// What is compared.
    pub field: FieldPath,
    /// How.
    pub op: Op,
    /// With what.
    pub value: Literal,
    /// Where the field begins in the text, from 1; errors name it.
    pub column: usize,
}

impl PartialEq for Compare {
    fn eq(&self, other: &Self) -> bool {
        (&self.field, self.op, &self.value) == (&other.field, other.op, &other.value)
    }
}

/// A field's name: segments joined by dots, as in `attributes.http.route`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// The path whose segments are `name` split at its dots.
    pub fn dotted(name: &str) -> Self {
        Self(name.split('.').map(str::to_owned).collect())
    }

    /// The segments.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// The segments joined by dots, as registries and flat attribute maps name the field; no quotes.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// `=`: equal; on a list, equal to any item.
    Eq,
    /// `!=`: the opposite of `=`, but false where the field is missing.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `:`: a list has the item, a text contains the value, a map has the key; `field:*` is presence.
    Has,
}

/// A value in a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Literal {
    /// `null`; gone after the check: `= null` becomes the opposite of a presence test.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text; before the check also every bare word that is not exactly how another literal is printed, as `now-1h`, `7d` or `1.10`.
    Text(String),
    /// A point in time.
    Time(Timestamp),
    /// `*`: any value.
    Star,
}
