//! Who works on the backups of a bucket: any number make one, or one removes some. A folder belongs to one process anyway.
//!
//! A lock is an object that its holder writes again and again. One that nobody wrote for a while was left by a crash and counts no more, by the
//! bucket's own clock.

use std::time::Duration;

use steward_base::{Error, ErrorKind, Result};
use steward_fabric::blob::{Blob, Expect, Key, whole};
use steward_fabric::{Class, Scope};

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
pub(super) struct Lock(Option<(Blob, Key)>);

impl Lock {
    /// Fails with `backup_busy` while others do what does not go together with it.
    pub(super) async fn take(blob: &Blob, name: &str, purpose: Purpose) -> Result<Self> {
        if let Blob::Directory(_) = blob {
            return Ok(Self(None));
        }
        let key = Key::new(Scope::Platform, LOCKS, &format!("{name}.{}", purpose.name()))?;
        let lock = Self(Some((blob.clone(), key)));
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
        let Some((blob, key)) = &self.0 else { return Ok(()) };
        blob.head(key).await?.map(drop).ok_or_else(|| busy("This took so long to answer that another run took its place: begin again."))
    }

    pub(super) async fn release(self) {
        let Some((blob, key)) = &self.0 else { return };
        if let Err(error) = blob.delete(key).await {
            tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "the lock of a backup stays until it is stale");
        }
    }

    async fn renew(&self) -> Result<()> {
        let Some((blob, key)) = &self.0 else { return Ok(()) };
        blob.put(key, whole("held"), Expect::default()).await.map(drop)
    }

    async fn keep_up(&self) -> Error {
        loop {
            match tokio::time::timeout(LOST, self.renew_once()).await {
                Ok(Ok(())) => {}
                Ok(Err(lost)) => return lost,
                Err(_) => return busy("The bucket did not answer for so long that others may have taken this run for dead: begin again."),
            }
        }
    }

    /// When it is time for it, and as soon as the bucket answers. Fails when the lock is gone.
    async fn renew_once(&self) -> Result<()> {
        loop {
            tokio::time::sleep(RENEWED).await;
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
        let Some((blob, own)) = &self.0 else { return Ok(()) };
        let now = blob.head(own).await?.ok_or_else(|| Error::internal("a lock is gone at once"))?.modified;
        for other in blob.list(Scope::Platform, LOCKS, None, 1_000).await?.objects.iter().filter(|other| other.key != *own) {
            if now.since(other.modified) >= STALE {
                blob.delete(&other.key).await?;
            } else if purpose == Purpose::Pruning || other.key.name().ends_with(Purpose::Pruning.name()) {
                return Err(busy(
                    "A backup is being made or removed there: try again when that is done. One that crashed counts for ten minutes.",
                ));
            }
        }
        Ok(())
    }
}

fn busy(detail: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, "backup_busy", detail)
}
