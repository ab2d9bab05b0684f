//! How far each log source is read. Written only after what was read is in the spool.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use steward_base::Result;

use crate::{platform, unusable};

/// Every source's position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoints {
    /// The journal's own cursor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) journal: Option<String>,
    #[serde(default)]
    pub(crate) files: Vec<FileCheckpoint>,
}

/// A file's position. Device and inode survive a rename; the beginning tells a new file with a reused inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileCheckpoint {
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Where the first line begins that is not sent yet.
    pub(crate) offset: u64,
    /// In the middle of a line whose beginning is sent and whose rest is not wanted.
    #[serde(default)]
    pub(crate) skipping: bool,
    /// How many first bytes `head_crc` covers.
    pub(crate) head_length: u64,
    pub(crate) head_crc: u32,
}

impl Checkpoints {
    /// `None` when this agent has never read anything. A damaged file counts as none: lines are read again rather than lost.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::warn!(error.message = %error, "the checkpoints cannot be read; recent lines are sent again");
                None
            }
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(steward_base::Error::internal)?;
        platform::replace_private_file(path, &bytes).map_err(|error| unusable(path, error))
    }
}
