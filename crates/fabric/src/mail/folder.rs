//! The variant without a mail server: one file per message, which operators list and read.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mail_parser::MessageParser;
use parking_lot::Mutex;
use steward_base::{Error, ErrorKind, Result, Timestamp};
use tokio::task::spawn_blocking;

use super::message::Composer;
use super::{MailId, Message};
use crate::Scope;

/// The most messages on one list.
const MAX_LIST: usize = 200;
/// How the names of files end; what is being written ends otherwise.
const ENDING: &str = ".eml";
const UNFINISHED: &str = ".part";

/// Messages as files, by scope.
#[derive(Clone, Debug)]
pub struct Folder {
    composer: Composer,
    files: Arc<Files>,
}

#[derive(Debug)]
struct Files {
    root: PathBuf,
    keep: usize,
    /// One at a time makes and clears folders; those whose own names are on disk.
    turn: Mutex<HashSet<PathBuf>>,
}

/// What a list shows of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Names it.
    pub id: MailId,
    /// When it was sent.
    pub sent: Timestamp,
    /// Who was to get it.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its length as a file, in bytes.
    pub length: u64,
}

/// A message as an operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What a list shows of it.
    pub envelope: Envelope,
    /// Its text.
    pub text: String,
    /// Its HTML, to be shown in a sandbox only.
    pub html: Option<String>,
    /// The file as it is, for other mail programs.
    pub source: Bytes,
}

impl Folder {
    pub(super) async fn open(root: PathBuf, keep: usize, composer: Composer) -> Result<Self> {
        let files = Arc::new(Files { root, keep: keep.max(1), turn: Mutex::default() });
        let opened = files.clone();
        blocking(move || {
            make(&opened.root, true)?;
            opened.sweep()
        })
        .await?;
        Ok(Self { composer, files })
    }

    pub(super) async fn send(&self, scope: Scope, message: &Message) -> Result<MailId> {
        let (id, message) = self.composer.compose(message)?;
        let files = self.files.clone();
        blocking(move || files.add(scope, id, &message.formatted())).await?;
        Ok(id)
    }

    /// The newest messages of a scope that are older than `before`, newest first, at most 200.
    pub async fn list(&self, scope: Scope, before: Option<MailId>, limit: usize) -> Result<Vec<Envelope>> {
        let files = self.files.clone();
        blocking(move || {
            let mut ids = files.ids(scope)?;
            ids.retain(|id| before.is_none_or(|before| *id < before));
            // One that is cleared away meanwhile is left out.
            let letters = ids.into_iter().rev().take(limit.min(MAX_LIST)).filter_map(|id| files.read(scope, id).transpose());
            letters.map(|letter| letter.map(|letter| letter.envelope)).collect()
        })
        .await
    }

    /// A message of a scope; `None` when it is not there, or no longer.
    pub async fn read(&self, scope: Scope, id: MailId) -> Result<Option<Letter>> {
        let files = self.files.clone();
        blocking(move || files.read(scope, id)).await
    }

    pub(super) async fn erase(&self, scope: Scope) -> Result<()> {
        let files = self.files.clone();
        blocking(move || {
            let mut known = files.turn.lock();
            let folder = files.folder(scope);
            known.remove(&folder);
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => sync(&files.root),
            }
        })
        .await
    }

    pub(super) async fn health(&self) -> Result<()> {
        let files = self.files.clone();
        blocking(move || {
            let _turn = files.turn.lock();
            let path = files.root.join(format!("health{UNFINISHED}"));
            let written = write(&path, &[0; 4_096]);
            let removed = fs::remove_file(&path);
            written.and(removed)
        })
        .await
    }
}

impl Files {
    fn folder(&self, scope: Scope) -> PathBuf {
        self.root.join(scope.to_string())
    }

    fn add(&self, scope: Scope, id: MailId, text: &[u8]) -> io::Result<()> {
        let folder = self.folder(scope);
        let mut known = self.turn.lock();
        if !known.contains(&folder) {
            make(&folder, false)?;
            known.insert(folder.clone());
        }
        let (part, file) = (folder.join(format!("{id}{UNFINISHED}")), folder.join(format!("{id}{ENDING}")));
        let done = write(&part, text).and_then(|()| fs::rename(&part, &file)).and_then(|()| sync(&folder));
        if done.is_err() {
            let _ = fs::remove_file(&part);
        }
        done?;
        let ids = self.ids(scope)?;
        for old in &ids[..ids.len().saturating_sub(self.keep)] {
            fs::remove_file(folder.join(format!("{old}{ENDING}")))?;
        }
        Ok(())
    }

    /// What is there of a scope, oldest first.
    fn ids(&self, scope: Scope) -> io::Result<Vec<MailId>> {
        let entries = match fs::read_dir(self.folder(scope)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(ENDING)?.parse::<MailId>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    fn read(&self, scope: Scope, id: MailId) -> io::Result<Option<Letter>> {
        let source = match fs::read(self.folder(scope).join(format!("{id}{ENDING}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            source => source?,
        };
        Ok(letter(id, source))
    }

    /// Deletes what was left unfinished when the process was stopped.
    fn sweep(&self) -> io::Result<()> {
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.to_str().is_some_and(|path| path.ends_with(UNFINISHED)) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

fn letter(id: MailId, source: Vec<u8>) -> Option<Letter> {
    let parsed = MessageParser::default().parse(&source)?;
    let envelope = Envelope {
        id,
        sent: Timestamp::from_micros(parsed.date()?.to_timestamp().saturating_mul(1_000_000)),
        to: parsed.to()?.first()?.address()?.to_owned(),
        subject: parsed.subject().unwrap_or_default().to_owned(),
        length: source.len() as u64,
    };
    let text = parsed.body_text(0).unwrap_or_default().into_owned();
    let html = parsed.html_part(0).filter(|part| part.is_text_html()).and_then(|_| parsed.body_html(0)).map(|html| html.into_owned());
    Some(Letter { envelope, text, html, source: source.into() })
}

/// Makes a folder that nobody else may read, and its name durable, also when whoever made it before did not come to that.
fn make(path: &Path, with_parents: bool) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(with_parents).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(Error::internal)?.map_err(|error| {
        let (code, detail) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ("mail_full", "The disk of the mail folder is full: free some space and it goes on by itself.")
            }
            _ => ("mail_unavailable", "The mail folder cannot be used: look at its disk and its rights."),
        };
        Error::new(ErrorKind::Unavailable, code, detail).with_retry_after(Duration::from_secs(5)).with_source(error)
    })
}
