//! The state folder: one agent at a time, closed to everyone else.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use steward_base::{Error, ErrorKind, Result};

use crate::{platform, unusable};

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        platform::private_folder(folder).map_err(|error| unusable(folder, error))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(|error| unusable(&path, error))?;
        lock.try_lock().map_err(|_| {
            let detail = format!("Another agent uses {}. Stop it, or give this one another --state.", folder.display());
            Error::new(ErrorKind::Conflict, "state_in_use", detail)
        })?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints.json")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Drops what waits to be sent. Only before the spool is opened.
    pub(crate) fn remove_spool(&self) -> Result<()> {
        match fs::remove_dir_all(self.spool()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(&self.spool(), error)),
            _ => Ok(()),
        }
    }

    /// The bytes of a file, when there is one.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&path, error)),
        }
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        platform::replace_private_file(&path, bytes).map_err(|error| unusable(&path, error))
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| unusable(&self.folder.join(name), error.into()))
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, &serde_json::to_vec_pretty(value).map_err(Error::internal)?)
    }
}
