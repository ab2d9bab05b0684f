//! Server-sent events: a producer writes into a feed, quiet times are filled with heartbeats, and a client that does not read is let go.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use steward_base::Error;
use tokio::sync::mpsc;

use crate::call::Standing;
use crate::reply::{Content, Output, Reply};

/// How many messages wait for a client before its producer waits too.
const WAITING: usize = 64;
/// What a browser waits before it connects again.
const OPENING: &str = "retry: 2000\n\n";

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// What `Last-Event-ID` will say after a reconnect.
    pub id: Option<String>,
    /// The event's name.
    pub name: Option<String>,
    /// The data; lines are kept.
    pub data: String,
}

impl Message {
    /// A message whose data is `data` as JSON.
    pub fn json(name: impl Into<String>, data: &impl Serialize) -> Result<Self, Error> {
        let data = serde_json::to_string(data).map_err(Error::internal)?;
        Ok(Self { id: None, name: Some(name.into()), data })
    }

    /// Sets what `Last-Event-ID` will say.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    fn encode(&self) -> Bytes {
        let mut out = String::with_capacity(self.data.len() + 64);
        let line = |out: &mut String, field: &str, value: &str| {
            // A line break would end the field: what follows must not be read as another one.
            let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
            writeln!(out, "{field}: {value}").expect("writing to a string cannot fail");
        };
        if let Some(id) = &self.id {
            line(&mut out, "id", id);
        }
        if let Some(name) = &self.name {
            line(&mut out, "event", name);
        }
        self.data.split('\n').for_each(|part| line(&mut out, "data", part));
        out.push('\n');
        Bytes::from(out)
    }
}

/// The reader is gone or does not read: stop producing.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// Where a producer writes.
#[derive(Debug)]
pub struct Feed {
    sender: mpsc::Sender<Bytes>,
    patience: Duration,
}

impl Feed {
    /// Sends a message; waits for a slow reader, but not for ever.
    pub async fn send(&self, message: &Message) -> Result<(), Closed> {
        self.sender.send_timeout(message.encode(), self.patience).await.map_err(|_| Closed)
    }
}

/// A stream of messages as an answer.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::Receiver<Bytes>,
    heartbeat: Duration,
}

/// Starts `produce` in a task of its own and answers what it sends. The task ends with the reader, when the server drains, and when the caller
/// would no longer be let in.
pub fn stream<F, R>(standing: Standing, produce: F) -> Reply<EventStream>
where
    F: FnOnce(Feed) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let (watched, site) = (sender.clone(), standing.site().clone());
    let limits = site.limits().clone();
    let feed = Feed { sender, patience: limits.stalled_reader };
    tokio::spawn(async move {
        site.metrics().streams().fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            () = produce(feed) => {}
            () = watched.closed() => {}
            () = standing.lost() => {}
            () = site.drain().cancelled() => {}
        }
        site.metrics().streams().fetch_sub(1, Ordering::Relaxed);
    });
    // Proxies that buffer would turn a live stream into a late one.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Reply::new(EventStream { receiver, heartbeat: limits.heartbeat }).header(unbuffered.0, unbuffered.1)
}

/// `Last-Event-ID` of a stream that reconnects.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}

impl Output for EventStream {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(_: Option<Value>) -> Vec<Content> {
        vec![Content { media_type: "text/event-stream".into(), schema: Some(json!({ "type": "string" })) }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        let chunks = stream::unfold((self, true), |(mut stream, opening)| async move {
            if opening {
                return Some((Ok::<_, Infallible>(Bytes::from_static(OPENING.as_bytes())), (stream, false)));
            }
            let chunk = match tokio::time::timeout(stream.heartbeat, stream.receiver.recv()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return None,
                Err(_) => Bytes::from_static(b": still here\n\n"),
            };
            Some((Ok(chunk), (stream, false)))
        });
        Ok((Some(HeaderValue::from_static("text/event-stream")), Body::from_stream(chunks)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_start_a_field_of_its_own() {
        let message = Message { id: Some("1\nevent: forged".into()), name: Some("a".into()), data: "one\ntwo".into() };
        assert_eq!(&message.encode()[..], b"id: 1event: forged\nevent: a\ndata: one\ndata: two\n\n");
    }
}
