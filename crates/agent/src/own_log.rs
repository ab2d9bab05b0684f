//! The agent's own lines go the same way as the machine's, so that even a machine without any log shows that its agent lives.

use std::fmt::Write as _;

use steward_base::{Clock, Timestamp};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::logs::{Line, Severity};
use crate::otlp::attribute;

/// Lines kept while nobody takes them; later ones are dropped, the log on stderr has them.
const KEPT: usize = 512;

/// Takes the agent's lines of level info and above from `tracing`.
#[derive(Debug)]
pub struct OwnLayer {
    sender: mpsc::Sender<Line>,
    clock: Clock,
}

/// The lines an [`OwnLayer`] took, for [`crate::Options::own_log`].
#[derive(Debug)]
pub struct OwnLog(pub(crate) mpsc::Receiver<Line>);

/// The two ends: the layer goes into the process's subscriber, the log into the agent's options.
pub fn own_log(clock: Clock) -> (OwnLayer, OwnLog) {
    let (sender, receiver) = mpsc::channel(KEPT);
    (OwnLayer { sender, clock }, OwnLog(receiver))
}

impl<S: Subscriber> Layer<S> for OwnLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with("steward_agent") || *metadata.level() > Level::INFO {
            return;
        }
        let now = self.clock.now();
        let mut line = line(now, *metadata.level());
        event.record(&mut Fields(&mut line));
        let _ = self.sender.try_send(line);
    }
}

fn line(now: Timestamp, level: Level) -> Line {
    let severity = match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        _ => Severity::Info,
    };
    Line { time: now, observed: now, severity, service: "steward-agent".to_owned(), message: String::new(), attributes: Vec::new() }
}

struct Fields<'a>(&'a mut Line);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.message.push_str(value),
            name => self.0.attributes.push(attribute(name, value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.attributes.push(attribute(field.name(), value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.attributes.push(attribute(field.name(), i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.attributes.push(attribute(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}
