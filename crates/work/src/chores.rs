//! Jobs that a tenant's people put on a schedule: emptying the recycle bin, a new key for secrets, looking whether the event chain holds.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use steward_base::{Error, ErrorKind};
use steward_store::{Among, ListQuery, Priority, UnitOfWork};

use crate::job::{Failure, JobHandler, Policy, Running};

/// What is deleted stays for so long anyway.
const LONGEST_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// Records erased by one commit.
const AT_ONCE: usize = 200;
/// A large tenant takes its time.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Erases what has been in the recycle bin for some days, sooner than it goes by itself.
pub(crate) struct EmptyRecycleBin;

/// How long it may have been there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bin {
    /// Whole days, up to 30.
    older_than_days: Days,
}

/// A number of days.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
struct Days(u32);

impl TryFrom<u32> for Days {
    type Error = String;

    fn try_from(days: u32) -> Result<Self, String> {
        if days <= LONGEST_DAYS { Ok(Self(days)) } else { Err(format!("older_than_days is at most {LONGEST_DAYS}")) }
    }
}

/// What a job takes that needs to be told nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl JobHandler for EmptyRecycleBin {
    const KIND: &'static str = "empty_recycle_bin";
    const SCHEDULED_WITH: Option<&'static str> = Some("recycle-bin:delete");
    type Payload = Bin;

    async fn run(&self, job: Running, bin: Bin) -> Result<UnitOfWork, Failure> {
        let before = job.store.clock().now().minus(DAY * bin.older_than_days.0);
        let kinds: Vec<String> = job.store.kinds().iter().map(|kind| kind.name().to_owned()).collect();
        let mut erased = 0;
        for kind in kinds {
            let mut query = ListQuery { kind: kind.clone(), among: Among::Deleted, limit: AT_ONCE, ..ListQuery::default() };
            loop {
                let page = job.store.list(job.ctx(), query.clone()).await?;
                let old = page.records.iter().filter(|record| record.deleted_at.is_some_and(|at| at <= before));
                let (mut unit, mut many) = (UnitOfWork::new(), 0);
                for record in old {
                    unit = unit.purge(kind.clone(), record.id, record.version);
                    many += 1;
                }
                if many > 0 {
                    erased += many;
                    job.commit(unit, Some(json!({ "erased": erased }))).await?;
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(UnitOfWork::new())
    }

    fn policy(&self) -> Policy {
        Policy { longest_run: LONGEST, places: Priority::Bulk, ..Policy::default() }
    }
}

/// Gives the tenant a new key for its secrets and seals them anew.
pub(crate) struct RotateDataKey;

impl JobHandler for RotateDataKey {
    const KIND: &'static str = "rotate_data_key";
    const SCHEDULED_WITH: Option<&'static str> = Some("data-keys:execute");
    type Payload = Nothing;

    async fn run(&self, job: Running, _: Nothing) -> Result<UnitOfWork, Failure> {
        let done = job.store.rotate_data_key(job.ctx()).await?;
        if done.left.is_empty() {
            job.commit(UnitOfWork::new(), Some(json!({ "records": done.records }))).await?;
            return Ok(UnitOfWork::new());
        }
        let detail = format!("{} records hold secrets that do not open and stay as they are: see the log.", done.left.len());
        Err(Failure::Never(Error::new(ErrorKind::Conflict, "secrets_closed", detail)))
    }

    fn policy(&self) -> Policy {
        Policy { longest_run: LONGEST, places: Priority::Bulk, ..Policy::default() }
    }
}

/// Checks that every event of the tenant follows from the one before: where one does not, the job dies and says which.
pub(crate) struct VerifyEvents;

impl JobHandler for VerifyEvents {
    const KIND: &'static str = "verify_events";
    const SCHEDULED_WITH: Option<&'static str> = Some("audit:execute");
    type Payload = Nothing;

    async fn run(&self, job: Running, _: Nothing) -> Result<UnitOfWork, Failure> {
        match job.store.verify_chain(job.ctx()).await {
            Ok(position) => {
                job.commit(UnitOfWork::new(), Some(json!({ "events": position }))).await?;
                Ok(UnitOfWork::new())
            }
            Err(error) if error.code() == "chain_broken" => Err(Failure::Never(error)),
            Err(error) => Err(Failure::Again(error)),
        }
    }

    fn policy(&self) -> Policy {
        Policy { longest_run: LONGEST, places: Priority::Bulk, ..Policy::default() }
    }
}
