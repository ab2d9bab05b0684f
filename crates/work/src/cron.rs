//! When a schedule is due: a cron expression, read in a time zone.
//!
//! Where the zone's clock is put forward, what was due in the time that is skipped is due once, at its end. Where it is put back, what names an
//! hour is due in the first of the two; what is due in every hour is due in both.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;
use steward_base::{Error, Timestamp};

/// The times at which something is due.
#[derive(Clone, Debug)]
pub(crate) struct When {
    cron: Cron,
    zone: TimeZone,
}

impl When {
    /// Reads five fields (minute, hour, day, month, weekday) and an IANA zone. Fails with `cron_invalid` or `time_zone_unknown`.
    pub(crate) fn parse(cron: &str, zone: &str) -> Result<Self, Error> {
        let refuse = |pointer: &str, code: &'static str, detail: String| {
            Error::invalid("The schedule is not valid; see errors.").with_field(pointer, code, detail)
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(cron).map_err(|error| {
            let detail =
                format!("Five fields are expected: minute, hour, day of month, month, day of week, as in \"30 2 * * 1-5\". {error}.");
            refuse("/cron", "cron_invalid", detail)
        })?;
        let zone = TimeZone::get(zone).map_err(|_| {
            let detail = "An IANA name such as Europe/Berlin or UTC is expected.".to_owned();
            refuse("/time_zone", "time_zone_unknown", detail)
        })?;
        Ok(Self { cron, zone })
    }

    /// The first time after this one; `None` when there is none, as for 30 February.
    pub(crate) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&self.local(time)?, false).ok().as_ref().map(instant)
    }

    /// The last times in `(after, until]`, at most so many, oldest first.
    pub(crate) fn between(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let Some(until) = self.local(until) else { return Vec::new() };
        let mut found = Vec::new();
        let mut next = self.cron.find_previous_occurrence(&until, true).ok();
        while let Some(time) = next
            && instant(&time) > after
            && found.len() < most
        {
            found.push(instant(&time));
            next = self.cron.find_previous_occurrence(&time, false).ok();
        }
        found.reverse();
        found
    }

    fn local(&self, time: Timestamp) -> Option<Zoned> {
        jiff::Timestamp::from_microsecond(time.micros()).ok().map(|time| time.to_zoned(self.zone.clone()))
    }
}

fn instant(time: &Zoned) -> Timestamp {
    Timestamp::from_micros(time.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let when = When::parse(cron, zone).expect("is valid");
        let mut at: Timestamp = from.parse().expect("a time");
        let mut found = Vec::new();
        for _ in 0..count {
            at = when.after(at).expect("there is a next one");
            found.push(at.to_string());
        }
        found
    }

    #[test]
    fn a_time_that_the_clock_skips_is_due_at_the_end_of_the_gap() {
        // 2026-03-29, 02:00 becomes 03:00 in Berlin.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once_and_every_quarter_is_due_in_both_hours() {
        // 2026-10-25, 03:00 becomes 02:00 in Berlin.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let quarters = times("*/15 * * * *", "Europe/Berlin", "2026-10-24T23:50:00Z", 12);
        assert_eq!((quarters[0].as_str(), quarters[11].as_str()), ("2026-10-25T00:00:00Z", "2026-10-25T02:45:00Z"));
    }

    #[test]
    fn the_last_times_of_a_span_are_found_without_walking_all_of_it() {
        let when = When::parse("* * * * *", "UTC").expect("is valid");
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let found = when.between(time("2020-01-01T00:00:00Z"), time("2026-01-01T00:00:00Z"), 2);
        assert_eq!(found, [time("2025-12-31T23:59:00Z"), time("2026-01-01T00:00:00Z")]);
        assert!(when.between(time("2026-01-01T00:00:00Z"), time("2026-01-01T00:00:59Z"), 2).is_empty());
    }

    #[test]
    fn what_can_never_be_due_or_read_is_told() {
        assert_eq!(When::parse("0 0 30 2 *", "UTC").expect("is well formed").after(Timestamp::from_micros(0)), None);
        for (cron, zone, code) in
            [("* * *", "UTC", "cron_invalid"), ("99 * * * *", "UTC", "cron_invalid"), ("* * * * *", "Mars/Base", "time_zone_unknown")]
        {
            assert_eq!(When::parse(cron, zone).expect_err("is refused").fields()[0].code, code);
        }
    }
}
