//! Fields that exist, literals of their type.

use super::literal::{duration, number, time, whole, whole_of};
use super::{Compare, Expr, FieldPath, FieldType, Literal, Op, Registry, refused};
use crate::{Error, Result, Timestamp};

/// Types the literals of a parsed filter and resolves times against `now`.
///
/// Fails with `filter_field` for a field that is not registered and `filter_type` for a value or an operator that its type does not take.
pub fn check(expr: Expr, registry: &Registry, now: Timestamp) -> Result<Expr> {
    Check { registry, now }.expr(expr)
}

struct Check<'a> {
    registry: &'a Registry,
    now: Timestamp,
}

impl Check<'_> {
    fn expr(&self, expr: Expr) -> Result<Expr> {
        Ok(match expr {
            Expr::And(parts) => Expr::And(parts.into_iter().map(|part| self.expr(part)).collect::<Result<_>>()?),
            Expr::Or(parts) => Expr::Or(parts.into_iter().map(|part| self.expr(part)).collect::<Result<_>>()?),
            Expr::Not(part) => Expr::Not(Box::new(self.expr(*part)?)),
            Expr::Compare(compare) => self.compare(compare)?,
            Expr::Word(word) if self.registry.words => Expr::Word(word),
            Expr::Word(word) => {
                let detail = format!("There is no text to look for {word:?} in; compare a field, as in field = value.");
                return Err(refused("filter_field", 1, &detail));
            }
        })
    }

    fn compare(&self, compare: Compare) -> Result<Expr> {
        let Compare { field, op, value, column } = compare;
        let field_type = self.registry.resolve(&field).ok_or_else(|| self.unknown(&field, column))?;
        let value = match (op, value) {
            (Op::Has, Literal::Star) => Literal::Star,
            (Op::Eq, Literal::Null) => {
                let present = Compare { field, op: Op::Has, value: Literal::Star, column };
                return Ok(Expr::Not(Box::new(Expr::Compare(present))));
            }
            (Op::Ne, Literal::Null) => return Ok(Expr::Compare(Compare { field, op: Op::Has, value: Literal::Star, column })),
            (_, Literal::Star) => return Err(wrong(&field, column, "is tested for any value with :*")),
            (_, Literal::Null) => return Err(wrong(&field, column, "is compared with null by = and != only")),
            (_, value) => self.typed(&field, column, op, value, field_type)?,
        };
        Ok(Expr::Compare(Compare { field, op, value, column }))
    }

    fn typed(&self, field: &FieldPath, column: usize, op: Op, value: Literal, field_type: &FieldType) -> Result<Literal> {
        let orders = matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
        let seconds = || match &value {
            Literal::Text(text) if field.name().ends_with("_seconds") => duration(text),
            _ => None,
        };
        let (typed, expected) = match field_type {
            FieldType::Any => (Some(value), ""),
            FieldType::List(item) => return self.typed(field, column, op, value, item),
            FieldType::Text => (Some(Literal::Text(as_text(value))), ""),
            FieldType::Bool if orders => (None, "is true or false and has no order; use = or !="),
            FieldType::Bool => (as_bool(&value), "is compared with true or false"),
            FieldType::Int => {
                let int = as_int(&value).or_else(|| i64::try_from(seconds()?.as_secs()).ok());
                (int.map(Literal::Int), "is compared with a whole number")
            }
            FieldType::Float => {
                (as_float(&value).or_else(|| Some(seconds()?.as_secs_f64())).map(Literal::Float), "is compared with a number")
            }
            FieldType::Time => {
                let expected = "is compared with a time: RFC 3339 as 2026-11-20T10:30:00Z, a date, now, now-1h, or a duration as 7d";
                (self.as_time(&value).map(Literal::Time), expected)
            }
            FieldType::Map(_) if op == Op::Has => (Some(Literal::Text(as_text(value))), ""),
            FieldType::Map(_) => {
                (None, "holds named values: compare one of them, as in field.name = value, or test for a name with field:name")
            }
        };
        typed.ok_or_else(|| wrong(field, column, expected))
    }

    fn as_time(&self, value: &Literal) -> Option<Timestamp> {
        match value {
            Literal::Time(time) => Some(*time),
            Literal::Text(text) => time(text, self.now),
            _ => None,
        }
    }

    fn unknown(&self, field: &FieldPath, column: usize) -> Error {
        let mut detail = format!("There is no field {field}.");
        if let Some(near) = self.registry.nearest(&field.name()) {
            detail.push_str(&format!(" Did you mean {}?", FieldPath::dotted(near)));
        }
        refused("filter_field", column, &detail)
    }
}

fn wrong(field: &FieldPath, column: usize, expected: &str) -> Error {
    refused("filter_type", column, &format!("{field} {expected}."))
}

/// The text a literal was written as: only exact printed forms become other literals than text.
fn as_text(value: Literal) -> String {
    match value {
        Literal::Text(text) => text,
        other => other.to_string(),
    }
}

fn as_bool(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Bool(value) => Some(Literal::Bool(*value)),
        Literal::Text(text) => text.parse().ok().map(Literal::Bool),
        _ => None,
    }
}

fn as_int(value: &Literal) -> Option<i64> {
    match value {
        Literal::Int(int) => Some(*int),
        Literal::Float(float) => whole_of(*float),
        Literal::Text(text) => whole(text),
        _ => None,
    }
}

fn as_float(value: &Literal) -> Option<f64> {
    match value {
        Literal::Int(int) => Some(*int as f64),
        Literal::Float(float) => Some(*float),
        Literal::Text(text) => number(text),
        _ => None,
    }
}
