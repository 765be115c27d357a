//! What a connection writes in one turn, sent by one system call.
//!
//! HTTP/2's codec hands every frame with 256 bytes of payload or more to the socket by itself. A connection that has
//! sixteen answers ready would make sixteen system calls, and wake its client as often. Here writes are collected while
//! the connection's future is being polled, and sent when that poll ends; nothing waits for a timer.

use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are collected at most: four full frames of HTTP/2 and some small ones. A client that does not read makes
/// the connection wait at this size.
const COLLECTED_MAX: usize = 68 << 10;

thread_local! {
    /// Memory for the next turn. Nearly every turn ends with everything sent, so one per thread is enough, and
    /// connections that are quiet hold none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection whose writes are collected while [`Gather::turns`] polls whoever serves it. At other times (when the
/// connection has been taken over by a WebSocket) they go straight through.
pub(crate) struct Gather<S>(Arc<Mutex<Wire<S>>>);

struct Wire<S> {
    stream: S,
    collected: Vec<u8>,
    /// Bytes of `collected` that are sent.
    sent: usize,
    /// A turn is under way: flushing waits for its end.
    in_turn: bool,
    /// Why sending at the end of a turn failed; for the next who writes.
    failed: Option<io::ErrorKind>,
}

impl<S> Clone for Gather<S> {
    fn clone(&self) -> Self {
        Gather(Arc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    pub fn new(stream: S) -> Gather<S> {
        Gather(Arc::new(Mutex::new(Wire {
            stream,
            collected: Vec::new(),
            sent: 0,
            in_turn: false,
            failed: None,
        })))
    }

    /// Polls what serves the connection, turn by turn.
    pub async fn turns<F: Future>(&self, mut served: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            self.wire().in_turn = true;
            let polled = served.as_mut().poll(cx);
            let mut wire = self.wire();
            wire.in_turn = false;
            if wire.failed.is_none()
                && let Poll::Ready(Err(error)) = wire.send(cx)
            {
                wire.failed = Some(error.kind());
                // It has to learn of it.
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    }

    /// Sends what the last turn left, if the client takes it.
    pub async fn finish(&self) -> io::Result<()> {
        poll_fn(|cx| self.wire().send(cx)).await
    }

    fn wire(&self) -> MutexGuard<'_, Wire<S>> {
        self.0.lock()
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Makes room for a write of this length. `false`: it is too long to be collected, and nothing is before it.
    fn room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<bool>> {
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        let in_turn = self.in_turn;
        if !in_turn || self.collected.len() - self.sent + bytes > COLLECTED_MAX {
            ready!(self.send(cx))?;
        }
        let collects = in_turn && bytes < COLLECTED_MAX;
        if collects && self.collected.capacity() == 0 {
            self.collected = SPARE.take();
            self.collected.reserve(COLLECTED_MAX);
        }
        Poll::Ready(Ok(collects))
    }

    /// Sends all that was collected.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.collected.len() {
            let unsent = &self.collected[self.sent..];
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        if self.sent > 0 {
            self.sent = 0;
            let mut memory = std::mem::take(&mut self.collected);
            memory.clear();
            SPARE.set(memory);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.wire();
        if ready!(wire.room(cx, buf.len()))? {
            wire.collected.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut wire.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.wire();
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        if ready!(wire.room(cx, bytes))? {
            bufs.iter().for_each(|buf| wire.collected.extend_from_slice(buf));
            return Poll::Ready(Ok(bytes));
        }
        Pin::new(&mut wire.stream).poll_write_vectored(cx, bufs)
    }

    /// Collecting costs the same for one piece as for several, whatever the stream below can do.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire();
        match wire.failed {
            Some(kind) => Poll::Ready(Err(kind.into())),
            // The turn's end does it.
            None if wire.in_turn => Poll::Ready(Ok(())),
            None => wire.send(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire();
        ready!(wire.send(cx))?;
        Pin::new(&mut wire.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
