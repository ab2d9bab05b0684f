//! One page of a list.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use steward_base::filter::Expr;
use steward_base::{Error, Timestamp};
use steward_fabric::cache::Loaded;
use steward_store::{Among, Cursor, Direction, FacetQuery, Facets, Kind, ListQuery, Model, Order, Shown};

use super::{Page, State};
use crate::call::Call;
use crate::cursor::{Bound, Mark};
use crate::input::FilterText;
use crate::reply::{Content, Output, Reply, WriteJson, Written};
use crate::scope;

const DEFAULT_LIMIT: u16 = 50;

/// What a list may be asked.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListParameters {
    /// The most rows of one page; 50 unless said.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filter and order.
    #[schemars(length(max = 4096))]
    cursor: Option<String>,
    /// A field, and `desc` for largest first; by age unless said.
    #[schemars(length(max = 256))]
    order_by: Option<String>,
    /// Only rows that pass, as in `name:printer AND created_at > now-7d`.
    filter: Option<FilterText>,
    /// Only these fields of each row, separated by commas; the id is always there.
    #[schemars(length(max = 4096))]
    fields: Option<String>,
    /// Counts all rows that pass.
    count: Option<Count>,
    /// Counts the values of these fields, separated by commas, in the rows that pass.
    #[schemars(length(max = 1024))]
    facets: Option<String>,
    /// Lists the recycle bin: what was deleted last comes first.
    deleted: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Count {
    /// Exactly, however long it takes.
    Exact,
}

/// A page of records and what was counted beside it.
#[derive(JsonSchema)]
pub(super) struct Listed {
    #[serde(flatten)]
    page: Page<Shown>,
    facets: Option<Facets>,
}

pub(super) async fn list<M: Model>(state: Arc<State<M>>, call: Call<(), ListParameters>) -> Result<Reply<Sent>, Error> {
    let Some(key) = kept_under(&state, &call)? else { return read(state, call).await.map(|page| Reply::new(Sent(page))) };
    let (lists, tenant) = (call.site.lists().clone(), call.ctx.tenant());
    let load = move || async move {
        let value = read(state, call).await?;
        Ok(Loaded { bytes: value.len(), version: 0, value })
    };
    let kept = lists.get(tenant, &key, load).await?;
    Ok(Reply::new(Sent(Bytes::clone(&kept.value))))
}

/// Under which key the same page is found again, as long as no record of the kind changes. `None` for what is not kept: what only some callers see or
/// somebody records the reading of, what means something else a moment later, and what is seldom asked for twice.
fn kept_under<M: Model>(state: &State<M>, call: &Call<(), ListParameters>) -> Result<Option<String>, Error> {
    let (kind, query) = (&state.kind, &call.query);
    if call.scope.is_some() || kind.is_personal() || query.cursor.is_some() || query.deleted == Some(true) {
        return Ok(None);
    }
    if let Some(filter) = &query.filter {
        let at = |time| filter.check(kind.filter_registry(), time);
        if at(call.site.clock().now())? != at(Timestamp::from_micros(0))? {
            return Ok(None);
        }
    }
    let generation = state.store.generation(call.ctx.tenant(), kind.name());
    Ok(generation.map(|generation| format!("{} {generation} {query:?}", state.list_id)))
}

/// A page as it is sent; many callers may be sent the same.
#[derive(Debug)]
pub(super) struct Sent(Bytes);

impl Output for Sent {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schema: Option<Value>) -> Vec<Content> {
        Written::<Listed>::content(schema)
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        Ok((Some(HeaderValue::from_static("application/json")), Body::from(self.0)))
    }
}

async fn read<M: Model>(state: Arc<State<M>>, call: Call<(), ListParameters>) -> Result<Bytes, Error> {
    let (kind, query) = (&*state.kind, call.query);
    let text = query.filter.as_ref().map(FilterText::as_str).unwrap_or_default();
    let order_text = query.order_by.as_deref().unwrap_or_default();
    let scope_text = call.scope.as_ref().map(ToString::to_string).unwrap_or_default();
    let among = among(&query)?;
    let place = if among == Among::Deleted { "deleted" } else { "" };
    let bound = Bound { tenant: call.ctx.tenant(), operation: state.list_id, shape: &[text, order_text, &scope_text, place] };
    let (now, after) = match &query.cursor {
        None => (call.site.clock().now(), None),
        Some(cursor) => {
            let mark: Mark<Cursor> = call.site.cursors().open(bound, cursor)?;
            (mark.now, Some(mark.after))
        }
    };
    let only: Option<Arc<[String]>> = query.fields.as_deref().map(|names| fields(kind, names)).transpose()?.map(Into::into);
    let order = query.order_by.as_deref().map(|text| order(kind, text)).transpose()?;
    let filter =
        both(query.filter.clone().unwrap_or_default().check(kind.filter_registry(), now)?, scope::limit(kind, call.scope.as_ref(), now)?);
    let limit = usize::from(query.limit.unwrap_or(DEFAULT_LIMIT));
    let count = match query.count {
        Some(Count::Exact) => Some(state.store.count(&call.ctx, kind.name(), filter.clone()).await?),
        None => None,
    };
    let facets = match query.facets.as_deref() {
        Some(names) => {
            let asked = FacetQuery { kind: kind.name().to_owned(), filter: filter.clone(), fields: counted(kind, names)?, values: 0 };
            Some(state.store.facets(&call.ctx, asked).await?)
        }
        None => None,
    };
    let asked = ListQuery { kind: kind.name().to_owned(), among, filter, order: order.into_iter().collect(), after, limit };
    let page = state.store.list(&call.ctx, asked).await?;
    call.site.saw(&call.ctx, kind, page.records.iter().map(|record| record.id), Some(text)).await?;
    let data = page.records.into_iter().map(|record| record.shown(&state.kind).only(only.clone())).collect();
    let next_cursor = page.next.map(|after| call.site.cursors().seal(bound, &Mark { now, after })).transpose()?;
    let page = Page { data, has_more: next_cursor.is_some(), next_cursor, count };
    let mut written = Vec::new();
    Listed { page, facets }.write_json(&mut written)?;
    Ok(written.into())
}

