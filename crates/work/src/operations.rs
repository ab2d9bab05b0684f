//! What a person may do about jobs: see them, call one off, queue a dead one again.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_auth::require;
use steward_base::{Error, ErrorKind, Id, Permission, Prefix, Timestamp, Verb};
use steward_store::{JOB_PREFIX, Job, JobQuery, JobState, Priority, Store, UnitOfWork};
use steward_web::cursor::{Bound, Mark};
use steward_web::{Call, Json, Operation, Page, Reply, operation};

use crate::watched::stream_operation;

use crate::job::JobHandler;
use crate::reconcile::Reconcile;
use crate::saga::{RunLongSaga, RunSaga};
use crate::schedules::Tick;

/// Of the ids of jobs.
#[derive(Debug)]
pub(crate) struct OfJob;

impl Prefix for OfJob {
    const PREFIX: &'static str = JOB_PREFIX;
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ByJob {
    /// The job's id.
    pub(crate) id: Id<OfJob>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct JobsQuery {
    /// Only jobs in this state.
    state: Option<JobState>,
    /// Only jobs of this kind, as in `send_mail`.
    #[schemars(length(max = 100))]
    kind: Option<String>,
    /// The most jobs of one page; 50 unless said.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A job as people see it. Its payload stays inside: it may name what its reader may not see.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobView {
    /// `job_…`.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// What goes first.
    pub priority: Priority,
    /// When it may run, or was first meant to.
    pub run_at: Timestamp,
    /// When it is looked at again: its next attempt while queued, the end of its lease while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: i32,
    /// What it last said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Value>,
    /// Why its last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// Wire id of who queued it.
    pub created_by: String,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was done, dead or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id.wire(JOB_PREFIX),
            kind: job.kind,
            state: job.state,
            priority: job.priority,
            run_at: job.run_at,
            due_at: job.due_at,
            attempts: job.attempts,
            progress: job.progress,
            last_error: job.last_error,
            cancel_requested: job.cancel_requested,
            created_by: job.actor,
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}

/// `jobs.list`, `jobs.get`, `jobs.stream`, `jobs.cancel` and `jobs.redrive`.
pub(crate) fn operations(store: &Store) -> Vec<Operation> {
    vec![
        operation("jobs.list", Method::GET, "/api/v1/jobs")
            .summary("Jobs, newest first")
            .description("Background work of the tenant. Dead ones have failed for good and wait for somebody to look at them.")
            .tag("jobs")
            .needs("jobs:read")
            .handle(store.clone(), list),
        operation("jobs.get", Method::GET, "/api/v1/jobs/{id}")
            .summary("One job with its progress")
            .description("For whoever queued it, and for whoever may read all jobs (`jobs:read`).")
            .tag("jobs")
            .signed_in()
            .handle(store.clone(), get),
        stream_operation(store),
        operation("jobs.cancel", Method::POST, "/api/v1/jobs/{id}/cancel")
            .summary("Call a job off")
            .description("A queued job is cancelled at once; a running one is asked to stop. One that is finished stays as it is.")
            .tag("jobs")
            .needs("jobs:execute")
            .error(StatusCode::CONFLICT, "job_not_cancellable")
            .handle(store.clone(), cancel),
        operation("jobs.redrive", Method::POST, "/api/v1/jobs/{id}/redrive")
            .summary("Queue a dead or cancelled job again")
            .tag("jobs")
            .needs("jobs:execute")
            .error(StatusCode::CONFLICT, "job_not_finished")
            .handle(store.clone(), redrive),
    ]
}

async fn list(store: Store, call: Call<(), JobsQuery>) -> Result<Reply<Json<Page<JobView>>>, Error> {
    let query = &call.query;
    let state = query.state.map(JobState::as_str).unwrap_or_default();
    let bound = Bound { tenant: call.ctx.tenant(), operation: "jobs.list", shape: &[state, query.kind.as_deref().unwrap_or_default()] };
    let cursors = call.site.cursors();
    let mark: Option<Mark<Id<OfJob>>> = query.cursor.as_deref().map(|text| cursors.open(bound, text)).transpose()?;
    let now = mark.as_ref().map_or_else(|| call.site.clock().now(), |mark| mark.now);
    let limit = usize::from(query.limit.unwrap_or(50));
    let asked = JobQuery { state: query.state, kind: query.kind.clone(), before: mark.map(|mark| mark.after.record()), limit: limit + 1 };
    let mut jobs = store.jobs(&call.ctx, asked).await?;
    let has_more = jobs.len() > limit;
    jobs.truncate(limit);
    let last = jobs.last().filter(|_| has_more).map(|job| Mark { now, after: Id::<OfJob>::from(job.id) });
    let next_cursor = last.map(|mark| cursors.seal(bound, &mark)).transpose()?;
    Ok(Reply::json(Page { data: jobs.into_iter().map(JobView::from).collect(), next_cursor, has_more, count: None }))
}

async fn get(store: Store, call: Call<ByJob>) -> Result<Reply<Json<JobView>>, Error> {
    Ok(Reply::json(readable(&store, &call).await?.into()))
}

/// The job, if the caller may know of it. Whoever may read none but his own learns of no other whether it is there.
pub(crate) async fn readable(store: &Store, call: &Call<ByJob>) -> Result<Job, Error> {
    let all = Permission { resource: "jobs".to_owned(), verb: Some(Verb::Read) };
    let refused = match require(&call.ctx, &all) {
        Ok(None) => None,
        // Jobs have no fields that a scope could be about.
        Ok(Some(_)) => Some(Error::new(ErrorKind::Forbidden, "permission_denied", "Your permission to read jobs does not reach them.")),
        Err(refused) => Some(refused),
    };
    let found = store.job(&call.ctx, call.path.id.record()).await?;
    match (found, refused) {
        (Some(job), Some(_)) if job.actor == call.ctx.actor() => Ok(job),
        (_, Some(refused)) => Err(refused),
        (found, None) => found.ok_or_else(|| Error::not_found("job")),
    }
}

async fn cancel(store: Store, call: Call<ByJob>) -> Result<Reply<Json<JobView>>, Error> {
    let job = store.job(&call.ctx, call.path.id.record()).await?.ok_or_else(|| Error::not_found("job"))?;
    let instead = match job.kind.as_str() {
        RunSaga::KIND | RunLongSaga::KIND => "call the saga off with /api/v1/sagas/{id}/cancel",
        Tick::KIND => "switch the schedule off",
        Reconcile::KIND => "it belongs to the platform itself",
        _ => return changed(&store, &call, UnitOfWork::new().cancel(job.id)).await,
    };
    let detail = format!("A job of the kind {} cannot be called off: {instead}.", job.kind);
    Err(Error::new(ErrorKind::Conflict, "job_not_cancellable", detail))
}

async fn redrive(store: Store, call: Call<ByJob>) -> Result<Reply<Json<JobView>>, Error> {
    changed(&store, &call, UnitOfWork::new().redrive(call.path.id.record())).await
}

async fn changed(store: &Store, call: &Call<ByJob>, unit: UnitOfWork) -> Result<Reply<Json<JobView>>, Error> {
    let job = store.commit(&call.ctx, unit).await?.jobs.pop().ok_or_else(|| Error::not_found("job"))?;
    Ok(Reply::json(job.into()))
}
