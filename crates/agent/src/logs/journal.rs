//! The system's journal through `journalctl`, so that the binary stays static.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Map, Value};
use steward_base::{Clock, Random, Timestamp};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Line, Severity, message_of};
use crate::backoff::Backoff;
use crate::otlp::attribute;

/// Entries shown of the time before the first start.
const FIRST_ENTRIES: &str = "--lines=200";
const FIELDS: &str = "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,_COMM,_PID,CODE_FILE,CODE_LINE";
/// The longest entry in JSON; a longer one is passed over.
const MAX_ENTRY: usize = 1024 * 1024;
/// Ends without an entry after which a cursor counts as gone: the journal was vacuumed.
const EMPTY_ENDS: u32 = 3;

/// Follows the journal until stopped; each line comes with the cursor that stands behind it.
pub(crate) async fn follow(
    program: PathBuf,
    mut cursor: Option<String>,
    clock: Clock,
    random: Random,
    lines: mpsc::Sender<(Line, String)>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(random);
    let mut empty = 0;
    loop {
        let read = tokio::select! {
            read = follow_once(&program, &mut cursor, &clock, &lines) => read,
            () = stop.cancelled() => return,
        };
        match read {
            Ok(0) => empty += 1,
            Ok(_) => {
                empty = 0;
                backoff.reset();
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(file.path = %program.display(), "the journal's reader is not installed; the journal is not read");
                return;
            }
            Err(error) => tracing::warn!(error.message = %error, "the journal cannot be read"),
        }
        if lines.is_closed() {
            return;
        }
        if empty >= EMPTY_ENDS && cursor.take().is_some() {
            tracing::warn!("the journal no longer knows where reading stopped; it is read from its recent entries on");
            empty = 0;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.after_failure(None)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One run of the reader; how many entries it gave.
async fn follow_once(
    program: &Path,
    cursor: &mut Option<String>,
    clock: &Clock,
    lines: &mpsc::Sender<(Line, String)>,
) -> std::io::Result<u64> {
    let mut child = spawn(program, cursor.as_deref())?;
    let Some(output) = child.stdout.take() else { return Ok(0) };
    let mut output = BufReader::new(output);
    let mut entry = Vec::new();
    let mut count = 0;
    while read_entry(&mut output, &mut entry).await? {
        let Ok(Value::Object(fields)) = serde_json::from_slice(&entry) else { continue };
        let Some(Value::String(at)) = fields.get("__CURSOR") else { continue };
        let at = at.clone();
        count += 1;
        if lines.send((line(&fields, clock.now()), at.clone())).await.is_err() {
            break;
        }
        *cursor = Some(at);
    }
    child.kill().await?;
    Ok(count)
}

fn spawn(program: &Path, cursor: Option<&str>) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["--output=json", "--follow", "--no-pager", "--quiet", FIELDS]);
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")).arg("--no-tail"),
        None => command.arg(FIRST_ENTRIES),
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()
}

/// Reads up to the next line break; an entry beyond [`MAX_ENTRY`] comes out empty. `false` at the end.
async fn read_entry(output: &mut (impl AsyncBufRead + Unpin), entry: &mut Vec<u8>) -> std::io::Result<bool> {
    entry.clear();
    let mut too_long = false;
    loop {
        let available = output.fill_buf().await?;
        if available.is_empty() {
            return Ok(false);
        }
        let end = memchr::memchr(b'\n', available);
        let taken = end.unwrap_or(available.len());
        too_long |= entry.len() + taken > MAX_ENTRY;
        if too_long {
            entry.clear();
        } else {
            entry.extend_from_slice(&available[..taken]);
        }
        output.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn line(fields: &Map<String, Value>, now: Timestamp) -> Line {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let (message, cut) = message_of(&bytes_of(fields.get("MESSAGE")));
    let micros = text("__REALTIME_TIMESTAMP").and_then(|micros| micros.parse().ok());
    let priority = text("PRIORITY").and_then(|priority| priority.parse().ok()).unwrap_or(6);
    let mut attributes = Vec::new();
    attributes.extend(text("_PID").and_then(|pid| pid.parse::<i64>().ok()).map(|pid| attribute("process.pid", pid)));
    attributes.extend(text("_SYSTEMD_UNIT").map(|unit| attribute("systemd.unit", unit)));
    attributes.extend(text("CODE_FILE").map(|file| attribute("code.file.path", file)));
    attributes.extend(text("CODE_LINE").and_then(|line| line.parse::<i64>().ok()).map(|line| attribute("code.line.number", line)));
    if cut {
        attributes.push(attribute("log.truncated", true));
    }
    // A unit names who wrote the line, unless it is one that holds many programs, such as a session.
    let unit = text("_SYSTEMD_UNIT").and_then(|unit| unit.strip_suffix(".service")).filter(|unit| !unit.starts_with("user@"));
    let service = unit.or_else(|| text("SYSLOG_IDENTIFIER")).or_else(|| text("_COMM")).unwrap_or("journal").to_owned();
    let time = micros.map_or(now, Timestamp::from_micros);
    Line { time, observed: now, severity: Severity::of_priority(priority), service, message, attributes }
}

/// A field's bytes: text, or an array of numbers when they are no text, or the first of several values.
fn bytes_of(value: Option<&Value>) -> Vec<u8> {
    match value {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(Value::Array(items)) if items.iter().all(Value::is_u64) => {
            items.iter().filter_map(|item| u8::try_from(item.as_u64()?).ok()).collect()
        }
        Some(Value::Array(items)) => bytes_of(items.first()),
        _ => Vec::new(),
    }
}
