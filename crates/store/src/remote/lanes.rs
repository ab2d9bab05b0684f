//! A commit happens once, though its answer may be lost on the way.
//!
//! A process commits on lanes: one commit at a time on each, with rising numbers. The number is kept in the commit itself, in the inbox of the
//! tenant, so that the commit under the same number is refused ever after and knows that it happened, whoever died in between. The data role keeps the
//! last outcome of each lane for whoever asks again. Of a run that is gone the outcome is made again from what the commit left: the records and
//! jobs that it names, as they are now.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Ctx, Error, Random, RecordId, base32};

use super::client::{Link, Trouble};
use super::wire::{Outcome, Who};
use crate::job::{Job, JobChange, JobDraft, JobQuery, JobState};
use crate::query::MAX_LIMIT;
use crate::store::Store;
use crate::tally::{ALREADY_COMMITTED, Lane, Tally};
use crate::unit::{Committed, UnitOfWork};

pub(super) const METHOD: &str = "commit";
/// How long the answer of one try may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an outcome is asked for once nobody answers: the data role takes three seconds to come back from its worst crash.
const INSISTENCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Outcomes above this are made again instead of being kept.
const KEPT: usize = 256 * 1024;
/// Beyond so many lanes those that nobody used for some minutes are forgotten.
const MANY_LANES: usize = 4_096;
const FORGOTTEN: i64 = 600 * 1_000_000;

/// A commit on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Commit {
    who: Who,
    unit: UnitOfWork,
    lane: Lane,
}

/// The lanes of this process.
pub(super) struct Lanes {
    process: String,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    /// Number of the lane and of its last commit; the one used last is used next, so that there are no more than are needed.
    lanes: Vec<(usize, i64)>,
    made: usize,
}

/// A lane for one commit.
struct Taken<'a> {
    lanes: &'a Lanes,
    at: usize,
    number: i64,
}

impl Lanes {
    pub(super) fn new(random: &Random) -> Self {
        Self { process: base32::encode(&random.bytes::<16>()), free: Mutex::default() }
    }

    fn take(&self, clock: &Clock) -> Taken<'_> {
        let mut free = self.free.lock();
        let (at, last) = free.lanes.pop().unwrap_or_else(|| {
            free.made += 1;
            (free.made, 0)
        });
        Taken { lanes: self, at, number: clock.now().micros().max(last + 1) }
    }
}

impl Taken<'_> {
    fn lane(&self) -> Lane {
        Lane { name: format!("{}.{}", self.lanes.process, self.at), number: self.number }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.lanes.free.lock().lanes.push((self.at, self.number));
    }
}

