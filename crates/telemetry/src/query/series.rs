//! One metric over time: points are put into steps, aggregated, and grouped by attributes.
//!
//! `avg`, `min`, `max`, `count` and `last` look at the points of a group. `sum` adds the series of a group, each with its last value in the
//! step (of deltas: all of them). `rate` is per second: the growth of a running total, its restarts taken into account, spread over the time
//! between two points; of deltas their sum.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use serde_json::Value as Json;
use steward_base::filter::Expr;
use steward_base::{Error, ErrorKind, Result, Timestamp};

use super::scan::Scan;
use super::{Predicate, Steps, compile};
use crate::rows::{Places, words};
use crate::segment::SeriesTable;
use crate::{MetricKind, Signal};

/// Groups one answer may have.
const MAX_GROUPS: usize = 1_000;
/// Points `rate` and `sum` may look at: they need them in order.
const MAX_POINTS: usize = 5_000_000;
/// Two points further apart say nothing about the time between them.
const MAX_GAP: i64 = 300_000_000;

/// How the points of a step become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// The mean.
    #[default]
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The series added up.
    Sum,
    /// The latest.
    Last,
    /// How many points.
    Count,
    /// Growth per second.
    Rate,
}

/// What to show.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// The metric.
    pub name: String,
    /// Checked against [`super::metric_registry`].
    pub filter: Option<Expr>,
    /// From this time on.
    pub from: Timestamp,
    /// Up to and without this time.
    pub to: Timestamp,
    /// The width of a step; steps are aligned to the epoch.
    pub step: Duration,
    /// How the points of a step become one.
    pub aggregate: Aggregate,
    /// Attributes, or fields such as `device_id`, that make the groups.
    pub group_by: Vec<String>,
}

/// A line in a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The group's values; one that the group has not is absent.
    pub labels: BTreeMap<String, String>,
    /// Start of the step and value, in order of time; steps without points are absent.
    pub points: Vec<(Timestamp, f64)>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSet {
    /// UCUM; empty when there are no points.
    pub unit: String,
    /// How the points relate to each other.
    pub kind: MetricKind,
    /// In order of labels.
    pub series: Vec<Series>,
}

pub(super) fn run(scan: &Scan, query: &SeriesQuery) -> Result<SeriesSet> {
    let steps = Steps::new(query.from, query.to, query.step)?;
    let predicate = compile(Signal::Metrics, query.filter.as_ref())?;
    let mut gather = Gather::new(query, steps);
    let (from, to) = (gather.from.max(predicate.times.0), gather.to.min(predicate.times.1.saturating_add(1)));
    let columns = ["name", "unit", "kind", "service", "organization_id", "device_id", "project_id", "service_id", "attributes"];
    let columns = [columns.as_slice(), &["series", "time", "start_time", "value", "batch", "ordinal"]].concat();
    for part in scan.parts(from, to)? {
        if scan.may_have(&part, &query.name)? {
            gather.rows(&scan.read(&part, &columns)?, &predicate)?;
        }
    }
    gather.finish()
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: (i64, f64),
}

impl Cell {
    fn add(cell: &mut Option<Cell>, time: i64, value: f64) {
        let cell = cell.get_or_insert(Cell { count: 0, sum: 0.0, min: value, max: value, last: (time, value) });
        cell.count += 1;
        cell.sum += value;
        cell.min = cell.min.min(value);
        cell.max = cell.max.max(value);
        if time >= cell.last.0 {
            cell.last = (time, value);
        }
    }

    fn value(&self, aggregate: Aggregate) -> f64 {
        match aggregate {
            Aggregate::Avg => self.sum / self.count as f64,
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Last => self.last.1,
            Aggregate::Count => self.count as f64,
            Aggregate::Sum | Aggregate::Rate => self.sum,
        }
    }
}

/// Where a series' points go: into their group's cells, or to a track of their own.
#[derive(Clone, Copy, Debug)]
enum Place {
    Group(usize),
    Track(usize),
}

/// One series' points, for what needs them in order.
#[derive(Debug)]
struct Track {
    group: usize,
    /// Time, start of the running total, value.
    points: Vec<(i64, i64, f64)>,
}

