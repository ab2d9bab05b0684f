//! Background work: jobs that are committed with their cause, run under leases, tried again and given up where people can see it; and what
//! is made of jobs: schedules, consumers of events, reconcilers, sagas.
//!
//! Invariants: a job's effect and its end are one commit, fenced by the lease, so that an effect happens once whoever crashed; no tenant
//! waits for another's queue; namespaces are never scanned for work, control's marks and the store's own wake-ups say where to look; a job
//! that cannot be done becomes a dead letter with its reason, never silence.

mod admission;
mod backoff;
pub mod backup;
mod chores;
mod consume;
mod cron;
mod follow;
mod imports;
mod job;
mod lags;
mod operations;
mod reconcile;
mod run;
mod saga;
mod schedules;
mod turns;
mod watched;

use steward_store::Kind;

pub use consume::{Consumer, Handling, Poison};
pub use imports::ImportRows;
pub use job::{Failure, JobHandler, PLATFORM_JOBS, Policy, Running};
pub use operations::JobView;
pub use reconcile::{Reconciler, signal};
pub use run::{Options, Work, Worker};
pub use saga::{At, Done, NodeState, Saga, SagaRun, SagaState, Step, begin, finished, is_unfinished};
pub use schedules::{Misfire, Schedule};

/// The kinds this crate owns.
pub fn kinds() -> Vec<Kind> {
    vec![Kind::of::<Schedule>(), Kind::of::<SagaRun>().of_platform(), Kind::of::<backup::Backup>().of_platform()]
}