/// The recycle bin has one order, and is not counted.
fn among(query: &ListParameters) -> Result<Among, Error> {
    if query.deleted != Some(true) {
        return Ok(Among::Live);
    }
    let given = [("/order_by", query.order_by.is_some()), ("/count", query.count.is_some()), ("/facets", query.facets.is_some())];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(Among::Deleted),
        Some((pointer, _)) => {
            let detail = "The recycle bin is listed by time of deletion and not counted: leave this out.";
            Err(Error::invalid(format!("{pointer}: {detail}")).with_field(pointer, "not_for_deleted", detail))
        }
    }
}

impl WriteJson for Listed {
    fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.page.write_json(out)?;
        if let Some(facets) = &self.facets {
            // Inside the page's own object.
            out.pop();
            out.extend_from_slice(b",\"facets\":");
            serde_json::to_writer(&mut *out, facets).map_err(Error::internal)?;
            out.push(b'}');
        }
        Ok(())
    }
}

impl WriteJson for Page<Shown> {
    fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.reserve(512 + self.data.iter().map(Shown::size).sum::<usize>());
        out.extend_from_slice(b"{\"data\":[");
        for (at, shown) in self.data.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            shown.write(out)?;
        }
        out.extend_from_slice(b"],\"next_cursor\":");
        serde_json::to_writer(&mut *out, &self.next_cursor).map_err(Error::internal)?;
        out.extend_from_slice(if self.has_more { b",\"has_more\":true" } else { b",\"has_more\":false" });
        if let Some(count) = self.count {
            out.extend_from_slice(b",\"count\":");
            serde_json::to_writer(&mut *out, &count).map_err(Error::internal)?;
        }
        out.push(b'}');
        Ok(())
    }
}

pub(super) fn both(one: Option<Expr>, other: Option<Expr>) -> Option<Expr> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Expr::And(vec![one, other])),
        (one, other) => one.or(other),
    }
}

/// The fields that can order a list of this kind.
pub(super) fn sortable(kind: &Kind) -> Vec<&str> {
    let own = kind.fields().iter().filter(|field| field.sortable()).map(|field| field.path.as_str());
    own.chain(["created_at", "id"]).collect()
}

fn order(kind: &Kind, text: &str) -> Result<Order, Error> {
    let refuse = |code: &'static str, detail: String| Error::invalid(format!("/order_by: {detail}")).with_field("/order_by", code, detail);
    let mut words = text.split_whitespace();
    let (Some(field), direction, None) = (words.next(), words.next(), words.next()) else {
        return Err(refuse("order_syntax", "Name one field, as in \"name\" or \"name desc\".".into()));
    };
    let direction = match direction {
        None | Some("asc") => Direction::Ascending,
        Some("desc") => Direction::Descending,
        Some(_) => return Err(refuse("order_syntax", "After the field comes asc or desc.".into())),
    };
    let known = sortable(kind);
    if !known.contains(&field) {
        return Err(refuse("order_unknown", format!("These lists can be ordered by {}.", known.join(", "))));
    }
    Ok(Order { field: field.to_owned(), direction })
}

/// The fields whose values can be counted.
pub(super) fn countable(kind: &Kind) -> Vec<&str> {
    kind.fields().iter().filter(|field| field.indexed).map(|field| field.path.as_str()).collect()
}

fn counted(kind: &Kind, text: &str) -> Result<Vec<String>, Error> {
    let known = countable(kind);
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(names),
        Some(_) => {
            let detail = format!("These can be counted: {}.", known.join(", "));
            Err(Error::invalid(format!("/facets: {detail}")).with_field("/facets", "facet_unknown", detail))
        }
    }
}

/// The fields of the body and of every record, at the top level.
pub(super) fn visible(kind: &Kind) -> Vec<&str> {
    kind.output_schema()["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

pub(super) fn fields(kind: &Kind, text: &str) -> Result<Vec<String>, Error> {
    let known = visible(kind);
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(names),
        Some(unknown) => {
            let detail = format!("There is no field {unknown:?} here.");
            Err(Error::invalid(format!("/fields: {detail}")).with_field("/fields", "unknown_field", detail))
        }
    }
}
