//! Keys.

use super::{Responses, range_stream};
use crate::body::Reply;
use crate::shared::Shared;
use crate::{rejected, status, unary};
use api::etcdserverpb::kv_server::{self, Kv as _};
use apply::validate;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::range_request::SortTarget;
use model::{Rejection, Reply as Applied};
use node::Caller;
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Kv(pub Arc<Shared>);

impl Kv {
    /// Answers a Range without taking the keys apart that it reads.
    pub async fn answer_range(&self, request: Request<pb::RangeRequest>) -> http::Response<Reply> {
        // One key's answer is small: it is made in one piece.
        if request.get_ref().range_end.is_empty() || request.get_ref().count_only {
            return unary::write(self.range(request).await);
        }
        let shared = &*self.0;
        let answer = async {
            let caller = self.admit_range(&request).await?;
            let request = request.into_inner();
            shared.node.range_wire(request, &caller).await.map_err(status)
        };
        match answer.await {
            Ok(answer) => {
                let mut header = Some(pb::ResponseHeader {
                    revision: answer.revision.0,
                    ..Default::default()
                });
                shared.fill(&mut header);
                let before = pb::RangeResponse {
                    header,
                    ..Default::default()
                };
                let after = pb::RangeResponse {
                    more: answer.more,
                    count: answer.count,
                    ..Default::default()
                };
                unary::write_around(&before, answer.kvs, &after)
            }
            Err(status) => unary::refuse(status),
        }
    }

    /// What is checked before a range is read.
    async fn admit_range(&self, request: &Request<pb::RangeRequest>) -> Result<Caller, Status> {
        let shared = &*self.0;
        if !request.get_ref().serializable && shared.node.is_learner() {
            return Err(rejected(Rejection::NotSupportedForLearner));
        }
        validate::range(request.get_ref()).map_err(rejected)?;
        shared.caller(request).await
    }
}

/// The state machine answered another question than the one that was asked: impossible, unless this program is wrong.
pub(super) fn mismatch() -> Status {
    Status::internal("the answer does not belong to the request")
}

#[async_trait]
impl kv_server::Kv for Kv {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let caller = self.admit_range(&request).await?;
        let shared = &*self.0;
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
            Applied::Put(mut response) => {
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
            Applied::DeleteRange(mut response) => {
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
