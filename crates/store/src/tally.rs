//! Small durable numbers of a tenant: counters with bounds, sequences without gaps, and the cursors of consumers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, RecordId, TenantId, Timestamp};

/// What a counter may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// At least.
    pub min: i64,
    /// At most.
    pub max: i64,
}

impl Bounds {
    /// Anything.
    pub const NONE: Bounds = Bounds { min: i64::MIN, max: i64::MAX };
    /// Zero and more.
    pub const NATURAL: Bounds = Bounds { min: 0, max: i64::MAX };
}

/// What a unit of work does to the numbers of its tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tally {
    /// Adds to a counter; counters commute, so that no two units ever conflict over one.
    Add { name: Cow<'static, str>, by: i64, bounds: Bounds },
    /// Puts the next number of a sequence into a top-level field of a record that the unit writes.
    Number { sequence: Cow<'static, str>, record: RecordId, field: Cow<'static, str> },
    /// Moves a consumer's cursor.
    Advance { consumer: Cow<'static, str>, from: i64, to: i64 },
    /// Remembers a message of an outside source.
    Receive { source: Cow<'static, str>, message: String, until: Timestamp },
    /// Notes which commit of a process elsewhere was the last one on one of its lanes, so that none happens twice.
    Lane(Lane),
    /// Says in control whether a tenant's namespace may have work waiting; only in place of one mark, where that is named.
    Mark { tenant: TenantId, number: i64, instead_of: Option<i64> },
    /// Notes in control that nothing is committed into a tenant's namespace, unless it is marked dirty; the next such mark takes it away.
    Calm { tenant: TenantId, number: i64 },
    /// Notes something in control, or forgets it.
    Note { key: TallyKey, value: Option<i64> },
}

/// The place of a commit among those of another process. A lane has one commit under way at a time, and their numbers rise, so that one row of
/// the inbox per lane tells of each commit whether it happened: the time until which a lane is remembered is made of the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lane {
    /// Of all processes there are.
    pub(crate) name: String,
    /// Microseconds since 1970 when the commit began, or more.
    pub(crate) number: i64,
}

/// The source under which the inbox remembers lanes.
const LANE: &str = "$lane";
/// How long an idle lane is remembered, far longer than anybody repeats a commit.
const LANE_KEPT: i64 = 3_600 * 1_000_000;

impl Lane {
    /// Source and message in the inbox.
    pub(crate) fn message(&self) -> (String, String) {
        (LANE.to_owned(), self.name.clone())
    }

    /// Until when the inbox remembers it; a row with this time or a later one says that the commit happened.
    pub(crate) fn until(&self) -> i64 {
        self.number.saturating_add(LANE_KEPT)
    }
}

/// The name under which the engines keep a number: one table for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum TallyKey {
    Counter(String),
    Sequence(String),
    Cursor(String),
    Mark(TenantId),
    /// Since when nothing was committed into a tenant's namespace.
    Calm(TenantId),
    /// Where a tenant is.
    Place(TenantId),
    /// Where a copy of a tenant may be that does not count.
    Stray(TenantId),
}

/// What the names of marks begin with.
pub(crate) const MARK: &str = "mark:";
pub(crate) const CALM: &str = "calm:";
pub(crate) const PLACE: &str = "place:";
pub(crate) const STRAY: &str = "stray:";

/// Whether a number says something about this installation's copy of a tenant rather than about the tenant.
pub(crate) fn is_of_installation(name: &str) -> bool {
    [MARK, CALM, PLACE, STRAY].iter().any(|prefix| name.starts_with(prefix))
}

impl TallyKey {
    /// As it is stored.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Counter(name) => format!("counter:{name}"),
            Self::Sequence(name) => format!("sequence:{name}"),
            Self::Cursor(name) => format!("cursor:{name}"),
            Self::Mark(tenant) => format!("{MARK}{tenant}"),
            Self::Calm(tenant) => format!("{CALM}{tenant}"),
            Self::Place(tenant) => format!("{PLACE}{tenant}"),
            Self::Stray(tenant) => format!("{STRAY}{tenant}"),
        }
    }
}

impl Tally {
    pub(crate) fn key(&self) -> Option<TallyKey> {
        match self {
            Self::Add { name, .. } => Some(TallyKey::Counter(name.to_string())),
            Self::Number { sequence, .. } => Some(TallyKey::Sequence(sequence.to_string())),
            Self::Advance { consumer, .. } => Some(TallyKey::Cursor(consumer.to_string())),
            Self::Mark { tenant, .. } | Self::Calm { tenant, .. } => Some(TallyKey::Mark(*tenant)),
            // A note is written whatever was there.
            Self::Note { .. } | Self::Receive { .. } | Self::Lane(_) => None,
        }
    }
}

pub(crate) fn out_of_bounds(name: &str, value: i64, bounds: Bounds) -> Error {
    let detail = if value > bounds.max {
        format!("The limit of {} is reached: free some of {name} or raise it.", bounds.max)
    } else {
        format!("{name} cannot go below {}.", bounds.min)
    };
    Error::new(ErrorKind::Conflict, "counter_bound", detail)
}

pub(crate) fn cursor_moved(consumer: &str, position: i64) -> Error {
    let detail = format!("The consumer {consumer} is at position {position}: somebody else went on.");
    Error::new(ErrorKind::Conflict, "cursor_moved", detail)
}

pub(crate) fn already_received() -> Error {
    Error::new(ErrorKind::Conflict, "already_received", "This message was received and handled before.")
}

pub(crate) fn already_committed() -> Error {
    Error::new(ErrorKind::Conflict, ALREADY_COMMITTED, "This very commit was made before.")
}

/// The code by which whoever repeats a commit learns that it happened.
pub(crate) const ALREADY_COMMITTED: &str = "already_committed";
