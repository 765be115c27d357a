//! Joins the node to the connections between members: what it asks of others goes out, what others ask comes in.

use crate::command_line::{ETCD_VERSION, VERSION};
use model::pb::etcdserverpb as pb;
use model::{LeaseId, MemberId, Rejection, Revision};
use node::{BoxFuture, Handle};
use peer::{Error, Peers, Versions};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::Notify;

/// The node's way to the other members.
pub struct Outward {
    /// Connections.
    pub peers: Peers,
    /// This member: it is not connected to itself.
    pub own: MemberId,
}

impl node::Peers for Outward {
    fn keep_alive(&self, leader: MemberId, lease: LeaseId) -> BoxFuture<node::Result<i64>> {
        let peers = self.peers.clone();
        Box::pin(async move {
            let request = pb::LeaseKeepAliveRequest { id: lease.0 };
            Ok(peers.keep_alive(leader, request).await.map_err(refused)?.ttl)
        })
    }

    fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<node::Result<pb::LeaseTimeToLiveResponse>> {
        let peers = self.peers.clone();
        Box::pin(async move { Ok(peers.time_to_live(leader, request).await.map_err(refused)?) })
    }

    fn promote(&self, leader: MemberId, learner: MemberId) -> BoxFuture<node::Result<Vec<pb::Member>>> {
        let peers = self.peers.clone();
        Box::pin(async move {
            let request = pb::MemberPromoteRequest { id: learner.0 };
            Ok(peers.promote(leader, request).await.map_err(refused)?.members)
        })
    }

    fn version(&self, member: MemberId) -> BoxFuture<Option<String>> {
        let peers = self.peers.clone();
        Box::pin(async move {
            peers
                .version_of(member)
                .await
                .ok()
                .map(|versions| versions.server)
        })
    }

    fn hash_kv(&self, member: MemberId, revision: Revision) -> BoxFuture<node::Result<pb::HashKvResponse>> {
        let peers = self.peers.clone();
        Box::pin(async move {
            let request = pb::HashKvRequest { revision: revision.0 };
            Ok(peers.hash_kv(member, request).await.map_err(refused)?)
        })
    }

    fn connected_for(&self, member: MemberId) -> Option<Duration> {
        self.peers.connected_for(member)
    }

    fn members_changed(&self, members: &[pb::Member]) {
        for known in self.peers.members() {
            if !members.iter().any(|member| member.id == known.0) {
                self.peers.remove(known);
            }
        }
        for member in members.iter().filter(|member| member.id != self.own.0) {
            self.peers.add(MemberId(member.id), member.peer_urls.clone());
        }
    }
}

fn refused(error: Error) -> Rejection {
    match error {
        Error::Rejected(rejection) => rejection,
        _ => Rejection::Timeout,
    }
}

/// What other members ask of this one. The node comes later than the listener.
#[derive(Default)]
pub struct Inward {
    node: OnceLock<Handle>,
    removed: Notify,
}

impl Inward {
    /// Says who answers from now on.
    pub fn attach(&self, node: Handle) {
        let _ = self.node.set(node);
    }

    /// Resolves once another member says that this one was removed from the cluster.
    pub async fn told_of_removal(&self) {
        self.removed.notified().await;
    }

    fn node(&self) -> Result<&Handle, Rejection> {
        self.node.get().ok_or(Rejection::NoLeader)
    }
}

fn rejection(error: node::Error) -> Rejection {
    match error {
        node::Error::Rejected(rejection) => rejection,
        _ => Rejection::Stopped,
    }
}

#[peer::async_trait]
impl peer::Requests for Inward {
    async fn keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Rejection> {
        let node = self.node()?;
        let ttl = node
            .keep_alive_as_leader(LeaseId(request.id))
            .await
            .map_err(rejection)?;
        Ok(pb::LeaseKeepAliveResponse {
            header: Some(node.header()),
            id: request.id,
            ttl,
        })
    }

    async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Rejection> {
        self.node()?
            .time_to_live_as_leader(request)
            .await
            .map_err(rejection)
    }

    async fn promote(
        &self,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Rejection> {
        let node = self.node()?;
        let change = node
            .member_promote_as_leader(MemberId(request.id))
            .await
            .map_err(rejection)?;
        Ok(pb::MemberPromoteResponse {
            header: Some(node.header()),
            members: change.members,
        })
    }

    async fn hash_kv(&self, request: pb::HashKvRequest) -> Result<pb::HashKvResponse, Rejection> {
        let node = self.node()?;
        node.hash_kv(model::Revision(request.revision), &node.root())
            .await
            .map_err(rejection)
    }

    fn versions(&self) -> Versions {
        let node = self.node.get();
        let version = |of: fn(&Handle) -> Option<String>, without: &str| {
            node.and_then(of).unwrap_or_else(|| without.to_owned())
        };
        Versions {
            server: ETCD_VERSION.to_owned(),
            cluster: version(Handle::cluster_version, "not_decided"),
            storage: version(Handle::storage_version, "unknown"),
            quorate: VERSION.to_owned(),
        }
    }

    fn members(&self) -> Vec<pb::Member> {
        self.node
            .get()
            .map(|node| node.cluster().members().map(|member| member.to_pb()).collect())
            .unwrap_or_default()
    }

    fn is_removed(&self, id: MemberId) -> bool {
        self.node.get().is_some_and(|node| node.cluster().is_removed(id))
    }

    fn downgrade_enabled(&self) -> bool {
        self.node
            .get()
            .is_some_and(|node| node.cluster().downgrade() != membership::Downgrade::Off)
    }

    fn healthy(&self) -> bool {
        self.node.get().is_some_and(|node| node.leader().is_some())
    }

    fn removed(&self) {
        self.removed.notify_one();
    }
}