/// Commits in the data role and insists on an answer: `data_unreachable` says that nothing happened, `outcome_unknown` that nobody knows.
pub(super) async fn commit(link: &Link, ctx: &Ctx, mut unit: UnitOfWork) -> Result<Committed, Error> {
    if let Some(problem) = unit.problem.take() {
        return Err(problem);
    }
    let clock = &link.surroundings.clock;
    let taken = link.lanes.take(clock);
    let commit = Commit { who: Who::of(ctx), unit, lane: taken.lane() };
    let body = Bytes::from(serde_json::to_vec(&commit).map_err(Error::internal)?);
    drop(commit);
    let (mut sent, mut pause, mut until) = (false, FIRST_PAUSE, None::<Duration>);
    loop {
        let trouble = match link.once_in_this_run(METHOD, body.clone(), PATIENCE).await {
            Ok(answer) => return super::calls::read::<Outcome>(&answer)?.restore(&link.surroundings.kinds),
            Err(trouble) => trouble,
        };
        let now = clock.monotonic();
        match trouble {
            Trouble::Refused(error) => return Err(error),
            Trouble::Away(error) if !sent => return Err(error),
            // It was not looked at, this time.
            Trouble::Away(_) | Trouble::Restarted => {}
            Trouble::Lost(_) => sent = true,
        }
        if *until.get_or_insert(now + INSISTENCE) <= now || link.is_closing() {
            return Err(outcome_unknown());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn outcome_unknown() -> Error {
    let detail = "The data role went away while this was being written: look whether it happened before trying again.";
    Error::new(steward_base::ErrorKind::Unavailable, "outcome_unknown", detail).with_retry_after(Duration::from_secs(5))
}

/// The lanes of all processes that ask.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Last>>>>);

/// The last commit of a lane.
#[derive(Default)]
struct Last {
    number: i64,
    outcome: Option<Bytes>,
}

impl Outcomes {
    fn lane(&self, name: &str, now: i64) -> Arc<tokio::sync::Mutex<Last>> {
        let mut lanes = self.0.lock();
        if lanes.len() >= MANY_LANES && !lanes.contains_key(name) {
            lanes.retain(|_, last| last.try_lock().is_ok_and(|last| last.number + FORGOTTEN > now) || Arc::strong_count(last) > 1);
        }
        lanes.entry(name.to_owned()).or_default().clone()
    }
}

/// Commits, or answers what the same commit was answered before.
pub(super) async fn answer(store: Arc<Store>, outcomes: Arc<Outcomes>, body: Bytes) -> Result<Bytes, Error> {
    let commit: Commit = super::calls::read(&body)?;
    drop(body);
    // A task of its own: when whoever asked hangs up, the outcome is kept all the same.
    let task = tokio::spawn(async move {
        let lane = outcomes.lane(&commit.lane.name, store.clock().now().micros());
        // One at a time: whoever asks again waits for the first.
        let mut last = lane.lock().await;
        if last.number == commit.lane.number
            && let Some(outcome) = &last.outcome
        {
            return Ok(outcome.clone());
        }
        let number = commit.lane.number;
        let committed = Box::pin(make(&store, commit)).await?;
        let outcome = Bytes::from(serde_json::to_vec(&Outcome::of(store.kinds(), committed)).map_err(Error::internal)?);
        *last = Last { number, outcome: (outcome.len() <= KEPT).then(|| outcome.clone()) };
        Ok(outcome)
    });
    task.await.map_err(Error::internal)?
}

async fn make(store: &Store, commit: Commit) -> Result<Committed, Error> {
    let Commit { who, mut unit, lane } = commit;
    let (ctx, traces) = (who.restore(), Traces::of(&unit));
    // Before everything else in the unit: what it did stands in the way of doing it again.
    unit.tallies.insert(0, Tally::Lane(lane));
    match store.commit(&ctx, unit).await {
        Err(error) if error.code() == ALREADY_COMMITTED => traces.follow(store, &ctx).await,
        done => done,
    }
}

/// What a unit of work leaves behind to find its outcome by.
struct Traces {
    records: Vec<(Cow<'static, str>, RecordId)>,
    /// The draft where it may have been merged into another job.
    jobs: Vec<(RecordId, Option<JobDraft>)>,
}

impl Traces {
    fn of(unit: &UnitOfWork) -> Self {
        let job = |change: &JobChange| {
            let draft = match change {
                JobChange::Enqueue(_, draft) if draft.unique_key.is_some() => Some(draft.clone()),
                _ => None,
            };
            Some((change.subject()?, draft))
        };
        Self {
            records: unit.writes.iter().map(|write| (write.kind.clone(), write.id)).collect(),
            jobs: unit.jobs.iter().filter_map(job).collect(),
        }
    }

    async fn follow(self, store: &Store, ctx: &Ctx) -> Result<Committed, Error> {
        let (mut records, mut jobs) = (Vec::new(), Vec::new());
        for (kind, id) in self.records {
            records.extend(store.get_with_deleted(ctx, &kind, id).await?);
        }
        for (id, draft) in self.jobs {
            let found = match (store.job(ctx, id).await?, draft) {
                (None, Some(draft)) => merged(store, ctx, &draft).await?,
                (found, _) => found,
            };
            jobs.extend(found);
        }
        Ok(Committed { records, jobs, position: store.head(ctx).await? })
    }
}

/// The job that was queued under the same key before, or is by now at work.
async fn merged(store: &Store, ctx: &Ctx, draft: &JobDraft) -> Result<Option<Job>, Error> {
    for state in [JobState::Queued, JobState::Running] {
        let query = JobQuery { state: Some(state), kind: Some(draft.kind.to_string()), limit: MAX_LIMIT, ..JobQuery::default() };
        if let Some(job) = store.jobs(ctx, query).await?.into_iter().find(|job| job.unique_key == draft.unique_key) {
            return Ok(Some(job));
        }
    }
    Ok(None)
}
