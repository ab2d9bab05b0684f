//! What a slice writes to have work done: a handler for one kind of job.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use steward_base::{Ctx, Error};
use steward_store::{Job, Lease, Priority, Store, UnitOfWork};
use tokio_util::sync::CancellationToken;

use crate::backup::{BackUp, VerifyBackup};
use crate::reconcile::Reconcile;
use crate::saga::{RunLongSaga, RunSaga};

/// Does the jobs of one kind.
pub trait JobHandler: Send + Sync + 'static {
    /// An imperative, as in `send_mail`; jobs are queued under it.
    const KIND: &'static str;

    /// The permission that lets a person put it on a schedule, as in `data-keys:execute`; none for what only the platform queues.
    const SCHEDULED_WITH: Option<&'static str> = None;

    /// What the job needs to know.
    type Payload: DeserializeOwned + Send;

    /// Does the work and answers its effect, which is committed together with the job's end. What is done outside the store may be done
    /// twice, when the process ends before that commit.
    fn run(&self, job: Running, payload: Self::Payload) -> impl Future<Output = Result<UnitOfWork, Failure>> + Send;

    /// How patient to be.
    fn policy(&self) -> Policy {
        Policy::default()
    }
}

/// The kinds of jobs that act on the installation and on all of its tenants: they are run in the operator's tenant, and are dead letters in any
/// other.
pub const PLATFORM_JOBS: [&str; 5] = [RunSaga::KIND, RunLongSaga::KIND, Reconcile::KIND, BackUp::KIND, VerifyBackup::KIND];

/// How patient to be with a kind of job.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// After so many attempts it is a dead letter.
    pub attempts: i32,
    /// The wait after the first failure; it doubles with every further one.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// A handler that takes longer is dropped, and the attempt has failed: what hangs must not hold its place for ever.
    pub longest_run: Duration,
    /// Which places of a process its jobs may have: bulk, what may take hours, a quarter of them, and urgent those too that are kept for it.
    pub places: Priority,
}

impl Default for Policy {
    /// Ten attempts within some eight minutes, each of an hour at most.
    fn default() -> Self {
        Self {
            attempts: 10,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(600),
            longest_run: Duration::from_secs(3_600),
            places: Priority::Normal,
        }
    }
}

/// Why a job was not done.
#[derive(Debug)]
pub enum Failure {
    /// It may work later.
    Again(Error),
    /// It never will: it becomes a dead letter at once.
    Never(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Again(error)
    }
}

/// A job in hand. Its lease is renewed for as long as the handler runs.
#[derive(Clone)]
pub struct Running {
    pub(crate) job: Arc<Job>,
    pub(crate) ctx: Ctx,
    pub(crate) store: Store,
    pub(crate) lease: Duration,
    pub(crate) places: Priority,
    pub(crate) cancelled: CancellationToken,
}

impl Running {
    /// The job as it was claimed.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The platform acting in the job's tenant, with the trace and request that led to the job.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// Commits a part of the work and says how far it is. `lease_lost` when another worker has the job now: then stop.
    pub async fn commit(&self, unit: UnitOfWork, progress: Option<Value>) -> Result<(), Error> {
        let committed = self.store.commit(&self.ctx, unit.renew(self.lease(), self.lease, progress)).await?;
        if committed.jobs.iter().any(|job| job.id == self.job.id && job.cancel_requested) {
            self.cancelled.cancel();
        }
        Ok(())
    }

    /// The same for whoever the work is done for.
    pub(crate) async fn commit_as(&self, ctx: &Ctx, unit: UnitOfWork, progress: Option<Value>) -> Result<(), Error> {
        Self { ctx: ctx.clone(), ..self.clone() }.commit(unit, progress).await
    }

    /// Ends when somebody called the job off or its lease was lost; the handler is dropped soon after.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    pub(crate) fn lease(&self) -> Lease {
        self.job.lease()
    }
}
