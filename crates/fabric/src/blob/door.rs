//! The one way to the objects: what it may take, the breaker before a bucket, and what failures mean.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};
use steward_base::{Error, ErrorKind, Result};
use tokio::time::error::Elapsed;

use crate::breaker::{Breaker, Rest};

/// An object store and how it is approached.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) store: Arc<dyn ObjectStore>,
    /// None before a folder.
    pub(super) guard: Option<Guard>,
}

/// What stands before a bucket.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) breaker: Breaker,
    /// How long one step may take, tries included.
    pub(super) longest: Duration,
}

impl Door {
    /// Takes one step; that a thing is not there is an answer like any other.
    pub(super) async fn step<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>> {
        let Some(Guard { breaker, longest }) = &self.guard else {
            return found(step.await).map_err(|error| failure(error, Place::Folder));
        };
        let bounded = async { tokio::time::timeout(*longest, step).await.map(found) };
        let outcome = breaker.run(bounded, is_outage).await.map_err(|Rest(rest)| resting(rest))?;
        match outcome {
            Ok(answer) => answer.map_err(|error| failure(error, Place::Bucket)),
            Err(_) => Err(unavailable(Place::Bucket).with_source("the bucket did not answer in time")),
        }
    }

    /// A thousand at a time, since that is one request to a bucket and so one step.
    pub(super) async fn delete_all(&self, paths: Vec<Path>) -> Result<()> {
        for some in paths.chunks(1_000) {
            let some: Vec<Result<Path, StoreError>> = some.iter().cloned().map(Ok).collect();
            let mut stream = self.store.delete_stream(futures_util::stream::iter(some).boxed());
            let all = async {
                while let Some(deleted) = stream.next().await {
                    match deleted {
                        Ok(_) | Err(StoreError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            };
            self.step(all).await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, path: Path) -> Result<()> {
        let mut stream = self.store.delete_stream(futures_util::stream::iter([Ok(path)]).boxed());
        self.step(async move { stream.next().await.transpose() }).await.map(drop)
    }
}

/// Whether the bucket's server is to blame. One that refuses our key answers well, and its reason should stay visible.
fn is_outage<T>(outcome: &Result<Result<Option<T>, StoreError>, Elapsed>) -> bool {
    match outcome {
        Ok(Ok(_) | Err(StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })) => false,
        Ok(Err(_)) | Err(_) => true,
    }
}

fn found<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where objects are, as the words of an error need to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Folder,
    Bucket,
}

pub(super) fn failure(error: StoreError, place: Place) -> Error {
    if matches!(place, Place::Folder) {
        return match io_kind(&error) {
            Some(kind) => disk(kind).with_source(error),
            None => unavailable(place).with_source(error),
        };
    }
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            let detail = "The bucket refuses our key: mend the credentials of the object store, or what they may do.";
            Error::new(ErrorKind::Unavailable, "blob_credentials", detail).with_retry_after(Duration::from_secs(5)).with_source(error)
        }
        error => unavailable(place).with_source(error),
    }
}

/// What the operating system said about the folder.
pub(super) fn disk(kind: io::ErrorKind) -> Error {
    let (code, detail) = match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("blob_full", "The disk of the object store is full: free some space and it goes on by itself.")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            ("blob_read_only", "The folder of the object store cannot be written: mend its rights or its mount.")
        }
        _ => return unavailable(Place::Folder),
    };
    Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(Duration::from_secs(5))
}

pub(super) fn unavailable(place: Place) -> Error {
    let detail = match place {
        Place::Folder => "The folder of the object store cannot be used: look at its disk.",
        Place::Bucket => "The bucket cannot be reached: it is tried again all the time.",
    };
    Error::new(ErrorKind::Unavailable, "blob_unavailable", detail).with_retry_after(Duration::from_secs(1))
}

fn resting(rest: Duration) -> Error {
    let after = Duration::from_secs(rest.as_millis().div_ceil(1_000).max(1) as u64);
    unavailable(Place::Bucket).with_retry_after(after).with_source("the bucket failed several times in a row and is given a rest")
}

fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(known) = cause {
        if let Some(error) = known.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = known.source();
    }
    None
}
