//! Background work: jobs that are committed with their cause, run under leases, tried again and given up where people can see it.
//!
//! Invariants: a job's effect and its end are one commit, fenced by the lease, so that an effect happens once whoever crashed; no tenant
//! waits for another's queue; namespaces are never scanned for work, control's marks and the store's own wake-ups say where to look; a job
//! that cannot be done becomes a dead letter with its reason, never silence.

mod backoff;
mod job;
mod operations;
mod run;
mod turns;

pub use job::{Failure, JobHandler, Policy, Running};
pub use operations::{JobView, operations};
pub use run::{Options, Work, Worker};
