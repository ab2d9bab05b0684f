//! Taking rows in: as few commits as can be, each row once, and each refused row told.

use std::collections::HashSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Error, ErrorKind, FieldError, RecordId};
use steward_store::UnitOfWork;

use super::rows::{Format, Row, Rows};
use crate::call;
use crate::problem;
use crate::resource::{By, Column, Taken, Writer, columns, read_line};
use crate::schema::canonical;

/// Rows of one commit, at most.
const CHUNK: usize = 500;
/// Their bytes, about.
const CHUNK_BYTES: usize = 4 << 20;

/// How far an import is. It is committed together with the rows that it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Bytes that were worked through.
    pub offset: u64,
    /// Bytes in all.
    pub length: u64,
    /// Rows that were worked through.
    pub rows: u64,
    /// Records that were made.
    pub created: u64,
    /// Records that were changed.
    pub updated: u64,
    /// Records that are as their rows say.
    pub unchanged: u64,
    /// Rows that were refused.
    pub failed: u64,
    /// Files of refused rows.
    #[serde(default)]
    pub(crate) files: u64,
}

/// What a row led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Created,
    Updated,
    Unchanged,
    Failed,
}

/// What became of a row.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RowResult {
    /// From 1; a header does not count.
    pub(crate) row: u64,
    /// What it led to.
    pub(crate) outcome: Outcome,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<RowProblem>,
    /// The row as it came, where it was refused and the file is at hand no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

/// Why a row was refused.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RowProblem {
    /// As the operation on this record alone would have answered.
    status: u16,
    /// Stable code.
    code: String,
    /// What to do next.
    detail: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// Commits the effect of some rows together with how far the import is after them, and keeps what became of them.
pub(crate) type Commit<'a> = dyn Fn(UnitOfWork, Progress, Vec<RowResult>) -> BoxFuture<'a, Result<Progress, Error>> + Send + Sync + 'a;

/// Rows of one format on their way into the records of one kind.
pub(crate) struct Taking<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) by: By<'a>,
    pub(crate) shape: Shape,
    /// The unique field by which rows name their records; by their ids when there is none.
    pub(crate) matching: Option<&'a str>,
    pub(crate) commit: &'a Commit<'a>,
}

/// How the text of a row becomes a record.
pub(crate) enum Shape {
    Lines,
    /// What stands in each place of a line.
    Table(Vec<Column>),
}

impl Shape {
    /// Learns it from the beginning of the rows. Fails with `invalid` for a header that names what is not there.
    pub(crate) async fn read(writer: &Writer, format: Format, rows: &mut Rows) -> Result<Self, Error> {
        if format == Format::Ndjson {
            return Ok(Self::Lines);
        }
        let known = columns(writer.kind().output_schema());
        let header = rows.header().await?.and_then(|row| read_line(&row.text?)).unwrap_or_default();
        let mut seen = HashSet::new();
        let mut own = Vec::with_capacity(header.len());
        let mut refused = Error::invalid("The header of the table is not usable; see errors.");
        for name in &header {
            match known.iter().find(|column| column.name() == *name) {
                Some(column) if seen.insert(name.as_str()) => own.push(column.clone()),
                found => {
                    let detail = if found.is_some() { "is there twice" } else { "is no field of these records" };
                    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                    refused = refused.with_field(pointer, "column_unusable", format!("The column {name:?} {detail}."));
                }
            }
        }
        if header.is_empty() {
            refused = refused.with_field("", "required", "The first line of a table names its columns.");
        }
        if refused.fields().is_empty() { Ok(Self::Table(own)) } else { Err(refused) }
    }

    fn row(&self, text: &[u8]) -> Result<Map<String, Value>, Error> {
        match self {
            Self::Lines => {
                let no_json = |error: serde_json::Error| {
                    Error::new(ErrorKind::Malformed, "malformed_json", "The line is not JSON in UTF-8.").with_source(error)
                };
                let mut value: Value = serde_json::from_slice(text).map_err(no_json)?;
                canonical(&mut value)?;
                match value {
                    Value::Object(row) => Ok(row),
                    _ => Err(Error::invalid("A row is an object.").with_field("", "type", "An object is expected.")),
                }
            }
            Self::Table(columns) => {
                let cells = read_line(text).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Malformed,
                        "malformed_row",
                        "The line is not UTF-8, its quotes do not match, or it holds a line break without quotes around it.",
                    )
                })?;
                if cells.len() > columns.len() {
                    let detail = format!("The line has {} cells and the header {}.", cells.len(), columns.len());
                    return Err(Error::new(ErrorKind::Malformed, "malformed_row", detail));
                }
                let (mut row, mut problems) = (Map::new(), Vec::new());
                columns.iter().zip(&cells).for_each(|(column, cell)| column.read(cell, &mut row, &mut problems));
                if problems.is_empty() { Ok(row) } else { Err(crate::schema::invalid(problems)) }
            }
        }
    }
}

