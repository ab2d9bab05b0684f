//! The variant in a folder: durable names as well as durable bytes.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use steward_base::{Error, ErrorKind, Result};
use tokio::task::spawn_blocking;

use super::door::{Door, disk};
use super::key::Key;
use crate::Scope;

/// What is written to see whether something can be; swept like everything that ends in `#` and a number.
const PROBE: &str = "health#0";
const PROBE_BYTES: usize = 4_096;

/// Objects in a folder that this process has for itself, or only reads.
#[derive(Clone, Debug)]
pub struct Directory {
    door: Door,
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    /// Held while this lives, against other processes; none where it is only read.
    lock: Option<File>,
    /// The folders of classes whose own names are on disk.
    known: Mutex<HashSet<PathBuf>>,
}

impl Directory {
    pub(super) async fn open(root: PathBuf) -> Result<Self> {
        blocking(move || {
            make(&root, true)?;
            let lock = File::open(&root).map_err(failed)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
                let detail = "Another process uses the folder of the object store: stop it first.";
                Error::new(ErrorKind::Unavailable, "blob_in_use", detail).with_source(error)
            })?;
            sweep(&root).map_err(failed)?;
            let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| failed(error.into()))?.with_fsync(true);
            let door = Door { store: Arc::new(store), guard: None };
            Ok(Self { door, folder: Arc::new(Folder { root, lock: Some(lock), known: Mutex::default() }) })
        })
        .await
    }

    /// Beside whoever has it: an object is there whole or not at all.
    pub(super) async fn open_to_read(root: PathBuf) -> Result<Self> {
        blocking(move || {
            // What is above it may be none of ours, and needs no sync where nothing is made.
            if !root.is_dir() {
                make(&root, true)?;
            }
            let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| failed(error.into()))?;
            let door = Door { store: Arc::new(store), guard: None };
            Ok(Self { door, folder: Arc::new(Folder { root, lock: None, known: Mutex::default() }) })
        })
        .await
    }

    /// Whoever only reads it changes nothing in it.
    pub(super) fn may_be_written(&self) -> Result<()> {
        match self.folder.lock {
            Some(_) => Ok(()),
            None => Err(Error::internal("a folder that was opened to be read is written")),
        }
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Makes the folder that an object goes into, so that its name outlives a power cut also when two puts need it at once.
    pub(super) async fn prepare(&self, key: &Key) -> Result<()> {
        let (scope, class) = self.folder.of(key);
        if self.folder.known.lock().contains(&class) {
            return Ok(());
        }
        let folder = self.folder.clone();
        blocking(move || {
            let mut known = folder.known.lock();
            make(&scope, false)?;
            make(&class, false)?;
            known.insert(class);
            Ok(())
        })
        .await
    }

    /// Makes deletions of a class durable.
    pub(super) async fn sync_class(&self, key: &Key) -> Result<()> {
        let (_, class) = self.folder.of(key);
        blocking(move || match File::open(class).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn erase(&self, scope: Scope) -> Result<()> {
        let folder = self.folder.clone();
        blocking(move || {
            let path = folder.root.join(scope.to_string());
            let mut known = folder.known.lock();
            known.retain(|class| !class.starts_with(&path));
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => sync(&folder.root),
            }
        })
        .await
    }

    pub(super) async fn health(&self) -> Result<()> {
        let path = self.folder.root.join(PROBE);
        blocking(move || {
            let written = File::create(&path).and_then(|mut file| {
                file.write_all(&[0; PROBE_BYTES])?;
                file.sync_all()
            });
            // Two may look at once, and one of them removes it.
            let removed = fs::remove_file(&path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
            written.and(removed).map_err(failed)
        })
        .await
    }
}

impl Folder {
    /// The folders of an object's scope and class.
    fn of(&self, key: &Key) -> (PathBuf, PathBuf) {
        let scope = self.root.join(key.scope().to_string());
        let class = scope.join(key.class().name());
        (scope, class)
    }
}

/// Makes a folder that nobody else may read, and its name durable.
fn make(path: &Path, with_parents: bool) -> Result<()> {
    match DirBuilder::new().mode(0o700).recursive(with_parents).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync)?;
    // Whoever made those further up may not have come to this; what is not ours cannot be synced, and needs not.
    for above in path.ancestors().skip(2).filter(|above| with_parents && !above.as_os_str().is_empty()) {
        let _ = sync(above);
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<()> {
    // What stands above a name alone is the folder of the process.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Deletes what puts left when the process was stopped inside them: files whose names end in `#` and a number.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let staged = || path.file_name().and_then(|name| name.to_str()?.rsplit_once('#')?.1.parse::<u64>().ok()).is_some();
        if path.is_dir() {
            sweep(&path)?;
        } else if staged() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> Error {
    disk(error.kind()).with_source(error)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(Error::internal)?
}
