//! Full text over several kinds, newest first: each kind answers what it finds down to some id, and what is above all of these is the page.
//!
//! The rarest word leads when it is rare: its records are known without looking at them. Otherwise the records are walked through from the newest on,
//! since every few of them have it. There is no rank: it would tell of texts that the caller may not read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steward_base::filter::Expr;
use steward_base::{Error, RecordId, TenantId, base32};

use super::{Asked, DEFAULT_LIMIT, Drive, MAX_SCANNED, STEP, Scan};
use crate::Record;
use crate::building::Role;
use crate::engine::Engine;
use crate::kind::{Kinds, Terms, asked};
use crate::query::{Direction, MAX_LIMIT};

/// Up to so many records of one word are taken from the rows of that word.
const RARE: i64 = 20_000;
/// More probes would cost more than a rarer word saves.
const MAX_PROBES: usize = 8;
/// Records fetched at first, when it is known which.
const FIRST_STEP: usize = 100;

/// A question for the records that have some words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SearchQuery {
    /// Each of its words begins a word of the record.
    pub text: String,
    /// Names of searchable kinds, each with a filter that its records must pass besides.
    pub kinds: Vec<(String, Option<Expr>)>,
    /// Most records to answer, up to [`MAX_LIMIT`]; 0 is 50.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<SearchCursor>,
}

/// The place after which a page begins. It means nothing under another text or other filters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchCursor {
    /// Base32 of the id down to which everything was looked at.
    id: String,
    /// Of that id, the kinds up to this one by name; absent when it is all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kind: Option<String>,
}

/// One page of what was found.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// Newest first. A page may be short, or empty, and still have a next one.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<SearchCursor>,
}

/// Which search rows are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Find {
    pub(crate) kind: usize,
    /// What the term begins with.
    pub(crate) start: Box<str>,
    /// Only older records.
    pub(crate) below: Option<RecordId>,
    pub(crate) most: i64,
}

/// The first bytes after all that begin with a term: no byte of a text is `ff`.
pub(crate) fn past(start: &str) -> Vec<u8> {
    [start.as_bytes(), &[0xff]].concat()
}

/// What one kind has.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    /// The last record looked at, when there may be more.
    down_to: Option<RecordId>,
}

/// A search in one kind.
struct Within<'a> {
    engine: &'a Engine,
    tenant: TenantId,
    kinds: &'a Kinds,
    kind: usize,
    asked: Arc<Asked>,
    below: Option<RecordId>,
    /// Enough matches.
    hits: usize,
    /// Most records to look at.
    rows: usize,
}

pub(crate) async fn search(engine: &Engine, tenant: TenantId, kinds: &Kinds, query: SearchQuery) -> Result<SearchPage, Error> {
    let words = asked(&query.text);
    let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit.min(MAX_LIMIT) };
    let rows = (MAX_SCANNED / query.kinds.len().max(1)).max(STEP);
    let building = engine.building(tenant).await?;
    let (mut records, mut down_to): (Vec<Record>, Option<RecordId>) = (Vec::new(), None);
    for (name, filter) in query.kinds {
        let Some(kind) = kinds.index(&name).filter(|kind| kinds.at(*kind).is_searchable()) else { continue };
        building.refuse(kinds, (kind, 0, Role::Search))?;
        if words.is_empty() {
            continue;
        }
        let below = match &query.after {
            Some(cursor) => Some(cursor.below(&name)?),
            None => None,
        };
        let asked = Arc::new(Asked::words(kinds.at(kind), words.clone(), filter));
        let within = Within { engine, tenant, kinds, kind, asked, below, hits: limit + 1, rows };
        let found = within.run(&words).await?;
        records.extend(found.records);
        down_to = down_to.max(found.down_to);
    }
    // What is older than the place to which some kind has come may not be all there is.
    records.retain(|record| down_to.is_none_or(|floor| record.id >= floor));
    records.sort_by(|one, other| other.id.cmp(&one.id).then_with(|| one.kind.cmp(&other.kind)));
    let next = if records.len() > limit {
        records.truncate(limit);
        records.last().map(|last| SearchCursor::new(last.id, Some(last.kind.to_string())))
    } else {
        down_to.map(|id| SearchCursor::new(id, None))
    };
    Ok(SearchPage { records, next })
}

