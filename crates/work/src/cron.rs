//! When a schedule is due: a cron expression, read in a time zone.
//!
//! What is due in every hour goes on by the hour when the zone's clock is changed: it is due in both hours where the clock is put back, and not in
//! the time that is skipped where it is put forward. What names hours is due at what the clock on the wall says: in the first of two, and once at
//! the end of the skipped time for all of it.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Zoned};
use steward_base::{Error, Timestamp};

/// The times at which something is due.
#[derive(Clone, Debug)]
pub(crate) struct When {
    cron: Cron,
    zone: TimeZone,
    /// Whether it is due in every hour of its days.
    hourly: bool,
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
        let hourly = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        Ok(Self { cron, zone, hourly })
    }

    /// The first time after this one; `None` when there is none, as for 30 February.
    pub(crate) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let local = self.local(time)?;
        if self.hourly {
            return self.cron.find_next_occurrence(&local, false).ok().as_ref().map(instant);
        }
        let mut wall = local.datetime();
        loop {
            wall = self.cron.find_next_occurrence(&on_the_wall(wall)?, false).ok()?.datetime();
            // In the second of two hours, what the first of them had.
            if let Some(due) = self.due_at(wall).filter(|due| *due > time) {
                return Some(due);
            }
        }
    }

    /// The last times in `(after, until]`, at most so many, oldest first.
    pub(crate) fn between(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let Some(local) = self.local(until) else { return Vec::new() };
        let mut found = if self.hourly { self.last_by_the_hour(&local, after, most) } else { self.last_on_the_wall(&local, after, most) };
        found.reverse();
        found
    }

    fn last_by_the_hour(&self, until: &Zoned, after: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found = Vec::new();
        let mut next = self.cron.find_previous_occurrence(until, true).ok();
        while let Some(time) = next
            && instant(&time) > after
            && found.len() < most
        {
            found.push(instant(&time));
            next = self.cron.find_previous_occurrence(&time, false).ok();
        }
        found
    }

    fn last_on_the_wall(&self, until: &Zoned, after: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found: Vec<Timestamp> = Vec::new();
        let mut wall = until.datetime();
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(wall).offset() {
            // In the second of two hours, the first one had all of it.
            let Ok(end) = wall.checked_add(SignedDuration::from_secs(i64::from(before.seconds() - after.seconds()))) else { return found };
            wall = end;
        }
        let mut next = on_the_wall(wall).and_then(|wall| self.cron.find_previous_occurrence(&wall, true).ok());
        while let Some(time) = next
            && let Some(due) = self.due_at(time.datetime())
            && due > after
            && found.len() < most
        {
            // Of the skipped time all is due at once.
            if due <= instant(until) && found.last() != Some(&due) {
                found.push(due);
            }
            next = self.cron.find_previous_occurrence(&time, false).ok();
        }
        found
    }

    /// When it is due what the clock on the wall says so: in the first of two, and at the end of time that is skipped.
    fn due_at(&self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let time = match ambiguous.offset() {
            AmbiguousOffset::Gap { after, .. } => self.zone.following(after.to_timestamp(wall).ok()?).next()?.timestamp(),
            AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. } => ambiguous.earlier().ok()?,
        };
        Some(Timestamp::from_micros(time.as_microsecond()))
    }

    fn local(&self, time: Timestamp) -> Option<Zoned> {
        jiff::Timestamp::from_microsecond(time.micros()).ok().map(|time| time.to_zoned(self.zone.clone()))
    }
}

/// Where no clock is ever changed, so that the times of the pattern are all there.
fn on_the_wall(wall: DateTime) -> Option<Zoned> {
    wall.to_zoned(TimeZone::UTC).ok()
}

