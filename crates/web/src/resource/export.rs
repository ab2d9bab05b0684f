//! Every record that a filter and the caller's scope leave, as one stream.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use steward_base::Error;
use steward_store::{ListQuery, Model, Page, Record};

use super::State;
use super::list::{both, fields};
use super::table::{self, Column};
use crate::call::Call;
use crate::download::{CSV, Download, NDJSON, Sink, download};
use crate::input::FilterText;
use crate::reply::Reply;
use crate::scope;

/// Records read at once: a record has up to 256 KiB.
const PAGE: usize = 100;
/// Bytes sent at once, about.
const PART: usize = 64 << 10;

pub(super) const DESCRIPTION: &str = "All of them in the order of their ids, however many there are, as lines of JSON or as a table. Records that change meanwhile come as they \
     were or as they are. In a table nested fields are columns with dotted names, lists are JSON text, and a text that a spreadsheet would take \
     for a formula has an apostrophe in front. A transfer that breaks off is not complete.";

/// What an export may be asked.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExportParameters {
    /// Lines of JSON, unless it is said to be a table.
    format: Option<Format>,
    /// Only rows that pass, as in `name:printer AND created_at > now-7d`.
    filter: Option<FilterText>,
    /// Only these fields of each row, separated by commas; the id is always there.
    #[schemars(length(max = 4096))]
    fields: Option<String>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
}

pub(super) async fn export<M: Model>(state: Arc<State<M>>, call: Call<(), ExportParameters>) -> Result<Reply<Download>, Error> {
    let (kind, query, now) = (&state.kind, &call.query, call.site.clock().now());
    let only: Option<Arc<[String]>> = query.fields.as_deref().map(|names| fields(kind, names)).transpose()?.map(Into::into);
    let filter =
        both(query.filter.clone().unwrap_or_default().check(kind.filter_registry(), now)?, scope::limit(kind, call.scope.as_ref(), now)?);
    let format = query.format.unwrap_or(Format::Ndjson);
    let rows = match format {
        Format::Ndjson => Rows::Lines(only),
        Format::Csv => Rows::Table(state.columns(only.as_deref())),
    };
    let mut asked = ListQuery { kind: M::KIND.to_owned(), filter, limit: PAGE, ..ListQuery::default() };
    // What cannot be read at all is told before the answer begins.
    let mut page = state.store.list(&call.ctx, asked.clone()).await?;
    let (media_type, ending) = if format == Format::Csv { (CSV, "csv") } else { (NDJSON, "ndjson") };
    let (site, text) = (call.site.clone(), query.filter.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default());
    let (name, ctx) = (format!("{}.{ending}", state.options.plural), call.ctx.clone());
    Ok(download(call.standing(), media_type, &name, async move |sink: Sink| {
        let mut part = rows.head()?;
        loop {
            let Page { records, next } = page;
            site.saw(&ctx, &state.kind, records.iter().map(|record| record.id), Some(&text)).await?;
            for record in records {
                rows.write(&state, record, &mut part)?;
                if part.len() >= PART && sink.send(std::mem::take(&mut part)).await.is_err() {
                    return Ok(());
                }
            }
            if next.is_none() {
                // A reader that is gone misses nothing.
                let _ = sink.send(part).await;
                return Ok(());
            }
            asked.after = next;
            page = state.store.list(&ctx, asked.clone()).await?;
        }
    }))
}

/// What every row looks like.
enum Rows {
    /// With these fields.
    Lines(Option<Arc<[String]>>),
    Table(Vec<Column>),
}

impl Rows {
    fn head(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Lines(_) => Ok(Vec::new()),
            Self::Table(columns) => table::line(columns.iter().map(Column::name)),
        }
    }

    fn write<M: Model>(&self, state: &State<M>, record: Record, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Lines(only) => {
                record.shown(&state.kind).only(only.clone()).write(out)?;
                out.push(b'\n');
            }
            Self::Table(columns) => {
                let row = record.to_json(&state.kind)?;
                out.extend(table::line(columns.iter().map(|column| column.cell(&row)))?);
            }
        }
        Ok(())
    }
}

impl<M: Model> State<M> {
    /// The columns of an export: secrets are none.
    fn columns(&self, only: Option<&[String]>) -> Vec<Column> {
        let secrets: Vec<&str> = self.kind.fields().iter().filter(|field| field.secret).map(|field| field.path.as_str()).collect();
        let inside = |name: &str, field: &str| name.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let secret = |column: &Column| secrets.iter().any(|field| inside(&column.name(), field));
        let wanted = |column: &Column| column.path[0] == "id" || only.is_none_or(|names| names.contains(&column.path[0]));
        table::columns(self.kind.output_schema()).into_iter().filter(|column| !secret(column) && wanted(column)).collect()
    }
}
