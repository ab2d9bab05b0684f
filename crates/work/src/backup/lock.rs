//! Who works on the backups of a bucket: any number make one, or one removes some. A folder belongs to one process anyway.
//!
//! A lock is an object that its holder writes again and again. One that nobody wrote for a while was left by a crash and counts no more, by the
//! bucket's own clock.

use std::collections::HashSet;
use std::time::Duration;

use steward_base::{Clock, Error, ErrorKind, Result, Timestamp};
use steward_fabric::blob::{Blob, Expect, Key, Meta, whole};
use steward_fabric::{Class, Scope};
use steward_store::passed;
use tokio::runtime::Handle;

const LOCKS: Class = Class::new("backup-locks");
/// How long a lock counts that nobody writes any more.
const STALE: Duration = Duration::from_secs(600);
/// How often it is written.
const RENEWED: Duration = Duration::from_secs(120);
/// Who could not write it for so long gives up: from one writing to the next, the answers included, it is then never stale.
const LOST: Duration = Duration::from_secs(290);

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Making,
    Pruning,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Pruning => "pruning",
        }
    }
}

/// A lock that is held; nothing in a folder.
pub(super) struct Lock {
    held: Option<(Blob, Key)>,
    clock: Clock,
}

impl Lock {
    /// Fails with `backup_busy` while others do what does not go together with it.
    pub(super) async fn take(blob: &Blob, clock: &Clock, name: &str, purpose: Purpose) -> Result<Self> {
        if let Blob::Directory(_) = blob {
            return Ok(Self { held: None, clock: clock.clone() });
        }
        let key = Key::new(Scope::Platform, LOCKS, &format!("{name}.{}", purpose.name()))?;
        let lock = Self { held: Some((blob.clone(), key)), clock: clock.clone() };
        // First the own one, then a look at the others: of two that come at once, one sees the other.
        lock.renew().await?;
        match lock.others(purpose).await {
            Ok(()) => Ok(lock),
            Err(error) => {
                lock.release().await;
                Err(error)
            }
        }
    }

    /// Does the work and keeps the lock meanwhile.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            lost = self.keep_up() => Err(lost),
            done = work => done,
        }
    }

    /// Fails with `backup_busy` when somebody took this one for dead.
    pub(super) async fn check(&self) -> Result<()> {
        let Some((blob, key)) = &self.held else { return Ok(()) };
        blob.head(key).await?.map(drop).ok_or_else(lost)
    }

    pub(super) async fn release(mut self) {
        if let Some((blob, key)) = self.held.take() {
            delete(blob, key).await;
        }
    }

    async fn renew(&self) -> Result<()> {
        let Some((blob, key)) = &self.held else { return Ok(()) };
        blob.put(key, whole("held"), Expect::default()).await.map(drop)
    }

    async fn keep_up(&self) -> Error {
        loop {
            tokio::select! {
                biased;
                () = passed(&self.clock, LOST) => {
                    return busy("The bucket did not answer for so long that others may have taken this run for dead: begin again.");
                }
                renewed = self.renew_once() => {
                    if let Err(lost) = renewed {
                        return lost;
                    }
                }
            }
        }
    }

    /// When it is time for it, and as soon as the bucket answers. Fails when the lock is gone.
    async fn renew_once(&self) -> Result<()> {
        loop {
            passed(&self.clock, RENEWED).await;
            let renewed = match self.check().await {
                Ok(()) => self.renew().await,
                Err(lost) if lost.code() == "backup_busy" => return Err(lost),
                Err(error) => Err(error),
            };
            match renewed {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(error.code = error.code(), "the lock of a backup cannot be written; it is tried again"),
            }
        }
    }

    async fn others(&self, purpose: Purpose) -> Result<()> {
        let Some((blob, own)) = &self.held else { return Ok(()) };
        let now = blob.head(own).await?.ok_or_else(|| Error::internal("a lock is gone at once"))?.modified;
        for other in blob.list(Scope::Platform, LOCKS, None, 1_000).await?.objects.iter().filter(|other| other.key != *own) {
            if is_stale(now, other) {
                blob.delete(&other.key).await?;
            } else if purpose == Purpose::Pruning || other.key.name().ends_with(Purpose::Pruning.name()) {
                return Err(busy(
                    "A backup is being made or removed there: try again when that is done. One that crashed counts for ten minutes.",
                ));
            }
        }
        Ok(())
    }

    /// The names of the others that work there and are alive.
    pub(super) async fn living(&self) -> Result<HashSet<String>> {
        let Some((blob, own)) = &self.held else { return Ok(HashSet::new()) };
        let now = blob.head(own).await?.ok_or_else(lost)?.modified;
        let others = blob.list(Scope::Platform, LOCKS, None, 1_000).await?.objects;
        let living = others.iter().filter(|other| other.key != *own && !is_stale(now, other));
        Ok(living.filter_map(|other| Some(other.key.name().rsplit_once('.')?.0.to_owned())).collect())
    }
}

fn is_stale(now: Timestamp, lock: &Meta) -> bool {
    now.since(lock.modified) >= STALE
}

/// A job that is called off is dropped wherever it stands.
impl Drop for Lock {
    fn drop(&mut self) {
        if let (Some((blob, key)), Ok(runtime)) = (self.held.take(), Handle::try_current()) {
            runtime.spawn(delete(blob, key));
        }
    }
}

async fn delete(blob: Blob, key: Key) {
    if let Err(error) = blob.delete(&key).await {
        tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "the lock of a backup stays until it is stale");
    }
}

fn lost() -> Error {
    busy("This took so long to answer that another run took its place: begin again.")
}

fn busy(detail: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, "backup_busy", detail)
}
