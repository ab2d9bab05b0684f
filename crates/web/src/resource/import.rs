//! Records from a file: up to 1,000 rows are answered at once, more become a job.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::Caller;
use steward_base::{Error, Id, Prefix};
use steward_store::{JOB_PREFIX, JobDraft, Model, Priority, UnitOfWork};

use super::State;
use crate::call::Call;
use crate::download::{CSV, Download, NDJSON, Sink, download};
use crate::imports::{Format, IMPORT_ROWS, ImportJob, Progress, Row, RowResult, Rows, Shape, Taking, failures};
use crate::input::{Content, Stored, Upload};
use crate::problem::{self, Problem};
use crate::reply::{Json, Reply};

/// Most rows that are answered at once.
const AT_ONCE: usize = 1_000;

pub(super) const MEDIA_TYPES: [&str; 2] = [NDJSON, CSV];

pub(super) const DESCRIPTION: &str = "Lines of JSON, or a table as exports write it. A row with the id of a record, or with the value of its unique field that `match` names, is a \
     merge patch of that record; any other makes a new one, with its id if it has one. What the platform writes itself is passed over, so that an \
     export can be sent back. Each row is checked as its own operation would. Up to 1,000 rows and 4 MiB are answered at once; more are answered \
     202 with a job that works through them and whose progress says how far it is. When something on our side fails in the middle of an answer \
     at once, the rows before it stay: `stopped` names the last of them, and those behind it are `failed` with the reason, to be sent again with a \
     new Idempotency-Key. Under the same key nothing is done twice: it gets the same answer.";

pub(super) const FAILURES_DESCRIPTION: &str =
    "The rows that an import refused so far, as lines of JSON, each with the reason and the row as it came. For whoever sent the file.";

/// How rows are to be taken in.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ImportParameters {
    /// The unique field by which rows name their records; by id when absent.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 256))]
    matching: Option<String>,
    /// Everything is checked and nothing is written.
    dry_run: Option<bool>,
}

/// Where the server had to stop.
#[derive(Debug, Serialize, JsonSchema)]
struct Stopped {
    /// The last row that was worked through.
    after_row: u64,
    /// Why it went no further.
    problem: Problem,
}

/// What became of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Report {
    /// The job that works through it, when there are too many rows for one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// How far it is.
    progress: Progress,
    /// What became of each row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<RowResult>,
    /// Something on our side failed in the middle: the rows behind this one are among those that failed, each to be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
}

/// The path parameter of operations on one import.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ByImport {
    /// The job's id.
    id: Id<OfJob>,
}

#[derive(Debug)]
pub(super) struct OfJob;

impl Prefix for OfJob {
    const PREFIX: &'static str = JOB_PREFIX;
}

pub(super) async fn import<M: Model>(
    state: Arc<State<M>>,
    mut call: Call<(), ImportParameters, Upload>,
) -> Result<Reply<Json<Report>>, Error> {
    state.check_matching(call.query.matching.as_deref())?;
    let format = if call.body.media_type == CSV { Format::Csv } else { Format::Ndjson };
    let bytes = match std::mem::replace(&mut call.body.content, Content::AtHand(Bytes::new())) {
        Content::AtHand(bytes) => bytes,
        Content::Stored(stored) => return later(&state, &call, format, stored).await,
    };
    let mut rows = Rows::whole(bytes.clone(), format);
    let shape = Shape::read(&state.writer, format, &mut rows).await?;
    let all = rows.some(AT_ONCE + 1, usize::MAX).await?;
    if all.len() > AT_ONCE {
        let stored = Stored::whole(&call.site, call.ctx.tenant(), bytes).await?;
        return later(&state, &call, format, stored).await;
    }
    now(&state, &call, shape, &all, bytes.len()).await
}

