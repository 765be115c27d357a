//! Connections that say nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Length of HTTP/2's preface, from which alone the protocol is known. Shorter than any whole request of HTTP/1.
const OWED: usize = 24;

/// A connection that must say within some time what it speaks. After that the limits of HTTP hold; before it, HTTP
/// has none, and whoever only connects would keep a file descriptor for good.
pub struct Prompt<S> {
    stream: S,
    /// `None` once it has spoken.
    deadline: Option<Pin<Box<Sleep>>>,
    owed: usize,
}

impl<S> Prompt<S> {
    /// To be put around a connection of which nothing has been read.
    pub fn new(stream: S, within: Duration) -> Prompt<S> {
        Prompt {
            stream,
            deadline: Some(Box::pin(tokio::time::sleep(within))),
            owed: OWED,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(deadline) = &mut this.deadline else {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        let before = buf.filled().len();
        let late = deadline.as_mut().poll(cx).is_ready();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if late && read.is_pending() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(read)?;
        let got = buf.filled().len() - before;
        this.owed = this.owed.saturating_sub(got);
        if this.owed == 0 || got == 0 {
            this.deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // An answer: what came was a request, short as it was.
        this.deadline = None;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.deadline = None;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn silence_and_trickles_end_in_time() {
        for sent in [&b""[..], b"PRI * HT"] {
            let (mut client, server) = duplex(64);
            client.write_all(sent).await.unwrap();
            let mut prompt = Prompt::new(server, WITHIN);
            let mut bytes = [0; OWED];
            let error = prompt.read_exact(&mut bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut prompt = Prompt::new(server, WITHIN);
        client.write_all(&[1; OWED]).await.unwrap();
        let mut bytes = [0; OWED];
        prompt.read_exact(&mut bytes).await.unwrap();
        let later = tokio::spawn(async move {
            tokio::time::sleep(WITHIN * 3).await;
            client.write_all(b"x").await.unwrap();
            client
        });
        assert_eq!(prompt.read_u8().await.unwrap(), b'x');
        drop(later.await.unwrap());
    }
}
