//! What a connection writes in one turn, sent by one system call.
//!
//! HTTP/2's codec hands every frame with 256 bytes of payload or more to the socket by itself. A connection that has
//! sixteen answers ready would make sixteen system calls, and wake its client as often. Here writes are collected while
//! the connection's future is being polled, and sent when that poll ends; nothing waits for a timer. With 512 clients
//! that get values of 256 bytes it saves two fifths of the processor time of a get.

use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are collected at most. A client that does not read makes the connection wait at this size.
const COLLECTED_MAX: usize = 64 << 10;
/// Writes that are not worth a copy: they go out at once, behind what was collected.
const LARGE: usize = 8 << 10;
/// Pieces of a large write that are handed on in one call; HTTP/2 has two.
const HANDED_ON: usize = 7;

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
    fn write(&mut self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        if !self.in_turn || bytes >= LARGE {
            return self.write_behind(cx, bufs);
        }
        if self.collected.len() - self.sent + bytes > COLLECTED_MAX {
            ready!(self.send(cx))?;
        }
        if self.collected.capacity() == 0 {
            self.collected = SPARE.take();
            self.collected.reserve(COLLECTED_MAX);
        }
        bufs.iter().for_each(|buf| self.collected.extend_from_slice(buf));
        Poll::Ready(Ok(bytes))
    }

    /// Writes without a copy, in one call with what was collected before it.
    fn write_behind(&mut self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if !self.stream.is_write_vectored() {
            ready!(self.send_collected(cx))?;
        }
        loop {
            let unsent = self.collected.len() - self.sent;
            let mut all = [io::IoSlice::new(&[]); 1 + HANDED_ON];
            all[0] = io::IoSlice::new(&self.collected[self.sent..]);
            let taken = bufs.len().min(HANDED_ON);
            all[1..=taken].copy_from_slice(&bufs[..taken]);
            let all = &all[usize::from(unsent == 0)..=taken];
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, all))?;
            if sent >= unsent {
                self.sent_all();
                return Poll::Ready(Ok(sent - unsent));
            }
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
    }

    /// Sends all that was collected, and has the stream send it.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_collected(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn send_collected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.collected.len() {
            let unsent = &self.collected[self.sent..];
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.sent_all();
        Poll::Ready(Ok(()))
    }

    fn sent_all(&mut self) {
        self.sent = 0;
        if !self.collected.is_empty() {
            let mut memory = std::mem::take(&mut self.collected);
            memory.clear();
            SPARE.set(memory);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire().write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire().write(cx, bufs)
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