impl Within<'_> {
    async fn run(self, words: &Terms) -> Result<Found, Error> {
        let Some(rarest) = self.rarest(words).await? else { return Ok(Found::default()) };
        let find = Find { kind: self.kind, start: rarest, below: self.below, most: RARE + 1 };
        let mut ids = self.engine.found(self.tenant, find).await?;
        if ids.len() as i64 > RARE {
            return self.walk().await;
        }
        // One record may have several words that begin so.
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        self.pick(&ids).await
    }

    /// The word that fewest records have; `None` when there is one that none has.
    async fn rarest(&self, words: &Terms) -> Result<Option<Box<str>>, Error> {
        if let [only] = words.as_slice() {
            return Ok(Some(only.clone()));
        }
        // Long words are rare.
        let mut longest: Vec<&Box<str>> = words.iter().collect();
        longest.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let mut best: Option<(i64, &Box<str>)> = None;
        for word in longest.into_iter().take(MAX_PROBES) {
            let most = best.map_or(RARE + 1, |(count, _)| count);
            let count = self.engine.count_found(self.tenant, self.kind, word.clone(), most).await?;
            if count == 0 {
                return Ok(None);
            }
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, word));
            }
        }
        Ok(best.map(|(_, word)| word.clone()))
    }

    /// Looks at records that are known to have one of the words, newest first.
    async fn pick(self, ids: &[RecordId]) -> Result<Found, Error> {
        let mut found = Found::default();
        let (mut at, mut step) = (0, FIRST_STEP);
        while at < ids.len() {
            if at >= self.rows {
                found.down_to = Some(ids[at - 1]);
                break;
            }
            let some = &ids[at..ids.len().min(at + step)];
            let mut rows = self.engine.some(self.tenant, self.kind, some.to_vec()).await?;
            rows.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
            for (id, row) in rows {
                let record = row.into_record(self.kinds.at(self.kind), id);
                if self.asked.passes(self.kinds.at(self.kind), &record)? {
                    found.records.push(record);
                    if found.records.len() == self.hits {
                        found.down_to = Some(id);
                        return Ok(found);
                    }
                }
            }
            (at, step) = (at + some.len(), (step * 2).min(STEP));
        }
        Ok(found)
    }

    /// Looks at all records, newest first.
    async fn walk(self) -> Result<Found, Error> {
        let mut scan = Scan {
            kind: self.kind,
            model: self.kinds.at(self.kind).clone(),
            drive: Drive::Id,
            direction: Direction::Descending,
            after: self.below.map(|id| (Vec::new(), id)),
            filter: Some(self.asked),
            rows: FIRST_STEP,
            hits: 0,
        };
        let mut found = Found::default();
        let mut looked_at = 0;
        loop {
            scan.hits = self.hits - found.records.len();
            let scanned = self.engine.scan(self.tenant, scan.clone()).await?;
            looked_at += scanned.looked_at;
            found.records.extend(scanned.hits.into_iter().map(|(_, record)| record));
            if scanned.end {
                return Ok(found);
            }
            scan.after = scanned.last.or(scan.after);
            if found.records.len() >= self.hits || looked_at >= self.rows {
                found.down_to = scan.after.map(|(_, id)| id);
                return Ok(found);
            }
            scan.rows = (scan.rows * 2).min(STEP);
        }
    }
}

impl SearchCursor {
    fn new(id: RecordId, kind: Option<String>) -> Self {
        Self { id: base32::encode(&id.bytes()), kind }
    }

    /// Records of this kind with smaller ids are still to come.
    fn below(&self, kind: &str) -> Result<RecordId, Error> {
        let stale = || super::stale_cursor();
        let id: [u8; 16] = base32::decode(&self.id).ok_or_else(stale)?;
        let still_to_come = self.kind.as_ref().is_some_and(|done| *kind > **done);
        let next = u128::from_be_bytes(id).saturating_add(u128::from(still_to_come));
        Ok(RecordId::from_bytes(next.to_be_bytes()))
    }
}
