//! Where backups are, as the settings say: never a path out of a request.

use std::path::{Path, PathBuf};

use steward_base::{Error, ErrorKind, Result};
use steward_fabric::blob::Blob;

/// The place of the settings.
#[derive(Clone, Debug)]
pub enum Place {
    /// None is named.
    Nowhere,
    /// A folder.
    Folder(PathBuf),
    /// The bucket in which all objects are.
    Bucket(Blob),
}

impl Place {
    /// Fails with `backup_place_missing`.
    pub(super) fn check(&self) -> Result<()> {
        if matches!(self, Self::Nowhere) { Err(missing()) } else { Ok(()) }
    }

    /// To make and remove backups there. Fails with `backup_place_missing`, and with `backup_busy` while another command has the folder.
    pub async fn open(&self) -> Result<Blob> {
        match self {
            Self::Nowhere => Err(missing()),
            Self::Folder(path) => folder(path).await,
            Self::Bucket(blob) => Ok(blob.clone()),
        }
    }

    /// To look at what is there, beside whoever makes and removes it. Fails with `backup_place_missing`.
    pub(super) async fn open_to_read(&self) -> Result<Blob> {
        match self {
            Self::Nowhere => Err(missing()),
            Self::Folder(path) => Blob::directory_to_read(path).await,
            Self::Bucket(blob) => Ok(blob.clone()),
        }
    }
}

/// A folder of backups. Fails with `backup_busy` while another command has it.
pub async fn folder(path: &Path) -> Result<Blob> {
    Blob::directory(path).await.map_err(|error| match error.code() {
        "blob_in_use" => {
            let detail = "Backups are being made, read or removed in this folder: try again when that is done.";
            Error::new(ErrorKind::Conflict, "backup_busy", detail).with_source(error)
        }
        _ => error,
    })
}

fn missing() -> Error {
    let detail = "The settings name no place for backups: whoever runs this installation sets backup_dir, or a bucket with s3_bucket.";
    Error::new(ErrorKind::Conflict, "backup_place_missing", detail)
}
