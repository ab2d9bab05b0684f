//! Schedules: jobs that are queued by the clock, in a time zone.
//!
//! A schedule waits as one job `tick` at its next time. The tick, what it queues and the next tick are one commit, so that no time is missed
//! or taken twice, whoever crashed. A tick relies on the schedule as it read it: one that was changed meanwhile makes it start over.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use steward_base::{Ctx, Error, Event, Id, Permission, Prefix, RecordId, Timestamp};
use steward_store::{JobDraft, Model, Record, Store, UnitOfWork};
use steward_web::{Change, Operation, Resource, resource};

use crate::backup::BackUp;
use crate::consume::{Consumer, Handling};
use crate::cron::When;
use crate::job::{Failure, JobHandler, Policy, Running};

/// What is later than this was missed.
const ON_TIME: Duration = Duration::from_secs(60);
/// Most jobs that are made up for at once.
const MADE_UP: usize = 100;

/// Queues a job whenever it is due.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// As people call it.
    #[schemars(length(min = 1, max = 120), extend("indexed" = true, "unique" = true, "searchable" = true))]
    pub name: String,
    /// Minute, hour, day of month, month and day of week, as in `30 2 * * 1-5`.
    #[schemars(length(min = 9, max = 200))]
    pub cron: String,
    /// The IANA zone whose clock is meant.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 60))]
    pub time_zone: String,
    /// The kind of job.
    #[schemars(length(min = 1, max = 100), extend("indexed" = true))]
    pub job: String,
    /// What the job is told.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// What becomes of times at which nobody was there.
    #[serde(default)]
    pub misfire: Misfire,
    /// Whether it queues anything.
    #[serde(default = "yes")]
    #[schemars(extend("indexed" = true))]
    pub enabled: bool,
    /// When `cron`, `time_zone` or `enabled` was last said: no time before it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("readOnly" = true))]
    pub holds_since: Option<Timestamp>,
}

/// What becomes of times that were missed by more than a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// One job for all of them.
    #[default]
    Once,
    /// One job for each, up to 100.
    All,
}

impl Model for Schedule {
    const KIND: &'static str = "schedule";
    const PREFIX: &'static str = "sch";
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

impl Schedule {
    /// The times for which jobs are queued when it is looked at now.
    fn due(&self, when: &When, after: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let mut due = when.between(after, now, MADE_UP);
        let in_time = now.minus(ON_TIME);
        match self.misfire {
            Misfire::All => {}
            Misfire::Once => due = due.split_off(due.len().saturating_sub(1)),
            Misfire::Skip => due.retain(|time| *time >= in_time),
        }
        due
    }
}

/// Of the ids of schedules.
#[derive(Debug)]
enum OfSchedule {}

impl Prefix for OfSchedule {
    const PREFIX: &'static str = Schedule::PREFIX;
}

/// The payload of a tick.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Due {
    schedule: Id<OfSchedule>,
    /// Times up to this one are dealt with.
    after: Timestamp,
}

/// Which kinds of jobs may be scheduled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedulable(pub(crate) HashMap<&'static str, Offer>);

/// What it takes to schedule one.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) permission: Permission,
    /// What is wrong with a payload.
    pub(crate) check: fn(Value) -> Result<(), String>,
}

impl Schedulable {
    fn check(&self, ctx: &Ctx, schedule: &Schedule) -> Result<(), Error> {
        let Some(offer) = self.0.get(schedule.job.as_str()) else {
            let mut known: Vec<&str> = self.0.keys().copied().collect();
            known.sort_unstable();
            let detail = format!(
                "No job of this kind can be scheduled. Known: {}.",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            );
            return Err(refused().with_field("/job", "job_unknown", detail));
        };
        if steward_auth::require(ctx, &offer.permission)?.is_some() {
            return Err(steward_web::scope::not_supported());
        }
        (offer.check)(Value::Object(schedule.payload.clone())).map_err(|why| {
            let detail = format!("The job {} cannot read this: {why}.", schedule.job);
            refused().with_field("/payload", "payload_invalid", detail)
        })
    }
}

fn refused() -> Error {
    Error::invalid("The schedule is not valid; see errors.")
}

/// Deals with the times of one schedule.
pub(crate) struct Tick;

impl JobHandler for Tick {
    const KIND: &'static str = "tick";
    type Payload = Due;

    async fn run(&self, job: Running, payload: Due) -> Result<UnitOfWork, Failure> {
        let store = job.store.clone();
        let Some(record) = store.get(job.ctx(), Schedule::KIND, payload.schedule.record()).await? else { return Ok(UnitOfWork::new()) };
        let schedule: Schedule = record.decode()?;
        if !schedule.enabled {
            return Ok(UnitOfWork::new());
        }
        let when = When::parse(&schedule.cron, &schedule.time_zone).map_err(Failure::Never)?;
        let now = store.clock().now();
        let due = schedule.due(&when, payload.after.max(schedule.held_since(&record)), now);
        let unit = UnitOfWork::new().guard(Schedule::KIND, record.id, record.version);
        let unit = due.into_iter().fold(unit, |unit, time| unit.enqueue(store.mint_id(), schedule.job(&record, time)));
        Ok(queue(&store, unit, record.id, &when, now))
    }

    /// It is never given up: the schedule would rest without a word.
    fn policy(&self) -> Policy {
        Policy { attempts: i32::MAX, longest_wait: Duration::from_secs(300), ..Policy::default() }
    }
}

