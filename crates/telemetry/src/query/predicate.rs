//! A filter made ready to run over columns.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{FixedSizeBinaryArray, MapArray, RecordBatch, StringArray};
use serde_json::Value as Json;
use steward_base::filter::{Compare, Expr, FieldPath, Literal, Op, Row as _, Value, holds};
use steward_base::{Error, ErrorKind, Result, Timestamp, hex};

use super::find::Finder;
use super::prune::Wants;
use crate::rows::words;
use crate::{Severity, Signal};

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Predicate {
    root: Node,
    signal: Signal,
    /// What the filter itself says of time: first and last microsecond that can pass.
    pub(crate) times: (i64, i64),
    /// What a row group must hold for a row of it to pass.
    pub(crate) wants: Wants,
}

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Which severity numbers pass.
    Severity([bool; 25]),
    Time {
        column: &'static str,
        op: Op,
        literal: Literal,
    },
    Words {
        column: &'static str,
        op: Op,
        literal: Literal,
    },
    Message {
        op: Op,
        literal: Literal,
        finder: Option<Finder>,
    },
    Id {
        column: &'static str,
        op: Op,
        literal: Literal,
        bytes: Option<Vec<u8>>,
    },
    Number {
        op: Op,
        literal: Literal,
    },
    /// The map of attributes itself: has it this key, or any?
    Attributes {
        op: Op,
        literal: Literal,
    },
    Attribute {
        key: String,
        op: Op,
        literal: Literal,
    },
    Word(Finder),
}

impl Predicate {
    /// Compiles a checked filter. Fails with `filter_field` and `filter_type` where the check could not know better.
    pub(crate) fn compile(signal: Signal, filter: Option<&Expr>) -> Result<Self> {
        let everything = Expr::everything();
        let filter = filter.unwrap_or(&everything);
        let mut times = (i64::MIN, i64::MAX);
        bound_times(filter, &mut times);
        Ok(Self { root: node(signal, filter)?, signal, times, wants: Wants::of(signal, filter) })
    }

    pub(crate) fn is_everything(&self) -> bool {
        matches!(&self.root, Node::And(parts) if parts.is_empty())
    }

    /// The columns that must be read to run it.
    pub(crate) fn columns(&self) -> BTreeSet<&'static str> {
        let mut columns = BTreeSet::new();
        self.root.columns(&mut columns);
        columns
    }

    /// Per row, whether it passes.
    pub(crate) fn mask(&self, rows: &RecordBatch) -> Vec<bool> {
        let mut mask = vec![true; rows.num_rows()];
        self.narrow(rows, &mut mask);
        mask
    }

    /// Takes the rows that do not pass out of `mask`.
    pub(crate) fn narrow(&self, rows: &RecordBatch, mask: &mut [bool]) {
        self.root.narrow(self.signal, rows, mask);
    }
}

fn bound_times(filter: &Expr, times: &mut (i64, i64)) {
    match filter {
        Expr::And(parts) => parts.iter().for_each(|part| bound_times(part, times)),
        Expr::Compare(Compare { field, op, value: Literal::Time(time), .. }) if field.name() == "time" => match op {
            Op::Eq => *times = (times.0.max(time.micros()), times.1.min(time.micros())),
            Op::Gt | Op::Ge => times.0 = times.0.max(time.micros()),
            Op::Lt | Op::Le => times.1 = times.1.min(time.micros()),
            Op::Ne | Op::Has => {}
        },
        _ => {}
    }
}

fn node(signal: Signal, filter: &Expr) -> Result<Node> {
    let all = |parts: &[Expr]| parts.iter().map(|part| node(signal, part)).collect::<Result<Vec<_>>>();
    Ok(match filter {
        Expr::And(parts) => Node::And(all(parts)?),
        Expr::Or(parts) => Node::Or(all(parts)?),
        Expr::Not(part) => Node::Not(Box::new(node(signal, part)?)),
        Expr::Word(word) => Node::Word(Finder::new(word)),
        Expr::Compare(compare) => leaf(signal, compare)?,
    })
}

