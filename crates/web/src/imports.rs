//! Files of records on their way in: few rows at once, any number as a job.
//!
//! A file that is too long for one answer is an object named after its job. The job works through it in commits of up to 500 rows, each with how
//! far it is: after a crash it goes on behind the last row that is committed, so that each row takes effect once. It does so as whoever sent the
//! file, with what that one may do at the time. Refused rows are kept as files of their own until the job is forgotten.

mod rows;
mod take;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_auth::{Caller, Occasion, require, system};
use steward_base::{Ctx, Error, ErrorKind, RecordId, TenantId};
use steward_fabric::Class;
use steward_fabric::blob::{Expect, Key, whole};
use steward_store::{JOB_PREFIX, Job, JobState, UnitOfWork};

pub use rows::Format;
pub(crate) use rows::{Row, Rows};
pub use take::Progress;
pub(crate) use take::{Outcome, RowResult, Shape, Taking};

pub use crate::input::upload_key;

use crate::input::UPLOADS;
use crate::resource::{By, Writer};
use crate::site::Site;

/// The kind of job that works through a file.
pub const IMPORT_ROWS: &str = "import_rows";
/// Where refused rows are told.
pub(crate) const FAILURES: Class = Class::new("import-failures");
/// Every class of objects that a tenant may have: what leaves the installation with it.
pub const CLASSES: [Class; 2] = [UPLOADS, FAILURES];
/// The kind of record that a saga is, owned by whoever runs its steps.
const SAGA: &str = "saga";
/// How long a file is left alone that no job is known for: its job may be about to be queued.
const FRESH: Duration = Duration::from_secs(3_600);

/// What is asked of a saga.
#[derive(Deserialize)]
struct Standing {
    state: String,
}

/// What the job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportJob {
    pub(crate) plural: String,
    /// For the audit trail: the operation that was called.
    pub(crate) operation: String,
    pub(crate) caller: Caller,
    pub(crate) format: Format,
    pub(crate) matching: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) length: u64,
}

/// Every kind of record that files can be taken in for.
#[derive(Clone)]
pub struct Imports {
    writers: Arc<BTreeMap<&'static str, Arc<Writer>>>,
    site: Site,
}

impl Imports {
    pub(crate) fn new(writers: BTreeMap<&'static str, Arc<Writer>>, site: Site) -> Self {
        Self { writers: Arc::new(writers), site }
    }

    /// Works through a file from where the job's progress says. `commit` commits rows for their sender together with the progress after them.
    ///
    /// Fails with `invalid_credential` or `permission_denied` when the sender may not do it any more.
    pub async fn run<F, R>(&self, tenant: TenantId, job: &Job, asked: &ImportJob, commit: F) -> Result<(), Error>
    where
        F: Fn(Ctx, UnitOfWork, Value) -> R + Send + Sync,
        R: Future<Output = Result<(), Error>> + Send,
    {
        let writer = self.writers.get(asked.plural.as_str()).ok_or_else(|| Error::not_found("kind of record"))?;
        let ctx = self.sender(tenant, job, asked).await?;
        let scope = require(&ctx, writer.write_permission()?)?;
        let progress = job.progress.clone().map(serde_json::from_value).transpose().map_err(Error::internal)?;
        let mut progress: Progress = progress.unwrap_or_default();
        progress.length = asked.length;
        if progress.offset < asked.length {
            let key = Key::new(tenant, UPLOADS, &job.id.wire(JOB_PREFIX))?;
            let (shape, begins) = self.shape(writer, asked, &key).await?;
            let from = progress.offset.max(begins);
            let mut rows = Rows::new(self.bytes(&key, from).await?, asked.format, from, progress.rows);
            let (ctx, commit) = (&ctx, &commit);
            let keep = |unit: UnitOfWork, progress: Progress, results: Vec<RowResult>| {
                async move {
                    // A file may take hours: whoever may not do it any more must not be served until its end.
                    let now = self.sender(tenant, job, asked).await?;
                    if require(&now, writer.write_permission()?).is_err() || now.grants() != ctx.grants() {
                        let detail = "The permissions of whoever sent the file have changed: send the rest of it again.";
                        return Err(Error::new(ErrorKind::Forbidden, "permission_denied", detail));
                    }
                    let progress = self.tell(tenant, job.id, progress, &results).await?;
                    let unit = if asked.dry_run && !unit.is_empty() {
                        writer.store().rehearse(ctx, unit).await?;
                        UnitOfWork::new()
                    } else {
                        unit
                    };
                    commit(ctx.clone(), unit, serde_json::to_value(&progress).map_err(Error::internal)?).await?;
                    Ok(progress)
                }
                .boxed()
            };
            let by = By { ctx, scope: scope.as_ref(), now: self.site.clock().now() };
            let taking = Taking { writer, by, shape, matching: asked.matching.as_deref(), commit: &keep };
            taking.all(&mut rows, progress).await?;
        }
        self.site.blob().delete(&Key::new(tenant, UPLOADS, &job.id.wire(JOB_PREFIX))?).await?;
        sweep(&self.site, tenant, |state| state == JobState::Done).await
    }