fn instant(time: &Zoned) -> Timestamp {
    Timestamp::from_micros(time.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of a span, forwards and backwards.
    fn of(cron: &str, zone: &str, (from, to): (&str, &str)) -> Vec<String> {
        let when = When::parse(cron, zone).expect("is valid");
        let [from, to]: [Timestamp; 2] = [from, to].map(|text| text.parse().expect("a time"));
        let forwards: Vec<Timestamp> =
            std::iter::successors(when.after(from), |time| when.after(*time)).take_while(|time| *time <= to).collect();
        assert_eq!(forwards, when.between(from, to, 1_000), "{cron} in {zone}");
        // Wherever one looks from, the next is the same.
        let quarters = (from.micros()..to.micros()).step_by(900_000_000).map(Timestamp::from_micros);
        for at in quarters {
            let next = forwards.iter().find(|time| **time > at).copied();
            assert_eq!(when.after(at).filter(|time| *time <= to), next, "{cron} in {zone} after {at}");
            assert_eq!(when.between(from, at, 1_000).last(), forwards.iter().rfind(|time| **time <= at), "{cron} in {zone} until {at}");
        }
        forwards.iter().map(ToString::to_string).collect()
    }

    /// The night of 2026-03-29, in which 02:00 becomes 03:00 in Berlin, and the day after.
    const FORWARD: (&str, &str) = ("2026-03-28T22:59:59Z", "2026-03-29T22:00:00Z");
    /// The night of 2026-10-25, in which 03:00 becomes 02:00.
    const BACK: (&str, &str) = ("2026-10-24T21:59:59Z", "2026-10-25T23:00:00Z");

    #[test]
    fn what_names_hours_is_due_once_where_the_clock_is_changed() {
        for (cron, forward, back) in [
            ("30 2 * * *", &["01:00"][..], &["00:30"][..]),
            ("0 2,14 * * *", &["01:00", "12:00"], &["00:00", "13:00"]),
            ("0,30 2 * * *", &["01:00"], &["00:00", "00:30"]),
            ("*/15 2 * * *", &["01:00"], &["00:00", "00:15", "00:30", "00:45"]),
            ("30 1-3 * * *", &["00:30", "01:00", "01:30"], &["23:30", "00:30", "02:30"]),
            ("0 2,3 * * *", &["01:00"], &["00:00", "02:00"]),
            ("0 */6 * * *", &["23:00", "04:00", "10:00", "16:00", "22:00"], &["22:00", "05:00", "11:00", "17:00", "23:00"]),
        ] {
            let clock = |times: Vec<String>| -> Vec<String> { times.iter().map(|time| time[11..16].to_owned()).collect() };
            assert_eq!(clock(of(cron, "Europe/Berlin", FORWARD)), forward, "{cron} forward");
            assert_eq!(clock(of(cron, "Europe/Berlin", BACK)), back, "{cron} back");
        }
    }

    #[test]
    fn what_is_due_every_hour_goes_on_by_the_hour() {
        for (cron, forward, back) in
            [("0 * * * *", 24, 26), ("*/15 * * * *", 93, 101), ("10,40 */1 * * *", 46, 50), ("5 0-23 * * *", 23, 25)]
        {
            let all = [FORWARD, BACK].map(|night| of(cron, "Europe/Berlin", night).len());
            assert_eq!(all, [forward, back], "{cron}");
        }
    }

    #[test]
    fn a_clock_that_is_changed_at_midnight_or_by_half_an_hour_skips_nothing_either() {
        // 2026-04-24, 00:00 becomes 01:00 in Cairo; 2026-10-04, 02:00 becomes 02:30 on Lord Howe, and 2026-04-05, 02:00 becomes 01:30.
        assert_eq!(of("15 0 * * *", "Africa/Cairo", ("2026-04-23T12:00:00Z", "2026-04-24T12:00:00Z")), ["2026-04-23T22:00:00Z"]);
        assert_eq!(of("10 2 * * *", "Australia/Lord_Howe", ("2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z")), ["2026-10-03T15:30:00Z"]);
        let twice = of("*/20 1 * * *", "Australia/Lord_Howe", ("2026-04-04T00:00:00Z", "2026-04-05T00:00:00Z"));
        assert_eq!(twice, ["2026-04-04T14:00:00Z", "2026-04-04T14:20:00Z", "2026-04-04T14:40:00Z"]);
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
