//! Limits slow clients: a client may read slowly, but it must make progress.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The least progress that a client must make, while it has something to read or to send.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The bytes that the client must read or send …
    pub bytes: usize,
    /// … whenever the gateway has waited for it this long.
    pub within: Duration,
}

/// A stream whose writes fail when the client does not keep the pace.
pub struct Paced<S> {
    stream: S,
    pace: Pace,
    /// The bytes written and the time waited since the last progress.
    written: usize,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    /// A stream whose client must keep this pace.
    pub fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, written: 0, waited: Duration::ZERO, waiting: None }
    }

    fn keep<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        count: impl Fn(&T) -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(result) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.waited += since.elapsed();
                }
                self.written += result.as_ref().map_or(0, count);
                if self.written >= self.pace.bytes {
                    (self.written, self.waited) = (0, Duration::ZERO);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                // Only waiting for a write counts: a connection may be idle between two requests without a limit.
                let left = self.pace.within.saturating_sub(self.waited);
                let (_, alarm) = self.waiting.get_or_insert_with(|| {
                    let now = Instant::now();
                    (now, Box::pin(tokio::time::sleep_until(now + left)))
                });
                alarm.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.keep(written, |n| *n, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.keep(written, |n| *n, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.keep(flushed, |()| 0, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.keep(shut, |()| 0, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PACE: Pace = Pace { bytes: 100, within: Duration::from_secs(2) };

    /// How much a client gets of 2,000 bytes if it reads `at_once` bytes every `after` ms.
    async fn sent(at_once: usize, after: u64) -> (usize, io::Result<()>) {
        let (client, server) = tokio::io::duplex(10);
        let mut server = Paced::new(server, PACE);
        let sending = tokio::spawn(async move { server.write_all(&[0; 2_000]).await });
        let mut client = client;
        let (mut got, mut buffer) = (0, vec![0; at_once]);
        loop {
            tokio::time::sleep(Duration::from_millis(after)).await;
            match client.read(&mut buffer).await {
                Ok(0) | Err(_) => return (got, sending.await.unwrap()),
                Ok(n) => got += n,
            }
        }
    }

    #[tokio::test]
    async fn progress_counts_and_the_total_time_does_not() {
        // The first client reads 2,000 bytes in 4 s.
        let (steady, trickle) = tokio::join!(sent(10, 20), sent(1, 100));
        assert!(steady.0 == 2_000 && steady.1.is_ok(), "{steady:?}");
        assert!(trickle.0 < 100 && trickle.1.is_err(), "{trickle:?}");
    }
}
