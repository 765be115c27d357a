//! Keys.

use super::{Responses, range_stream};
use crate::shared::Shared;
use crate::{rejected, status};
use api::etcdserverpb::kv_server;
use apply::validate;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::range_request::SortTarget;
use model::{Rejection, Reply};
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Kv(pub Arc<Shared>);

/// The state machine answered another question than the one that was asked: impossible, unless this program is wrong.
pub(super) fn mismatch() -> Status {
    Status::internal("the answer does not belong to the request")
}

#[async_trait]
impl kv_server::Kv for Kv {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let shared = &*self.0;
        if !request.get_ref().serializable && shared.node.is_learner() {
            return Err(rejected(Rejection::NotSupportedForLearner));
        }
        validate::range(request.get_ref()).map_err(rejected)?;
        let caller = shared.caller(&request).await?;
        let mut response = shared
            .node
            .range(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        shared.fill(&mut response.header);
        Ok(Response::new(response))
    }

    type RangeStreamStream = Responses<pb::RangeStreamResponse>;

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let shared = &self.0;
        validate::range_stream(request.get_ref()).map_err(rejected)?;
        let caller = shared.caller(&request).await?;
        let request = request.into_inner();
        // What is sorted by something else than its keys cannot begin before all of it has been read.
        if request.sort_target() != SortTarget::Key && !request.count_only {
            let mut response = shared.node.range(request, &caller).await.map_err(status)?;
            shared.fill(&mut response.header);
            return Ok(Response::new(range_stream::whole(shared, response)));
        }
        let view = shared.node.range_view(&request, &caller).await.map_err(status)?;
        Ok(Response::new(range_stream::chunks(
            Arc::clone(shared),
            view,
            request,
        )?))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let shared = &*self.0;
        validate::put(request.get_ref()).map_err(rejected)?;
        let caller = shared.caller(&request).await?;
        let request = model::Request::Put(request.into_inner());
        match shared.node.propose(request, &caller).await.map_err(status)? {
            Reply::Put(mut response) => {
                shared.fill(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(mismatch()),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let shared = &*self.0;
        validate::delete_range(request.get_ref()).map_err(rejected)?;
        let caller = shared.caller(&request).await?;
        let request = model::Request::DeleteRange(request.into_inner());
        match shared.node.propose(request, &caller).await.map_err(status)? {
            Reply::DeleteRange(mut response) => {
                shared.fill(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(mismatch()),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let shared = &*self.0;
        validate::txn(request.get_ref(), shared.options.txn_ops_max).map_err(rejected)?;
        let caller = shared.caller(&request).await?;
        let mut response = shared
            .node
            .txn(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        shared.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let shared = &*self.0;
        let caller = shared.caller(&request).await?;
        let mut response = shared
            .node
            .compact(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        shared.fill(&mut response.header);
        Ok(Response::new(response))
    }
}
