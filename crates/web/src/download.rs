//! An answer of any length: a producer writes into it as fast as the client reads, and an answer that was cut off is seen to be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use steward_base::Error;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use crate::call::Standing;
use crate::reply::{Content, Output, Reply};

/// How many parts wait for the client before the producer waits too.
const WAITING: usize = 2;

/// The media types of rows.
pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const CSV: &str = "text/csv";
const OCTETS: &str = "application/octet-stream";

/// The reader is gone or does not read: stop producing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed;

/// Where a producer writes.
#[derive(Debug)]
pub(crate) struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    patience: std::time::Duration,
    /// The reader was there and did not read: what it got is not the whole.
    stalled: Arc<AtomicBool>,
}

impl Sink {
    /// Sends a part; waits for a slow reader, but not for ever.
    pub(crate) async fn send(&self, part: impl Into<Bytes>) -> Result<(), Closed> {
        self.sender.send_timeout(Ok(part.into()), self.patience).await.map_err(|error| {
            self.stalled.fetch_or(matches!(error, SendTimeoutError::Timeout(_)), Ordering::Relaxed);
            Closed
        })
    }
}

/// Rows on their way.
#[derive(Debug)]
pub(crate) struct Download {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    media_type: &'static str,
}

/// Starts `produce` in a task of its own and answers what it sends, as a file of this name. What ends before the producer does ends in an error
/// of the transfer: the caller would no longer be let in, or the producer failed.
pub(crate) fn download<F, R>(standing: Standing, media_type: &'static str, name: &str, produce: F) -> Reply<Download>
where
    F: FnOnce(Sink) -> R + Send + 'static,
    R: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let (watched, cut) = (sender.clone(), sender.clone());
    let stalled = Arc::new(AtomicBool::new(false));
    let sink = Sink { sender, patience: standing.site().limits().stalled_reader, stalled: stalled.clone() };
    tokio::spawn(async move {
        let why = tokio::select! {
            done = produce(sink) => match done {
                Ok(()) if stalled.load(Ordering::Relaxed) => "the reader does not read on",
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "an answer ends before its end");
                    "the rows cannot be read on"
                }
            },
            () = watched.closed() => return,
            () = standing.lost() => "the caller would no longer be let in",
        };
        // Whoever hung up meanwhile misses nothing; whoever reads on finds this instead of an end.
        tokio::select! {
            _ = cut.send(Err(io::Error::other(why))) => {}
            () = watched.closed() => {}
        }
    });
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).expect("names of files are letters and dots");
    Reply::new(Download { receiver, media_type }).header(CONTENT_DISPOSITION, disposition)
}

/// A file on its way.
#[derive(Debug)]
pub struct File(Download);

/// Answers a stream as a file of this name. What ends before the stream does ends in an error of the transfer.
pub fn file<S>(standing: Standing, name: &str, parts: S) -> Reply<File>
where
    S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
{
    let reply = download(standing, OCTETS, name, async move |sink: Sink| {
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.try_next().await? {
            if sink.send(part).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    });
    Reply { status: reply.status, headers: reply.headers, body: File(reply.body) }
}

impl Output for File {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(_: Option<Value>) -> Vec<Content> {
        vec![Content { media_type: OCTETS.into(), schema: None }]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        self.0.into_body()
    }
}

impl Output for Download {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(_: Option<Value>) -> Vec<Content> {
        let rows = |media_type: &str| Content { media_type: media_type.into(), schema: Some(json!({ "type": "string" })) };
        vec![rows(NDJSON), rows(CSV)]
    }

    fn into_body(self) -> Result<(Option<HeaderValue>, Body), Error> {
        let media_type =
            HeaderValue::from_static(if self.media_type == CSV { "text/csv; charset=utf-8; header=present" } else { self.media_type });
        let parts = stream::unfold(self.receiver, |mut receiver| async move { receiver.recv().await.map(|part| (part, receiver)) });
        Ok((Some(media_type), Body::from_stream(parts)))
    }
}
