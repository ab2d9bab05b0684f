//! Lists and counts: one driving index, the rest of the filter on the row, at most 20,000 rows looked at per page.

mod choose;
mod facets;
mod search;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use steward_base::filter::{Expr, matches};
use steward_base::{Error, ErrorKind, RecordId, TenantId};

use crate::building::Role;
use crate::engine::Engine;
use crate::kind::{Kind, Kinds, Terms, meets};
use crate::query::{Among, Cursor, Direction, ListQuery, MAX_LIMIT, Order, Page};
use crate::record::RecordRow;
use crate::rows::{IndexField, Row};
use crate::{Record, value};
use choose::{Candidate, SORTABLE};
pub(crate) use facets::{Counted, MAX_COUNTED, facets};
pub use facets::{Facet, FacetQuery, FacetValue, Facets};
pub(crate) use search::{Find, past, search};
pub use search::{SearchCursor, SearchPage, SearchQuery};

const DEFAULT_LIMIT: usize = 50;
/// Most rows looked at for one page.
const MAX_SCANNED: usize = 20_000;
/// After so many rows along the order, one may look for a shorter way.
const LONG_WAY: usize = 1_000;
/// Most rows of one step: between steps others get their turn.
const STEP: usize = 1_000;
/// Of one step that sorts: whole bodies are fetched, of which one page is kept.
const SORTED_STEP: usize = 250;

/// Index values between two bounds, both included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: Vec<u8>,
    pub(crate) high: Vec<u8>,
}

impl Range {
    /// Every value, the explicit nulls included.
    pub(crate) fn all() -> Self {
        Self { low: vec![0x00], high: vec![0xff] }
    }

    fn is_point(&self) -> bool {
        self.low == self.high
    }
}

/// What leads through the rows.
#[derive(Clone, Debug)]
pub(crate) enum Drive {
    /// The ids.
    Id,
    /// The ids of one index value.
    Equal(IndexField, Vec<u8>),
    /// Value by value, and by id within a value.
    Index(IndexField, Range),
    /// The recycle bin, newest deletion first.
    Deleted,
}

/// A filter, and what it looks at.
#[derive(Debug)]
pub(crate) struct Asked {
    filter: Option<Expr>,
    /// Beginnings of words that the text must have.
    words: Terms,
    /// Names at the top of the body; `None` is all of them, for words are looked for everywhere.
    names: Option<Vec<String>>,
}

impl Asked {
    fn new(filter: Expr) -> Self {
        let mut names = Some(Vec::new());
        collect_names(&filter, &mut names);
        Self { filter: Some(filter), words: Terms::new(), names }
    }

    /// For a search.
    fn words(kind: &Kind, words: Terms, filter: Option<Expr>) -> Self {
        let searched = kind.fields().iter().filter(|field| field.searchable).filter_map(|field| field.segments.first().cloned());
        let mut names = Some(searched.collect());
        if let Some(filter) = &filter {
            collect_names(filter, &mut names);
        }
        Self { filter, words, names }
    }

    fn passes(&self, kind: &Kind, record: &Record) -> Result<bool, Error> {
        let body = record.body.pick(|name| self.reads(name))?;
        if !self.words.is_empty() && !meets(&kind.terms(&body), &self.words) {
            return Ok(false);
        }
        let body = Value::Object(body);
        Ok(self.filter.as_ref().is_none_or(|filter| matches(filter, &RecordRow { kind, record, body: &body })))
    }

    fn reads(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }
}

fn collect_names(filter: &Expr, names: &mut Option<Vec<String>>) {
    match filter {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| collect_names(part, names)),
        Expr::Not(part) => collect_names(part, names),
        Expr::Compare(compare) => {
            if let Some(names) = names {
                names.extend(compare.field.segments().first().cloned());
            }
        }
        Expr::Word(_) => *names = None,
    }
}

/// The next rows along an index.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) kind: usize,
    pub(crate) model: Arc<Kind>,
    pub(crate) drive: Drive,
    pub(crate) direction: Direction,
    /// Where to go on: value and id of the last row looked at.
    pub(crate) after: Option<(Vec<u8>, RecordId)>,
    pub(crate) filter: Option<Arc<Asked>>,
    /// Most rows to look at.
    pub(crate) rows: usize,
    /// Enough matches.
    pub(crate) hits: usize,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Matches with their index value.
    pub(crate) hits: Vec<(Vec<u8>, Record)>,
    /// The last row looked at.
    pub(crate) last: Option<(Vec<u8>, RecordId)>,
    pub(crate) looked_at: usize,
    /// There are no further rows.
    pub(crate) end: bool,
}

impl Scan {
    /// Looks at one row; answers whether to go on.
    pub(crate) fn look(&self, scanned: &mut Scanned, value: Vec<u8>, id: RecordId, row: Row) -> Result<bool, Error> {
        scanned.looked_at += 1;
        let record = row.into_record(&self.model, id);
        let passes = match &self.filter {
            None => true,
            Some(asked) => asked.passes(&self.model, &record)?,
        };
        scanned.last = Some((value.clone(), id));
        if passes {
            scanned.hits.push((value, record));
        }
        Ok(scanned.hits.len() < self.hits)
    }

