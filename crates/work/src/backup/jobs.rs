//! The jobs that make and read backups: the operator's, since they act on every tenant.

use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};
use steward_base::{Error, ErrorKind, Id, Prefix, RecordId, Result};
use steward_fabric::blob::Blob;
use steward_store::{EventDraft, Expect, Model as _, Priority, UnitOfWork};
use tokio::sync::watch;

use super::create::create_telling;
use super::inventory::is_spoilt;
use super::prune::{Pruning, prune};
use super::verify::verify_telling;
use super::{Backup, Backups, Keep, Manifest, PREFIX, Progress, names, read};
use crate::job::{Failure, JobHandler, Policy, Running};

/// A large installation takes its time.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// How often a job says how far it is.
const SAID: Duration = Duration::from_secs(1);
/// Backups that are told of by one commit.
const AT_ONCE: usize = 200;
/// Whoever may do this may put it on a schedule.
pub(super) const PERMISSION: &str = "platform:execute";

/// Of the names of backups.
#[derive(Debug)]
pub(crate) enum OfBackup {}

impl Prefix for OfBackup {
    const PREFIX: &'static str = PREFIX;
}

/// Makes a backup of the whole installation, and removes the ones that are not kept.
pub(crate) struct BackUp(pub(crate) Backups);

/// Which backups stay when there is a new one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// All of them unless said.
    #[serde(default, deserialize_with = "something")]
    keep: Option<Keep>,
}

fn something<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Keep>, D::Error> {
    let keep = Option::<Keep>::deserialize(deserializer)?;
    if keep.is_some_and(|keep| keep.is_nothing()) { Err(de::Error::custom("keep says of no backup that it stays")) } else { Ok(keep) }
}

impl JobHandler for BackUp {
    const KIND: &'static str = "back_up";
    const SCHEDULED_WITH: Option<&'static str> = Some(PERMISSION);
    type Payload = Wanted;

    async fn run(&self, job: Running, wanted: Wanted) -> Result<UnitOfWork, Failure> {
        if job.job().attempts == 1 && job.job().progress.is_some() {
            // It was queued again by somebody who wants a new one.
            job.commit(UnitOfWork::new(), Some(json!({}))).await?;
        }
        let blob = self.0.0.place.open().await.map_err(fate)?;
        let mut said = match made_before(&job) {
            Some(said) => said,
            None => self.make(&job, &blob).await.map_err(fate)?,
        };
        self.0.look().await.map_err(fate)?;
        if let Some(keep) = wanted.keep {
            said["removed"] = self.remove(&job, &blob, &keep).await.map_err(fate)?.into();
            job.commit(UnitOfWork::new(), Some(said)).await?;
        }
        Ok(UnitOfWork::new())
    }

    fn policy(&self) -> Policy {
        patient()
    }
}

impl BackUp {
    /// What is said of the new one.
    async fn make(&self, job: &Running, blob: &Blob) -> Result<Value> {
        let subjects = self.0.everything().await?;
        let (telling, told) = watch::channel(Progress::default());
        let made = telling_of(job, told, Box::pin(create_telling(self.0.installation(), blob, subjects, &telling))).await?;
        let (tenants, bytes) = (made.tenants.len(), made.length());
        let about = json!({ "tenants": tenants, "bytes": bytes, "began_at": made.began_at, "requested_by": job.job().actor });
        let unit = UnitOfWork::new().put_model(id(&made.name)?, &Backup::default(), Expect::Any);
        let unit = unit.event(EventDraft::new("backup.made", id(&made.name)?, about));
        let said = json!({ "backup": made.name, "tenants": tenants, "of": tenants, "bytes": bytes });
        job.commit(unit, Some(said.clone())).await?;
        Ok(said)
    }

    /// How many went.
    async fn remove(&self, job: &Running, blob: &Blob, keep: &Keep) -> Result<usize> {
        let store = &self.0.0.store;
        let pruned = Box::pin(prune(blob, keep, Pruning::Real, (store.clock(), store.random()))).await?;
        let gone: Vec<RecordId> = pruned.gone().filter_map(|name| RecordId::parse(PREFIX, name)).collect();
        for some in gone.chunks(AT_ONCE) {
            let mut unit = UnitOfWork::new();
            for id in some {
                if store.get(job.ctx(), Backup::KIND, *id).await?.is_some() {
                    unit = unit.delete(Backup::KIND, *id, Expect::Any);
                }
                unit = unit.event(EventDraft::new("backup.removed", *id, json!({ "requested_by": job.job().actor })));
            }
            job.commit(unit, None).await?;
        }
        Ok(gone.len())
    }
}

