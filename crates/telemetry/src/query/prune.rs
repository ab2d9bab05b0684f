//! What a filter asks of a row group before the row group is read.

use steward_base::filter::{Compare, Expr, Literal, Op};

use super::predicate::unhex;
use crate::Signal;
use crate::segment::{Grams, Wanted};

/// What must be there for any row to pass. Anything that cannot be told from the filters beside a segment is `Anything`: reading in vain costs
/// time, leaving out costs rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Anything,
    One(Wanted),
    All(Vec<Wants>),
    Any(Vec<Wants>),
}

impl Wants {
    pub(crate) fn of(signal: Signal, filter: &Expr) -> Self {
        match (signal, filter) {
            (Signal::Metrics, _) | (_, Expr::Not(_)) => Wants::Anything,
            (_, Expr::And(parts)) => {
                let mut parts: Vec<Wants> = parts.iter().map(|part| Wants::of(signal, part)).collect();
                parts.retain(|part| *part != Wants::Anything);
                if parts.is_empty() { Wants::Anything } else { Wants::All(parts) }
            }
            (_, Expr::Or(parts)) => {
                let parts: Vec<Wants> = parts.iter().map(|part| Wants::of(signal, part)).collect();
                if parts.contains(&Wants::Anything) { Wants::Anything } else { Wants::Any(parts) }
            }
            (_, Expr::Word(word)) => text(word),
            (_, Expr::Compare(compare)) => leaf(compare),
        }
    }

    /// Whether a row group may have rows that pass.
    pub(crate) fn may_be_in(&self, grams: &Grams, group: usize) -> bool {
        match self {
            Wants::Anything => true,
            Wants::One(wanted) => grams.may_hold(group, wanted),
            Wants::All(parts) => parts.iter().all(|part| part.may_be_in(grams, group)),
            Wants::Any(parts) => parts.iter().any(|part| part.may_be_in(grams, group)),
        }
    }
}

fn text(needle: &str) -> Wants {
    Wanted::text(needle).map_or(Wants::Anything, Wants::One)
}

fn leaf(compare: &Compare) -> Wants {
    let (Op::Eq | Op::Has, Literal::Text(wanted)) = (compare.op, &compare.value) else { return Wants::Anything };
    let segments: Vec<&str> = compare.field.segments().iter().map(String::as_str).collect();
    match (segments.as_slice(), compare.op) {
        (["message" | "service"], _) => text(wanted),
        (["trace_id" | "span_id"], Op::Eq) => match unhex(wanted) {
            Some(id) if id.iter().any(|byte| *byte != 0) => Wants::One(Wanted::id(&id)),
            _ => Wants::Anything,
        },
        (["attributes", _, ..], _) if stands_as_it_is(wanted) => text(wanted),
        _ => Wants::Anything,
    }
}

/// Whether an attribute that equals or has this text shows it literally: a number may be written in other ways, and JSON escapes some characters.
fn stands_as_it_is(text: &str) -> bool {
    text.parse::<f64>().is_err()
        && text.parse::<bool>().is_err()
        && !text.contains(|letter: char| letter.is_control() || letter == '"' || letter == '\\')
}