fn leaf(signal: Signal, compare: &Compare) -> Result<Node> {
    let Compare { field, op, value, .. } = compare;
    let (op, literal) = (*op, value.clone());
    if let [first, rest @ ..] = field.segments()
        && first == "attributes"
    {
        let key = rest.join(".");
        return Ok(if rest.is_empty() { Node::Attributes { op, literal } } else { Node::Attribute { key, op, literal } });
    }
    let name = field.name();
    let column = COLUMNS.iter().copied().find(|column| *column == name);
    Ok(match (signal, name.as_str(), column) {
        (Signal::Logs, "severity", _) => Node::Severity(severities(compare)?),
        (Signal::Logs, "severity_number", _) => {
            Node::Severity(std::array::from_fn(|number| holds(&Value::Int(number as i64), op, &literal)))
        }
        (Signal::Logs, "message", _) => {
            let finder = match (&literal, op) {
                (Literal::Text(text), Op::Has) if !text.is_empty() => Some(Finder::new(text)),
                _ => None,
            };
            Node::Message { op, literal, finder }
        }
        (Signal::Logs, "trace_id" | "span_id", Some(column)) => {
            let bytes = if let Literal::Text(text) = &literal { unhex(text) } else { None };
            Node::Id { column, op, literal, bytes }
        }
        (Signal::Metrics, "value", _) => Node::Number { op, literal },
        (_, "time" | "observed_time" | "start_time", Some(column)) => Node::Time { column, op, literal },
        (_, _, Some(column)) => Node::Words { column, op, literal },
        (_, _, None) => return Err(refused("filter_field", compare, &format!("There is no field {name}."))),
    })
}

const COLUMNS: [&str; 16] = [
    "time",
    "observed_time",
    "start_time",
    "severity_text",
    "service",
    "stream",
    "organization_id",
    "device_id",
    "project_id",
    "service_id",
    "trace_id",
    "span_id",
    "name",
    "unit",
    "kind",
    "value",
];

/// Levels are ordered by how bad they are, not by the alphabet.
fn severities(compare: &Compare) -> Result<[bool; 25]> {
    let Compare { op, value, .. } = compare;
    let range = if let Literal::Text(name) = value { Severity::range(name) } else { None };
    if range.is_none() && matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge) {
        let names = Severity::LEVELS.map(|(name, ..)| name).join(", ");
        return Err(refused("filter_type", compare, &format!("severity is ordered by level: {names}.")));
    }
    Ok(std::array::from_fn(|number| {
        let number = number as u8;
        let name = Severity::from_number(i32::from(number)).name();
        match (op, range) {
            (Op::Eq, Some((low, high))) => (low..=high).contains(&number),
            (Op::Ne, Some((low, high))) => !(low..=high).contains(&number),
            (Op::Lt, Some((low, _))) => number < low,
            (Op::Le, Some((_, high))) => number <= high,
            (Op::Gt, Some((_, high))) => number > high,
            (Op::Ge, Some((low, _))) => number >= low,
            _ => holds(&Value::Text(name.into()), *op, value),
        }
    }))
}

fn refused(code: &'static str, compare: &Compare, detail: &str) -> Error {
    let detail = format!("Column {}: {detail}", compare.column);
    Error::new(ErrorKind::Invalid, code, format!("The filter is refused. {detail}")).with_field("/filter", code, detail)
}

