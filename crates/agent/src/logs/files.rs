//! Log files: followed through rotation, truncation and restarts.
//!
//! A file is known by device and inode, so that a renamed one is read to its end while its successor is already followed. A file that is
//! shorter than what was read, or whose beginning has changed, was truncated and is read from its start. A line is given out when its
//! line break is there; the last part of a file that is gone is given out without one. Where lines are joined, one that begins with a
//! blank belongs to the one before, which is therefore held back until the next one or for a second.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use steward_base::{Clock, Timestamp};

use super::{Line, MAX_MESSAGE, text};
use crate::checkpoint::FileCheckpoint;
use crate::platform::{self, file_identity, read_at};

/// Between two looks for new and rotated files.
const SCAN_EVERY: Duration = Duration::from_secs(2);
/// Read from one file before the next has its turn.
const TURN: usize = 128 * 1024;
/// Of a file that was there before the agent, this much of its end is shown.
const FIRST_LOOK: u64 = 32 * 1024;
/// First bytes that tell one file from another.
const HEAD: usize = 256;
const MOST_FILES: usize = 512;
/// Lines that belong together are written together: after this long nothing more is expected.
const JOINED_WITHIN: Duration = Duration::from_secs(1);
/// A renamed file may be written to until its program opens the new one; after this long at its end it is let go.
const LET_GO_AFTER: Duration = Duration::from_secs(30);

type Identity = (u64, u64);

/// The files of some globs.
#[derive(Debug)]
pub(crate) struct Files {
    globs: Vec<String>,
    tails: BTreeMap<Identity, Tail>,
    /// The file whose turn is next, so that the first ones cannot use up every budget.
    turn: Identity,
    join: bool,
    /// Positions of an earlier run that no file has taken up yet.
    saved: Vec<FileCheckpoint>,
    first_run: bool,
    leave_out_repeated: bool,
    scanned: Option<Duration>,
    /// Of times that lines give without one.
    zone: TimeZone,
}

#[derive(Debug)]
struct Tail {
    path: PathBuf,
    service: String,
    file: File,
    identity: Identity,
    /// Up to where bytes are read; what is in `held` and then `partial` ends here.
    read_to: u64,
    partial: Vec<u8>,
    held: Held,
    join: bool,
    skipping: bool,
    head: Vec<u8>,
    /// Since when no glob names this file any more.
    gone: Option<Duration>,
}

/// Whole lines that may go on.
#[derive(Debug, Default)]
struct Held {
    text: Vec<u8>,
    /// What the lines take in the file, line breaks included.
    length: u64,
    since: Duration,
}

/// What to follow.
pub(crate) struct Wanted {
    pub(crate) globs: Vec<String>,
    /// Lines that begin with a blank belong to the one before.
    pub(crate) join: bool,
    /// The journal is read too, so the files that repeat it are left out.
    pub(crate) journal: bool,
}

/// What a turn is taken with.
struct Turn<'a> {
    zone: &'a TimeZone,
    now: Timestamp,
    elapsed: Duration,
    give: &'a mut dyn FnMut(Line),
}

impl Files {
    /// `saved` is `None` when this agent has read no file before: then only the recent end of each is shown.
    pub(crate) fn new(wanted: Wanted, saved: Option<Vec<FileCheckpoint>>) -> Self {
        Self {
            globs: wanted.globs,
            tails: BTreeMap::new(),
            turn: Identity::default(),
            join: wanted.join,
            first_run: saved.is_none(),
            saved: saved.unwrap_or_default(),
            leave_out_repeated: wanted.journal,
            scanned: None,
            zone: platform::time_zone(),
        }
    }

