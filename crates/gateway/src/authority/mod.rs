//! Lets in clients whose `:authority` is none.
//!
//! Clients with an old grpc-go name the URL they were given there (`http://127.0.0.1:2379`: etcdctl 3.4 for all it
//! asks of one endpoint), or a text of their own (`#initially=[https://a:2379]`: etcd's client 3.5.0 for all calls).
//! etcd never looks at it; the HTTP/2 library below refuses such a request before anyone sees it. So the authority
//! is mended in the bytes on their way there.
//!
//! All calls of a connection name the same authority, and the first one shows what it is. With a good one the stream
//! is left alone from then on: reading costs a test of a pointer.

mod block;
mod filter;
mod huffman;

use filter::Filter;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection's bytes with authorities that can be parsed. What is written is not touched.
pub(crate) struct Mended<S> {
    stream: S,
    /// `None` once there is nothing more to do.
    filter: Option<Box<Filter>>,
}

impl<S> Mended<S> {
    /// To be put around a connection of which nothing has been read.
    pub fn new(stream: S) -> Mended<S> {
        Mended {
            stream,
            filter: Some(Box::default()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        match &mut this.filter {
            None => stream.poll_read(cx, buf),
            Some(filter) => {
                let read = filtered(filter, stream, cx, buf);
                if filter.is_done() {
                    this.filter = None;
                }
                read
            }
        }
    }
}

/// Reads until there is something to hand over: an empty read would mean the end of the stream.
fn filtered(
    filter: &mut Filter,
    mut stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buf.filled().len();
    loop {
        let ready = filter.output();
        if !ready.is_empty() {
            let taken = ready.len().min(buf.remaining());
            buf.put_slice(&ready[..taken]);
            filter.consume(taken);
            return Poll::Ready(Ok(()));
        }
        ready!(stream.as_mut().poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            // The end. A frame that is held back was cut short, and nobody misses it.
            return Poll::Ready(Ok(()));
        }
        filter.feed(read);
        buf.set_filled(before);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
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
mod tests;
