//! Segments and the manifest as objects: a folder, or a bucket.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as StoreError, GetResultPayload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};
use steward_base::{Error, ErrorKind, Result};
use tokio::runtime::Handle;

/// Deletes what puts left in a folder when the process was stopped inside them: staged files, whose names end in `#` and a number.
pub(crate) fn delete_staged(folder: &FsPath) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let staged = || path.file_name().and_then(|name| name.to_str()?.rsplit_once('#')?.1.parse::<u64>().ok()).is_some();
        if path.is_dir() {
            delete_staged(&path)?;
        } else if staged() {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// A store of objects. Every call blocks and must run off the async threads.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { store, runtime }
    }

    /// A folder whose objects are on disk when a put returns.
    pub(crate) fn folder(path: &FsPath) -> Result<Arc<dyn ObjectStore>> {
        std::fs::create_dir_all(path).map_err(unavailable)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(unavailable)?;
        Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
    }

    /// Stores an object that must not exist yet; `false` when it does.
    pub(crate) fn create(&self, path: &str, bytes: impl Into<Bytes>) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(&Path::from(path), PutPayload::from(bytes.into()), options)) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// All of an object.
    pub(crate) fn read(&self, path: &str) -> Result<Bytes> {
        self.runtime.block_on(async { self.store.get(&Path::from(path)).await?.bytes().await }).map_err(unavailable)
    }

    /// An object to be read in parts: a file as it lies, anything else fetched whole.
    pub(crate) fn open(&self, path: &str) -> Result<Blob> {
        let opened = self.runtime.block_on(async {
            let got = self.store.get(&Path::from(path)).await?;
            match got.payload {
                GetResultPayload::File(file, _) => Ok(Blob::File(file)),
                GetResultPayload::Stream(_) => got.bytes().await.map(Blob::Bytes),
            }
        });
        opened.map_err(unavailable)
    }

    /// The paths under `prefix`.
    pub(crate) fn list(&self, prefix: Option<&str>) -> Result<Vec<String>> {
        let prefix = prefix.map(Path::from);
        let found = self.runtime.block_on(self.store.list(prefix.as_ref()).map_ok(|meta| meta.location.to_string()).try_collect());
        found.map_err(unavailable)
    }

    /// Deletes an object; one that is gone already is fine.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        match self.runtime.block_on(self.store.delete(&Path::from(path))) {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let detail = "Stored telemetry cannot be reached. Check the disk or the bucket that holds it.";
    Error::new(ErrorKind::Unavailable, "telemetry_storage", detail).with_source(source)
}

/// An opened object.
#[derive(Debug)]
pub(crate) enum Blob {
    File(File),
    Bytes(Bytes),
}

impl Length for Blob {
    fn len(&self) -> u64 {
        match self {
            Blob::File(file) => Length::len(file),
            Blob::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Blob {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match self {
            Blob::File(file) => Box::new(file.get_read(start)?),
            Blob::Bytes(bytes) => Box::new(io::Cursor::new(bytes.slice(start.min(bytes.len() as u64) as usize..))),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self {
            Blob::File(file) => file.get_bytes(start, length),
            Blob::Bytes(bytes) => bytes.get_bytes(start, length),
        }
    }
}