    /// Gives out new lines, about `budget` bytes of them; whether there are more at once.
    pub(crate) fn poll(&mut self, budget: usize, clock: &Clock, give: &mut dyn FnMut(Line)) -> bool {
        let elapsed = clock.monotonic();
        if self.scanned.is_none_or(|at| elapsed.saturating_sub(at) >= SCAN_EVERY) {
            self.scan(elapsed);
            self.scanned = Some(elapsed);
        }
        let zone = self.zone.clone();
        let mut turn = Turn { zone: &zone, now: clock.now(), elapsed, give };
        let (mut left, mut more) = (budget, false);
        for identity in self.turns() {
            if left == 0 {
                self.turn = identity;
                return true;
            }
            let Some(tail) = self.tails.get_mut(&identity) else { continue };
            match tail.read(left.min(TURN), &mut turn) {
                Ok(read) => {
                    left -= read.min(left);
                    more |= read == TURN.min(budget);
                }
                Err(error) => tracing::debug!(file.path = %tail.path.display(), error.message = %error, "a log file cannot be read"),
            }
        }
        self.let_go(&mut turn);
        more
    }

    /// Every file once, beginning with the one that the last budget did not reach.
    fn turns(&self) -> Vec<Identity> {
        self.tails.range(self.turn..).chain(self.tails.range(..self.turn)).map(|(identity, _)| *identity).collect()
    }

    /// Where each file is, for the next run; files not found again yet keep their place.
    pub(crate) fn checkpoints(&self) -> Vec<FileCheckpoint> {
        self.tails.values().map(Tail::checkpoint).chain(self.saved.iter().cloned()).collect()
    }

    fn scan(&mut self, elapsed: Duration) {
        let mut named = Vec::new();
        for path in self.paths() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let identity = file_identity(&metadata);
            if !metadata.is_file() || named.contains(&identity) {
                continue;
            }
            named.push(identity);
            if let Some(tail) = self.tails.get_mut(&identity) {
                tail.path = path;
            } else if self.tails.len() < MOST_FILES {
                self.open(&path, self.first_run);
            }
        }
        for tail in self.tails.values_mut() {
            tail.gone = if named.contains(&tail.identity) { None } else { tail.gone.or(Some(elapsed)) };
        }
        self.first_run = false;
        self.find_rotated(elapsed);
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.globs.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().flatten().collect();
        paths.retain(|path| !(self.leave_out_repeated && platform::repeats_journal(path)));
        paths
    }

    /// Starts to follow a file: where an earlier run stopped, at its start, or near its end when it is older than the agent.
    fn open(&mut self, path: &Path, recent_only: bool) {
        let Ok(file) = File::open(path) else { return };
        let Ok(metadata) = file.metadata() else { return };
        let identity = file_identity(&metadata);
        let Ok(mut tail) = Tail::new(path, file, identity) else { return };
        tail.join = self.join;
        if let Some(index) = self.saved.iter().position(|saved| (saved.device, saved.inode) == identity) {
            let saved = self.saved.swap_remove(index);
            if tail.begins_as(&saved) && saved.offset <= metadata.len() {
                (tail.read_to, tail.skipping) = (saved.offset, saved.skipping);
            }
        } else if recent_only && metadata.len() > FIRST_LOOK {
            (tail.read_to, tail.skipping) = (metadata.len() - FIRST_LOOK, true);
        }
        self.tails.insert(identity, tail);
    }

    /// Files that were renamed while the agent did not run: looked for beside where they were. Tried once.
    fn find_rotated(&mut self, elapsed: Duration) {
        for saved in std::mem::take(&mut self.saved) {
            let Some(folder) = saved.path.parent() else { continue };
            let same = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| file_identity(&found) == (saved.device, saved.inode));
            let found = fs::read_dir(folder).ok().and_then(|entries| entries.flatten().map(|entry| entry.path()).find(same));
            let Some(path) = found else { continue };
            self.saved = vec![saved.clone()];
            self.open(&path, false);
            self.saved.clear();
            if let Some(tail) = self.tails.get_mut(&(saved.device, saved.inode)) {
                // It keeps the name under which its lines were written.
                tail.service = service_of(&saved.path);
                tail.path = saved.path;
                tail.gone = Some(elapsed);
            }
        }
    }

    /// Lets files go that are gone and read to their end.
    fn let_go(&mut self, turn: &mut Turn<'_>) {
        self.tails.retain(|_, tail| {
            let over = tail.gone.is_some_and(|since| turn.elapsed.saturating_sub(since) >= LET_GO_AFTER);
            let at_end = tail.file.metadata().is_ok_and(|metadata| metadata.len() <= tail.read_to);
            if over && at_end && !tail.partial.is_empty() {
                tail.end_line(turn);
                tail.give_held(turn);
            }
            !(over && at_end)
        });
    }
}

