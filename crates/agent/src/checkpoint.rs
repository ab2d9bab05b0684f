//! How far each log source is read. Written only after what was read is in the spool.
//!
//! A file of two lines, a checksum and what it covers. The generation before stays beside it, so that damage costs lines that are sent
//! once more and never lines that are skipped.

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

/// One generation, as it is found.
enum Found {
    Absent,
    Damaged,
    Whole(Checkpoints),
}

impl Checkpoints {
    /// `None` when this agent has never read anything, or when neither generation can be trusted.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        match (read(path), read(&previous(path))) {
            (Found::Whole(current), _) => Some(current),
            (Found::Absent, Found::Absent) => None,
            // Between the two renames of a save there is only the generation before.
            (Found::Absent, Found::Whole(before)) => Some(before),
            (Found::Damaged, Found::Whole(before)) => {
                tracing::warn!(file.path = %path.display(), "the checkpoints are damaged; the ones before are taken, and the lines since then are sent again");
                Some(before)
            }
            (Found::Damaged, _) | (_, Found::Damaged) => {
                tracing::error!(file.path = %path.display(), "the checkpoints and the ones before are damaged; every log is followed from near its end, as at a first start");
                None
            }
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let content = serde_json::to_string(self).map_err(steward_base::Error::internal)?;
        let text = format!("{:08x}\n{content}\n", crc32fast::hash(content.as_bytes()));
        platform::replace_private_file_keeping(path, &previous(path), text.as_bytes()).map_err(|error| unusable(path, error))
    }
}

fn previous(path: &Path) -> PathBuf {
    path.with_extension("previous.json")
}

fn read(path: &Path) -> Found {
    match std::fs::read_to_string(path) {
        Ok(text) => decode(&text).map_or(Found::Damaged, Found::Whole),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Absent,
        Err(_) => Found::Damaged,
    }
}

fn decode(text: &str) -> Option<Checkpoints> {
    let (checksum, content) = text.strip_suffix('\n')?.split_once('\n')?;
    let whole = u32::from_str_radix(checksum, 16).is_ok_and(|checksum| checksum == crc32fast::hash(content.as_bytes()));
    whole.then(|| serde_json::from_str(content).ok()).flatten()
}
