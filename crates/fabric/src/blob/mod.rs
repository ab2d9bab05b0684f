//! Objects: a folder of this machine, or a bucket.
//!
//! Invariants: an object is there whole or not at all, and once [`Blob::put`] returns it survives a power cut; its length and SHA-256 are
//! known before it is published; a key cannot leave its scope.
//!
//! An object under `<scope>/<class>/<name>` is a plain file of that path in the folder and has that key in the bucket, so that either can be
//! copied to the other with ordinary tools. What a bucket keeps beyond deletion (versions) is up to its own rules.

mod directory;
mod door;
mod key;
mod object;
mod s3;
mod unfinished;
mod upload;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use futures_util::Stream;
use steward_base::{Clock, Error, Result};

pub use directory::Directory;
pub use key::Key;
pub use object::{Meta, Object, Page};
pub use s3::{Addressing, Bucket, S3};

use crate::{Class, Scope};
use door::Door;

/// The most objects on one page of a list.
pub const MAX_PAGE: usize = 1_000;

/// The object store.
///
/// Methods fail with `blob_unavailable` when folder or bucket cannot be reached, `blob_full` when the disk is full, `blob_read_only` and
/// `blob_credentials` when they are refused.
#[derive(Clone, Debug)]
pub enum Blob {
    /// A folder of this machine.
    Directory(Directory),
    /// A bucket of S3, or of a server that speaks its protocol.
    S3(S3),
}

/// What the caller knows about an object that is put: anything else is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Its length in bytes.
    pub length: Option<u64>,
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
}

/// What was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// An upload that is not complete.
#[derive(Debug)]
pub struct Upload {
    /// What it is to be.
    pub key: Key,
    upload: unfinished::Upload,
}

impl Blob {
    /// One in the folder at `path`, made when it is missing. Fails with `blob_in_use` when another process has it.
    pub async fn directory(path: &Path) -> Result<Self> {
        Directory::open(path.to_owned()).await.map(Self::Directory)
    }

    /// The one in the folder at `path`, made when it is missing, beside whoever writes it: it is only read.
    pub async fn directory_to_read(path: &Path) -> Result<Self> {
        Directory::open_to_read(path.to_owned()).await.map(Self::Directory)
    }

    /// One in a bucket. Asks nothing of it yet, so a server that is down delays no start. Fails with `blob_settings`.
    pub fn s3(bucket: &Bucket, clock: Clock) -> Result<Self> {
        S3::new(bucket, clock).map(Self::S3)
    }

    /// Stores an object in place of what was there.
    ///
    /// Fails with `blob_length` or `blob_digest` when `body` is not what `expect` says, and with the body's own error when it breaks off;
    /// then what was there stays.
    pub async fn put(&self, key: &Key, body: impl Stream<Item = Result<Bytes>> + Send, expect: Expect) -> Result<Stored> {
        self.may_be_written()?;
        if let Self::Directory(directory) = self {
            directory.prepare(key).await?;
        }
        upload::put(self.door(), key, body, expect).await
    }

    /// An object, or a range of its bytes, cut at its end; `None` when it is not there.
    ///
    /// Fails with `blob_range` when the range begins behind the end.
    pub async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Option<Object>> {
        object::get(self.door(), key, range).await
    }

    /// What an object is like; `None` when it is not there.
    pub async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        object::head(self.door(), key).await
    }

    /// Deletes an object, durably; one that is gone already is fine.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        self.may_be_written()?;
        self.door().delete(key.path()).await?;
        match self {
            Self::Directory(directory) => directory.sync_class(key).await,
            Self::S3(_) => Ok(()),
        }
    }

    /// Deletes objects, durably, in few steps; those that are gone already are fine.
    pub async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        self.may_be_written()?;
        self.door().delete_all(keys.iter().map(Key::path).collect()).await?;
        match self {
            Self::Directory(directory) => {
                let classes: HashMap<(Scope, Class), &Key> = keys.iter().map(|key| ((key.scope(), key.class()), key)).collect();
                for key in classes.into_values() {
                    directory.sync_class(key).await?;
                }
                Ok(())
            }
            Self::S3(_) => Ok(()),
        }
    }

    /// Up to `limit` objects of a class in the order of their names, beginning behind the name `after`.
    pub async fn list(&self, scope: Scope, class: Class, after: Option<&str>, limit: usize) -> Result<Page> {
        object::list(self.door(), scope, class, after, limit.clamp(1, MAX_PAGE)).await
    }

    /// Deletes everything of a scope, unfinished uploads too; what is put meanwhile may stay or fail.
    pub async fn erase(&self, scope: Scope) -> Result<()> {
        self.may_be_written()?;
        match self {
            Self::Directory(directory) => directory.erase(scope).await,
            Self::S3(s3) => s3.erase(scope).await,
        }
    }

    /// What is being put into a class, or was when its process ended: unfinished uploads to a bucket, and which objects they are of. None in a
    /// folder, which is swept when it is opened.
    pub async fn unfinished(&self, scope: Scope, class: Class) -> Result<Vec<Upload>> {
        match self {
            Self::Directory(_) => Ok(Vec::new()),
            Self::S3(s3) => Ok(s3.unfinished(scope, class).await?.into_iter().map(|(key, upload)| Upload { key, upload }).collect()),
        }
    }

    /// Takes back what was sent of an unfinished upload; one that was completed meanwhile is fine. Whoever is at it fails.
    pub async fn abort(&self, upload: &Upload) -> Result<()> {
        match self {
            Self::Directory(_) => Ok(()),
            Self::S3(s3) => s3.abort(&upload.upload).await,
        }
    }

    /// Fails while it cannot be used.
    pub async fn health(&self) -> Result<()> {
        match self {
            Self::Directory(directory) => directory.health().await,
            Self::S3(s3) => s3.health().await,
        }
    }

    fn may_be_written(&self) -> Result<()> {
        match self {
            Self::Directory(directory) => directory.may_be_written(),
            Self::S3(_) => Ok(()),
        }
    }

    fn door(&self) -> &Door {
        match self {
            Self::Directory(directory) => directory.door(),
            Self::S3(s3) => s3.door(),
        }
    }
}

/// A whole body that is at hand.
pub fn whole(bytes: impl Into<Bytes>) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    futures_util::stream::iter([Ok(bytes.into())])
}
