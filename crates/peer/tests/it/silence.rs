//! A machine that vanishes without a word. Time is simulated, and connections are pipes in memory.

use crate::util::{CLUSTER, Node, Wire};
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use peer::{Accepting, BoxIo, Connector};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use url::Url;

/// A pipe to the one other member, on which everything can get lost from some moment on.
struct Pipe {
    other: mpsc::UnboundedSender<io::Result<Accepting>>,
    silent: Arc<AtomicBool>,
}

impl Connector for Pipe {
    fn connect(&self, _: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        let (here, there) = tokio::io::duplex(1 << 20);
        let accepted = Accepting {
            from: String::new(),
            ready: async { Ok(Box::new(there) as BoxIo) }.boxed(),
        };
        let sent = self
            .other
            .send(Ok(accepted))
            .map_err(|_| io::ErrorKind::ConnectionRefused.into());
        let end = End {
            pipe: here,
            silent: self.silent.clone(),
        };
        async move { sent.map(|()| Box::new(end) as BoxIo) }.boxed()
    }
}

struct End {
    pipe: DuplexStream,
    silent: Arc<AtomicBool>,
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.silent.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.pipe).poll_read(context, buf)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.silent.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.pipe).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_within_seconds() {
    let silent = Arc::new(AtomicBool::new(false));
    let (to_b, b_incoming) = mpsc::unbounded_channel();
    let (to_a, a_incoming) = mpsc::unbounded_channel();
    let node = |id, url: &str, incoming, other| {
        let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming).boxed();
        let pipe = Arc::new(Pipe {
            other,
            silent: silent.clone(),
        });
        Node::start_with(CLUSTER, id, url.to_owned(), incoming, pipe, Wire::new())
    };
    let a = node(1, "http://a:1", a_incoming, to_b);
    let b = node(2, "http://b:1", b_incoming, to_a);
    a.knows(&b);
    a.connected(&b).await;
    b.connected(&a).await;

    // Quiet is not silent: probes are answered, for minutes.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(a.peers.connected_for(b.id).expect("connected") >= Duration::from_secs(300));
    assert!(a.raft.now().unreachable.is_empty());

    silent.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(a.peers.connected_for(b.id), None);
    assert!(!a.raft.now().unreachable.is_empty());
    assert_eq!(b.peers.connected_for(a.id), None);
}