impl Node {
    fn columns(&self, out: &mut BTreeSet<&'static str>) {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| part.columns(out)),
            Node::Not(part) => part.columns(out),
            Node::Severity(_) => drop(out.insert("severity")),
            Node::Time { column, .. } | Node::Words { column, .. } | Node::Id { column, .. } => drop(out.insert(column)),
            Node::Message { .. } => drop(out.insert("message")),
            Node::Number { .. } => drop(out.insert("value")),
            Node::Attributes { .. } | Node::Attribute { .. } => out.extend(["attributes", "attribute_types"]),
            Node::Word(_) => out.extend(["message", "service", "attributes", "attribute_types"]),
        }
    }

    fn narrow(&self, signal: Signal, rows: &RecordBatch, mask: &mut [bool]) {
        if !mask.contains(&true) {
            return;
        }
        match self {
            Node::And(parts) => parts.iter().for_each(|part| part.narrow(signal, rows, mask)),
            Node::Or(parts) => {
                let mut any = vec![false; mask.len()];
                for part in parts {
                    let mut passes: Vec<bool> = mask.iter().zip(&any).map(|(open, found)| *open && !found).collect();
                    part.narrow(signal, rows, &mut passes);
                    any.iter_mut().zip(passes).for_each(|(found, passes)| *found |= passes);
                }
                mask.copy_from_slice(&any);
            }
            Node::Not(part) => {
                let mut passes = mask.to_vec();
                part.narrow(signal, rows, &mut passes);
                mask.iter_mut().zip(passes).for_each(|(open, passes)| *open &= !passes);
            }
            Node::Severity(numbers) => {
                let column = rows["severity"].as_primitive::<UInt8Type>().values();
                keep(mask, |row| numbers.get(usize::from(column[row])).copied().unwrap_or(false));
            }
            Node::Time { column, op, literal } => {
                let column = rows[*column].as_primitive::<TimestampMicrosecondType>().values();
                keep(mask, |row| holds(&time_value(column[row]), *op, literal));
            }
            Node::Words { column, op, literal } => {
                let column = words(&rows[*column]);
                let passes: Vec<bool> = column.texts.iter().map(|text| holds(&text_value(text.unwrap_or("")), *op, literal)).collect();
                keep(mask, |row| passes[column.code(row) as usize]);
            }
            Node::Message { op, literal, finder } => message(rows["message"].as_string(), *op, literal, finder.as_ref(), mask),
            Node::Id { column, op, literal, bytes } => {
                let column = rows[*column].as_fixed_size_binary();
                id(column, *op, literal, bytes.as_deref(), mask);
            }
            Node::Number { op, literal } => {
                let column = rows["value"].as_primitive::<Float64Type>().values();
                keep(mask, |row| holds(&Value::Float(column[row]), *op, literal));
            }
            Node::Attributes { .. } | Node::Attribute { .. } => match signal {
                Signal::Logs => self.narrow_map(rows, mask),
                Signal::Metrics => self.narrow_json(rows, mask),
            },
            Node::Word(finder) => word(rows, finder, mask),
        }
    }

    /// Attributes of logs: a map column.
    fn narrow_map(&self, rows: &RecordBatch, mask: &mut [bool]) {
        let attributes = Attributes::of(rows);
        match self {
            Node::Attributes { op, literal } => keep(mask, |row| {
                let names = attributes.of_row(row).map(|at| attributes.key(at).into()).collect();
                holds(&Value::Map(names), *op, literal)
            }),
            Node::Attribute { key, op, literal } => {
                let exact: Vec<bool> = attributes.keys.texts.iter().map(|text| text == Some(key)).collect();
                // `a.b` may also mean `b` inside an object stored under `a`.
                let outer = |at: usize| {
                    attributes.kind(at) == b'j' && key.strip_prefix(attributes.key(at)).is_some_and(|rest| rest.starts_with('.'))
                };
                keep(mask, |row| {
                    if let Some(at) = attributes.of_row(row).find(|&at| exact[attributes.keys.code(at) as usize]) {
                        return attributes.holds(at, *op, literal);
                    }
                    let within = attributes.of_row(row).filter(|&at| outer(at)).max_by_key(|&at| attributes.key(at).len());
                    match within.and_then(|at| Some((serde_json::from_str::<Json>(attributes.value(at)).ok()?, at))) {
                        Some((json, at)) => holds(&json.value(&FieldPath::dotted(&key[attributes.key(at).len() + 1..])), *op, literal),
                        None => holds(&Value::Missing, *op, literal),
                    }
                });
            }
            _ => {}
        }
    }

    /// Attributes of metrics: a JSON object per series.
    fn narrow_json(&self, rows: &RecordBatch, mask: &mut [bool]) {
        let column = words(&rows["attributes"]);
        let (path, op, literal) = match self {
            Node::Attribute { key, op, literal } => (FieldPath::dotted(key), op, literal),
            Node::Attributes { op, literal } => (FieldPath(Vec::new()), op, literal),
            _ => return,
        };
        let test = |text: Option<&str>| {
            let json = text.and_then(|text| serde_json::from_str::<Json>(text).ok()).unwrap_or(Json::Null);
            holds(&json.value(&path), *op, literal)
        };
        let passes: Vec<bool> = column.texts.iter().map(test).collect();
        keep(mask, |row| passes[column.code(row) as usize]);
    }
}

fn keep(mask: &mut [bool], passes: impl Fn(usize) -> bool) {
    for (row, open) in mask.iter_mut().enumerate() {
        *open = *open && passes(row);
    }
}

fn time_value(micros: i64) -> Value<'static> {
    if micros == 0 { Value::Missing } else { Value::Time(Timestamp::from_micros(micros)) }
}

