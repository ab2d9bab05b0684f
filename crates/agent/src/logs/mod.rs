//! Log lines and where they come from.

pub(crate) mod files;
pub(crate) mod journal;
mod text;
mod when;

use std::path::PathBuf;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use steward_base::Timestamp;

use crate::platform;

/// The longest message; the rest of a longer line is cut off and the line says so.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// Where the system's journal is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// From `journalctl`, when a journal is written on this machine.
    #[default]
    WhenPresent,
    /// From this program, which takes the options of `journalctl`.
    Program(PathBuf),
    /// Not at all.
    Off,
}

impl Journal {
    pub(crate) fn program(self) -> Option<PathBuf> {
        match self {
            Journal::WhenPresent => platform::has_journal().then(|| PathBuf::from("journalctl")),
            Journal::Program(path) => Some(path),
            Journal::Off => None,
        }
    }
}

/// One line, whatever its source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) time: Timestamp,
    pub(crate) observed: Timestamp,
    pub(crate) severity: Severity,
    /// The unit or program that wrote it.
    pub(crate) service: String,
    pub(crate) message: String,
    pub(crate) attributes: Vec<KeyValue>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Critical,
}

impl Severity {
    /// The number of the OpenTelemetry log data model.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Severity::Trace => 1,
            Severity::Debug => 5,
            Severity::Info => 9,
            Severity::Notice => 10,
            Severity::Warn => 13,
            Severity::Error => 17,
            Severity::Critical => 21,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Severity::Trace => "trace",
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::Warn => "warn",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }

    /// The severity of a syslog priority, 0 to 7.
    pub(crate) const fn of_priority(priority: u8) -> Self {
        match priority {
            0..=2 => Severity::Critical,
            3 => Severity::Error,
            4 => Severity::Warn,
            5 => Severity::Notice,
            6 => Severity::Info,
            _ => Severity::Debug,
        }
    }

    /// The severity that a word names.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        const WORDS: [(&str, Severity); 17] = [
            ("trace", Severity::Trace),
            ("debug", Severity::Debug),
            ("info", Severity::Info),
            ("information", Severity::Info),
            ("notice", Severity::Notice),
            ("warn", Severity::Warn),
            ("warning", Severity::Warn),
            ("err", Severity::Error),
            ("error", Severity::Error),
            ("severe", Severity::Error),
            ("crit", Severity::Critical),
            ("critical", Severity::Critical),
            ("alert", Severity::Critical),
            ("emerg", Severity::Critical),
            ("emergency", Severity::Critical),
            ("fatal", Severity::Critical),
            ("panic", Severity::Critical),
        ];
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, severity)| *severity)
    }
}

/// Text of a line's bytes, cut at [`MAX_MESSAGE`] between characters; whether it was cut.
pub(crate) fn message_of(bytes: &[u8]) -> (String, bool) {
    if bytes.len() <= MAX_MESSAGE {
        return (String::from_utf8_lossy(bytes).into_owned(), false);
    }
    let mut end = MAX_MESSAGE;
    // A character has at most three continuation bytes; more of them in a row are no text anyway.
    while end > MAX_MESSAGE - 3 && bytes[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), true)
}
