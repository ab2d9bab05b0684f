//! A socket that gives up on a client that never says anything or never reads.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// HTTP/2 is told from HTTP/1 by this many bytes; until they are there nothing else watches the time.
const PREFACE: usize = 24;

/// Bounds the time to the first bytes and the time that a write may wait for the client.
pub(super) struct Guarded<S> {
    inner: S,
    first: Option<Pin<Box<Sleep>>>,
    read: usize,
    write_time: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, head_time: Duration, write_time: Duration) -> Self {
        Self { inner, first: Some(Box::pin(sleep(head_time))), read: 0, write_time, stalled: None }
    }

    /// Passes on what a write answers, and counts the time while it waits.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let write_time = self.write_time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_time)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(first) = &mut self.first {
            let late = polled.is_pending() && first.as_mut().poll(cx).is_ready();
            self.read += buf.filled().len() - before;
            if late {
                return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client says nothing")));
            }
            if self.read >= PREFACE {
                self.first = None;
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_stands_still_ends_the_write() {
        let (near, _far) = tokio::io::duplex(16);
        let mut guarded = Guarded::new(near, Duration::from_secs(60), Duration::from_millis(50));
        let error = guarded.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_that_is_slow_but_reads_is_served() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut guarded = Guarded::new(near, Duration::from_secs(60), Duration::from_secs(60));
        let reading = tokio::spawn(async move {
            let mut all = vec![0; 64];
            far.read_exact(&mut all).await.map(|_| all)
        });
        guarded.write_all(&[7; 64]).await.expect("is read");
        assert_eq!(reading.await.expect("reads").expect("reads"), [7; 64]);
    }
}
