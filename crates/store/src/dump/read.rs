//! Telling a tenant: in what order, and when it is complete.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use steward_base::{Clock, Error, ErrorKind, RecordId, TenantId};
use tokio::sync::mpsc;

use super::frame::{End, FORMAT, Frame, Header, cut};
use super::table::Told;
use super::{Cell, Page, Position, Reader, Stopped, TABLES, Table, damaged};
use crate::patience::passed;

/// So many events are told of in the last snapshot.
const FEW_EVENTS: i64 = 1_000;
/// How often it goes after what is committed meanwhile, before it takes the rest for what it is.
const ROUNDS: usize = 20;
/// How long whoever listens may leave a frame lying while the reader holds its snapshot: it keeps the log from being emptied.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it holds the snapshot at all.
const HELD: Duration = Duration::from_secs(300);
/// Records asked for at once.
const NAMED: usize = 100;

/// What is asked for.
pub(super) struct Telling {
    pub(super) tenant: TenantId,
    pub(super) kinds: Vec<String>,
    /// By which it is patient.
    pub(super) clock: Clock,
    /// Only what came after this position.
    pub(super) after: Option<i64>,
    /// Where to say how far it came.
    pub(super) end: Arc<OnceLock<Position>>,
}

struct Teller {
    reader: Reader,
    frames: mpsc::Sender<Result<Bytes, Error>>,
    counts: Vec<u64>,
    clock: Clock,
    /// For each frame, while there is a limit.
    patience: Option<Duration>,
}

pub(super) async fn run(reader: Reader, telling: Telling, frames: mpsc::Sender<Result<Bytes, Error>>) {
    let clock = telling.clock.clone();
    let mut teller = Teller { reader, frames: frames.clone(), counts: vec![0; TABLES.len()], clock, patience: None };
    let told = teller.tell(telling).await;
    // Nobody waits for whoever listens while it holds a snapshot.
    drop(teller);
    if let Err(Stopped::Failed(error)) = told {
        // Whoever listened may have gone.
        let _ = frames.send(Err(error)).await;
    }
}

impl Teller {
    async fn tell(&mut self, telling: Telling) -> Result<(), Stopped> {
        let source = self.reader.head().await?;
        let after = match telling.after {
            Some(position) => Some(Position::of((position, self.hash_at(position, source).await?))),
            None => None,
        };
        let mut told = after.as_ref().map_or(source.0, |after| after.position);
        let whole = after.is_none();
        let tables =
            TABLES.iter().map(|table| (table.name.to_owned(), table.columns.iter().map(|column| column.name.to_owned()).collect()));
        let header = Header {
            format: FORMAT,
            tenant: telling.tenant,
            after,
            source: Position::of(source),
            kinds: telling.kinds,
            tables: tables.collect(),
        };
        self.send(&Frame::Header(header)).await?;
        if whole {
            self.all(records()).await?;
            self.events(0, source.0, None).await?;
        }
        for _ in 0..ROUNDS {
            let head = self.reader.head().await?.0;
            if head - told <= FEW_EVENTS {
                break;
            }
            self.changes(told, head).await?;
            told = head;
        }
        let clock = self.clock.clone();
        let head = tokio::select! {
            biased;
            () = passed(&clock, HELD) => return Err(Stopped::Failed(cut().with_source("it was not read on fast enough"))),
            head = self.last_moment(told) => head?,
        };
        let end = End { head: Position::of(head), rows: self.counts.clone() };
        // Before whoever listens sees the end.
        let _ = telling.end.set(end.head.clone());
        self.send(&Frame::End(end)).await
    }

    /// What came after a position, and the tables without events, all as of one moment, which it tells.
    async fn last_moment(&mut self, told: i64) -> Result<(i64, [u8; 32]), Stopped> {
        self.reader.hold().await?;
        self.patience = Some(PATIENCE);
        let head = self.reader.head().await?;
        self.changes(told, head.0).await?;
        for table in TABLES.iter().filter(|table| table.told == Told::Whole) {
            self.send(&Frame::Cleared(number(table))).await?;
            self.all(table).await?;
        }
        self.reader.release().await?;
        self.patience = None;
        Ok(head)
    }

    /// The hash of an event that an increment begins behind.
    async fn hash_at(&mut self, position: i64, head: (i64, [u8; 32])) -> Result<[u8; 32], Error> {
        if position == 0 {
            return Ok([0; 32]);
        }
        let found = self.reader.page(events(), Some(vec![Cell::Int(position - 1)])).await?;
        let first = found.rows.first().filter(|row| position <= head.0 && row[0] == Cell::Int(position));
        let hash = first.and_then(|row| row[2].bytes()).and_then(|hash| hash.try_into().ok());
        hash.ok_or_else(|| {
            let detail = format!("There is no event at position {position} to go on from: take a whole copy.");
            Error::new(ErrorKind::Conflict, "dump_position", detail)
        })
    }

    /// Every row of a table.
    async fn all(&mut self, table: &'static Table) -> Result<(), Stopped> {
        let mut after = None;
        loop {
            let Page { rows, next } = self.reader.page(table, after).await?;
            self.rows(table, rows).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Events after one position and up to another, and what they are about.
    async fn events(&mut self, after: i64, last: i64, mut subjects: Option<&mut Vec<RecordId>>) -> Result<(), Stopped> {
        let mut at = after;
        while at < last {
            let Page { mut rows, .. } = self.reader.page(events(), Some(vec![Cell::Int(at)])).await?;
            rows.retain(|row| row[0].int().is_some_and(|position| position <= last));
            let Some(position) = rows.last().and_then(|row| row[0].int()) else {
                return Err(damaged(format!("the event at position {} is not there", at + 1)).into());
            };
            if let Some(subjects) = &mut subjects {
                subjects.extend(rows.iter().filter_map(|row| row[1].id()));
            }
            at = position;
            self.rows(events(), rows).await?;
        }
        Ok(())
    }

    /// Events and, as they are now, the records that these name.
    async fn changes(&mut self, after: i64, last: i64) -> Result<(), Stopped> {
        let mut at = after;
        while at < last {
            let until = last.min(at + FEW_EVENTS);
            let mut named = Vec::new();
            self.events(at, until, Some(&mut named)).await?;
            named.sort_unstable();
            named.dedup();
            for ids in named.chunks(NAMED) {
                self.send(&Frame::Replaced(ids.to_vec())).await?;
                let rows = self.reader.named(ids.to_vec()).await?;
                self.rows(records(), rows).await?;
            }
            at = until;
        }
        Ok(())
    }

    async fn rows(&mut self, table: &'static Table, mut rows: Vec<Vec<Cell>>) -> Result<(), Stopped> {
        rows.retain(|row| table.keeps(row));
        if rows.is_empty() {
            return Ok(());
        }
        self.counts[usize::from(number(table))] += rows.len() as u64;
        self.send(&Frame::Rows(number(table), rows)).await
    }

    async fn send(&mut self, frame: &Frame) -> Result<(), Stopped> {
        let bytes = frame.encode()?;
        let limit = async {
            match self.patience {
                Some(patience) => passed(&self.clock, patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            sent = self.frames.send(Ok(bytes)) => sent.map_err(|_| Stopped::Unheard),
            () = limit => Err(Stopped::Failed(cut().with_source("it was not read on"))),
        }
    }
}

fn records() -> &'static Table {
    &TABLES[0]
}

fn events() -> &'static Table {
    &TABLES[1]
}

fn number(table: &'static Table) -> u8 {
    TABLES.iter().position(|known| known.name == table.name).expect("is in the list") as u8
}
