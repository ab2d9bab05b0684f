//! The in-memory evaluator: the reference that every other one is tested against.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization as _;

use super::literal::number;
use super::{Compare, Expr, FieldPath, Literal, Op};
use crate::Timestamp;

/// What a row holds in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing, or null.
    Missing,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A point in time.
    Time(Timestamp),
    /// Several values; an empty one counts as missing.
    List(Vec<Value<'a>>),
    /// Named values, of which a comparison sees only the names; an empty one counts as missing.
    Map(Vec<Cow<'a, str>>),
}

/// Something a filter can be asked of.
pub trait Row {
    /// What the field holds.
    fn value(&self, path: &FieldPath) -> Value<'_>;
    /// Whether the row's text contains a word.
    fn text_contains(&self, word: &str) -> bool;
}

/// Whether a row passes a filter.
pub fn matches(expr: &Expr, row: &dyn Row) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| matches(part, row)),
        Expr::Or(parts) => parts.iter().any(|part| matches(part, row)),
        Expr::Not(part) => !matches(part, row),
        Expr::Compare(Compare { field, op, value, .. }) => holds(&row.value(field), *op, value),
        Expr::Word(word) => row.text_contains(word),
    }
}

/// Whether `value op literal` is true.
pub fn holds(value: &Value<'_>, op: Op, literal: &Literal) -> bool {
    let present = is_present(value);
    match (op, literal) {
        (Op::Eq, Literal::Null) => !present,
        (Op::Ne, Literal::Null) => present,
        (Op::Has, Literal::Star) => present,
        _ if !present => false,
        (Op::Ne, _) => !any(value, &|item| order(item, literal) == Some(Ordering::Equal)),
        (Op::Has, _) => has(value, literal),
        _ => any(value, &|item| order(item, literal).is_some_and(|found| passes(op, found))),
    }
}

fn is_present(value: &Value<'_>) -> bool {
    match value {
        Value::Missing => false,
        Value::List(items) => items.iter().any(is_present),
        Value::Map(names) => !names.is_empty(),
        _ => true,
    }
}

fn any(value: &Value<'_>, test: &dyn Fn(&Value<'_>) -> bool) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| any(item, test)),
        one => test(one),
    }
}

fn has(value: &Value<'_>, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::List(_), _) => any(value, &|item| match item {
            Value::Map(_) => has(item, literal),
            item => order(item, literal) == Some(Ordering::Equal),
        }),
        (Value::Map(names), Literal::Text(wanted)) => names.iter().any(|name| name == wanted),
        (Value::Text(text), Literal::Text(part)) => contains_folded(text, part),
        (one, literal) => order(one, literal) == Some(Ordering::Equal),
    }
}

fn passes(op: Op, found: Ordering) -> bool {
    match op {
        Op::Eq => found.is_eq(),
        Op::Ne => found.is_ne(),
        Op::Lt => found.is_lt(),
        Op::Le => found.is_le(),
        Op::Gt => found.is_gt(),
        Op::Ge => found.is_ge(),
        Op::Has => false,
    }
}

/// How a value stands to a literal; `None` when the two cannot be compared. Text beside a number, a truth value or a time is read as
/// one: that happens only on fields of type any, and on JSON, which writes times as text.
fn order(value: &Value<'_>, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Value::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Literal::Text(b)) => b.parse().ok().map(|b| a.cmp(&b)),
        (Value::Int(a), Literal::Int(b)) => Some(a.cmp(b)),
        (Value::Int(a), Literal::Float(b)) => int_to_float(*a, *b),
        (Value::Int(a), Literal::Text(b)) => match b.parse() {
            Ok(b) => Some(a.cmp(&b)),
            Err(_) => int_to_float(*a, number(b)?),
        },
        (Value::Float(a), Literal::Int(b)) => int_to_float(*b, *a).map(Ordering::reverse),
        (Value::Float(a), Literal::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), Literal::Text(b)) => a.partial_cmp(&number(b)?),
        (Value::Text(a), Literal::Text(b)) => Some(order_folded(a, b)),
        (Value::Text(a), Literal::Int(b)) => match a.parse::<i64>() {
            Ok(a) => Some(a.cmp(b)),
            Err(_) => int_to_float(*b, number(a)?).map(Ordering::reverse),
        },
        (Value::Text(a), Literal::Float(b)) => number(a)?.partial_cmp(b),
        (Value::Text(a), Literal::Bool(b)) => a.parse().ok().map(|a: bool| a.cmp(b)),
        (Value::Text(a), Literal::Time(b)) => a.parse().ok().map(|a: Timestamp| a.cmp(b)),
        (Value::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
        (Value::Time(a), Literal::Text(b)) => b.parse().ok().map(|b| a.cmp(&b)),
        _ => None,
    }
}

/// Exact, also where an i64 has no f64 of its own.
fn int_to_float(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= 2f64.powi(63) {
        return Some(Ordering::Less);
    }
    if float < -(2f64.powi(63)) {
        return Some(Ordering::Greater);
    }
    let whole = float.floor();
    Some(int.cmp(&(whole as i64)).then(if float > whole { Ordering::Less } else { Ordering::Equal }))
}

/// Text as it is compared: NFC, then lowercase character by character, so that a part of a text folds to a part of the folded text.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

fn order_folded(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        let lower = |text: &'_ str| text.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>();
        return if one.eq_ignore_ascii_case(other) { Ordering::Equal } else { lower(one).cmp(&lower(other)) };
    }
    fold(one).cmp(&fold(other))
}

fn contains_folded(text: &str, part: &str) -> bool {
    fold(text).contains(&fold(part))
}

/// A JSON document: paths go through objects, whose keys may have dots themselves, and through every item of a list. Its text is every
/// string in it.
impl Row for Json {
    fn value(&self, path: &FieldPath) -> Value<'_> {
        at(self, path.segments())
    }

    fn text_contains(&self, word: &str) -> bool {
        match self {
            Json::String(text) => contains_folded(text, word),
            Json::Array(items) => items.iter().any(|item| item.text_contains(word)),
            Json::Object(members) => members.values().any(|member| member.text_contains(word)),
            _ => false,
        }
    }
}

fn at<'a>(json: &'a Json, segments: &[String]) -> Value<'a> {
    match json {
        json if segments.is_empty() => value_of(json),
        Json::Array(items) => Value::List(items.iter().map(|item| at(item, segments)).collect()),
        Json::Object(members) => {
            let found = (1..=segments.len()).rev().find_map(|taken| Some((taken, members.get(&segments[..taken].join("."))?)));
            found.map_or(Value::Missing, |(taken, member)| at(member, &segments[taken..]))
        }
        _ => Value::Missing,
    }
}

fn value_of(json: &Json) -> Value<'_> {
    match json {
        Json::Null => Value::Missing,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Missing,
        },
        Json::String(text) => Value::Text(Cow::Borrowed(text)),
        Json::Array(items) => Value::List(items.iter().map(value_of).collect()),
        Json::Object(members) => Value::Map(members.keys().map(|name| Cow::Borrowed(name.as_str())).collect()),
    }
}
