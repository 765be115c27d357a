//! What a node needs from the other members beside raft messages.

use crate::{Error, Result};
use model::{LeaseId, MemberId, Revision, pb};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future behind a pointer.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The way to the other members, and what is known of the connections to them. Each call is one attempt with no
/// deadline of its own: the node drops the future when time is up, and tries again where that makes sense.
pub trait Peers: Send + Sync + 'static {
    /// Renews a lease at the leader. An unknown lease is answered with TTL 0, not with an error.
    fn keep_alive(&self, leader: MemberId, lease: LeaseId) -> BoxFuture<Result<i64>>;

    /// Asks the leader for a lease's time to live. An unknown lease is answered with TTL -1.
    fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::etcdserverpb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<Result<pb::etcdserverpb::LeaseTimeToLiveResponse>>;

    /// Has the leader judge and carry out the promotion of a learner; answers all members as they are afterwards.
    fn promote(
        &self,
        leader: MemberId,
        learner: MemberId,
    ) -> BoxFuture<Result<Vec<pb::etcdserverpb::Member>>>;

    /// Server version of a member such as `3.7.1`; `None` if it does not answer.
    fn version(&self, member: MemberId) -> BoxFuture<Option<String>>;

    /// Hash of a member's keys up to a revision, for corruption checks. Without an answer the member is not compared.
    fn hash_kv(
        &self,
        member: MemberId,
        revision: Revision,
    ) -> BoxFuture<Result<pb::etcdserverpb::HashKvResponse>> {
        let _ = (member, revision);
        Box::pin(std::future::ready(Err(Error::Fault(
            "members cannot be asked for hashes".to_owned(),
        ))))
    }

    /// Since how long the member has been connected without a break; `None` when it is not.
    fn connected_for(&self, member: MemberId) -> Option<Duration>;

    /// The members as they now are, this one among them: connections to new ones are to be made, those to others
    /// ended. Called from the apply thread, also once at start: must not block.
    fn members_changed(&self, members: &[pb::etcdserverpb::Member]);
}
