//! Which values the records that pass a filter have, and how often: one pass over them, with an end. Without a filter the indexes of fields with few
//! values are asked instead.
//!
//! Values are told apart as filters and indexes do: text without case and by its first 256 bytes. The oldest record says how a value is spelt.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::filter::Expr;
use steward_base::{Error, ErrorKind, RecordId, TenantId};

use super::{Asked, By, MAX_SCANNED, STEP, Scan, choose};
use crate::Record;
use crate::building::Role;
use crate::engine::Engine;
use crate::kind::{Field, Kind, Kinds};
use crate::query::Direction;
use crate::rows::IndexField;
use crate::value;

/// Most fields of one question.
const MAX_FIELDS: usize = 10;
const DEFAULT_VALUES: usize = 50;
const MAX_VALUES: usize = 500;
/// A field with more values is counted row by row.
const MAX_DISTINCT: usize = 500;
/// Most index entries counted of one value.
pub(crate) const MAX_COUNTED: i64 = 1_000_000;

/// A question for the values of fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FacetQuery {
    /// The kind's name.
    pub kind: String,
    /// Checked against the kind's registry, as for a list.
    pub filter: Option<Expr>,
    /// Dotted paths of indexed fields, at most 10.
    pub fields: Vec<String>,
    /// Most values of each field, up to 500; 0 is 50.
    pub values: usize,
}

/// The values that fields have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facets {
    /// One for each field asked for, in that order.
    pub fields: Vec<Facet>,
    /// Whether there is more than was counted: only the first 20,000 rows that it came across, or a million of one value.
    pub approximate: bool,
}

/// The values of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facet {
    /// Its dotted path.
    pub field: String,
    /// The most frequent ones first. Of a list each item counts once per record.
    pub values: Vec<FacetValue>,
    /// Records without a value.
    pub missing: u64,
    /// How often values beyond those were met.
    pub others: u64,
}

/// An index value, how many entries it has, and the oldest record with it.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) value: Vec<u8>,
    pub(crate) count: i64,
    pub(crate) first: RecordId,
}

/// A value and its records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FacetValue {
    /// As the oldest record has it.
    pub value: Value,
    /// How many records have it.
    pub count: u64,
}

/// The counts of one field so far, by the index value.
struct Tally<'k> {
    number: usize,
    field: &'k Field,
    counts: BTreeMap<Vec<u8>, (Value, u64)>,
    missing: u64,
}

pub(crate) async fn facets(engine: &Engine, tenant: TenantId, kinds: &Kinds, number: usize, query: FacetQuery) -> Result<Facets, Error> {
    let kind = kinds.at(number);
    let mut tallies = tallies(kind, &query.fields)?;
    let most = if query.values == 0 { DEFAULT_VALUES } else { query.values.min(MAX_VALUES) };
    let building = engine.building(tenant).await?;
    let indexed = |tally: &Tally<'_>| !tally.field.list && !building.has((number, tally.number, Role::Index));
    if query.filter.is_none()
        && tallies.iter().all(indexed)
        && let Some(facets) = along_indexes(engine, tenant, (number, kind), &tallies, most).await?
    {
        return Ok(facets);
    }
    let mut candidates = query.filter.as_ref().map(|filter| choose::candidates(kind, filter)).unwrap_or_default();
    candidates.retain(|candidate| candidate.is_ready(&building, number));
    let mut scan = Scan {
        kind: number,
        model: kind.clone(),
        drive: choose::drive(engine, tenant, number, By::Id, &candidates).await?.drive,
        direction: Direction::Ascending,
        after: None,
        filter: query.filter.map(|filter| Arc::new(Asked::new(filter))),
        rows: STEP,
        hits: usize::MAX,
    };
    let mut looked_at = 0;
    let approximate = loop {
        let scanned = engine.scan(tenant, scan.clone()).await?;
        looked_at += scanned.looked_at;
        for (_, record) in &scanned.hits {
            count(&mut tallies, record)?;
        }
        if scanned.end || looked_at >= MAX_SCANNED {
            break !scanned.end;
        }
        scan.after = scanned.last;
    };
    Ok(Facets { fields: tallies.into_iter().map(|tally| tally.into_facet(most)).collect(), approximate })
}

