//! Leases.

use super::Responses;
use crate::caller::Proof;
use crate::shared::Shared;
use crate::status;
use api::etcdserverpb::lease_server;
use futures::stream;
use model::LeaseId;
use model::pb::etcdserverpb as pb;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming, async_trait};

pub(crate) struct Lease(pub Arc<Shared>);

#[async_trait]
impl lease_server::Lease for Lease {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let mut response = self
            .0
            .node
            .lease_grant(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let id = LeaseId(request.get_ref().id);
        let mut response = self.0.node.lease_revoke(id, &caller).await.map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    type LeaseKeepAliveStream = Responses<pb::LeaseKeepAliveResponse>;

    /// Requests are answered in order, one after the other: a client that wants more at once opens more streams.
    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let proof = Proof::of(&request);
        let state = (Arc::clone(&self.0), proof, request.into_inner());
        let responses = stream::try_unfold(state, |(shared, proof, mut requests)| async move {
            match requests.message().await {
                Ok(Some(request)) => {
                    let response = keep_alive(&shared, &proof, request.id).await?;
                    Ok(Some((response, (shared, proof, requests))))
                }
                Ok(None) => Ok(None),
                Err(status) => {
                    if status.code() != tonic::Code::Cancelled {
                        shared.metrics.stream_receive_failed("lease-keepalive");
                    }
                    Err(status)
                }
            }
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let mut response = self
            .0
            .node
            .time_to_live(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let leases = self.0.node.leases(&caller).map_err(status)?;
        Ok(Response::new(pb::LeaseLeasesResponse {
            header: Some(self.0.header()),
            leases: leases
                .into_iter()
                .map(|id| pb::LeaseStatus { id: id.0 })
                .collect(),
        }))
    }
}

async fn keep_alive(shared: &Shared, proof: &Proof, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
    let caller = shared.identify(proof).await?;
    // Taken before the renewal: a lease that this answer says was alive must not have been revoked at a revision
    // below the one in the header.
    let header = shared.header();
    let ttl = shared
        .node
        .keep_alive(LeaseId(id), &caller)
        .await
        .map_err(status)?;
    Ok(pb::LeaseKeepAliveResponse {
        header: Some(header),
        id,
        ttl,
    })
}
