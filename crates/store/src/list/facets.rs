//! Which values the records that pass a filter have, and how often: one pass over them, with an end.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_base::filter::Expr;
use steward_base::{Error, ErrorKind, TenantId};

use super::{Asked, By, MAX_SCANNED, STEP, Scan, choose};
use crate::Record;
use crate::engine::Engine;
use crate::kind::{Field, Kind, Kinds};
use crate::query::Direction;

/// Most fields of one question.
const MAX_FIELDS: usize = 10;
const DEFAULT_VALUES: usize = 50;
const MAX_VALUES: usize = 500;

/// A question for the values of fields.
#[derive(Clone, Debug, Default)]
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
    /// Whether it counted only the first 20,000 rows that it came across: there are more.
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

/// A value and its records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FacetValue {
    /// As the records have it.
    pub value: Value,
    /// How many records have it.
    pub count: u64,
}

/// The counts of one field so far, by the JSON text of the value.
struct Tally<'k> {
    field: &'k Field,
    counts: BTreeMap<String, (Value, u64)>,
    missing: u64,
}

pub(crate) async fn facets(engine: &Engine, tenant: TenantId, kinds: &Kinds, number: usize, query: FacetQuery) -> Result<Facets, Error> {
    let kind = kinds.at(number);
    let mut tallies = tallies(kind, &query.fields)?;
    let building = engine.building(tenant).await?;
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
    let most = if query.values == 0 { DEFAULT_VALUES } else { query.values.min(MAX_VALUES) };
    Ok(Facets { fields: tallies.into_iter().map(|tally| tally.into_facet(most)).collect(), approximate })
}

fn tallies<'k>(kind: &'k Kind, paths: &[String]) -> Result<Vec<Tally<'k>>, Error> {
    let refuse =
        |code: &'static str, detail: String| Error::new(ErrorKind::Invalid, code, detail.clone()).with_field("/facets", code, detail);
    if paths.len() > MAX_FIELDS {
        return Err(refuse("too_many_facets", format!("At most {MAX_FIELDS} fields are counted at once.")));
    }
    let tally = |path: &String| {
        let field = kind.field(path).filter(|field| field.indexed);
        let field =
            field.ok_or_else(|| refuse("facet_unknown", format!("The values of {path} cannot be counted: it is no indexed field.")))?;
        Ok(Tally { field, counts: BTreeMap::new(), missing: 0 })
    };
    paths.iter().map(tally).collect()
}

fn count(tallies: &mut [Tally<'_>], record: &Record) -> Result<(), Error> {
    let top = |name: &str| tallies.iter().any(|tally| tally.field.segments.first().is_some_and(|first| first == name));
    let body = record.body.pick(top)?;
    for tally in tallies {
        let mut scalars = Vec::new();
        tally.field.scalars(&body, &mut scalars);
        let mut texts: Vec<(String, &Value)> = scalars.into_iter().map(|scalar| (scalar.to_string(), scalar)).collect();
        texts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        texts.dedup_by(|(one, _), (other, _)| one == other);
        tally.missing += u64::from(texts.is_empty());
        for (text, scalar) in texts {
            tally.counts.entry(text).or_insert_with(|| (scalar.clone(), 0)).1 += 1;
        }
    }
    Ok(())
}

impl Tally<'_> {
    fn into_facet(self, most: usize) -> Facet {
        // In the order of their texts, which breaks ties.
        let mut values: Vec<FacetValue> = self.counts.into_values().map(|(value, count)| FacetValue { value, count }).collect();
        values.sort_by_key(|known| std::cmp::Reverse(known.count));
        let others = values.iter().skip(most).map(|rare| rare.count).sum();
        values.truncate(most);
        Facet { field: self.field.path.clone(), values, missing: self.missing, others }
    }
}
