//! How bad a log row is: OpenTelemetry's numbers and the names people use.

use std::fmt;
use std::str::FromStr;

/// OpenTelemetry's severity number, 1 to 24; what a source leaves unsaid counts as `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// `info`.
    pub const INFO: Severity = Severity(9);
    /// Every name with the numbers it covers, mildest first.
    pub const LEVELS: [(&'static str, u8, u8); 6] =
        [("trace", 1, 4), ("debug", 5, 8), ("info", 9, 12), ("warn", 13, 16), ("error", 17, 20), ("critical", 21, 24)];

    /// The severity with this number; `info` when OpenTelemetry knows no such number.
    pub const fn from_number(number: i32) -> Self {
        if number >= 1 && number <= 24 { Self(number as u8) } else { Self::INFO }
    }

    /// OpenTelemetry's number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The place in [`Severity::LEVELS`].
    pub const fn level(self) -> usize {
        (self.0 as usize - 1) / 4
    }

    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub const fn name(self) -> &'static str {
        Self::LEVELS[self.level()].0
    }

    /// The first and the last number that `name` covers, in whatever case and with the synonyms that log libraries and syslog use.
    pub fn range(name: &str) -> Option<(u8, u8)> {
        let level = match name.to_ascii_lowercase().as_str() {
            "trace" | "finest" | "verbose" => 0,
            "debug" | "fine" | "finer" => 1,
            "info" | "information" | "informational" | "notice" | "log" | "default" => 2,
            "warn" | "warning" => 3,
            "error" | "err" | "severe" => 4,
            "critical" | "crit" | "fatal" | "panic" | "alert" | "emerg" | "emergency" => 5,
            _ => return None,
        };
        let (_, low, high) = Self::LEVELS[level];
        Some((low, high))
    }
}

impl FromStr for Severity {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::range(name).map(|(low, _)| Self(low)).ok_or(())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
