//! Maintenance: alarms, state, hashes, space, backups, leadership, downgrades.

use super::{Responses, snapshot};
use crate::shared::Shared;
use crate::status;
use api::etcdserverpb::maintenance_server;
use model::pb::etcdserverpb as pb;
use model::{MemberId, Revision};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Maintenance(pub Arc<Shared>);

#[async_trait]
impl maintenance_server::Maintenance for Maintenance {
    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let mut response = self
            .0
            .node
            .alarm(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn status(
        &self,
        request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let caller = self.0.caller(&request).await?;
        let mut response = self.0.node.status(&caller).map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let _running = Defragmenting::start(&self.0.defragmenting);
        self.0.node.defragment(&caller).await.map_err(status)?;
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let mut response = self.0.node.hash(&caller).await.map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let revision = Revision(request.get_ref().revision);
        let mut response = self.0.node.hash_kv(revision, &caller).await.map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }

    type SnapshotStream = Responses<pb::SnapshotResponse>;

    async fn snapshot(
        &self,
        request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let Some(writer) = self.0.options.snapshot_writer.clone() else {
            return Err(Status::unimplemented(
                "this server was built without a backup format",
            ));
        };
        let source = self.0.node.snapshot(&caller).await.map_err(status)?;
        let places = Arc::clone(&self.0.snapshots);
        Ok(Response::new(snapshot::blobs(source, writer, places).await?))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let target = MemberId(request.get_ref().target_id);
        self.0.node.move_leader(target, &caller).await.map_err(status)?;
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let caller = self.0.root_caller(&request).await?;
        let mut response = self
            .0
            .node
            .downgrade(request.into_inner(), &caller)
            .await
            .map_err(status)?;
        self.0.fill(&mut response.header);
        Ok(Response::new(response))
    }
}

/// Tells the health service that a defragmentation runs, until it is dropped: also when its caller has gone.
struct Defragmenting<'a>(&'a watch::Sender<usize>);

impl<'a> Defragmenting<'a> {
    fn start(running: &'a watch::Sender<usize>) -> Defragmenting<'a> {
        running.send_modify(|running| *running += 1);
        Defragmenting(running)
    }
}

impl Drop for Defragmenting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