/// A row that can be taken in.
struct Ready {
    outcome: Outcome,
    id: RecordId,
    unit: UnitOfWork,
}

impl Taking<'_> {
    /// Takes all rows in that are left.
    pub(crate) async fn all(&self, rows: &mut Rows, mut progress: Progress) -> Result<Progress, Error> {
        loop {
            let chunk = rows.some(CHUNK, CHUNK_BYTES).await?;
            if chunk.is_empty() {
                return Ok(progress);
            }
            progress = self.some(&chunk, progress).await?;
        }
    }

    /// Takes these rows in.
    pub(crate) async fn these(&self, rows: &[Row], mut progress: Progress) -> Result<Progress, Error> {
        for chunk in rows.chunks(CHUNK) {
            progress = self.some(chunk, progress).await?;
        }
        Ok(progress)
    }

    /// Takes these rows in: in one commit, or in halves when a commit is refused, down to the row that is to blame.
    fn some<'s>(&'s self, rows: &'s [Row], progress: Progress) -> BoxFuture<'s, Result<Progress, Error>> {
        async move {
            let (mut whole, mut seen, mut results) = (UnitOfWork::new(), HashSet::new(), Vec::with_capacity(rows.len()));
            for (at, row) in rows.iter().enumerate() {
                match self.ready(row).await {
                    Ok(Ready { outcome, id, unit }) => {
                        if unit.writes().any(|id| !seen.insert(id)) && at > 0 {
                            // The row builds on one before it, which has to be there first.
                            let progress = self.some(&rows[..at], progress).await?;
                            return self.some(&rows[at..], progress).await;
                        }
                        whole = whole.and(unit);
                        let id = Some(id.wire(self.writer.kind().prefix()));
                        results.push(RowResult { row: row.number, outcome, id, problem: None, source: None });
                    }
                    Err(error) if is_ours(&error) => return Err(error),
                    Err(error) => results.push(self.refused(row, &error)),
                }
            }
            match (self.commit)(whole, after(&progress, rows, &results), results).await {
                Ok(progress) => Ok(progress),
                Err(error) if is_ours(&error) => Err(error),
                Err(error) if rows.len() == 1 => {
                    let results = vec![self.refused(&rows[0], &call::missing_reference(error))];
                    (self.commit)(UnitOfWork::new(), after(&progress, rows, &results), results).await
                }
                Err(_) => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    let progress = self.some(first, progress).await?;
                    self.some(second, progress).await
                }
            }
        }
        .boxed()
    }

    async fn ready(&self, row: &Row) -> Result<Ready, Error> {
        let text = row.text.as_ref().ok_or_else(|| Error::new(ErrorKind::TooLarge, "row_too_large", "A row has at most 512 KiB."))?;
        let taken = self.writer.take(self.by, self.shape.row(text)?, self.matching).await;
        Ok(match taken.map_err(call::missing_reference)? {
            Taken::New(planned) => Ready { outcome: Outcome::Created, id: planned.id, unit: planned.unit },
            Taken::Changed(planned) => Ready { outcome: Outcome::Updated, id: planned.id, unit: planned.unit },
            Taken::Same(id) => Ready { outcome: Outcome::Unchanged, id, unit: UnitOfWork::new() },
        })
    }

    /// What is told of a row that was not taken in.
    pub(crate) fn refused(&self, row: &Row, error: &Error) -> RowResult {
        let status = problem::status(error.kind()).as_u16();
        let problem =
            RowProblem { status, code: error.code().to_owned(), detail: error.detail().to_owned(), errors: error.fields().to_vec() };
        // What may hold secrets is not kept.
        let text = row.text.as_ref().filter(|_| !self.writer.kind().fields().iter().any(|field| field.secret));
        let source = text.map(|text| String::from_utf8_lossy(text).trim_end().to_owned());
        RowResult { row: row.number, outcome: Outcome::Failed, id: None, problem: Some(problem), source }
    }
}

/// Whether it is not the row that is to blame.
fn is_ours(error: &Error) -> bool {
    problem::status(error.kind()).is_server_error() || error.code() == "lease_lost" || error.code().starts_with("idempotency_")
}

fn after(progress: &Progress, rows: &[Row], results: &[RowResult]) -> Progress {
    let mut after = progress.clone();
    after.offset = rows.last().map_or(after.offset, |row| row.end);
    after.rows += rows.len() as u64;
    for result in results {
        match result.outcome {
            Outcome::Created => after.created += 1,
            Outcome::Updated => after.updated += 1,
            Outcome::Unchanged => after.unchanged += 1,
            Outcome::Failed => after.failed += 1,
        }
    }
    after
}
