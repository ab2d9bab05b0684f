//! The filter grammar: one text form in the console, REST, the command line, alerts and permissions.
//!
//! AIP-160 in style: `status = "offline" AND tags:prod (severity = error OR severity = critical) -hostname:test last_seen < now-1h`.
//!
//! - Parts side by side, or joined by `AND`, must all be true; `OR` binds tighter than both; `NOT` and `-` bind tightest.
//! - `field op value` with `= != < <= > >= :`. `:` asks whether a list has the item, a text contains the value, a map has the key;
//!   `field:*` asks whether the field is there. Every other term is a word looked for in the row's text.
//! - A value with blanks, parentheses, quotes or an operator in it is quoted with `"` or `'`; escapes are `\" \' \\ \n \r \t \u{…}`.
//! - On a field of type time a value is RFC 3339, a date, `now`, `now-1h`, `now+30m`, or a duration such as `7d`: that long ago. On a
//!   field whose name ends in `_seconds` a duration is that many seconds.
//!
//! Meaning, the same in every evaluator (the in-memory one, [`matches`], is the reference): a comparison on a missing field is false and
//! `NOT` of it true; null, an empty list and an empty map count as missing; `=` on a list means any item; `!=` is the opposite of `=`
//! wherever the field is there; text is compared by [`fold`]ed characters. After [`check`] a tree holds no [`Literal::Null`] and
//! [`Literal::Star`] only in a presence test, and each literal has the type of its field; only fields of type [`FieldType::Any`] leave
//! the conversion to the evaluator.

mod ast;
mod check;
mod evaluate;
mod literal;
mod parse;
mod print;
mod registry;

pub use ast::{Compare, Expr, FieldPath, Literal, Op};
pub use check::check;
pub use evaluate::{Row, Value, fold, holds, matches};
pub use parse::{MAX_DEPTH, MAX_LENGTH, MAX_SEGMENTS, parse};
pub use registry::{FieldType, Registry};

use crate::{Error, ErrorKind};

/// The error of a filter: its public sentence and its field error both name the 1-based column.
fn refused(code: &'static str, column: usize, detail: &str) -> Error {
    let detail = format!("Column {column}: {detail}");
    Error::new(ErrorKind::Invalid, code, format!("The filter is refused. {detail}")).with_field("/filter", code, detail)
}
