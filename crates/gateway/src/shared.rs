//! What all threads of a gateway share.

use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::options::Options;
use model::pb::etcdserverpb as pb;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// How far the shutdown is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// No shutdown in sight.
    Serving,
    /// Nothing new is accepted, endless streams are ended, other calls may finish.
    Draining,
    /// Whatever is still open is cut.
    Closed,
}

/// Everything that handlers need beside the request.
pub(crate) struct Shared {
    pub node: node::Handle,
    pub options: Options,
    pub metrics: Metrics,
    pub registry: prometheus::Registry,
    pub phase: watch::Receiver<Phase>,
    /// True while no leader has been known for three election timeouts.
    pub leaderless: watch::Receiver<bool>,
    /// Defragmentations that run.
    pub defragmenting: watch::Sender<usize>,
    /// Memory for requests on their way in.
    pub budget: Arc<Budget>,
    /// Memory for answers on their way out.
    pub answers: Arc<Budget>,
    /// One permit for each call through the JSON gateway.
    pub json_calls: Arc<Semaphore>,
    /// One permit for each backup.
    pub snapshots: Arc<Semaphore>,
}

impl Shared {
    /// The header of an answer that names no revision of its own.
    pub fn header(&self) -> pb::ResponseHeader {
        self.node.header()
    }

    /// Completes the header of an answer; its revision stays if it has one.
    pub fn fill(&self, header: &mut Option<pb::ResponseHeader>) {
        let header = header.get_or_insert_default();
        let revision = header.revision;
        *header = self.node.header();
        if revision != 0 {
            header.revision = revision;
        }
    }
}