async fn now<M: Model>(
    state: &State<M>,
    call: &Call<(), ImportParameters, Upload>,
    shape: Shape,
    rows: &[Row],
    length: usize,
) -> Result<Reply<Json<Report>>, Error> {
    let dry_run = call.query.dry_run == Some(true);
    let told: Mutex<(Progress, Vec<RowResult>)> = Mutex::default();
    let (store, ctx, told_now) = (&state.store, &call.ctx, &told);
    let keep = |unit: UnitOfWork, progress: Progress, results: Vec<RowResult>| {
        async move {
            if dry_run {
                store.rehearse(ctx, unit).await?;
            } else if !unit.is_empty() {
                store.commit(ctx, unit).await?;
            }
            // Whoever sent the rows has them.
            let results = results.into_iter().map(|result| RowResult { source: None, ..result });
            let mut told = told_now.lock();
            told.0 = progress.clone();
            told.1.extend(results);
            Ok(progress)
        }
        .boxed()
    };
    let taking = Taking { writer: &state.writer, by: call.by(), shape, matching: call.query.matching.as_deref(), commit: &keep };
    let begun = Progress { length: length as u64, ..Progress::default() };
    let done = taking.these(rows, begun).await;
    let (mut progress, mut results) = std::mem::take(&mut *told.lock());
    let mut stopped = None;
    if let Err(error) = done {
        // As long as nothing was written the whole can be sent again, and the answer is that of any request.
        if dry_run || progress.created + progress.updated == 0 || !problem::status(error.kind()).is_server_error() {
            return Err(error);
        }
        problem::log(&call.arrival, &error);
        stopped = Some(Stopped { after_row: progress.rows, problem: Problem::new(&call.site, &call.arrival, &error) });
        // Rows are told in their order, so that what is not told yet is the rest.
        let left = rows.iter().skip(results.len()).map(|row| RowResult { source: None, ..taking.refused(row, &error) });
        results.extend(left);
        progress.failed += rows.len() as u64 - progress.rows;
    }
    let progress = Progress { offset: length as u64, length: length as u64, rows: rows.len() as u64, ..progress };
    Ok(Reply::json(Report { job_id: None, progress, results, stopped }))
}

/// Leaves the file to a job.
async fn later<M: Model>(
    state: &State<M>,
    call: &Call<(), ImportParameters, Upload>,
    format: Format,
    stored: Stored,
) -> Result<Reply<Json<Report>>, Error> {
    let found = call.site.blob().get(stored.key(), None).await?.ok_or_else(|| Error::internal("an upload is gone"))?;
    // A header that cannot be used is told at once.
    Shape::read(&state.writer, format, &mut Rows::new(found.body, format, 0, 0)).await?;
    let caller = Caller::of(&call.ctx).ok_or_else(|| Error::internal("an import is sent by somebody"))?;
    let asked = ImportJob {
        plural: state.options.plural.to_owned(),
        operation: call.ctx.reason().to_owned(),
        caller,
        format,
        matching: call.query.matching.clone(),
        dry_run: call.query.dry_run == Some(true),
        length: stored.length,
    };
    let (job, length) = (stored.job, stored.length);
    let draft = JobDraft::new(IMPORT_ROWS, serde_json::to_value(asked).map_err(Error::internal)?).priority(Priority::Bulk);
    state.store.commit(&call.ctx, UnitOfWork::new().enqueue(job, draft)).await?;
    stored.keep();
    let id = job.wire(JOB_PREFIX);
    let location = format!("/api/v1/jobs/{id}");
    let report = Report { job_id: Some(id), progress: Progress { length, ..Progress::default() }, results: Vec::new(), stopped: None };
    Ok(Reply::json(report).status(StatusCode::ACCEPTED).location(&location))
}

/// The rows that an import refused.
pub(super) async fn refused<M: Model>(state: Arc<State<M>>, call: Call<ByImport>) -> Result<Reply<Download>, Error> {
    let absent = || Error::not_found("import");
    let job = state.store.job(&call.ctx, call.path.id.record()).await?.ok_or_else(absent)?;
    let own = job.kind == IMPORT_ROWS && job.payload["plural"] == state.options.plural && job.actor == call.ctx.actor();
    if !own {
        return Err(absent());
    }
    let progress: Progress = job.progress.map(serde_json::from_value).transpose().map_err(Error::internal)?.unwrap_or_default();
    let (blob, tenant) = (call.site.blob().clone(), call.ctx.tenant());
    Ok(download(call.standing(), NDJSON, "refused.ndjson", async move |sink: Sink| {
        let files = stream::iter(0..progress.files).map(|number| failures(tenant, job.id, number));
        let mut files = std::pin::pin!(files);
        while let Some(key) = files.try_next().await? {
            let mut parts = blob.get(&key, None).await?.ok_or_else(absent)?.body;
            while let Some(part) = parts.try_next().await? {
                if sink.send(part).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }))
}

impl<M: Model> State<M> {
    fn check_matching(&self, field: Option<&str>) -> Result<(), Error> {
        let Some(name) = field else { return Ok(()) };
        let texts: Vec<&str> =
            self.kind.fields().iter().filter(|field| field.unique && !field.secret).map(|field| field.path.as_str()).collect();
        if texts.contains(&name) {
            return Ok(());
        }
        let detail = match texts.as_slice() {
            [] => "These records have no unique field: leave it out, and rows are matched by id.".to_owned(),
            some => format!("Rows can be matched by {}.", some.join(", ")),
        };
        Err(Error::invalid(format!("/match: {detail}")).with_field("/match", "match_unknown", detail))
    }
}
