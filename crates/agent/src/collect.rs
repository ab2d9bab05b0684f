//! Lines from every source into the spool, and only then the checkpoint.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use steward_base::{Clock, Error, Random, RecordId, Result};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoints;
use crate::logs::files::{Files, Wanted};
use crate::logs::{Journal, Line, journal};
use crate::machine::Machine;
use crate::own_log::OwnLog;
use crate::spool::{Batch, Shared};
use crate::{otlp, platform};

/// Between two looks at the sources: how old a line is at most before it is on its way.
const LOOK: Duration = Duration::from_millis(500);
/// Lines in one batch at most, and the bytes of their messages.
const BATCH_LINES: usize = 2000;
const BATCH_BYTES: usize = 1024 * 1024;

/// Where lines come from.
pub(crate) struct Sources {
    pub(crate) journal: Journal,
    pub(crate) log_files: Vec<String>,
    pub(crate) join_lines: bool,
    pub(crate) own_log: Option<OwnLog>,
}

/// What collecting needs.
pub(crate) struct Task {
    pub(crate) machine: Machine,
    pub(crate) checkpoints: PathBuf,
    pub(crate) spool: Shared,
    pub(crate) sources: Sources,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) stop: CancellationToken,
}

/// Collects until stopped, and once more then.
pub(crate) async fn run(task: Task) -> Result<()> {
    let Task { machine, checkpoints, spool, sources, clock, random, stop } = task;
    let saved = Checkpoints::load(&checkpoints);
    let program = sources.journal.program();
    let globs = match sources.log_files {
        given if given.is_empty() => platform::usual_log_files(program.is_some()),
        given => given,
    };
    // Each line of the journal is at most 64 KiB, so what waits here is bounded.
    let (sender, journal) = mpsc::channel(256);
    if let Some(program) = program.clone() {
        let cursor = saved.as_ref().and_then(|saved| saved.journal.clone());
        tokio::spawn(journal::follow(program, cursor, clock.clone(), random.clone(), sender, stop.clone()));
    }
    let wanted = Wanted { globs, join: sources.join_lines, journal: program.is_some() };
    let mut collector = Collector {
        files: Files::new(wanted, saved.clone().map(|saved| saved.files)),
        reached: saved.clone().unwrap_or_default(),
        saved: saved.unwrap_or_default(),
        unkept: VecDeque::new(),
        failing: false,
        journal,
        own_log: sources.own_log,
        machine,
        checkpoints,
        spool,
        clock,
        random,
    };
    loop {
        let stopping = stop.is_cancelled();
        let (more, back) = tokio::task::spawn_blocking(move || (collector.look(), collector)).await.map_err(Error::internal)?;
        collector = back;
        if stopping {
            return Ok(());
        }
        if !more {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

struct Collector {
    files: Files,
    /// As on disk.
    saved: Checkpoints,
    /// As read, once `unkept` is on disk.
    reached: Checkpoints,
    unkept: VecDeque<Batch>,
    failing: bool,
    journal: mpsc::Receiver<(Line, String)>,
    own_log: Option<OwnLog>,
    machine: Machine,
    checkpoints: PathBuf,
    spool: Shared,
    clock: Clock,
    random: Random,
}

impl Collector {
    /// One look at every source; whether there is more to take at once. Blocks on the disk.
    fn look(&mut self) -> bool {
        if !self.unkept.is_empty() && !self.keep() {
            return false;
        }
        let mut lines = Lines::default();
        let mut cursor = None;
        while lines.has_room() {
            let Ok((line, at)) = self.journal.try_recv() else { break };
            lines.push(line);
            cursor = Some(at);
        }
        if let Some(OwnLog(own)) = &mut self.own_log {
            while let Ok(line) = own.try_recv() {
                lines.push(line);
            }
        }
        let more = self.files.poll(BATCH_BYTES.saturating_sub(lines.bytes), &self.clock, &mut |line| lines.push(line));
        let more = more || !lines.has_room();
        self.encode(lines.taken);
        self.reached.journal = cursor.or_else(|| self.reached.journal.take());
        self.reached.files = self.files.checkpoints();
        self.keep() && more
    }

    fn encode(&mut self, mut lines: Vec<Line>) {
        while !lines.is_empty() {
            let rest = lines.split_off(lines.len().min(BATCH_LINES));
            let id = RecordId::new(&self.clock, &self.random);
            self.unkept.push_back(otlp::logs(&self.machine, id, lines));
            lines = rest;
        }
    }

    /// Brings what was read to disk, then the checkpoint. While that fails nothing more is read, so nothing is lost.
    fn keep(&mut self) -> bool {
        let result = self.try_keep();
        if let Err(error) = &result
            && !self.failing
        {
            tracing::error!(error.message = %error, "log lines cannot be kept on disk; reading waits");
        }
        self.failing = result.is_err();
        result.is_ok()
    }

    fn try_keep(&mut self) -> Result<()> {
        while let Some(batch) = self.unkept.front() {
            self.spool.append_blocking(batch)?;
            self.unkept.pop_front();
        }
        if self.reached != self.saved {
            self.reached.save(&self.checkpoints)?;
            self.saved = self.reached.clone();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Lines {
    taken: Vec<Line>,
    bytes: usize,
}

impl Lines {
    fn has_room(&self) -> bool {
        self.taken.len() < BATCH_LINES && self.bytes < BATCH_BYTES
    }

    fn push(&mut self, line: Line) {
        self.bytes += line.message.len() + 64;
        self.taken.push(line);
    }
}
