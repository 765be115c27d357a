//! Strict reconfiguration checks: changes that could cost the quorum are refused before they are proposed
//! (etcd server/etcdserver/server.go, mayAddMember and mayRemoveMember).

use crate::{Cluster, Member};
use model::{MemberId, Rejection};
use std::time::Duration;

/// How long a connection must have lasted for a peer to count as healthy.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// What this member knows of its connections.
pub struct Connections<'a> {
    /// This member.
    pub local: MemberId,
    /// Now, on the monotonic clock that `active_since` uses.
    pub now: Duration,
    /// Since when a peer has been connected without a break; `None` while it is not.
    pub active_since: &'a dyn Fn(MemberId) -> Option<Duration>,
}

impl Cluster {
    /// Whether adding `member` keeps a quorum.
    pub fn may_add(&self, member: &Member, connections: &Connections<'_>) -> Result<(), Rejection> {
        let _ = (member, connections);
        todo!()
    }

    /// Whether removing a member keeps a quorum.
    pub fn may_remove(&self, id: MemberId, connections: &Connections<'_>) -> Result<(), Rejection> {
        let _ = (id, connections);
        todo!()
    }

    /// Whether promoting a learner keeps a quorum.
    pub fn may_promote(&self) -> Result<(), Rejection> {
        todo!()
    }
}

/// Whether a learner has caught up far enough to vote: 90 % of the leader's log. Indexes are raft match indexes.
pub fn learner_is_ready(learner_match: u64, leader_match: u64) -> bool {
    let _ = (learner_match, leader_match);
    todo!()
}