fn tallies<'k>(kind: &'k Kind, paths: &[String]) -> Result<Vec<Tally<'k>>, Error> {
    let refuse =
        |code: &'static str, detail: String| Error::new(ErrorKind::Invalid, code, detail.clone()).with_field("/facets", code, detail);
    if paths.len() > MAX_FIELDS {
        return Err(refuse("too_many_facets", format!("At most {MAX_FIELDS} fields are counted at once.")));
    }
    let tally = |path: &String| {
        let known = kind.fields().iter().enumerate().find(|(_, field)| field.path == *path && field.indexed);
        let (number, field) =
            known.ok_or_else(|| refuse("facet_unknown", format!("The values of {path} cannot be counted: it is no indexed field.")))?;
        Ok(Tally { number, field, counts: BTreeMap::new(), missing: 0 })
    };
    paths.iter().map(tally).collect()
}

fn count(tallies: &mut [Tally<'_>], record: &Record) -> Result<(), Error> {
    let top = |name: &str| tallies.iter().any(|tally| tally.field.segments.first().is_some_and(|first| first == name));
    let body = record.body.pick(top)?;
    for tally in tallies {
        let known = values(tally.field, &body);
        tally.missing += u64::from(known.is_empty());
        for (value, scalar) in known {
            tally.counts.entry(value).or_insert_with(|| (scalar.clone(), 0)).1 += 1;
        }
    }
    Ok(())
}

/// The distinct values of a body by index value.
fn values<'b>(field: &Field, body: &'b Map<String, Value>) -> BTreeMap<Vec<u8>, &'b Value> {
    let mut scalars = Vec::new();
    field.scalars(body, &mut scalars);
    scalars.into_iter().rev().filter_map(|scalar| Some((value::encode(field.value, scalar)?, scalar))).collect()
}

/// Counts index entries; `None` when a field has too many values for that.
async fn along_indexes(
    engine: &Engine,
    tenant: TenantId,
    (number, kind): (usize, &Kind),
    tallies: &[Tally<'_>],
    most: usize,
) -> Result<Option<Facets>, Error> {
    let mut facets = Facets { fields: Vec::with_capacity(tallies.len()), approximate: false };
    for tally in tallies {
        let mut counted = engine.values(tenant, number, IndexField::Body(tally.number), MAX_DISTINCT + 1).await?;
        if counted.len() > MAX_DISTINCT {
            return Ok(None);
        }
        facets.approximate |= counted.iter().any(|known| known.count >= MAX_COUNTED);
        let count = |known: &Counted| u64::try_from(known.count).unwrap_or(0);
        let missing = counted.iter().filter(|known| known.value == value::NULL).map(count).sum();
        counted.retain(|known| known.value != value::NULL);
        counted.sort_by_key(|known| std::cmp::Reverse(known.count));
        let others = counted.iter().skip(most).map(count).sum();
        counted.truncate(most);
        let rows = engine.some(tenant, number, counted.iter().map(|known| known.first).collect()).await?;
        let mut spelt = Vec::with_capacity(counted.len());
        for known in &counted {
            // Who had it first may have gone since it was counted.
            let Some((id, row)) = rows.iter().find(|(id, _)| *id == known.first) else { continue };
            let body = row.clone().into_record(kind, *id).body.object()?;
            if let Some(scalar) = values(tally.field, &body).get(&known.value) {
                spelt.push(FacetValue { value: (*scalar).clone(), count: count(known) });
            }
        }
        facets.fields.push(Facet { field: tally.field.path.clone(), values: spelt, missing, others });
    }
    Ok(Some(facets))
}

impl Tally<'_> {
    fn into_facet(self, most: usize) -> Facet {
        // In their own order, which breaks ties.
        let mut values: Vec<FacetValue> = self.counts.into_values().map(|(value, count)| FacetValue { value, count }).collect();
        values.sort_by_key(|known| std::cmp::Reverse(known.count));
        let others = values.iter().skip(most).map(|rare| rare.count).sum();
        values.truncate(most);
        Facet { field: self.field.path.clone(), values, missing: self.missing, others }
    }
}
