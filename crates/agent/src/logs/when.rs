//! The time at the beginning of a line.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use steward_base::Timestamp;

/// A line cannot be from later than this; a time that says so is no time.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time that a line begins with, and what stands behind it: RFC 3339; `2026-11-20 10:30:00`, by the machine's zone; `Nov 20 10:30:00`,
/// by the machine's zone in the latest year that is not ahead.
pub(super) fn leading<'a>(line: &'a str, zone: &TimeZone, now: Timestamp) -> Option<(Timestamp, &'a str)> {
    let (first, rest) = line.split_once(' ')?;
    if let Some(month) = MONTHS.iter().position(|month| *month == first) {
        let (day, rest) = rest.trim_start().split_once(' ')?;
        let (time, rest) = rest.split_once(' ')?;
        return Some((without_year(month as i8 + 1, day.parse().ok()?, time, zone, now)?, rest));
    }
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (time, rest) = match first.parse() {
        Ok(time) => (time, rest),
        Err(_) => {
            let (clock, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            (local(&format!("{first}T{}", clock.replace(',', ".")), zone)?, rest)
        }
    };
    (time <= now.plus(AHEAD)).then_some((time, rest))
}

fn without_year(month: i8, day: i8, time: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let this = jiff::Timestamp::from_microsecond(now.micros()).ok()?.to_zoned(zone.clone()).year();
    let time = time.parse().ok()?;
    let in_year = |year| in_zone(Date::new(year, month, day).ok()?.to_datetime(time), zone);
    // The 29th of February may be in neither year.
    in_year(this).filter(|time| *time <= now.plus(AHEAD)).or_else(|| in_year(this - 1))
}

fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    in_zone(text.parse().ok()?, zone)
}

/// An hour that a change of clocks repeats or skips is read as most libraries do.
fn in_zone(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(time).compatible().ok().map(|time| Timestamp::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_the_machines_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-01-05T00:00:00Z".parse().expect("a time");
        let cases = [
            ("2026-01-04T10:30:00Z x y", Some(("2026-01-04T10:30:00Z", "x y"))),
            ("2026-01-04 10:30:00 status installed", Some(("2026-01-04T08:30:00Z", "status installed"))),
            ("2026-01-04 10:30:00,250 INFO", Some(("2026-01-04T08:30:00.25Z", "INFO"))),
            ("2026-01-04 10:30:00", Some(("2026-01-04T08:30:00Z", ""))),
            ("Jan  4 10:30:00 host x", Some(("2026-01-04T08:30:00Z", "host x"))),
            ("Dec 31 23:00:00 host x", Some(("2025-12-31T21:00:00Z", "host x"))),
            ("Feb 29 23:00:00 host x", None),
            ("2027-01-04T10:30:00Z from the future", None),
            ("12 monkeys here", None),
            ("May be", None),
            ("May be so it is", None),
            ("\u{661} 10:30:00", None),
            ("", None),
        ];
        for (line, wanted) in cases {
            let found = leading(line, &zone, now);
            assert_eq!(found.map(|(time, rest)| (time.to_string(), rest)), wanted.map(|(time, rest)| (time.to_owned(), rest)), "{line}");
        }
    }
}
