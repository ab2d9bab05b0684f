//! What a line of a log file says about itself: time, severity, program. What is not recognised stays in the message as it is.

use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use steward_base::Timestamp;

use super::{Line, Severity, message_of, when};
use crate::otlp::{Scalar, attribute};

/// Attributes taken from one JSON line.
const MOST_ATTRIBUTES: usize = 32;
/// How far into a line a severity is looked for.
const SEVERITY_WITHIN: usize = 120;

/// Reads one line of a file, without its line break.
pub(super) fn line(bytes: &[u8], path: &Path, service: &str, zone: &TimeZone, now: Timestamp) -> Line {
    let (message, cut) = message_of(bytes);
    let mut line =
        Line { time: now, observed: now, severity: Severity::Info, service: service.to_owned(), message, attributes: Vec::new() };
    if !(line.message.starts_with('{') && json(&mut line)) {
        plain(&mut line, zone);
    }
    line.attributes.push(attribute("log.file.path", &*path.to_string_lossy()));
    if cut {
        line.attributes.push(attribute("log.truncated", true));
    }
    line
}

fn json(line: &mut Line) -> bool {
    let Ok(Value::Object(mut members)) = serde_json::from_str(&line.message) else { return false };
    let Some(message) = take_text(&mut members, &["message", "msg", "MESSAGE"]) else { return false };
    line.message = message;
    if let Some(time) = take_text(&mut members, &["time", "timestamp", "ts", "@timestamp"]).and_then(|text| text.parse().ok()) {
        line.time = time;
    }
    if let Some(severity) = take_text(&mut members, &["level", "severity"]).and_then(|word| Severity::of_word(&word)) {
        line.severity = severity;
    }
    if let Some(service) = take_text(&mut members, &["service", "service.name"]) {
        line.service = service;
    }
    for (name, value) in members.into_iter().take(MOST_ATTRIBUTES) {
        let value = match value {
            Value::Null => continue,
            Value::Bool(truth) => Scalar::from(truth),
            Value::String(text) => Scalar::from(text.as_str()),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Scalar::from(int),
                None => Scalar::from(number.as_f64().unwrap_or_default()),
            },
            nested => Scalar::from(nested.to_string().as_str()),
        };
        line.attributes.push(attribute(&name, value));
    }
    true
}

fn take_text(members: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let name = names.iter().find(|name| members.get(**name).is_some_and(Value::is_string))?;
    match members.remove(*name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn plain(line: &mut Line, zone: &TimeZone) {
    let text = std::mem::take(&mut line.message);
    let rest = when::leading(&text, zone, line.observed).map(|(time, rest)| {
        line.time = time;
        rest
    });
    // "host program[pid]: message", as syslog writes after the time.
    let syslog = rest.and_then(|rest| {
        let (_, rest) = rest.split_once(' ')?;
        let (tag, message) = rest.split_once(' ')?;
        let program = tag.strip_suffix(':')?;
        let (program, pid) = program.strip_suffix(']').and_then(|program| program.split_once('[')).unwrap_or((program, ""));
        (!program.is_empty()).then_some((program, pid, message))
    });
    if let Some((program, pid, message)) = syslog {
        line.service = program.to_owned();
        line.attributes.extend(pid.parse::<i64>().ok().map(|pid| attribute("process.pid", pid)));
        line.message = message.to_owned();
    } else {
        line.message = text;
    }
    line.severity = severity(&line.message);
}

/// A severity that stands out as one: in capitals, in brackets, or behind `level=`. "no errors" is not one.
fn severity(message: &str) -> Severity {
    let end = (0..=message.len().min(SEVERITY_WITHIN)).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    for token in message[..end].split(|c: char| c.is_whitespace() || matches!(c, '|' | ',' | ';')) {
        let named = ["level=", "severity=", "lvl="].iter().find_map(|name| token.strip_prefix(name));
        let bracketed = token.strip_prefix(['[', '<', '(']).map(|rest| rest.trim_end_matches([']', '>', ')', ':']));
        let capitals =
            Some(token.trim_end_matches(':')).filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let word = named.map(|word| word.trim_matches('"')).or(bracketed).or(capitals);
        if let Some(severity) = word.and_then(Severity::of_word) {
            return severity;
        }
    }
    Severity::Info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().expect("a time")
    }

    fn read(text: &str) -> Line {
        line(text.as_bytes(), Path::new("/var/log/app.log"), "app", &TimeZone::UTC, now())
    }

    #[test]
    fn syslog_lines_name_their_program() {
        let modern = read("2026-11-20T10:30:00.5+01:00 web1 sshd[42]: Accepted publickey for root");
        assert_eq!((modern.service.as_str(), modern.message.as_str()), ("sshd", "Accepted publickey for root"));
        assert_eq!(modern.time.to_string(), "2026-11-20T09:30:00.5Z");
        let classic = read("Nov  2 10:30:00 web1 cron: (root) CMD (run-parts)");
        assert_eq!((classic.service.as_str(), classic.message.as_str()), ("cron", "(root) CMD (run-parts)"));
        assert_eq!(classic.time.to_string(), "2026-11-02T10:30:00Z");
        let other = read("2026-11-20 10:30:00 status installed bash");
        assert_eq!((other.service.as_str(), other.message.as_str()), ("app", "2026-11-20 10:30:00 status installed bash"));
        assert_eq!((other.time.to_string(), other.observed), ("2026-11-20T10:30:00Z".to_owned(), now()));
    }

    #[test]
    fn severities_that_stand_out_are_read() {
        let cases = [
            ("2026-11-20 10:00:00 ERROR pool exhausted", Severity::Error),
            ("time=x level=warn msg=\"slow\"", Severity::Warn),
            ("[crit] worker gone", Severity::Critical),
            ("found no errors, info is fine", Severity::Info),
            ("WARNING: low disk", Severity::Warn),
            ("Über DEBUG", Severity::Debug),
            ("", Severity::Info),
        ];
        for (text, severity) in cases {
            assert_eq!(read(text).severity, severity, "{text}");
        }
    }

    #[test]
    fn json_lines_give_their_fields() {
        let found = read(r#"{"ts":"2026-11-20T10:30:00Z","level":"error","msg":"boom","service":"api","n":3,"nested":{"a":1}}"#);
        assert_eq!((found.service.as_str(), found.message.as_str(), found.severity), ("api", "boom", Severity::Error));
        let names: Vec<_> = found.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names, ["n", "nested", "log.file.path"]);
        assert_eq!(read(r#"{"half": "#).message, r#"{"half": "#);
    }
}
