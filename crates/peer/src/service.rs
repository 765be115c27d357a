//! What other members may ask of this one, by gRPC.

use crate::Requests;
use crate::identity::{REMOVED, Sender};
use crate::link::BATCH_TIMEOUT;
use crate::peers::Shared;
use crate::serve::Known;
use crate::snapshot::receive;
use crate::ways::{Ways, back};
use api::quorate::peer::peer_server::Peer;
use api::quorate::peer::{ProbeRequest, ProbeResponse, RaftBatch, SnapshotChunk, SnapshotProgress};
use futures::stream::BoxStream;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, Rejection};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status, Streaming};

/// The service on the peer listener.
#[derive(Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
    requests: Arc<dyn Requests>,
}

impl Service {
    pub(crate) fn new(shared: Arc<Shared>, requests: Arc<dyn Requests>) -> Self {
        Self { shared, requests }
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.shared.identity.cluster
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<Sender, Status> {
        let sender = self.shared.identity.check(request.metadata())?;
        if self.requests.is_removed(sender.member) {
            tracing::warn!(peer = %sender.member, "refused a member that was removed");
            return Err(Status::failed_precondition(REMOVED));
        }
        if let Some(known) = request.extensions().get::<Known>() {
            known.set();
        }
        Ok(sender)
    }

    /// Hands one batch to raft.
    fn step(&self, sender: &Sender, batch: RaftBatch) -> Result<(), Status> {
        if self.requests.is_removed(sender.member) {
            return Err(Status::failed_precondition(REMOVED));
        }
        self.shared.step(sender.member, batch)
    }
}

#[tonic::async_trait]
impl Peer for Service {
    type RaftStream = BoxStream<'static, Result<RaftBatch, Status>>;
    type SnapshotStream = BoxStream<'static, Result<SnapshotProgress, Status>>;

    async fn raft(
        &self,
        request: Request<Streaming<RaftBatch>>,
    ) -> Result<Response<Self::RaftStream>, Status> {
        let sender = self.admit(&request)?;
        tracing::debug!(peer = %sender.member, version = sender.version, "peer connected");
        self.shared.heard_of(sender.member, sender.peer_urls.clone());
        let (member, (end, ended)) = (sender.member, oneshot::channel());
        let service = self.clone();
        let metrics = self.shared.metrics.source(sender.member);
        let mut batches = request.into_inner();
        // Reads in a task of its own: the answer may be sent only when it is over.
        tokio::spawn(async move {
            let status = loop {
                let Ok(batch) = tokio::time::timeout(BATCH_TIMEOUT, batches.message()).await else {
                    break Some(Status::deadline_exceeded("no raft messages came"));
                };
                match batch {
                    Ok(Some(batch)) => {
                        let bytes: usize = batch.messages.iter().map(bytes::Bytes::len).sum();
                        metrics.received.inc_by(bytes as u64);
                        if let Err(status) = service.step(&sender, batch) {
                            break Some(status);
                        }
                    }
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            };
            if status.is_some() {
                metrics.failures.inc();
            }
            // What was on its way back is lost.
            if service
                .shared
                .link(member)
                .is_some_and(|link| !link.ways.is_connected())
            {
                service.shared.report_unreachable(member);
            }
            let _ = end.send(status);
        });
        let way = self.shared.link(member).map(Ways::open);
        Ok(Response::new(back(way, ended)))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let sender = self.admit(&request)?;
        Ok(Response::new(receive(
            self.shared.clone(),
            sender,
            request.into_inner(),
        )))
    }

    async fn probe(&self, request: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        self.admit(&request)?;
        Ok(Response::new(ProbeResponse {}))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<pb::LeaseKeepAliveRequest>,
    ) -> Result<Response<pb::LeaseKeepAliveResponse>, Status> {
        self.admit(&request)?;
        answer(self.requests.keep_alive(request.into_inner()).await)
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        self.admit(&request)?;
        answer(self.requests.time_to_live(request.into_inner()).await)
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        self.admit(&request)?;
        answer(self.requests.promote(request.into_inner()).await)
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        self.admit(&request)?;
        answer(self.requests.hash_kv(request.into_inner()).await)
    }
}

fn answer<T>(result: Result<T, Rejection>) -> Result<Response<T>, Status> {
    match result {
        Ok(answer) => Ok(Response::new(answer)),
        Err(rejection) => Err(Status::new(
            Code::from_i32(rejection.code() as i32),
            rejection.message(),
        )),
    }
}
