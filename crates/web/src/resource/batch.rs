//! Up to 1,000 changes in one request: each on its own, or all together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use steward_auth::require;
use steward_base::{Error, ErrorKind, RecordId};
use steward_store::{Committed, Model, Record, UnitOfWork};

use super::State;
use super::one::again;
use super::schemas::Schemas;
use super::write::{By, Planned, Writer};
use crate::call::{self, Call};
use crate::etag::{self, Match};
use crate::problem::{self, Problem};
use crate::reply::{Json, Reply};

/// Most items of one batch.
const MOST: usize = 1_000;
/// Items in work at once: the commits of as many are combined into one.
const AT_ONCE: usize = 128;

pub(super) const DESCRIPTION: &str = "Up to 1,000 items, each as its own operation would do it, with the permission, the scope and the checks of that. Without `atomic` they are \
     independent, and those on one record are done in their order; with it, all are one commit, and the first that is refused refuses the whole. \
     Everything is done under one request id.";

/// What is to be done to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Op {
    Create,
    Update,
    Delete,
}

/// One change. Which of its members are needed depends on `op`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    op: Op,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    #[schemars(range(min = 1))]
    revision: Option<i64>,
    #[serde(default)]
    body: Option<Map<String, Value>>,
}

/// Changes of records of one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    #[serde(default)]
    atomic: bool,
    #[schemars(length(min = 1))]
    items: Vec<Item>,
}

/// What became of the items, in their order.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// How many were done.
    succeeded: usize,
    /// How many were refused.
    failed: usize,
    /// One per item.
    results: Vec<ItemResult>,
}

