//! Which index drives a list.

use steward_base::filter::{Compare, Expr, Literal, Op};
use steward_base::{Error, TenantId};

use super::{By, Drive, Range};
use crate::building::{Building, Role};
use crate::engine::Engine;
use crate::kind::{Field, Kind, ValueType};
use crate::rows::IndexField;
use crate::value;

/// Up to so many rows are read and sorted rather than found along the order.
pub(super) const SELECTIVE: i64 = 1_000;
/// Up to so many when the way along the order turned out to be long.
pub(super) const SORTABLE: i64 = 10_000;
/// More probes would cost more than a better index saves.
const MAX_PROBES: usize = 4;

/// A part of the filter that an index answers, perhaps with too many rows and never with too few.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    field: IndexField,
    range: Range,
    list: bool,
}

impl Candidate {
    /// Until its index is built, the rows are found in another way.
    pub(super) fn is_ready(&self, building: &Building, kind: usize) -> bool {
        !matches!(self.field, IndexField::Body(field) if building.has((kind, field, Role::Index)))
    }

    fn drive(&self) -> Drive {
        match self.range.is_point() {
            true => Drive::Equal(self.field, self.range.low.clone()),
            false => Drive::Index(self.field, self.range.clone()),
        }
    }
}

pub(super) struct Choice {
    pub(super) drive: Drive,
    /// The rows come in another order than asked for, and are few.
    pub(super) sorts: bool,
}

pub(super) async fn drive(engine: &Engine, tenant: TenantId, kind: usize, by: By, candidates: &[Candidate]) -> Result<Choice, Error> {
    Ok(match (by, fewest(engine, (tenant, kind), by, candidates, SELECTIVE + 1).await?) {
        // Within one value the ids are in order, so nothing needs sorting, however many there are.
        (By::Id, Some((_, candidate))) if candidate.range.is_point() => {
            Choice { drive: Drive::Equal(candidate.field, candidate.range.low.clone()), sorts: false }
        }
        (_, Some((count, candidate))) if count <= SELECTIVE => Choice { drive: candidate.drive(), sorts: true },
        (By::Deletion, _) => Choice { drive: Drive::Deleted, sorts: false },
        (By::Id, _) => Choice { drive: Drive::Id, sorts: false },
        (By::Field(field), _) => {
            let own = candidates.iter().filter(|candidate| candidate.field == field && !candidate.list);
            let range = own.fold(Range::all(), |range, candidate| Range {
                low: range.low.max(candidate.range.low.clone()),
                high: range.high.min(candidate.range.high.clone()),
            });
            Choice { drive: Drive::Index(field, range), sorts: false }
        }
    })
}

/// What leads to no more rows than can be sorted, if anything does.
pub(super) async fn sortable(
    engine: &Engine,
    tenant: TenantId,
    kind: usize,
    by: By,
    candidates: &[Candidate],
) -> Result<Option<Drive>, Error> {
    let fewest = fewest(engine, (tenant, kind), by, candidates, SORTABLE + 1).await?;
    Ok(fewest.filter(|(count, _)| *count <= SORTABLE).map(|(_, candidate)| candidate.drive()))
}

/// The candidate with the fewest rows, which are counted up to `most`. The order's own index is none.
async fn fewest<'a>(
    engine: &Engine,
    (tenant, kind): (TenantId, usize),
    by: By,
    candidates: &'a [Candidate],
    most: i64,
) -> Result<Option<(i64, &'a Candidate)>, Error> {
    let mut best: Option<(i64, &Candidate)> = None;
    for candidate in candidates.iter().filter(|candidate| By::Field(candidate.field) != by).take(MAX_PROBES) {
        let most = best.map_or(most, |(count, _)| count);
        let count = engine.count(tenant, kind, candidate.field, candidate.range.clone(), Some(most)).await?;
        if best.is_none_or(|(least, _)| count < least) {
            best = Some((count, candidate));
        }
    }
    Ok(best)
}

/// The conditions that every matching row meets and an index knows.
pub(super) fn candidates(kind: &Kind, filter: &Expr) -> Vec<Candidate> {
    let mut found = Vec::new();
    collect(kind, filter, &mut found);
    // A value first, a range after: values are looked up faster and usually match less.
    found.sort_by_key(|candidate| !candidate.range.is_point());
    found
}

fn collect(kind: &Kind, filter: &Expr, found: &mut Vec<Candidate>) {
    match filter {
        Expr::And(parts) => parts.iter().for_each(|part| collect(kind, part, found)),
        Expr::Compare(compare) => found.extend(candidate(kind, compare)),
        _ => {}
    }
}

fn candidate(kind: &Kind, compare: &Compare) -> Option<Candidate> {
    let name = compare.field.name();
    if name == "created_at" {
        let Literal::Time(time) = compare.value else { return None };
        return Some(Candidate { field: IndexField::CreatedAt, range: range(compare.op, value::time(time))?, list: false });
    }
    let number = kind.fields().iter().position(|field| field.path == name)?;
    let field = &kind.fields()[number];
    // One record has several entries in a list: only a single value meets it once.
    let op = match compare.op {
        Op::Eq => Op::Eq,
        Op::Has if field.list || field.value != ValueType::Text => Op::Eq,
        Op::Lt | Op::Le | Op::Gt | Op::Ge if !field.list => compare.op,
        _ => return None,
    };
    if !field.indexed {
        return None;
    }
    Some(Candidate { field: IndexField::Body(number), range: range(op, literal(field, &compare.value)?)?, list: field.list })
}

fn literal(field: &Field, literal: &Literal) -> Option<Vec<u8>> {
    Some(match (field.value, literal) {
        (ValueType::Bool, Literal::Bool(value)) => value::bool(*value),
        (ValueType::Int, Literal::Int(value)) => value::int(*value),
        (ValueType::Float, Literal::Float(value)) => value::float(*value),
        (ValueType::Float, Literal::Int(value)) => value::float(*value as f64),
        (ValueType::Time, Literal::Time(value)) => value::time(*value),
        (ValueType::Text, Literal::Text(value)) => value::text(value),
        _ => return None,
    })
}

/// Bounds are included: the row is asked again, and a cut text may equal its bound without being it.
fn range(op: Op, bound: Vec<u8>) -> Option<Range> {
    let tag = *bound.first()?;
    Some(match op {
        Op::Eq => Range { low: bound.clone(), high: bound },
        Op::Lt | Op::Le => Range { low: vec![tag], high: bound },
        Op::Gt | Op::Ge => Range { low: bound, high: vec![tag + 1] },
        _ => return None,
    })
}
