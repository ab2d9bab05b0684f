//! Jobs: work that is committed together with what makes it necessary, and done under a lease.
//!
//! A job is queued, then running under a lease with an epoch, then done, dead or cancelled. The epoch is the fencing token: whoever ends a
//! job shows it, in the same unit of work as the effect, so that a worker whose lease ran out changes nothing. Of jobs with one unique key
//! at most one is queued and one is running. Jobs tell no events; a dead letter does.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_base::{Error, ErrorKind, RecordId, Timestamp};

/// Most bytes of a payload.
pub(crate) const MAX_PAYLOAD: usize = 256 * 1024;
/// How long a job that was done or cancelled can be looked at.
pub(crate) const KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
/// How long a dead letter waits for somebody.
pub(crate) const DEAD_KEPT: std::time::Duration = std::time::Duration::from_secs(90 * 86_400);
/// Most jobs of one claim.
pub(crate) const MAX_CLAIM: usize = 1_000;
/// Of job ids, as in `job_…`.
pub const JOB_PREFIX: &str = "job";

/// What goes first. Within one priority the job that is due longest goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for it.
    Urgent,
    /// The ordinary.
    #[default]
    Normal,
    /// Imports, rebuilds, clean-up.
    Bulk,
}

impl Priority {
    pub(crate) const ALL: [Priority; 3] = [Priority::Urgent, Priority::Normal, Priority::Bulk];

    pub(crate) fn number(self) -> i32 {
        self as i32
    }

    pub(crate) fn from_number(number: i32) -> Self {
        Self::ALL.into_iter().find(|priority| priority.number() == number).unwrap_or_default()
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its time or for a worker.
    Queued,
    /// A worker has it, or had it and vanished.
    Running,
    /// Its effect is committed.
    Done,
    /// Given up: a dead letter that a person may queue again.
    Dead,
    /// Called off.
    Cancelled,
}

impl JobState {
    pub(crate) const ALL: [JobState; 5] = [Self::Queued, Self::Running, Self::Done, Self::Dead, Self::Cancelled];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// A job to be queued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobDraft {
    pub(crate) kind: Cow<'static, str>,
    #[serde(with = "crate::remote::text")]
    pub(crate) payload: Value,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) priority: Priority,
    pub(crate) unique_key: Option<String>,
}

impl JobDraft {
    /// A job of a kind, an imperative as in `send_mail`, with what it needs to know: up to 256 KiB of JSON.
    pub fn new(kind: impl Into<Cow<'static, str>>, payload: Value) -> Self {
        Self { kind: kind.into(), payload, run_at: None, priority: Priority::Normal, unique_key: None }
    }

    /// Not before this time; at once unless said.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.run_at = Some(time);
        self
    }

    /// What goes first.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// While a job of the kind with this key is queued, no second one is; while one is running, the next waits.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Wire form `job_…`.
    pub id: RecordId,
    /// What is to be done.
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// What goes first.
    pub priority: Priority,
    /// When it may run, or ran first.
    pub run_at: Timestamp,
    /// When somebody should look at it again: its time while queued, the end of its lease while running.
    pub due_at: Option<Timestamp>,
    /// See [`JobDraft::unique`].
    pub unique_key: Option<String>,
    /// How often it was begun.
    pub attempts: i32,
    /// The fencing token of its last lease.
    pub epoch: i64,
    /// What it needs to know.
    #[serde(with = "crate::remote::text")]
    pub payload: Value,
    /// What it last said of itself.
    #[serde(with = "crate::remote::text")]
    pub progress: Option<Value>,
    /// Why its last attempt failed.
    pub last_error: Option<String>,
    /// Somebody asked a running job to stop.
    pub cancel_requested: bool,
    /// Wire id of who queued it.
    pub actor: String,
    /// The request that led to it.
    pub request_id: Option<String>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was done, dead or cancelled.
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// What a worker shows to end it.
    pub fn lease(&self) -> Lease {
        Lease { job: self.id, epoch: self.epoch }
    }
}

/// The right to end a job: its id and the fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The job.
    pub job: RecordId,
    /// From the claim.
    pub epoch: i64,
}

/// Which jobs a worker takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The kinds it knows.
    pub kinds: Vec<String>,
    /// Most jobs, up to 1,000.
    pub limit: usize,
    /// How long it has without a renewal.
    pub lease: std::time::Duration,
}

/// A question for jobs, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobQuery {
    /// Only in this state.
    pub state: Option<JobState>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only older ones than this.
    pub before: Option<RecordId>,
    /// Most jobs, up to 500; 0 is 50.
    pub limit: usize,
}

/// What a unit of work does to jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobChange {
    Enqueue(RecordId, JobDraft),
    Claim(Claim),
    Renew(Lease, std::time::Duration, #[serde(with = "crate::remote::text")] Option<Value>),
    Complete(Lease),
    Retry(Lease, Timestamp, String),
    GiveBack(Lease, String),
    Bury(Lease, String),
    Cancel(RecordId),
    Redrive(RecordId),
}

impl JobChange {
    /// The job it needs to know.
    pub(crate) fn subject(&self) -> Option<RecordId> {
        match self {
            Self::Claim(_) => None,
            Self::Enqueue(id, _) => Some(*id),
            Self::GiveBack(lease, _) | Self::Renew(lease, ..) | Self::Complete(lease) | Self::Retry(lease, ..) | Self::Bury(lease, _) => {
                Some(lease.job)
            }
            Self::Cancel(id) | Self::Redrive(id) => Some(*id),
        }
    }
}

/// The lease ran out or somebody else has the job now.
pub(crate) fn lease_lost() -> Error {
    Error::new(ErrorKind::Conflict, "lease_lost", "The lease of this job has ended: what was done under it is not committed.")
}