/// An empty text says that there is none.
fn text_value(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Missing } else { Value::Text(text.into()) }
}

fn message(column: &StringArray, op: Op, literal: &Literal, finder: Option<&Finder>, mask: &mut [bool]) {
    match finder {
        Some(finder) => {
            let mut hits = vec![false; mask.len()];
            finder.each(column, |row| hits[row] = true);
            keep(mask, |row| hits[row]);
        }
        None => keep(mask, |row| holds(&text_value(column.value(row)), op, literal)),
    }
}

fn id(column: &FixedSizeBinaryArray, op: Op, literal: &Literal, bytes: Option<&[u8]>, mask: &mut [bool]) {
    match (op, bytes) {
        (Op::Eq, Some(bytes)) if bytes.iter().any(|byte| *byte != 0) => keep(mask, |row| column.value(row) == bytes),
        _ => keep(mask, |row| {
            let value = column.value(row);
            let absent = value.iter().all(|byte| *byte == 0);
            let value = if absent { Value::Missing } else { Value::Text(hex(value).into()) };
            holds(&value, op, literal)
        }),
    }
}

fn word(rows: &RecordBatch, finder: &Finder, mask: &mut [bool]) {
    let mut hits = vec![false; mask.len()];
    finder.each(rows["message"].as_string(), |row| hits[row] = true);
    let services = words(&rows["service"]);
    let passes: Vec<bool> = services.texts.iter().map(|text| text.is_some_and(|text| finder.is_in(text))).collect();
    let attributes = Attributes::of(rows);
    let first = attributes.offsets.first().copied().unwrap_or(0) as usize;
    let values = attributes.values.slice(first, attributes.offsets.last().copied().unwrap_or(0) as usize - first);
    finder.each(&values, |at| {
        let at = at + first;
        if attributes.kind(at) == b's' {
            hits[attributes.offsets.partition_point(|offset| *offset as usize <= at) - 1] = true;
        }
    });
    keep(mask, |row| hits[row] || passes[services.code(row) as usize]);
}

/// The attributes of a batch of logs, entry by entry.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    offsets: &'a [i32],
    keys: crate::rows::Words<'a>,
    values: &'a StringArray,
    /// One letter per entry, from the entry `first` on.
    types: &'a [u8],
    first: usize,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(rows: &'a RecordBatch) -> Self {
        let map: &MapArray = rows["attributes"].as_map();
        let types = rows["attribute_types"].as_binary::<i32>();
        let offsets = map.value_offsets();
        let (first, last) = (offsets.first().copied().unwrap_or(0) as usize, offsets.last().copied().unwrap_or(0) as usize);
        // A slice's entries begin at its first offset, in the map and in the types alike; the two columns are cut at the same rows.
        let from = types.value_offsets().first().copied().unwrap_or(0) as usize;
        let types = &types.value_data()[from..from + last - first];
        Self { offsets, keys: words(map.keys()), values: map.values().as_string(), types, first }
    }

    fn kind(&self, at: usize) -> u8 {
        self.types[at - self.first]
    }

    pub(super) fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    pub(super) fn key(&self, at: usize) -> &'a str {
        self.keys.at(at)
    }

    pub(super) fn value(&self, at: usize) -> &'a str {
        self.values.value(at)
    }

    /// The value with its type.
    pub(super) fn json(&self, at: usize) -> Json {
        let text = self.value(at);
        match self.kind(at) {
            b's' => Json::String(text.to_owned()),
            _ => serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned())),
        }
    }

    /// The first row's attributes.
    pub(super) fn to_map(&self) -> serde_json::Map<String, Json> {
        let mut map = serde_json::Map::new();
        for at in self.of_row(0) {
            map.entry(self.key(at)).or_insert_with(|| self.json(at));
        }
        map
    }

    fn holds(&self, at: usize, op: Op, literal: &Literal) -> bool {
        let text = self.value(at);
        let value = match self.kind(at) {
            b's' => Value::Text(text.into()),
            b'i' => text.parse().map_or(Value::Missing, Value::Int),
            b'f' => text.parse().map_or(Value::Missing, Value::Float),
            b'b' => Value::Bool(text == "true"),
            _ => return holds(&self.json(at).value(&FieldPath(Vec::new())), op, literal),
        };
        holds(&value, op, literal)
    }
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<Vec<_>>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
