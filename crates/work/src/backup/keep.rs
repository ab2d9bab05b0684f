//! Which backups are kept, by their age.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Result, Timestamp};

/// How many are kept. Each rule goes from the newest to older ones and takes the newest of each span of the calendar that has one, in UTC; a backup
/// stays when any rule takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// One of each of the last days that have one.
    pub daily: u32,
    /// One of each of the last weeks, which begin on Monday.
    pub weekly: u32,
    /// One of each of the last months.
    pub monthly: u32,
    /// One of each of the last years.
    pub yearly: u32,
}

/// Numbers what belongs together.
type Span = fn(usize, Date) -> i64;

impl Keep {
    /// Whether no rule takes anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Fails with `backup_keeps_nothing`.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_nothing() {
            return Err(Error::new(ErrorKind::Invalid, "backup_keeps_nothing", "Say which backups to keep: the others are removed."));
        }
        Ok(())
    }

    /// Per backup, newest first, the rules that take it.
    pub(super) fn rules(&self, times: &[Timestamp]) -> Vec<Vec<&'static str>> {
        let rules: [(&str, u32, Span); 5] = [
            ("last", self.last, |at, _| at as i64),
            ("daily", self.daily, |_, day| month(day) * 100 + i64::from(day.day())),
            ("weekly", self.weekly, |_, day| i64::from(day.iso_week_date().year()) * 100 + i64::from(day.iso_week_date().week())),
            ("monthly", self.monthly, |_, day| month(day)),
            ("yearly", self.yearly, |_, day| i64::from(day.year())),
        ];
        let days: Vec<Date> = times.iter().map(|time| day(*time)).collect();
        let mut taken = vec![Vec::new(); times.len()];
        for (name, most, span) in rules {
            let (mut left, mut before) = (most, None);
            for (at, day) in days.iter().enumerate() {
                let span = Some(span(at, *day));
                if left > 0 && span != before {
                    taken[at].push(name);
                    left -= 1;
                    before = span;
                }
            }
        }
        taken
    }
}

fn month(day: Date) -> i64 {
    i64::from(day.year()) * 100 + i64::from(day.month())
}

fn day(time: Timestamp) -> Date {
    let time = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(keep: Keep, times: &[&str]) -> Vec<String> {
        let times: Vec<Timestamp> = times.iter().map(|time| time.parse().expect("a time")).collect();
        keep.rules(&times).iter().map(|rules| rules.join(" ")).collect()
    }

    #[test]
    fn each_rule_takes_the_newest_of_each_of_its_spans() {
        let times = [
            "2026-11-20T18:00:00Z", // Friday
            "2026-11-20T06:00:00Z",
            "2026-11-18T06:00:00Z",
            "2026-11-16T00:00:00Z", // Monday of the same week
            "2026-11-15T23:59:59Z", // Sunday of the one before
            "2026-10-31T06:00:00Z",
            "2026-10-01T06:00:00Z",
            "2025-12-31T06:00:00Z",
        ];
        let keep = Keep { last: 2, daily: 3, weekly: 2, monthly: 2, yearly: 2 };
        let expected = ["last daily weekly monthly yearly", "last", "daily", "daily", "weekly", "monthly", "", "yearly"];
        assert_eq!(taken(keep, &times), expected);
    }

    #[test]
    fn weeks_go_on_over_the_end_of_a_year() {
        let keep = Keep { weekly: 2, ..Keep::default() };
        // Both days of 2026 that come first belong to the last week of 2025's count, which began on Monday the 29th.
        let times = ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z", "2025-12-28T00:00:00Z"];
        assert_eq!(taken(keep, &times), ["weekly", "", "", "weekly"]);
    }

    #[test]
    fn what_is_not_asked_for_takes_nothing() {
        assert!(Keep::default().is_nothing() && !Keep { yearly: 1, ..Keep::default() }.is_nothing());
        assert_eq!(taken(Keep::default(), &["2026-01-02T00:00:00Z"]), [""]);
        assert!(taken(Keep { last: 3, ..Keep::default() }, &[]).is_empty());
    }
}
