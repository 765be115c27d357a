//! Where what comes from other members goes.

use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{MemberId, Rejection};
use raft_engine::StepError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Takes raft messages and reports; [`raft_engine::Handle`] is one. No method may block.
pub trait Inbox: Send + Sync + 'static {
    /// Takes messages whose sender was checked. Stops at the first that is refused, and nothing after it is taken.
    fn step_all(&self, messages: Vec<Bytes>) -> Result<(), StepError>;
    /// Takes a snapshot that was received, verified and synced into `dir`, and the directory with it.
    fn install_snapshot(&self, message: Bytes, dir: PathBuf) -> Result<(), StepError>;
    /// Messages to the member did not get through.
    fn report_unreachable(&self, id: MemberId);
    /// The snapshot sent to the member arrived (`true`) or failed.
    fn report_snapshot(&self, id: MemberId, ok: bool);
}

impl Inbox for raft_engine::Handle {
    fn step_all(&self, messages: Vec<Bytes>) -> Result<(), StepError> {
        raft_engine::Handle::step_all(self, messages)
    }

    fn install_snapshot(&self, message: Bytes, dir: PathBuf) -> Result<(), StepError> {
        raft_engine::Handle::install_snapshot(self, message, dir)
    }

    fn report_unreachable(&self, id: MemberId) {
        raft_engine::Handle::report_unreachable(self, id.0);
    }

    fn report_snapshot(&self, id: MemberId, ok: bool) {
        raft_engine::Handle::report_snapshot(self, id.0, ok);
    }
}

/// Answers what other members ask. The node implements it.
#[tonic::async_trait]
pub trait Requests: Send + Sync + 'static {
    /// Renews a lease; this member must lead.
    async fn keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Rejection>;

    /// Remaining time of a lease; this member must lead.
    async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Rejection>;

    /// Makes a learner a voter; this member must lead.
    async fn promote(
        &self,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Rejection>;

    /// Hash of this member's keys at a revision.
    async fn hash_kv(&self, request: pb::HashKvRequest) -> Result<pb::HashKvResponse, Rejection>;

    /// What `GET /version` says.
    fn versions(&self) -> Versions;

    /// What `GET /members` says: the members as this one knows them.
    fn members(&self) -> Vec<pb::Member>;

    /// Whether the member was removed from the cluster: then it is told so.
    fn is_removed(&self, id: MemberId) -> bool;

    /// What `GET /downgrade/enabled` says.
    fn downgrade_enabled(&self) -> bool;

    /// What `GET /health` says.
    fn healthy(&self) -> bool;

    /// Another member says that this one was removed from the cluster.
    fn removed(&self);
}

/// Versions of a member, as `GET /version` tells them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// etcd's version that the server stands for, e.g. `3.7.1`.
    #[serde(rename = "etcdserver")]
    pub server: String,
    /// Version of the cluster, or `not_decided`.
    #[serde(rename = "etcdcluster")]
    pub cluster: String,
    /// Version of the store, or `unknown`.
    #[serde(default)]
    pub storage: String,
    /// The server's own version, where it is one of ours.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quorate: String,
}
