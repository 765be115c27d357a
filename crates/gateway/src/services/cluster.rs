//! Members.

use crate::shared::Shared;
use crate::status;
use api::etcdserverpb::cluster_server;
use model::MemberId;
use model::pb::etcdserverpb as pb;
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Cluster(pub Arc<Shared>);

impl Cluster {
    /// Answers of this service carry no revision.
    fn header(&self) -> Option<pb::ResponseHeader> {
        Some(pb::ResponseHeader {
            revision: 0,
            ..self.0.header()
        })
    }
}

#[async_trait]
impl cluster_server::Cluster for Cluster {
    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let peer_urls = &request.get_ref().peer_urls;
        self.0.node.check_peer_urls(peer_urls).map_err(status)?;
        let caller = self.0.caller(&request).await?;
        let pb::MemberAddRequest {
            peer_urls,
            is_learner,
        } = request.into_inner();
        let change = self
            .0
            .node
            .member_add(peer_urls, is_learner, &caller)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::MemberAddResponse {
            header: self.header(),
            member: change.member,
            members: change.members,
        }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let id = MemberId(request.get_ref().id);
        let change = self.0.node.member_remove(id, &caller).await.map_err(status)?;
        Ok(Response::new(pb::MemberRemoveResponse {
            header: self.header(),
            members: change.members,
        }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let pb::MemberUpdateRequest { id, peer_urls } = request.into_inner();
        let change = self
            .0
            .node
            .member_update(MemberId(id), peer_urls, &caller)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::MemberUpdateResponse {
            header: self.header(),
            members: change.members,
        }))
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let linearizable = request.get_ref().linearizable;
        let members = self.0.node.members(linearizable, &caller).await.map_err(status)?;
        Ok(Response::new(pb::MemberListResponse {
            header: self.header(),
            members,
        }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let id = MemberId(request.get_ref().id);
        let change = self.0.node.member_promote(id, &caller).await.map_err(status)?;
        Ok(Response::new(pb::MemberPromoteResponse {
            header: self.header(),
            members: change.members,
        }))
    }
}
