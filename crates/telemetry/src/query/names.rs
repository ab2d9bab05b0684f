//! Which metrics there are.

use std::collections::BTreeSet;

use steward_base::filter::Expr;
use steward_base::{Result, Timestamp};

use super::compile;
use super::scan::Scan;
use crate::rows::{Places, words};
use crate::{MetricKind, Signal};

/// What to look through.
#[derive(Clone, Debug, Default)]
pub struct NamesQuery {
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Up to and without this time.
    pub to: Option<Timestamp>,
    /// Checked against [`super::metric_registry`].
    pub filter: Option<Expr>,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName {
    /// As in `system.cpu.utilization`.
    pub name: String,
    /// UCUM.
    pub unit: String,
    /// How its points relate to each other.
    pub kind: MetricKind,
}

pub(super) fn run(scan: &Scan, query: &NamesQuery) -> Result<Vec<MetricName>> {
    let predicate = compile(Signal::Metrics, query.filter.as_ref())?;
    let from = query.from.map_or(i64::MIN, Timestamp::micros).max(predicate.times.0);
    let to = query.to.map_or(i64::MAX, Timestamp::micros).min(predicate.times.1.saturating_add(1));
    let mut found: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut columns = predicate.columns();
    columns.extend(["name", "unit", "kind", "time", "batch", "ordinal"]);
    columns.remove("attribute_types");
    let columns: Vec<&str> = columns.into_iter().collect();
    for part in scan.parts(from, to)? {
        if predicate.is_everything()
            && let Some(names) = scan.names(&part)?
        {
            found.extend(names);
            continue;
        }
        let rows = scan.read(&part, &columns)?;
        let mut mask: Vec<bool> = Places::of(&rows).time.iter().map(|time| (from..to).contains(time)).collect();
        predicate.narrow(&rows, &mut mask);
        let (names, units, kinds) = (words(&rows["name"]), words(&rows["unit"]), words(&rows["kind"]));
        let mut last = None;
        for row in (0..mask.len()).filter(|row| mask[*row]) {
            let codes = (names.code(row), units.code(row), kinds.code(row));
            if last != Some(codes) {
                last = Some(codes);
                found.insert((names.at(row).to_owned(), units.at(row).to_owned(), kinds.at(row).to_owned()));
            }
        }
    }
    Ok(found.into_iter().map(|(name, unit, kind)| MetricName { name, unit, kind: MetricKind::from_name(&kind) }).collect())
}