/// What an earlier attempt of this job said of what it made, when only what comes after it failed.
fn made_before(job: &Running) -> Option<Value> {
    let job = job.job();
    job.progress.clone().filter(|said| job.attempts > 1 && said.get("backup").is_some())
}

/// Reads a backup to its end.
pub(crate) struct VerifyBackup(pub(crate) Backups);

/// Which one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The latest unless said.
    #[serde(default)]
    backup: Option<Id<OfBackup>>,
}

impl JobHandler for VerifyBackup {
    const KIND: &'static str = "verify_backup";
    const SCHEDULED_WITH: Option<&'static str> = Some(PERMISSION);
    type Payload = Named;

    async fn run(&self, job: Running, named: Named) -> Result<UnitOfWork, Failure> {
        let blob = self.0.0.place.open_to_read().await.map_err(fate)?;
        let name = match named.backup {
            Some(id) => Some(id.to_string()),
            None => names(&blob).await?.pop(),
        };
        let read = async {
            let manifest = read(&blob, name.as_deref()).await?;
            self.read(&job, &blob, &manifest).await
        };
        match (read.await, name) {
            (Ok(()), _) => Ok(UnitOfWork::new()),
            (Err(error), Some(name)) if is_spoilt(error.code()) && names(&blob).await?.contains(&name) => {
                let known = self.0.known(job.ctx(), id(&name)?).await?;
                let found = Backup { problem: Some(error.code().to_owned()), ..known };
                let about = json!({ "code": error.code(), "detail": error.detail(), "requested_by": job.job().actor });
                job.commit(verdict(id(&name)?, &found, "backup.found_damaged", about), None).await?;
                self.0.look().await?;
                Err(Failure::Never(error))
            }
            (Err(error), _) => Err(fate(error)),
        }
    }

    fn policy(&self) -> Policy {
        patient()
    }
}

impl VerifyBackup {
    async fn read(&self, job: &Running, blob: &Blob, manifest: &Manifest) -> Result<()> {
        let (telling, told) = watch::channel(Progress::default());
        let read = telling_of(job, told, Box::pin(verify_telling(blob, manifest, &telling))).await?;
        let found = Backup { verified_at: Some(self.0.0.store.clock().now()), problem: None };
        let said = json!({ "tenants": read.tenants, "of": read.tenants, "parts": read.parts, "objects": read.objects,
            "segments": read.segments, "events": read.events, "bytes": read.bytes });
        let mut about = said.clone();
        about["requested_by"] = json!(job.job().actor);
        let mut progress = said;
        progress["backup"] = json!(manifest.name);
        job.commit(verdict(id(&manifest.name)?, &found, "backup.verified", about), Some(progress)).await?;
        self.0.look().await
    }
}

fn verdict(id: RecordId, found: &Backup, event_type: &'static str, about: Value) -> UnitOfWork {
    UnitOfWork::new().put_model(id, found, Expect::Any).event(EventDraft::new(event_type, id, about))
}

/// Does the work, and says meanwhile how far it is.
async fn telling_of<T>(job: &Running, mut told: watch::Receiver<Progress>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Ok(()) = told.changed() => {}
        }
        let progress = serde_json::to_value(*told.borrow_and_update()).map_err(Error::internal)?;
        match job.commit(UnitOfWork::new(), Some(progress)).await {
            Err(error) if error.code() == "lease_lost" => return Err(error),
            // It goes on all the same, and says so when it can.
            Err(error) => tracing::debug!(error.code = error.code(), "how far a backup is cannot be stored now"),
            Ok(()) => {}
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(SAID) => {}
        }
    }
}

/// Whether another attempt may come to something. A dump is cut when the place took too long.
fn fate(error: Error) -> Failure {
    let later = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Conflict);
    if error.code() == "dump_cut" || later && error.code() != "backup_place_missing" {
        Failure::Again(error)
    } else {
        Failure::Never(error)
    }
}

/// Whatever crashed where backups are holds others up for ten minutes.
fn patient() -> Policy {
    let (first_wait, longest_wait) = (Duration::from_secs(60), Duration::from_secs(900));
    Policy { attempts: 6, first_wait, longest_wait, longest_run: LONGEST, places: Priority::Bulk }
}

fn id(name: &str) -> Result<RecordId> {
    RecordId::parse(PREFIX, name).ok_or_else(|| Error::internal(format!("{name} is no name of a backup")))
}
