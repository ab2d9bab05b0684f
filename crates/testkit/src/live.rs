//! The reading end of server-sent events.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::timeout;

/// A wait longer than this is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its data, lines joined.
    pub data: String,
}

/// A stream that is being read.
pub struct LiveEvents {
    chunks: BoxStream<'static, Vec<u8>>,
    text: String,
}

impl LiveEvents {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()).unwrap_or_default()).boxed();
        Self { chunks, text: String::new() }
    }

    /// The next event; `None` when the stream has ended. Comments are passed over.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            let block = self.block().await?;
            let mut received = Received::default();
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("id", value)) => received.id = value.to_owned(),
                    Some(("event", value)) => received.name = value.to_owned(),
                    Some(("data", value)) if received.data.is_empty() => received.data = value.to_owned(),
                    Some(("data", value)) => received.data = format!("{}\n{value}", received.data),
                    _ => {}
                }
            }
            if !received.data.is_empty() {
                return Some(received);
            }
        }
    }

    /// The next comment, such as a heartbeat.
    pub async fn comment(&mut self) -> Option<String> {
        loop {
            if let Some(comment) = self.block().await?.strip_prefix(':') {
                return Some(comment.trim().to_owned());
            }
        }
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let chunk = timeout(PATIENCE, self.chunks.next()).await.expect("the stream says something in time")?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