impl Tail {
    fn new(path: &Path, file: File, identity: Identity) -> std::io::Result<Self> {
        let mut head = vec![0; HEAD];
        let read = read_at(&file, &mut head, 0)?;
        head.truncate(read);
        Ok(Self {
            path: path.to_owned(),
            service: service_of(path),
            file,
            identity,
            read_to: 0,
            partial: Vec::new(),
            held: Held::default(),
            join: false,
            skipping: false,
            head,
            gone: None,
        })
    }

    fn checkpoint(&self) -> FileCheckpoint {
        let offset = self.read_to - self.partial.len() as u64 - self.held.length;
        let head = &self.head[..self.head.len().min(usize::try_from(offset).unwrap_or(usize::MAX))];
        FileCheckpoint {
            path: self.path.clone(),
            device: self.identity.0,
            inode: self.identity.1,
            offset,
            skipping: self.skipping,
            head_length: head.len() as u64,
            head_crc: crc32fast::hash(head),
        }
    }

    fn begins_as(&self, saved: &FileCheckpoint) -> bool {
        let mut head = vec![0; usize::try_from(saved.head_length).unwrap_or(0).min(HEAD)];
        read_at(&self.file, &mut head, 0).is_ok_and(|read| read == head.len()) && crc32fast::hash(&head) == saved.head_crc
    }

    /// Reads at most `budget` bytes further; how many it were.
    fn read(&mut self, budget: usize, turn: &mut Turn<'_>) -> std::io::Result<usize> {
        let length = self.file.metadata()?.len();
        if length == self.read_to {
            if turn.elapsed.saturating_sub(self.held.since) >= JOINED_WITHIN {
                self.give_held(turn);
            }
            return Ok(0);
        }
        let mut head = [0; HEAD];
        let read = read_at(&self.file, &mut head, 0)?;
        if length < self.read_to || !head[..read].starts_with(&self.head) {
            self.give_held(turn);
            (self.read_to, self.skipping) = (0, false);
            self.partial.clear();
        }
        self.head = head[..read].to_vec();
        let mut buffer = vec![0; budget];
        let read = read_at(&self.file, &mut buffer, self.read_to)?;
        self.read_to += read as u64;
        self.split(&buffer[..read], turn);
        Ok(read)
    }

    fn split(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) {
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if !self.skipping {
                // Three bytes more than are kept, so that the cut falls between characters.
                let room = (MAX_MESSAGE + 4).saturating_sub(self.partial.len());
                self.partial.extend_from_slice(&part[..part.len().min(room)]);
                if end.is_some() {
                    self.end_line(turn);
                } else if self.partial.len() > MAX_MESSAGE + 3 {
                    // Nothing is held behind a line that is cut: the position is in its middle.
                    self.end_line(turn);
                    self.give_held(turn);
                    self.skipping = true;
                }
            } else if end.is_some() {
                self.skipping = false;
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    /// The line in `partial` is complete: it goes on what is held, or ends it and is held itself.
    fn end_line(&mut self, turn: &mut Turn<'_>) {
        let bytes = std::mem::take(&mut self.partial);
        let line = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let goes_on = self.join && matches!(line.first(), Some(b' ' | b'\t')) && self.held.text.len() + line.len() < MAX_MESSAGE;
        if goes_on && !self.held.text.is_empty() {
            self.held.text.push(b'\n');
        } else {
            self.give_held(turn);
        }
        self.held.text.extend_from_slice(line);
        self.held.length += bytes.len() as u64 + 1;
        self.held.since = turn.elapsed;
        if !self.join {
            self.give_held(turn);
        }
    }

    fn give_held(&mut self, turn: &mut Turn<'_>) {
        let held = std::mem::take(&mut self.held);
        if !held.text.is_empty() {
            (turn.give)(text::line(&held.text, &self.path, &self.service, turn.zone, turn.now));
        }
    }
}

/// `nginx` of `/var/log/nginx.log`.
fn service_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