    /// The sender of the file, with what it may do now.
    async fn sender(&self, tenant: TenantId, job: &Job, asked: &ImportJob) -> Result<Ctx, Error> {
        let occasion = Occasion {
            reason: asked.operation.as_str().into(),
            origin: None,
            trace_id: job.trace_id.as_deref().map(Into::into),
            request_id: job.request_id.as_deref().map(Into::into),
        };
        self.site.authority().act_for(tenant, &asked.caller, occasion).await
    }

    async fn shape(&self, writer: &Writer, asked: &ImportJob, key: &Key) -> Result<(Shape, u64), Error> {
        let mut rows = Rows::new(self.bytes(key, 0).await?, asked.format, 0, 0);
        let shape = Shape::read(writer, asked.format, &mut rows).await?;
        Ok((shape, rows.offset()))
    }

    async fn bytes(&self, key: &Key, from: u64) -> Result<futures_util::stream::BoxStream<'static, Result<bytes::Bytes, Error>>, Error> {
        let found = self.site.blob().get(key, Some(from..u64::MAX)).await?;
        Ok(found.ok_or_else(|| Error::not_found("file"))?.body)
    }

    /// Keeps what was refused. A file that a crash left behind is written over: only those that the progress counts are read.
    async fn tell(&self, tenant: TenantId, job: RecordId, mut progress: Progress, results: &[RowResult]) -> Result<Progress, Error> {
        let mut lines = Vec::new();
        for result in results.iter().filter(|result| result.outcome == Outcome::Failed) {
            serde_json::to_writer(&mut lines, result).map_err(Error::internal)?;
            lines.push(b'\n');
        }
        if !lines.is_empty() {
            self.site.blob().put(&failures(tenant, job, progress.files)?, whole(lines), Expect::default()).await?;
            progress.files += 1;
        }
        Ok(progress)
    }
}

/// Deletes what is left of jobs that are forgotten, and the files of those of which `over` says that nobody works on them any more.
pub(crate) async fn sweep(site: &Site, tenant: TenantId, over: impl Fn(JobState) -> bool) -> Result<(), Error> {
    let (blob, ctx) = (site.blob(), system(tenant, "import-sweep"));
    for class in [UPLOADS, FAILURES] {
        for object in blob.list(tenant.into(), class, None, 1_000).await?.objects {
            let name = object.key.name().split('.').next().unwrap_or_default();
            let Some(job) = RecordId::parse(JOB_PREFIX, name) else { continue };
            if site.clock().now().since(object.modified) <= FRESH {
                continue;
            }
            let known = site.authority().store().job(&ctx, job).await?;
            let left = known.is_none_or(|known| class == UPLOADS && over(known.state));
            if left && !goes_on(site, &ctx, job).await? {
                blob.delete(&object.key).await?;
            }
        }
    }
    Ok(())
}

/// Whether a saga that began with this job is not at its end: it goes on in jobs with ids of their own, and its file is named after the first one.
async fn goes_on(site: &Site, ctx: &Ctx, job: RecordId) -> Result<bool, Error> {
    let store = site.authority().store();
    if store.kinds().get(SAGA).is_none() {
        return Ok(false);
    }
    let Some(saga) = store.get(ctx, SAGA, job).await? else { return Ok(false) };
    Ok(matches!(saga.body.decode::<Standing>()?.state.as_str(), "running" | "undoing"))
}

/// The file of refused rows with this number.
pub(crate) fn failures(tenant: TenantId, job: RecordId, number: u64) -> Result<Key, Error> {
    Key::new(tenant, FAILURES, &format!("{}.{number:06}", job.wire(JOB_PREFIX)))
}
