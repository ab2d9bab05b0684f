//! What a bare word stands for: numbers, times, durations.

use std::time::Duration;

use super::{Literal, Op};
use crate::Timestamp;

/// The words that join terms; in this spelling they are never values or field names unless quoted.
pub(super) const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];

/// Reads an unquoted value. Only the exact printed form of a literal becomes that literal: `1.10` stays text, so that it can still be
/// compared with a version field, and becomes a number when its field turns out to be one.
pub(super) fn of_bare(word: &str) -> Literal {
    match word {
        "null" => return Literal::Null,
        "true" => return Literal::Bool(true),
        "false" => return Literal::Bool(false),
        "*" => return Literal::Star,
        _ => {}
    }
    if let Some(int) = word.parse::<i64>().ok().filter(|int| int.to_string() == word) {
        return Literal::Int(int);
    }
    if let Some(float) = number(word).filter(|float| format!("{float:?}") == word) {
        return Literal::Float(float);
    }
    match word.parse::<Timestamp>() {
        Ok(time) if time.to_string() == word => Literal::Time(time),
        _ => Literal::Text(word.to_owned()),
    }
}

/// Reads a finite number: digits with an optional sign, fraction and exponent.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    plain.then(|| text.parse::<f64>().ok()).flatten().filter(|float| float.is_finite())
}

/// Reads a whole number, written with leading zeros, a plus sign or `.0` too.
pub(super) fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| number(text).and_then(whole_of))
}

/// The whole number that `float` is, if it is one.
pub(super) fn whole_of(float: f64) -> Option<i64> {
    // 2⁶³ is the first f64 above i64::MAX, and -2⁶³ is i64::MIN.
    let fits = float >= -(2f64.powi(63)) && float < 2f64.powi(63) && float.fract() == 0.0;
    fits.then_some(float as i64)
}

/// Reads a point in time: RFC 3339, a date (its first instant in UTC), `now`, `now±duration`, or a duration before `now`.
pub(super) fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(offset) = text.strip_prefix("now") {
        return match (offset, offset.split_at_checked(1)) {
            ("", _) => Some(now),
            (_, Some(("-", length))) => duration(length).map(|length| now.minus(length)),
            (_, Some(("+", length))) => duration(length).map(|length| now.plus(length)),
            _ => None,
        };
    }
    if let Some(length) = duration(text) {
        return Some(now.minus(length));
    }
    if text.len() == "2026-11-20".len() {
        return format!("{text}T00:00:00Z").parse().ok();
    }
    text.parse().ok()
}

/// Reads a duration: whole numbers with the units `ms s m h d w`, as `90s` or `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0u64;
    while !rest.is_empty() {
        let (count, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        millis = millis.checked_add(count.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(millis))
}

impl Op {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Has => ":",
        }
    }
}