    /// Ends a scan whose rows gave out before it was told to stop.
    pub(crate) fn finish(&self, mut scanned: Scanned) -> Scanned {
        scanned.end = scanned.looked_at < self.rows && scanned.hits.len() < self.hits;
        scanned
    }
}

/// What a page is ordered by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Id,
    Field(IndexField),
    Deletion,
}

pub(crate) async fn page(engine: &Engine, tenant: TenantId, kinds: &Kinds, number: usize, query: ListQuery) -> Result<Page, Error> {
    let kind = kinds.at(number);
    let limit = match query.limit {
        0 => DEFAULT_LIMIT,
        asked => asked.min(MAX_LIMIT),
    };
    let (by, direction) = match query.among {
        Among::Live => ordered_by(kind, &query.order)?,
        Among::Deleted => by_deletion(&query.order)?,
    };
    let after = match query.after {
        None => None,
        Some(cursor) => Some(resume(by, &cursor)?),
    };
    let building = engine.building(tenant).await?;
    if let By::Field(IndexField::Body(field)) = by {
        building.refuse(kinds, (number, field, Role::Index))?;
    }
    // Deleted records have no index entries.
    let live = query.filter.as_ref().filter(|_| query.among == Among::Live);
    let mut candidates = live.map(|filter| choose::candidates(kind, filter)).unwrap_or_default();
    candidates.retain(|candidate| candidate.is_ready(&building, number));
    let choice = choose::drive(engine, tenant, number, by, &candidates).await?;
    let scan = Scan {
        kind: number,
        model: kind.clone(),
        drive: choice.drive,
        direction,
        after,
        filter: query.filter.map(|filter| Arc::new(Asked::new(filter))),
        rows: 0,
        hits: limit + 1,
    };
    let asked = Paged { engine, tenant, by, limit };
    if choice.sorts { asked.sorted(scan).await } else { asked.driven(scan, &candidates).await }
}

/// What a page is made of besides its rows.
struct Paged<'a> {
    engine: &'a Engine,
    tenant: TenantId,
    by: By,
    limit: usize,
}

impl Paged<'_> {
    /// The driving index has the order asked for. When it leads past many rows that do not match, and another index to few, those are sorted.
    async fn driven(&self, mut scan: Scan, candidates: &[Candidate]) -> Result<Page, Error> {
        let Self { engine, tenant, by, limit } = *self;
        let whole = scan.clone();
        let mut hits: Vec<(Vec<u8>, Record)> = Vec::new();
        // Along a value of an index it is as short as it gets.
        let (mut looked_at, mut looked_for_shorter) = (0, matches!(scan.drive, Drive::Equal(..)));
        let mut step = if scan.filter.is_some() { (limit + 1).max(128) } else { limit + 1 };
        loop {
            scan.rows = step.min(MAX_SCANNED - looked_at);
            scan.hits = limit + 1 - hits.len();
            let scanned = engine.scan(tenant, scan.clone()).await?;
            looked_at += scanned.looked_at;
            hits.extend(scanned.hits);
            if hits.len() > limit {
                hits.truncate(limit);
                let next = hits.last().map(|(value, record)| cursor(by, value, record.id));
                return Ok(Page { records: hits.into_iter().map(|(_, record)| record).collect(), next });
            }
            let out_of_patience = looked_at >= MAX_SCANNED;
            if scanned.end || out_of_patience {
                let next = scanned.last.filter(|_| !scanned.end).map(|(value, id)| cursor(by, &value, id));
                return Ok(Page { records: hits.into_iter().map(|(_, record)| record).collect(), next });
            }
            if looked_at >= LONG_WAY && !std::mem::replace(&mut looked_for_shorter, true) {
                let shorter = choose::sortable(engine, tenant, whole.kind, by, candidates).await?;
                if let Some(drive) = shorter {
                    return self.sorted(Scan { drive, ..whole }).await;
                }
            }
            scan.after = scanned.last.or(scan.after);
            step = (step * 2).min(STEP);
        }
    }

    /// Few rows match: they are all read, and the first ones in order are kept.
    async fn sorted(&self, mut scan: Scan) -> Result<Page, Error> {
        let Self { engine, tenant, by, limit } = *self;
        let (after, direction, kind) = (scan.after.take(), scan.direction, scan.model.clone());
        scan.direction = Direction::Ascending;
        scan.hits = usize::MAX;
        scan.rows = SORTED_STEP;
        let turn = |ordering: std::cmp::Ordering| if direction == Direction::Ascending { ordering } else { ordering.reverse() };
        let comes_after = |key: &(Vec<u8>, RecordId)| after.as_ref().is_none_or(|after| turn(key.cmp(after)).is_gt());
        let mut found: Vec<((Vec<u8>, RecordId), Record)> = Vec::new();
        // What is changed between two steps may come by again.
        let mut seen = HashSet::new();
        loop {
            let scanned = engine.scan(tenant, scan.clone()).await?;
            for (_, record) in scanned.hits.into_iter().filter(|(_, record)| seen.insert(record.id)) {
                let key = (order_value(&kind, by, &record)?, record.id);
                if comes_after(&key) {
                    found.push((key, record));
                }
            }
            found.sort_by(|(a, _), (b, _)| turn(a.cmp(b)));
            found.truncate(limit + 1);
            if scanned.end {
                break;
            }
            scan.after = scanned.last;
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|((value, id), _)| cursor(by, value, *id));
        Ok(Page { records: found.into_iter().map(|(_, record)| record).collect(), next })
    }
}

