//! Locks.

use super::queue::{LeaveOnDrop, Queue, as_client};
use crate::shared::Shared;
use api::v3lockpb::lock_server;
use model::pb::etcdserverpb as pb;
use model::pb::mvccpb::KeyValue;
use model::pb::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Lock(pub Arc<Shared>);

#[async_trait]
impl lock_server::Lock for Lock {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let caller = self.0.caller(&request).await.map_err(as_client)?;
        let LockRequest { name, lease } = request.into_inner();
        let queue = Queue::new(Arc::clone(&self.0), caller, &name);
        lock(Arc::new(queue), lease)
            .await
            .map_err(as_client)
            .map(Response::new)
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let caller = self.0.caller(&request).await.map_err(as_client)?;
        let key = request.into_inner().key;
        let delete = pb::DeleteRangeRequest {
            key,
            ..Default::default()
        };
        apply::validate::delete_range(&delete).map_err(|error| as_client(crate::rejected(error)))?;
        let queue = Queue::new(Arc::clone(&self.0), caller, b"");
        let response = queue.leave(delete.key).await.map_err(as_client)?;
        Ok(Response::new(UnlockResponse {
            header: response.header,
        }))
    }
}

async fn lock(queue: Arc<Queue>, lease: i64) -> Result<LockResponse, Status> {
    let lease = queue.lease(lease).await?;
    let joined = queue.join(lease, Default::default()).await?;
    let place = joined.place;
    let is_mine = |first: KeyValue| first.create_revision == place.created;
    if joined.first.is_none_or(is_mine) {
        return Ok(LockResponse {
            header: Some(joined.header),
            key: place.key,
        });
    }
    let leave = LeaveOnDrop::new(Arc::clone(&queue), place.clone());
    queue.wait_turn(&place).await?;
    let request = pb::RangeRequest {
        key: place.key.clone(),
        ..Default::default()
    };
    let own = queue.range(request).await?;
    leave.keep();
    if own.kvs.is_empty() {
        return Err(Status::unknown("mutex: session is expired"));
    }
    Ok(LockResponse {
        header: own.header,
        key: place.key,
    })
}
