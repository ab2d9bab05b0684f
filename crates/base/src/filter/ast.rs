//! What a filter says.

use crate::Timestamp;

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Every part is true.
    And(Vec<Expr>),
    /// Some part is true.
    Or(Vec<Expr>),
    /// The part is not true.
    Not(Box<Expr>),
    /// A field compared with a value.
    Compare(Compare),
    /// The text of the row contains this word.
    Word(String),
}

/// `field op value`.
#[derive(Clone, Debug, PartialEq)]
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

/// A field's name: segments joined by dots, as in `attributes.http.route`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<String>);

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text; a bare word before the field's type is known.
    Text(String),
    /// A point in time; `now-1h` is resolved when the filter is checked.
    Time(Timestamp),
    /// `*`: any value.
    Star,
}
