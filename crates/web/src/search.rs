//! Full text over everything that the caller may read.
//!
//! Each kind is searched with the permission and in the scope of its own read operation, as its events are told.

use std::sync::Arc;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::filter::Expr;
use steward_base::{Error, ErrorKind};
use steward_store::{Kind, SearchCursor, SearchQuery, Shown, Store};

use crate::call::Call;
use crate::cursor::{Bound, Mark};
use crate::draft::operation;
use crate::operation::Operation;
use crate::reply::{Json, Reply};
use crate::scope::Reach;

const DEFAULT_LIMIT: u16 = 20;
const ID: &str = "search.list";

/// What may be searched for.
#[derive(Debug, Deserialize, JsonSchema)]
struct SearchParameters {
    /// Words; each begins a word of what is found.
    #[schemars(length(min = 1, max = 256))]
    q: String,
    /// Only records of these kinds, separated by commas.
    kinds: Option<Vec<String>>,
    /// The most hits of one page; 20 unless said.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same words and kinds.
    #[schemars(length(max = 4096), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    cursor: Option<String>,
}

/// A page of hits.
#[derive(Debug, Serialize, JsonSchema)]
struct Hits {
    /// Newest first.
    data: Vec<Hit>,
    /// Give it as `cursor` for the next page; null at the end.
    next_cursor: Option<String>,
    /// Whether there is a next page. A page may be short, even empty, and have one.
    has_more: bool,
}

/// A record that was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Hit {
    /// The kind's name.
    kind: String,
    /// The record's id.
    id: String,
    /// The record as its own operations show it.
    record: Shown,
}

/// `search.list`.
pub fn operations(store: &Store) -> Vec<Operation> {
    let draft = operation(ID, Method::GET, "/api/v1/search")
        .summary("Find records by their words")
        .description("Looks into the searchable fields of all kinds that the caller may read, newest records first.")
        .tag("search")
        .signed_in()
        .error(StatusCode::BAD_REQUEST, "invalid_cursor")
        .error(StatusCode::SERVICE_UNAVAILABLE, "index_building");
    vec![draft.handle(store.clone(), search)]
}

async fn search(store: Store, call: Call<(), SearchParameters>) -> Result<Reply<Json<Hits>>, Error> {
    let query = &call.query;
    let kinds = within_reach(&store, &call)?;
    // What the caller may read is part of it: a cursor never leads into what it could not see before.
    let shape: Vec<String> =
        kinds.iter().map(|(kind, limit)| format!("{kind} {}", limit.as_ref().map(ToString::to_string).unwrap_or_default())).collect();
    let shape: Vec<&str> = std::iter::once(query.q.as_str()).chain(shape.iter().map(String::as_str)).collect();
    let bound = Bound { tenant: call.ctx.tenant(), operation: ID, shape: &shape };
    let after = match &query.cursor {
        None => None,
        Some(cursor) => {
            let mark: Mark<SearchCursor> = call.site.cursors().open(bound, cursor)?;
            Some(mark.after)
        }
    };
    let asked = SearchQuery { text: query.q.clone(), limit: usize::from(query.limit.unwrap_or(DEFAULT_LIMIT)), kinds, after };
    let page = store.search(&call.ctx, asked).await?;
    for kind in store.kinds().iter() {
        let ids: Vec<_> = page.records.iter().filter(|record| *record.kind == *kind.name()).map(|record| record.id).collect();
        if !ids.is_empty() {
            call.site.saw(&call.ctx, kind, ids.into_iter(), Some(&query.q)).await?;
        }
    }
    let mut data = Vec::with_capacity(page.records.len());
    for record in page.records {
        let Some(kind) = store.kinds().get(&record.kind) else { continue };
        data.push(Hit { kind: kind.name().to_owned(), id: record.id.wire(kind.prefix()), record: record.shown(kind) });
    }
    let now = call.site.clock().now();
    let next_cursor = page.next.map(|after| call.site.cursors().seal(bound, &Mark { now, after })).transpose()?;
    Ok(Reply::json(Hits { data, has_more: next_cursor.is_some(), next_cursor }))
}

/// The kinds asked for that the caller may read, each with the scope of that; fails with `permission_denied` when there is none.
fn within_reach(store: &Store, call: &Call<(), SearchParameters>) -> Result<Vec<(String, Option<Expr>)>, Error> {
    let now = call.site.clock().now();
    let searchable = |name: &str| -> Option<&Arc<Kind>> { store.kinds().get(name).filter(|kind| kind.is_searchable()) };
    let known: Vec<(&Arc<Kind>, _)> = call.site.readers().filter_map(|(name, permission)| Some((searchable(name)?, permission))).collect();
    let wanted = call.query.kinds.as_deref();
    if let Some(unknown) = wanted.into_iter().flatten().find(|name| known.iter().all(|(kind, _)| kind.name() != **name)) {
        let names: Vec<&str> = known.iter().map(|(kind, _)| kind.name()).collect();
        let detail = format!("There is no searchable kind {unknown:?}; there are {}.", names.join(", "));
        return Err(Error::invalid(format!("/kinds: {detail}")).with_field("/kinds", "unknown_kind", detail));
    }
    let mut kinds = Vec::new();
    for (kind, permission) in known {
        if wanted.is_none_or(|wanted| wanted.iter().any(|name| name == kind.name())) {
            match Reach::of(kind, &call.ctx, permission, now) {
                Reach::Everywhere => kinds.push((kind.name().to_owned(), None)),
                Reach::Within(limit) => kinds.push((kind.name().to_owned(), Some(limit))),
                Reach::Nowhere => {}
            }
        }
    }
    if kinds.is_empty() {
        let detail = "What is searched is what you may read, and of this you may read nothing. Ask an owner or admin of the tenant.";
        return Err(Error::new(ErrorKind::Forbidden, "permission_denied", detail));
    }
    Ok(kinds)
}