/// What became of one item.
#[derive(Debug, Serialize, JsonSchema)]
struct ItemResult {
    /// As the operation on this record alone would have answered: 201, 200, 204, or that of the problem.
    #[schemars(range(min = 200, max = 599))]
    status: u16,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its version after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// The body that a batch of this kind documents.
pub(super) fn body_schema(writer: &Writer, schemas: &Schemas<'_>) -> Value {
    let verbs = &writer.verbs;
    let known = [("create", verbs.create.is_some()), ("update", verbs.update.is_some()), ("delete", verbs.delete.is_some())];
    let ops: Vec<&str> = known.into_iter().filter(|(_, known)| *known).map(|(name, _)| name).collect();
    let mut definitions = Map::new();
    let mut bodies = Vec::new();
    for (name, known, schema) in [("create", verbs.create.is_some(), schemas.create()), ("update", verbs.update.is_some(), schemas.patch())]
    {
        if known {
            definitions.insert(name.to_owned(), schema);
            bodies.push(json!({ "$ref": format!("#/$defs/{name}") }));
        }
    }
    let mut item = json!({
        "type": "object",
        "properties": {
            "op": { "type": "string", "enum": ops },
            "id": { "type": "string", "pattern": format!("^{}_[0-9a-hjkmnp-tv-z]{{26}}$", writer.kind.prefix()), "description": "The record to change or delete; one that is created gets its id from the platform." },
            "revision": { "type": "integer", "minimum": 1, "description": "The version that it must have, as If-Match; whatever it has when absent. Not for creating." },
        },
        "required": ["op"],
        "additionalProperties": false,
    });
    match bodies.as_slice() {
        [] => {}
        [only] => item["properties"]["body"] = only.clone(),
        _ => {
            item["properties"]["body"] = json!({ "anyOf": bodies, "description": "For creating, the record; for updating, a merge patch." })
        }
    }
    json!({
        "title": schemas.titled("Batch"),
        "type": "object",
        "properties": {
            "atomic": { "type": "boolean", "default": false, "description": "All items in one commit, or none." },
            "items": { "type": "array", "minItems": 1, "maxItems": MOST, "items": item },
        },
        "required": ["items"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

pub(super) async fn batch<M: Model>(state: Arc<State<M>>, mut call: Call<(), (), Json<Batch>>) -> Result<Reply<Json<Outcome>>, Error> {
    let items = std::mem::take(&mut call.body.0.items);
    if items.len() > MOST {
        let detail = format!("A batch has at most {MOST} items: send several, or import a file.");
        return Err(Error::new(ErrorKind::TooLarge, "batch_too_large", detail));
    }
    let work = Work { writer: &state.writer, by: call.by() };
    let mut done = if call.body.0.atomic { work.together(&items).await? } else { work.one_by_one(&items).await };
    let failed = done.iter().filter(|result| result.is_err()).count();
    let succeeded = done.len() - failed;
    // Nothing was done, and not because of what was asked: as a whole it can be sent again.
    let ours = |result: &Result<Done, Error>| matches!(result, Err(error) if problem::status(error.kind()).is_server_error());
    if let (0, Some(at)) = (succeeded, done.iter().position(ours)) {
        done.swap_remove(at)?;
    }
    let results = done.into_iter().map(|result| answer(&call, result)).collect();
    Ok(Reply::json(Outcome { succeeded, failed, results }))
}

fn answer<B>(call: &Call<(), (), B>, result: Result<Done, Error>) -> ItemResult {
    match result {
        Ok(Done { status, id, revision }) => ItemResult { status: status.as_u16(), id: Some(id), revision, problem: None },
        Err(error) => {
            problem::log(&call.arrival, &error);
            let problem = Problem::new(&call.site, &call.arrival, &error);
            ItemResult { status: problem.status, id: None, revision: None, problem: Some(problem) }
        }
    }
}

/// An item that was done.
struct Done {
    status: StatusCode,
    id: String,
    revision: Option<i64>,
}

struct Work<'c> {
    writer: &'c Writer,
    by: By<'c>,
}

impl Work<'_> {
    /// Each item in a commit of its own. Those on one record go in their order; all others at once, so that their commits are combined.
    async fn one_by_one(&self, items: &[Item]) -> Vec<Result<Done, Error>> {
        let mut rows: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut alone = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match &item.id {
                Some(id) => rows.entry(id).or_default().push(at),
                None => alone.push(vec![at]),
            }
        }
        let row = |row: Vec<usize>| async move {
            let mut done = Vec::with_capacity(row.len());
            for at in row {
                done.push((at, Box::pin(self.alone(&items[at])).await));
            }
            done
        };
        let rows = stream::iter(rows.into_values().chain(alone)).map(row).buffer_unordered(AT_ONCE);
        let mut done: Vec<(usize, Result<Done, Error>)> = rows.collect::<Vec<_>>().await.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }

    async fn alone(&self, item: &Item) -> Result<Done, Error> {
        let named = item.revision.map_or(Match::Any, |revision| Match::Versions(vec![revision]));
        let mut tries = 0;
        loop {
            let planned = self.plan(item).await?;
            match self.writer.store.commit(self.by.ctx, planned.unit).await {
                Ok(committed) => return Ok(self.done(item, planned.id, &committed)),
                Err(error) => again(in_body(error), &named, &mut tries)?,
            }
        }
    }

    /// All items in one commit, or the reason of the first that cannot be.
    async fn together(&self, items: &[Item]) -> Result<Vec<Result<Done, Error>>, Error> {
        let mut tries = 0;
        loop {
            let (mut whole, mut ids, mut seen) = (UnitOfWork::new(), Vec::new(), HashSet::new());
            for (at, item) in items.iter().enumerate() {
                let here = format!("/items/{at}");
                let Planned { id, unit } = self.plan(item).await.map_err(|error| error.below(&here))?;
                if let Some(twice) = unit.writes().find(|id| !seen.insert(*id)) {
                    return Err(written_twice(twice == id).below(&here));
                }
                whole = whole.and(unit);
                ids.push(id);
            }
            match self.writer.store.commit(self.by.ctx, whole).await {
                Ok(committed) => return Ok(items.iter().zip(ids).map(|(item, id)| Ok(self.done(item, id, &committed))).collect()),
                // Whoever named a version that is gone learns so at the next try.
                Err(error) => again(call::missing_reference(error), &Match::Any, &mut tries)?,
            }
        }
    }

    /// What an item comes to; pointers of its problems begin at the item.
    async fn plan(&self, item: &Item) -> Result<Planned, Error> {
        let verbs = &self.writer.verbs;
        let permission = match item.op {
            Op::Create => &verbs.create,
            Op::Update => &verbs.update,
            Op::Delete => &verbs.delete,
        };
        let permission = permission.as_ref().ok_or_else(|| {
            let detail = format!("This cannot be done to a {} by hand.", self.writer.noun);
            Error::invalid(detail.clone()).with_field("/op", "op_unsupported", detail)
        })?;
        let scope = require(self.by.ctx, permission)?;
        let by = By { scope: scope.as_ref(), ..self.by };
        match item.op {
            Op::Create => {
                item.refuse_name()?;
                self.writer.create(by, None, item.body()?.clone()).await.map_err(in_body)
            }
            Op::Update => self.writer.update(by, self.record(by, item).await?, item.body()?).await.map_err(in_body),
            Op::Delete => self.writer.delete(by, self.record(by, item).await?).await,
        }
    }

    async fn record(&self, by: By<'_>, item: &Item) -> Result<Record, Error> {
        let id = item.id.as_deref().ok_or_else(|| required("/id", "Name the record."))?;
        let id = RecordId::parse(self.writer.kind.prefix(), id).ok_or_else(|| self.writer.absent())?;
        let record = self.writer.find(by, id).await?;
        match item.revision {
            Some(revision) if revision != record.version => Err(etag::stale(record.version)),
            _ => Ok(record),
        }
    }

    fn done(&self, item: &Item, id: RecordId, committed: &Committed) -> Done {
        let status = match item.op {
            Op::Create => StatusCode::CREATED,
            Op::Update => StatusCode::OK,
            Op::Delete => StatusCode::NO_CONTENT,
        };
        let record = committed.records.iter().find(|record| record.id == id && *record.kind == *self.writer.kind.name());
        let revision = record.filter(|_| item.op != Op::Delete).map(|record| record.version);
        Done { status, id: id.wire(self.writer.kind.prefix()), revision }
    }
}

impl Item {
    fn body(&self) -> Result<&Map<String, Value>, Error> {
        self.body.as_ref().ok_or_else(|| required("/body", "Say what the record is to be."))
    }

    /// A new record has neither before it is there: passing them over would let a client go on with an id that nothing has.
    fn refuse_name(&self) -> Result<(), Error> {
        let named = [("/id", self.id.is_some()), ("/revision", self.revision.is_some())];
        let Some((pointer, _)) = named.into_iter().find(|(_, named)| *named) else { return Ok(()) };
        let detail = "The platform gives it to a new record: leave it out.";
        Err(Error::invalid("The item is not valid; see errors.").with_field(pointer, "read_only", detail))
    }
}

fn required(pointer: &str, detail: &str) -> Error {
    Error::invalid("The item is not complete; see errors.").with_field(pointer, "required", detail)
}

/// What is wrong with fields is wrong with those of the body.
fn in_body(error: Error) -> Error {
    call::missing_reference(error).below("/body")
}

fn written_twice(by_items: bool) -> Error {
    let detail = if by_items { "Another item changes the same record." } else { "Another item leads to a change of the same record." };
    let error =
        Error::new(ErrorKind::Conflict, "written_twice", format!("{detail} Together they cannot be done: send them without atomic."));
    error.with_field("/id", "written_twice", detail)
}