struct Gather<'a> {
    query: &'a SeriesQuery,
    steps: Steps,
    /// `rate` needs the points before the first and after the last step.
    from: i64,
    to: i64,
    unit: String,
    kind: MetricKind,
    groups: HashMap<Vec<Option<String>>, usize>,
    cells: Vec<BTreeMap<i64, Option<Cell>>>,
    tracks: Vec<Track>,
    known: HashMap<[String; 9], usize>,
    tracked: usize,
}

impl<'a> Gather<'a> {
    fn new(query: &'a SeriesQuery, steps: Steps) -> Self {
        let around = if query.aggregate == Aggregate::Rate { gap(&steps) } else { 0 };
        Self {
            query,
            from: steps.from.saturating_sub(around),
            to: steps.to.saturating_add(around),
            steps,
            unit: String::new(),
            kind: MetricKind::Gauge,
            groups: HashMap::new(),
            cells: Vec::new(),
            tracks: Vec::new(),
            known: HashMap::new(),
            tracked: 0,
        }
    }

    fn rows(&mut self, batch: &RecordBatch, predicate: &Predicate) -> Result<()> {
        let names = words(&batch["name"]);
        let wanted: Vec<bool> = names.texts.iter().map(|name| name == Some(&self.query.name)).collect();
        let times = Places::of(batch).time;
        let inside = |row: usize| wanted[names.code(row) as usize] && times[row] >= self.from && times[row] < self.to;
        let mut mask: Vec<bool> = (0..batch.num_rows()).map(inside).collect();
        if !mask.contains(&true) {
            return Ok(());
        }
        predicate.narrow(batch, &mut mask);
        let table = SeriesTable::of(batch);
        let starts = batch["start_time"].as_primitive::<TimestampMicrosecondType>().values();
        let values = batch["value"].as_primitive::<Float64Type>().values();
        let mut places: Vec<Option<Place>> = vec![None; table.rows.len()];
        for row in (0..mask.len()).filter(|row| mask[*row]) {
            let series = table.of_row[row];
            let place = match places[series as usize] {
                Some(place) => place,
                None => *places[series as usize].insert(self.place(&table.texts(series))?),
            };
            match place {
                Place::Track(track) => {
                    self.tracked += 1;
                    self.tracks[track].points.push((times[row], starts[row], values[row]));
                }
                Place::Group(group) if self.steps.contains(times[row]) => {
                    Cell::add(self.cells[group].entry(self.steps.bucket(times[row])).or_default(), times[row], values[row]);
                }
                Place::Group(_) => {}
            }
        }
        if self.tracked > MAX_POINTS {
            let detail = format!("More than {MAX_POINTS} points are in this time range. Narrow it or filter more.");
            return Err(Error::new(ErrorKind::Invalid, "too_many_points", detail));
        }
        Ok(())
    }

    /// Where the points of a series with these texts (in schema order) go.
    fn place(&mut self, texts: &[&str; 9]) -> Result<Place> {
        let [_, unit, kind, ..] = texts;
        (self.unit, self.kind) = ((*unit).to_owned(), MetricKind::from_name(kind));
        let attributes: Json = serde_json::from_str(texts[8]).unwrap_or_default();
        let labels: Vec<Option<String>> = self.query.group_by.iter().map(|name| label(name, texts, &attributes)).collect();
        let next = self.groups.len();
        let group = *self.groups.entry(labels).or_insert(next);
        if group == next {
            self.cells.push(BTreeMap::new());
        }
        if self.groups.len() > MAX_GROUPS {
            let detail = format!("More than {MAX_GROUPS} groups. Filter more or group by less.");
            return Err(Error::new(ErrorKind::Invalid, "too_many_groups", detail));
        }
        let totals = self.kind != MetricKind::Delta && matches!(self.query.aggregate, Aggregate::Rate | Aggregate::Sum);
        if !totals {
            return Ok(Place::Group(group));
        }
        let new = self.tracks.len();
        let track = *self.known.entry(texts.map(str::to_owned)).or_insert(new);
        if track == new {
            self.tracks.push(Track { group, points: Vec::new() });
        }
        Ok(Place::Track(track))
    }

