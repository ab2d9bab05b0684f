//! Log rows by time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampMicrosecondType, UInt8Type};
use serde_json::{Map, Value};
use steward_base::filter::Expr;
use steward_base::{Error, Result, Timestamp, hex};

use super::compile;
use super::predicate::Attributes;
use super::scan::{Part, Scan};
use crate::rows::{Places, RowId, words};
use crate::{Severity, Signal};

/// Which end of time comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The latest row first.
    #[default]
    Newest,
    /// The earliest row first.
    Oldest,
}

/// What rows to return.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Up to and without this time.
    pub to: Option<Timestamp>,
    /// Checked against [`super::log_registry`].
    pub filter: Option<Expr>,
    /// Which end comes first.
    pub order: Order,
    /// At most this many rows.
    pub limit: usize,
    /// Continues after this row; rows that arrive meanwhile do not shift the page.
    pub after: Option<LogCursor>,
}

/// A row's place in time; the text form reads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogCursor {
    time: i64,
    id: RowId,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time, self.id.batch, self.id.ordinal)
    }
}

impl FromStr for LogCursor {
    type Err = Error;

    /// Fails with `invalid`.
    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (time, id) = text.split_once('.')?;
            let (batch, ordinal) = id.split_once('.')?;
            Some(Self { time: time.parse().ok()?, id: RowId { batch: batch.parse().ok()?, ordinal: ordinal.parse().ok()? } })
        };
        parse().ok_or_else(|| {
            Error::invalid("The cursor is not one of ours.").with_field("/cursor", "invalid", "Send next_cursor as it was received.")
        })
    }
}

/// One log row.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// Stable for the row's life.
    pub id: RowId,
    /// When it happened.
    pub time: Timestamp,
    /// When it was first seen by a collector.
    pub observed_time: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// The source's own word for it.
    pub severity_text: String,
    /// `service.name`.
    pub service: String,
    /// What it says.
    pub message: String,
    /// The stream it was sent to.
    pub stream: String,
    /// `org_…`, empty where unknown; so are the other ids.
    pub organization_id: String,
    /// `dev_…`
    pub device_id: String,
    /// `prj_…`
    pub project_id: String,
    /// `svc_…`
    pub service_id: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Everything else, typed.
    pub attributes: Map<String, Value>,
}

/// Rows in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<LogCursor>,
}

/// A row that may be in the answer: greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: (i64, i128),
    part: usize,
    row: usize,
}

/// Orders rows so that the first of the answer is the greatest.
fn rank(order: Order, place: LogCursor) -> (i64, i128) {
    let arrival = i128::from(place.id.batch) << 32 | i128::from(place.id.ordinal);
    match order {
        Order::Newest => (place.time, arrival),
        Order::Oldest => (-place.time, -arrival),
    }
}

pub(super) fn run(scan: &Scan, query: &LogQuery) -> Result<LogPage> {
    let predicate = compile(Signal::Logs, query.filter.as_ref())?;
    let from = query.from.map_or(i64::MIN, Timestamp::micros).max(predicate.times.0);
    let to = query.to.map_or(i64::MAX, Timestamp::micros).min(predicate.times.1.saturating_add(1));
    let after = query.after.map(|cursor| rank(query.order, cursor));
    if query.limit == 0 {
        return Ok(LogPage::default());
    }
    let mut parts = scan.parts(from, to)?;
    let best = |part: &Part| if query.order == Order::Newest { part.max_time } else { -part.min_time };
    parts.sort_by_key(|part| Reverse(best(part)));
    let mut columns = predicate.columns();
    columns.extend(["time", "batch", "ordinal"]);
    let columns: Vec<&str> = columns.into_iter().collect();
    // One more than asked for, to know whether there is a next page.
    let wanted = query.limit.saturating_add(1);
    let mut found: BinaryHeap<Reverse<Candidate>> = BinaryHeap::new();
    for (at, part) in parts.iter().enumerate() {
        if found.len() == wanted && found.peek().is_some_and(|worst| worst.0.rank.0 > best(part)) {
            break;
        }
        let beyond = if query.order == Order::Newest { part.min_time } else { -part.max_time };
        if after.is_some_and(|after| beyond > after.0) || !scan.may_pass(part, &predicate) {
            continue;
        }
        let rows = scan.read(part, &columns)?;
        let places = Places::of(&rows);
        let mut mask: Vec<bool> = places.time.iter().map(|time| (from..to).contains(time)).collect();
        predicate.narrow(&rows, &mut mask);
        for row in (0..mask.len()).filter(|row| mask[*row]) {
            let rank = rank(query.order, LogCursor { time: places.time[row], id: places.id(row) });
            let fits = found.len() < wanted || found.peek().is_some_and(|worst| worst.0.rank < rank);
            if fits && after.is_none_or(|after| rank < after) {
                if found.len() == wanted {
                    found.pop();
                }
                found.push(Reverse(Candidate { rank, part: at, row }));
            }
        }
    }
    let mut chosen: Vec<Candidate> = found.into_iter().map(|candidate| candidate.0).collect();
    chosen.sort_unstable_by(|left, right| right.cmp(left));
    let more = chosen.len() > query.limit;
    chosen.truncate(query.limit);
    let rows = materialize(scan, &parts, &chosen)?;
    let next = rows.last().filter(|_| more).map(|row| LogCursor { time: row.time.micros(), id: row.id });
    Ok(LogPage { rows, next })
}

fn materialize(scan: &Scan, parts: &[Part], chosen: &[Candidate]) -> Result<Vec<LogRow>> {
    let mut by_part: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (place, candidate) in chosen.iter().enumerate() {
        by_part.entry(candidate.part).or_default().push((candidate.row, place));
    }
    let mut rows: Vec<(usize, LogRow)> = Vec::with_capacity(chosen.len());
    for (part, mut picks) in by_part {
        picks.sort_unstable();
        let wanted: Vec<usize> = picks.iter().map(|(row, _)| *row).collect();
        let (batch, found) = scan.fetch(&parts[part], &wanted)?;
        rows.extend(found.into_iter().zip(picks).map(|(row, (_, place))| (place, row_of(&batch, row))));
    }
    rows.sort_unstable_by_key(|(place, _)| *place);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// One row of a whole batch.
pub(crate) fn row_of(batch: &RecordBatch, row: usize) -> LogRow {
    let text = |name: &str| words(&batch[name]).at(row).to_owned();
    let time = |name: &str| Timestamp::from_micros(batch[name].as_primitive::<TimestampMicrosecondType>().value(row));
    let id = |name: &str| {
        let bytes = batch[name].as_fixed_size_binary().value(row);
        if bytes.iter().all(|byte| *byte == 0) { String::new() } else { hex(bytes) }
    };
    let attributes = Attributes::of(&batch.slice(row, 1)).to_map();
    LogRow {
        id: Places::of(batch).id(row),
        time: time("time"),
        observed_time: time("observed_time"),
        severity: Severity::from_number(i32::from(batch["severity"].as_primitive::<UInt8Type>().value(row))),
        severity_text: text("severity_text"),
        service: text("service"),
        message: batch["message"].as_string::<i32>().value(row).to_owned(),
        stream: text("stream"),
        organization_id: text("organization_id"),
        device_id: text("device_id"),
        project_id: text("project_id"),
        service_id: text("service_id"),
        trace_id: id("trace_id"),
        span_id: id("span_id"),
        attributes,
    }
}