impl Schedule {
    /// What it says holds from when it was said; of one that was stored without that, from its last change.
    fn held_since(&self, record: &Record) -> Timestamp {
        self.holds_since.unwrap_or(record.updated_at)
    }

    /// Whether it is due at the same times.
    fn same_times(&self, other: &Self) -> bool {
        (&self.cron, &self.time_zone, self.enabled) == (&other.cron, &other.time_zone, other.enabled)
    }

    /// While one is queued there is no second one, unless each time counts. Of backups one is made at a time, whoever asked for it.
    fn job(&self, record: &Record, time: Timestamp) -> JobDraft {
        let key = match (self.job.as_str(), self.misfire) {
            (BackUp::KIND, _) => BackUp::KIND.to_owned(),
            (_, Misfire::All) => format!("{}@{time}", record.id.wire(Self::PREFIX)),
            (_, Misfire::Once | Misfire::Skip) => record.id.wire(Self::PREFIX),
        };
        JobDraft::new(self.job.clone(), Value::Object(self.payload.clone())).unique(key)
    }
}

/// Queues the tick at the next time after `now`, if there is one.
fn queue(store: &Store, unit: UnitOfWork, schedule: RecordId, when: &When, now: Timestamp) -> UnitOfWork {
    let Some(next) = when.after(now) else { return unit };
    let due = Due { schedule: schedule.into(), after: now };
    unit.enqueue(store.mint_id(), JobDraft::new(Tick::KIND, json!(due)).at(next).unique(schedule.wire(Schedule::PREFIX)))
}

/// The standard operations of schedules.
pub(crate) fn operations(store: &Store, schedulable: &Schedulable) -> Vec<Operation> {
    let hook = || {
        let (schedulable, clock) = (Arc::new(schedulable.clone()), store.clock().clone());
        move |ctx: Ctx, change: Change| std::future::ready(check(&schedulable, &ctx, change, clock.now()))
    };
    let payload = json!({ "older_than_days": 7 });
    let example =
        json!({ "name": "Bin", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": "empty_recycle_bin", "payload": payload });
    let schedules = Resource::<Schedule>::new("schedules").example(example);
    // What was deleted comes back as a new one: its maker must be allowed to start the job.
    resource(store, schedules.without_restore().on_create(hook()).on_update(hook()))
}

fn check(schedulable: &Schedulable, ctx: &Ctx, mut change: Change, now: Timestamp) -> Result<Change, Error> {
    let schedule: Schedule = serde_json::from_value(Value::Object(change.body.clone())).map_err(Error::internal)?;
    schedulable.check(ctx, &schedule)?;
    When::parse(&schedule.cron, &schedule.time_zone)?;
    let before = change.before.as_ref().map(|record| Ok::<_, Error>((record, record.decode::<Schedule>()?))).transpose()?;
    let since = match before {
        Some((record, before)) if before.same_times(&schedule) => before.held_since(record),
        _ => now,
    };
    change.body.insert("holds_since".to_owned(), json!(since));
    Ok(change)
}

/// Whether an event changes when a schedule is due. Of any other the tick that waits or runs needs to know nothing.
fn says_when(event: &Event) -> bool {
    let said = |after: &Value| ["cron", "time_zone", "enabled", "holds_since"].iter().any(|name| after.get(name).is_some());
    event.event_type != "schedule.updated" || event.data.get("after").is_none_or(said)
}

/// Queues the first tick of a schedule, however it came to be: created, changed, restored or imported.
pub(crate) struct Ticking;

impl Consumer for Ticking {
    const NAME: &'static str = "schedules";
    const WANTS: &'static [&'static str] = &["schedule.*"];

    async fn handle(&self, at: Handling, events: Vec<Event>) -> Result<UnitOfWork, Failure> {
        let mut unit = UnitOfWork::new();
        let subjects: BTreeSet<RecordId> = events.iter().filter(|event| says_when(event)).filter_map(Event::subject_record).collect();
        for id in subjects {
            let Some(record) = at.store.get(&at.ctx, Schedule::KIND, id).await? else { continue };
            let schedule: Schedule = record.decode()?;
            if schedule.enabled {
                let when = When::parse(&schedule.cron, &schedule.time_zone).map_err(Failure::Never)?;
                // From when it was said: it may be due already.
                unit = queue(&at.store, unit, id, &when, schedule.held_since(&record));
            }
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(misfire: Misfire, after: &str, now: &str) -> usize {
        let body = json!({ "name": "x", "cron": "0 * * * *", "job": "x", "misfire": misfire });
        let schedule: Schedule = serde_json::from_value(body).expect("is one");
        let when = When::parse(&schedule.cron, &schedule.time_zone).expect("is valid");
        schedule.due(&when, after.parse().expect("a time"), now.parse().expect("a time")).len()
    }

    #[test]
    fn missed_times_are_dealt_with_as_the_schedule_says() {
        let (after, in_time, late) = ("2026-01-01T00:30:00Z", "2026-01-01T05:00:03Z", "2026-01-01T05:20:00Z");
        let all = [Misfire::Skip, Misfire::Once, Misfire::All];
        assert_eq!(all.map(|misfire| due(misfire, after, in_time)), [1, 1, 5]);
        assert_eq!(all.map(|misfire| due(misfire, after, late)), [0, 1, 5]);
        assert_eq!(all.map(|misfire| due(misfire, late, "2026-01-01T05:21:00Z")), [0, 0, 0]);
        assert_eq!(due(Misfire::All, "2020-01-01T00:00:00Z", late), MADE_UP);
    }
}
