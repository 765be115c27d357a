//! The other way to a member: with the answer to the stream that it has opened to us.
//!
//! Members may be able to connect in one direction only, for a firewall between them, or a certificate that one of the
//! two refuses. etcd's streams are opened by who receives, so that its members go on then; ours do by this way.

use crate::link::{Link, batch};
use crate::metrics::SourceMetrics;
use crate::peers::Shared;
use api::quorate::peer::RaftBatch;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::MemberId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{oneshot, watch};
use tonic::{Code, Status};

/// Which ways lead to a member.
#[derive(Default)]
pub(crate) struct Ways {
    /// A connection of our own, which is always taken if there is one.
    connected: watch::Sender<bool>,
    /// Number of the last stream that the member opened: the others may be dead already.
    newest: watch::Sender<u64>,
    open: AtomicUsize,
}

impl Ways {
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.send_replace(connected);
    }

    pub(crate) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Whether the member has a stream to us.
    pub(crate) fn leads_back(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// The member has opened a stream.
    pub(crate) fn open(link: Arc<Link>) -> Way {
        let mut number = 0;
        link.ways.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        link.ways.open.fetch_add(1, Ordering::Relaxed);
        Way { link, number }
    }
}

/// The answer to one stream of a member.
pub(crate) struct Way {
    link: Arc<Link>,
    number: u64,
}

impl Way {
    /// Waits for messages that have no better way.
    async fn messages(&self) -> Vec<Bytes> {
        let mut connected = self.link.ways.connected.subscribe();
        let mut newest = self.link.ways.newest.subscribe();
        // Their senders are in the link.
        while *newest.borrow_and_update() == self.number {
            let _ = connected.wait_for(|connected| !connected).await;
            tokio::select! {
                messages = self.link.messages() => return messages,
                _ = connected.changed() => {}
                _ = newest.changed() => {}
            }
        }
        std::future::pending().await
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.link.ways.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to a member's stream: what has no better way, and at the end why no more is taken.
pub(crate) fn back(
    way: Option<Way>,
    ended: oneshot::Receiver<Option<Status>>,
) -> BoxStream<'static, Result<RaftBatch, Status>> {
    let next = async |(way, ended): (Option<Way>, Option<oneshot::Receiver<Option<Status>>>)| {
        let mut ended = ended?;
        let next = async {
            match &way {
                Some(way) => batch(way.messages()).await,
                None => batch(std::future::pending()).await,
            }
        };
        tokio::select! {
            biased;
            end = &mut ended => Some((Err(end.ok().flatten()?), (None, None))),
            batch = next => Some((Ok(batch), (way, Some(ended)))),
        }
    };
    futures::stream::unfold((way, Some(ended)), next).boxed()
}

/// What comes with the answer to our own stream.
pub(crate) struct Back<'a> {
    from: MemberId,
    shared: &'a Shared,
    metrics: SourceMetrics,
}

impl<'a> Back<'a> {
    pub(crate) fn new(from: MemberId, shared: &'a Shared) -> Self {
        let metrics = shared.metrics.source(from);
        Self {
            from,
            shared,
            metrics,
        }
    }

    /// Hands messages to raft. What it does not take is lost, as on any way: raft repeats what matters. An error is a
    /// reason to connect anew.
    pub(crate) fn take(&self, batch: RaftBatch) -> Result<(), Status> {
        let bytes: usize = batch.messages.iter().map(Bytes::len).sum();
        self.metrics.received.inc_by(bytes as u64);
        let taken = self.shared.step(self.from, batch);
        if taken.is_err() {
            self.metrics.failures.inc();
        }
        taken.or_else(|status| match status.code() {
            Code::DataLoss => Err(status),
            _ => Ok(()),
        })
    }
}