    fn finish(mut self) -> Result<SeriesSet> {
        let aggregate = self.query.aggregate;
        let seconds = self.steps.step as f64 / 1e6;
        let mut values: Vec<BTreeMap<i64, f64>> = self
            .cells
            .iter()
            .map(|cells| cells.iter().filter_map(|(time, cell)| Some((*time, cell.as_ref()?.value(aggregate)))).collect())
            .collect();
        if aggregate == Aggregate::Rate {
            values.iter_mut().flat_map(BTreeMap::values_mut).for_each(|value| *value /= seconds);
        }
        for track in &mut self.tracks {
            track.points.sort_unstable_by(|left, right| left.0.cmp(&right.0).then(left.2.total_cmp(&right.2)));
            let per_step = if aggregate == Aggregate::Rate { rates(&track.points, &self.steps) } else { lasts(&track.points, &self.steps) };
            for (time, value) in per_step {
                *values[track.group].entry(time).or_default() += value;
            }
        }
        let mut series: Vec<Series> =
            self.groups.into_iter().map(|(labels, group)| self.query.series(labels, std::mem::take(&mut values[group]))).collect();
        series.sort_by(|left, right| left.labels.cmp(&right.labels));
        series.retain(|series| !series.points.is_empty());
        Ok(SeriesSet { unit: self.unit, kind: self.kind, series })
    }
}

impl SeriesQuery {
    fn series(&self, labels: Vec<Option<String>>, values: BTreeMap<i64, f64>) -> Series {
        let labels = self.group_by.iter().zip(labels).filter_map(|(name, value)| Some((name.clone(), value?)));
        Series { labels: labels.collect(), points: values.into_iter().map(|(time, value)| (Timestamp::from_micros(time), value)).collect() }
    }
}

fn gap(steps: &Steps) -> i64 {
    MAX_GAP.max(steps.step.saturating_mul(2))
}

fn label(name: &str, texts: &[&str; 9], attributes: &Json) -> Option<String> {
    const FIELDS: [(&str, usize); 6] =
        [("unit", 1), ("service", 3), ("organization_id", 4), ("device_id", 5), ("project_id", 6), ("service_id", 7)];
    let key = name.strip_prefix("attributes.").unwrap_or(name);
    if let Some(value) = attributes.get(key) {
        return Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let (_, at) = FIELDS.iter().find(|(field, _)| *field == name)?;
    Some(texts[*at].to_owned()).filter(|text| !text.is_empty())
}

/// The last value in each step.
fn lasts(points: &[(i64, i64, f64)], steps: &Steps) -> BTreeMap<i64, f64> {
    points.iter().filter(|point| steps.contains(point.0)).map(|(time, _, value)| (steps.bucket(*time), *value)).collect()
}

/// Growth per second in each step. Between two points growth is even; a step's rate is over the part of it that points cover.
fn rates(points: &[(i64, i64, f64)], steps: &Steps) -> BTreeMap<i64, f64> {
    let mut grown: BTreeMap<i64, (f64, i64)> = BTreeMap::new();
    for pair in points.windows(2) {
        let ((before, old_start, old), (after, new_start, new)) = (pair[0], pair[1]);
        let span = after - before;
        if span <= 0 || span > gap(steps) {
            continue;
        }
        // A running total that fell, or says so itself, began again at zero.
        let restarted = new < old || (new_start > old_start && new_start > before);
        let growth = if restarted { new } else { new - old };
        let mut at = before.max(steps.from);
        let end = after.min(steps.to);
        while at < end {
            let bucket = steps.bucket(at);
            let until = end.min(bucket.saturating_add(steps.step));
            let cell = grown.entry(bucket).or_default();
            cell.0 += growth * (until - at) as f64 / span as f64;
            cell.1 += until - at;
            at = until;
        }
    }
    grown.into_iter().map(|(bucket, (growth, covered))| (bucket, growth / (covered as f64 / 1e6))).collect()
}
