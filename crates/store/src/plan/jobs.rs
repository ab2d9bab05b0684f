//! What a unit does to jobs: each change is judged by what the units before it in the batch left.

use std::collections::{BTreeSet, HashMap, HashSet};

use steward_base::{Error, ErrorKind, RecordId, Timestamp};

use super::Planner;
use crate::job::{Claim, Job, JobChange, JobDraft, JobState, Lease, lease_lost};
use crate::prepare::Prepared;

/// Kind and unique key.
pub(crate) type JobKey = (String, String);

/// The jobs that are to be loaded before a batch can be decided.
#[derive(Debug, Default)]
pub(crate) struct WantedJobs {
    pub(crate) ids: HashSet<RecordId>,
    /// Unfinished jobs with these unique keys.
    pub(crate) keys: HashSet<JobKey>,
    /// Jobs that are due now, of these kinds, at most so many.
    pub(crate) due: Option<(BTreeSet<String>, usize)>,
}

impl WantedJobs {
    pub(super) fn by(unit: &Prepared, wanted: &mut Self) {
        for change in &unit.jobs {
            wanted.ids.extend(change.subject());
            match change {
                JobChange::Enqueue(_, JobDraft { kind, unique_key: Some(key), .. }) => {
                    wanted.keys.insert((kind.to_string(), key.clone()));
                }
                JobChange::Claim(claim) => {
                    let (kinds, most) = wanted.due.get_or_insert_default();
                    kinds.extend(claim.kinds.iter().cloned());
                    *most += claim.limit;
                }
                _ => {}
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.keys.is_empty() && self.due.is_none()
    }
}

/// The jobs of a batch, as its units so far leave them.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    known: HashMap<RecordId, Job>,
    by_key: HashMap<JobKey, Vec<RecordId>>,
    keys_loaded: HashSet<JobKey>,
    due: Vec<RecordId>,
    /// In the order in which they were first changed.
    changed: Vec<RecordId>,
}

impl Jobs {
    pub(crate) fn loaded(&mut self, job: Job) {
        self.remember(job);
    }

    /// Jobs that were due when they were loaded, the first to go first.
    pub(crate) fn loaded_due(&mut self, jobs: Vec<Job>) {
        self.due.extend(jobs.iter().map(|job| job.id));
        jobs.into_iter().for_each(|job| self.remember(job));
    }

    pub(crate) fn loaded_keys(&mut self, keys: impl Iterator<Item = JobKey>) {
        self.keys_loaded.extend(keys);
    }

    /// A job that may be queued again: whether another one with its key is queued must be known.
    pub(super) fn wants_more(&self, wanted: &mut WantedJobs) {
        for job in self.known.values() {
            if let Some(key) = &job.unique_key
                && !self.keys_loaded.contains(&(job.kind.clone(), key.clone()))
            {
                wanted.keys.insert((job.kind.clone(), key.clone()));
            }
        }
    }

    pub(super) fn changed(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.changed).iter().filter_map(|id| self.known.get(id).cloned()).collect()
    }

    fn remember(&mut self, job: Job) {
        if let Some(key) = &job.unique_key {
            let siblings = self.by_key.entry((job.kind.clone(), key.clone())).or_default();
            if !siblings.contains(&job.id) {
                siblings.push(job.id);
            }
        }
        self.known.entry(job.id).or_insert(job);
    }

    /// Takes over what a unit did.
    pub(super) fn apply(&mut self, changes: JobChanges) {
        for job in changes.list {
            if !self.changed.contains(&job.id) {
                self.changed.push(job.id);
            }
            self.known.remove(&job.id);
            self.remember(job);
        }
    }
}

/// What one unit makes of jobs; dropped when the unit is refused.
#[derive(Debug, Default)]
pub(super) struct JobChanges {
    pub(super) list: Vec<Job>,
    pub(super) died: Vec<Job>,
}

/// The jobs as the unit so far leaves them.
struct View<'a> {
    jobs: &'a Jobs,
    changes: JobChanges,
}

impl View<'_> {
    fn get(&self, id: RecordId) -> Option<&Job> {
        self.changes.list.iter().rev().find(|job| job.id == id).or_else(|| self.jobs.known.get(&id))
    }

    /// The queued job with a key, other than one.
    fn queued(&self, kind: &str, key: &str, except: RecordId) -> Option<&Job> {
        let before = self.jobs.by_key.get(&(kind.to_owned(), key.to_owned())).into_iter().flatten().copied();
        let here = self.changes.list.iter().filter(|job| job.kind == kind && job.unique_key.as_deref() == Some(key)).map(|job| job.id);
        let mut found = before.chain(here).filter(|id| *id != except).filter_map(|id| self.get(id));
        found.find(|job| job.state == JobState::Queued)
    }

    fn put(&mut self, job: Job) {
        self.changes.list.retain(|known| known.id != job.id);
        self.changes.list.push(job);
    }

    /// The running job under a lease that still holds.
    fn leased(&self, lease: Lease, now: Timestamp) -> Result<Job, Error> {
        let job = self.get(lease.job).filter(|job| job.state == JobState::Running && job.epoch == lease.epoch);
        job.filter(|job| job.due_at.is_some_and(|until| now <= until)).cloned().ok_or_else(lease_lost)
    }

    fn found(&self, id: RecordId) -> Result<Job, Error> {
        self.get(id).cloned().ok_or_else(|| Error::not_found("job"))
    }
}