pub(crate) async fn count(engine: &Engine, tenant: TenantId, kinds: &Kinds, number: usize, filter: Option<Expr>) -> Result<u64, Error> {
    let kind = kinds.at(number);
    let Some(filter) = filter else {
        let all = engine.count(tenant, number, IndexField::CreatedAt, Range::all(), None).await?;
        return Ok(u64::try_from(all).unwrap_or(0));
    };
    let building = engine.building(tenant).await?;
    let mut candidates: Vec<Candidate> = choose::candidates(kind, &filter);
    candidates.retain(|candidate| candidate.is_ready(&building, number));
    let drive = choose::drive(engine, tenant, number, By::Id, &candidates).await?.drive;
    let mut scan = Scan {
        kind: number,
        model: kind.clone(),
        drive,
        direction: Direction::Ascending,
        after: None,
        filter: Some(Arc::new(Asked::new(filter))),
        rows: STEP,
        hits: usize::MAX,
    };
    let mut counted = 0;
    loop {
        let scanned = engine.scan(tenant, scan.clone()).await?;
        counted += scanned.hits.len() as u64;
        if scanned.end {
            return Ok(counted);
        }
        scan.after = scanned.last;
    }
}

fn ordered_by(kind: &Kind, order: &[Order]) -> Result<(By, Direction), Error> {
    let refuse =
        |code: &'static str, detail: String| Error::new(ErrorKind::Invalid, code, detail.clone()).with_field("/order_by", code, detail);
    let (first, rest) = match order {
        [] => return Ok((By::Id, Direction::Ascending)),
        [first, rest @ ..] => (first, rest),
    };
    if !rest.iter().all(|also| also.field == "id" && also.direction == first.direction) {
        return Err(refuse("order_unsupported", "A list is ordered by one field; the id breaks ties.".into()));
    }
    match first.field.as_str() {
        "id" => Ok((By::Id, first.direction)),
        "created_at" => Ok((By::Field(IndexField::CreatedAt), first.direction)),
        name => match kind.fields().iter().position(|field| field.path == name) {
            Some(at) if kind.fields()[at].sortable() => Ok((By::Field(IndexField::Body(at)), first.direction)),
            Some(_) => Err(refuse("order_unsupported", format!("A list cannot be ordered by {name}: it has no index for that."))),
            None => Err(refuse("order_unknown", format!("There is no field {name} to order by."))),
        },
    }
}

fn by_deletion(order: &[Order]) -> Result<(By, Direction), Error> {
    if order.is_empty() {
        return Ok((By::Deletion, Direction::Descending));
    }
    let detail = "The recycle bin has one order: what was deleted last comes first.";
    Err(Error::new(ErrorKind::Invalid, "order_unsupported", detail).with_field("/order_by", "order_unsupported", detail))
}

fn stale_cursor() -> Error {
    Error::new(ErrorKind::Invalid, "cursor", "The cursor does not belong to this list: start again without it.")
}

/// By id, the index value in a position is unused and empty.
fn resume(by: By, cursor: &Cursor) -> Result<(Vec<u8>, RecordId), Error> {
    let stale = stale_cursor;
    match (by, cursor.parts().ok_or_else(stale)?) {
        (By::Id, (None, id)) => Ok((Vec::new(), id)),
        (By::Field(_), (Some(value), id)) => Ok((value, id)),
        (By::Deletion, (Some(value), id)) if value::micros(&value).is_some() => Ok((value, id)),
        _ => Err(stale()),
    }
}

fn cursor(by: By, value: &[u8], id: RecordId) -> Cursor {
    Cursor::new((by != By::Id).then_some(value), id)
}

fn order_value(kind: &Kind, by: By, record: &Record) -> Result<Vec<u8>, Error> {
    Ok(match by {
        By::Id => Vec::new(),
        By::Deletion => record.deleted_at.map(value::time).unwrap_or_default(),
        By::Field(IndexField::CreatedAt) => value::time(record.created_at),
        By::Field(IndexField::Body(field)) => {
            let field = &kind.fields()[field];
            let body = record.body.pick(|name| field.segments.first().is_some_and(|first| first == name))?;
            field.index_values(&body).into_iter().next().unwrap_or_else(|| value::NULL.to_vec())
        }
    })
}

const _: () = assert!(SORTABLE as usize <= MAX_SCANNED, "what is sorted for one page is bounded");