impl Planner<'_> {
    pub(super) fn jobs(&self, jobs: &Jobs, unit: &Prepared, now: Timestamp) -> Result<JobChanges, Error> {
        let mut view = View { jobs, changes: JobChanges::default() };
        for change in &unit.jobs {
            match change {
                JobChange::Enqueue(id, draft) => enqueue(&mut view, unit, now, *id, draft),
                JobChange::Claim(claim) => take(&mut view, claim, now),
                JobChange::Renew(lease, by, progress) => {
                    let mut job = view.leased(*lease, now)?;
                    job.due_at = Some(now.plus(*by));
                    job.progress = progress.clone().or(job.progress);
                    view.put(job);
                }
                JobChange::Complete(lease) => {
                    let job = view.leased(*lease, now)?;
                    view.put(finished(job, JobState::Done, now));
                }
                JobChange::Retry(lease, at, error) => {
                    let job = view.leased(*lease, now)?;
                    let job = Job { last_error: Some(error.clone()), ..job };
                    requeue(&mut view, job, *at, now);
                }
                JobChange::GiveBack(lease, why) => {
                    let job = view.leased(*lease, now)?;
                    let job = Job { attempts: job.attempts - 1, last_error: Some(why.clone()), ..job };
                    requeue(&mut view, job, now, now);
                }
                JobChange::Bury(lease, error) => {
                    let job = view.leased(*lease, now)?;
                    let dead = finished(Job { last_error: Some(error.clone()), ..job }, JobState::Dead, now);
                    view.changes.died.push(dead.clone());
                    view.put(dead);
                }
                JobChange::Cancel(id) => match view.found(*id)? {
                    job if job.state == JobState::Queued || job.due_at.is_some_and(|until| until <= now) => {
                        view.put(finished(job, JobState::Cancelled, now))
                    }
                    job if job.state == JobState::Running => view.put(Job { cancel_requested: true, ..job }),
                    job => view.put(job),
                },
                JobChange::Redrive(id) => {
                    let job = view.found(*id)?;
                    if !matches!(job.state, JobState::Dead | JobState::Cancelled) {
                        let detail = "Only a dead or cancelled job can be queued again.";
                        return Err(Error::new(ErrorKind::Conflict, "job_not_finished", detail));
                    }
                    requeue(&mut view, Job { attempts: 0, cancel_requested: false, finished_at: None, ..job }, now, now);
                }
            }
        }
        Ok(view.changes)
    }
}

fn enqueue(view: &mut View<'_>, unit: &Prepared, now: Timestamp, id: RecordId, draft: &JobDraft) {
    // Whoever did not hear of the commit asks again under the same id.
    if let Some(known) = view.get(id).cloned() {
        view.put(known);
        return;
    }
    let run_at = draft.run_at.unwrap_or(now);
    if let Some(key) = &draft.unique_key
        && let Some(queued) = view.queued(&draft.kind, key, id).cloned()
    {
        // The one that waits will see what this unit did. One that failed keeps its wait.
        let sooner = queued.due_at.map_or(run_at, |due| if queued.attempts > 0 { due } else { due.min(run_at) });
        view.put(Job { due_at: Some(sooner), priority: queued.priority.min(draft.priority), ..queued });
        return;
    }
    view.put(Job {
        id,
        kind: draft.kind.to_string(),
        state: JobState::Queued,
        priority: draft.priority,
        run_at,
        due_at: Some(run_at),
        unique_key: draft.unique_key.clone(),
        attempts: 0,
        epoch: 0,
        payload: draft.payload.clone(),
        progress: None,
        last_error: None,
        cancel_requested: false,
        actor: unit.actor.to_string(),
        request_id: unit.ctx.request_id().map(str::to_owned),
        trace_id: unit.ctx.trace_id().map(str::to_owned),
        created_at: now,
        finished_at: None,
    });
}

/// Gives due jobs to a worker. One that was asked to stop and whose worker vanished is called off instead.
fn take(view: &mut View<'_>, claim: &Claim, now: Timestamp) {
    let mut taken = 0;
    for id in &view.jobs.due {
        if taken >= claim.limit {
            break;
        }
        let Some(job) = view.get(*id) else { continue };
        let due = !job.state.is_finished() && job.due_at.is_some_and(|due| due <= now);
        if !due || !claim.kinds.contains(&job.kind) {
            continue;
        }
        let job = job.clone();
        if job.cancel_requested {
            view.put(finished(job, JobState::Cancelled, now));
            continue;
        }
        let (epoch, attempts) = (job.epoch + 1, job.attempts + 1);
        view.put(Job { state: JobState::Running, due_at: Some(now.plus(claim.lease)), epoch, attempts, ..job });
        taken += 1;
    }
}

/// Queues a job again; when another one with its key is queued, that one does its work.
fn requeue(view: &mut View<'_>, job: Job, at: Timestamp, now: Timestamp) {
    let replaced = job.unique_key.as_ref().is_some_and(|key| view.queued(&job.kind, key, job.id).is_some());
    if replaced || job.cancel_requested {
        return view.put(finished(job, JobState::Cancelled, now));
    }
    view.put(Job { state: JobState::Queued, due_at: Some(at), ..job });
}

fn finished(job: Job, state: JobState, now: Timestamp) -> Job {
    Job { state, due_at: None, finished_at: Some(now), ..job }
}
