//! What a gateway sees of a replica.

use crate::{Caller, Options, Result};
use apply::Alarms;
use auth::{Rules, Tokens};
use lease::Lessor;
use membership::Cluster;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, KeyRange, LeaseId, LogIndex, MemberId, Reply, Request, Revision, Term};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A running replica. Cheap to clone; all clones are the same replica, and the last one to go does not stop it:
/// [`Handle::stop`] does.
///
/// Replies are complete but for their headers, of which only `revision` is set, where the request has one;
/// [`Handle::header`] gives the rest. Requests are expected to have passed [`apply::validate`].
///
/// Who may do what is checked inside: commands are judged when they are applied, reads and local services by the
/// method that serves them. A gateway only has to find out who the caller is.
#[derive(Clone)]
pub struct Handle {}

/// A change of the members that was carried out.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberChange {
    /// The member added, updated or promoted; `None` after a removal.
    pub member: Option<pb::Member>,
    /// All members afterwards, by id.
    pub members: Vec<pb::Member>,
}

/// Everything a backup needs, as of one applied index.
pub struct SnapshotSource {
    /// Keys and their history, and every other row of the store.
    pub view: Arc<mvcc::View>,
    /// Position in the log that the view is at.
    pub applied: (LogIndex, Term),
    /// Members at that position.
    pub members: Vec<pb::Member>,
    /// Storage version such as `3.7.0`.
    pub version: String,
}

// Start, stop, and who we are.
impl Handle {
    /// Opens the data directory or creates it, starts all threads and returns at once: there may be no leader yet.
    /// Needs a tokio runtime around it only for the tasks of this member's own requests.
    pub fn start(options: Options) -> Result<Handle> {
        let _ = options;
        todo!()
    }

    /// Hands leadership over where it can, ends all loops, fails what still waits with `server stopped`, flushes
    /// the store and closes it.
    pub async fn stop(&self) {
        todo!()
    }

    /// Resolves when the node has stopped, with the reason: `Ok` after [`Handle::stop`] or once this member was
    /// removed from the cluster, the fault otherwise.
    pub async fn stopped(&self) -> Result<()> {
        todo!()
    }

    /// Whether this member was removed from the cluster.
    pub fn is_removed(&self) -> bool {
        todo!()
    }

    /// Resolves when this member's name and client URLs have gone through raft: the time to serve clients.
    pub async fn ready(&self) {
        todo!()
    }

    /// Cluster and member id, current revision and raft term.
    pub fn header(&self) -> pb::ResponseHeader {
        todo!()
    }

    /// This member.
    pub fn member_id(&self) -> MemberId {
        todo!()
    }

    /// This cluster.
    pub fn cluster_id(&self) -> ClusterId {
        todo!()
    }

    /// Who leads, as far as this member knows.
    pub fn leader(&self) -> Option<MemberId> {
        todo!()
    }

    /// Follows the leader as it changes: for streams that want to end when there is none.
    pub fn leader_watch(&self) -> watch::Receiver<Option<MemberId>> {
        todo!()
    }

    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        todo!()
    }

    /// Whether this member is a learner: it serves only serializable ranges, status and snapshots.
    pub fn is_learner(&self) -> bool {
        todo!()
    }

    /// Raft term, as this member knows it.
    pub fn term(&self) -> Term {
        todo!()
    }

    /// Applied index.
    pub fn applied(&self) -> LogIndex {
        todo!()
    }

    /// Resolves when the index has been applied here; fails when the node stops.
    pub async fn wait_applied(&self, index: LogIndex) -> Result<()> {
        let _ = index;
        todo!()
    }

    /// Time a request may take: 5 s and two election timeouts.
    pub fn request_timeout(&self) -> Duration {
        todo!()
    }

    /// Election timeout.
    pub fn election_timeout(&self) -> Duration {
        todo!()
    }

    /// Cluster version such as `3.7.0`; `None` while undecided.
    pub fn cluster_version(&self) -> Option<String> {
        todo!()
    }

    /// Storage version such as `3.7.0`; `None` while undecided.
    pub fn storage_version(&self) -> Option<String> {
        todo!()
    }

    /// Alarms that are set, cluster wide.
    pub fn alarms(&self) -> Arc<Alarms> {
        todo!()
    }

    /// Members as this member knows them.
    pub fn cluster(&self) -> Arc<Cluster> {
        todo!()
    }

    /// Users and roles as this member knows them: a snapshot, replaced at each change.
    pub fn rules(&self) -> Arc<Rules> {
        todo!()
    }

    /// Tokens as this member knows them. Before a token is judged, [`Handle::wait_applied`] for the index it names.
    pub fn tokens(&self) -> &Arc<Tokens> {
        todo!()
    }

    /// The caller that may do everything, for what the server does by itself (health checks, lock service).
    pub fn root(&self) -> Caller {
        todo!()
    }
}

// Keys.
impl Handle {
    /// Sends a request through raft and waits until it has been applied here. For everything that is a
    /// [`Request`] and has no method of its own below: puts, deletes, and all of auth's but Authenticate. Passwords
    /// must be hashed before ([`Handle::hash_password`]).
    pub async fn propose(&self, request: Request, caller: &Caller) -> Result<Reply> {
        let _ = (request, caller);
        todo!()
    }

    /// Resolves when the store holds everything that was committed at the time of the call: what is read
    /// afterwards is linearizable. All callers that wait at one time share one ReadIndex.
    pub async fn read_barrier(&self) -> Result<()> {
        todo!()
    }

    /// The newest published state of the keys.
    pub fn view(&self) -> Arc<mvcc::View> {
        todo!()
    }

    /// A range, linearizable unless it asks for a serializable one.
    pub async fn range(&self, request: pb::RangeRequest, caller: &Caller) -> Result<pb::RangeResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// What comes before a stream of ranges: the barrier unless serializable, and the permission. All chunks are to
    /// be read from the view.
    pub async fn range_view(&self, request: &pb::RangeRequest, caller: &Caller) -> Result<Arc<mvcc::View>> {
        let _ = (request, caller);
        todo!()
    }

    /// A transaction; one that only reads does not go through raft.
    pub async fn txn(&self, request: pb::TxnRequest, caller: &Caller) -> Result<pb::TxnResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// Compacts; with `physical` returns when this member has removed the history as well. Needs root.
    pub async fn compact(
        &self,
        request: pb::CompactionRequest,
        caller: &Caller,
    ) -> Result<pb::CompactionResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// The watch hub of this member.
    pub fn watch_hub(&self) -> &Arc<::watch::Hub> {
        todo!()
    }

    /// Whether the caller may watch these keys: reading permission, on the range exactly as it will be watched.
    pub fn authorize_watch(&self, keys: &KeyRange, caller: &Caller) -> Result<()> {
        let _ = (keys, caller);
        todo!()
    }
}

// Leases.
impl Handle {
    /// Grants a lease: chooses an id where none is given, and raises the TTL to the minimum.
    pub async fn lease_grant(
        &self,
        request: pb::LeaseGrantRequest,
        caller: &Caller,
    ) -> Result<pb::LeaseGrantResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// Revokes a lease and deletes its keys.
    pub async fn lease_revoke(&self, id: LeaseId, caller: &Caller) -> Result<pb::LeaseRevokeResponse> {
        let _ = (id, caller);
        todo!()
    }

    /// Renews a lease, here or at the leader; answers its TTL in seconds, 0 for a lease that is not (any more).
    pub async fn keep_alive(&self, id: LeaseId, caller: &Caller) -> Result<i64> {
        let _ = (id, caller);
        todo!()
    }

    /// Time to live, as the leader knows it; TTL -1 for a lease that is not.
    pub async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
        caller: &Caller,
    ) -> Result<pb::LeaseTimeToLiveResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// Ids of all leases as this member knows them, by remaining time where it leads.
    pub fn leases(&self, caller: &Caller) -> Result<Vec<LeaseId>> {
        let _ = caller;
        todo!()
    }

    /// The leader's part of a forwarded [`Handle::keep_alive`]; fails with `no leader` on any other member.
    pub async fn keep_alive_as_leader(&self, id: LeaseId) -> Result<i64> {
        let _ = id;
        todo!()
    }

    /// The leader's part of a forwarded [`Handle::time_to_live`].
    pub async fn time_to_live_as_leader(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse> {
        let _ = request;
        todo!()
    }

    /// The lessor, shared with the apply thread: hold the lock briefly.
    pub fn lessor(&self) -> &parking_lot::Mutex<Lessor> {
        todo!()
    }
}

// Membership.
impl Handle {
    /// Members by id; a linearizable list waits for the barrier. Any known user may ask.
    pub async fn members(&self, linearizable: bool, caller: &Caller) -> Result<Vec<pb::Member>> {
        let _ = (linearizable, caller);
        todo!()
    }

    /// Adds a voter or a learner.
    pub async fn member_add(
        &self,
        peer_urls: Vec<String>,
        learner: bool,
        caller: &Caller,
    ) -> Result<MemberChange> {
        let _ = (peer_urls, learner, caller);
        todo!()
    }

    /// Removes a member.
    pub async fn member_remove(&self, id: MemberId, caller: &Caller) -> Result<MemberChange> {
        let _ = (id, caller);
        todo!()
    }

    /// Replaces a member's peer URLs.
    pub async fn member_update(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
        caller: &Caller,
    ) -> Result<MemberChange> {
        let _ = (id, peer_urls, caller);
        todo!()
    }

    /// Makes a learner a voter; any member takes the request, the leader judges.
    pub async fn member_promote(&self, id: MemberId, caller: &Caller) -> Result<MemberChange> {
        let _ = (id, caller);
        todo!()
    }

    /// The leader's part of a forwarded [`Handle::member_promote`].
    pub async fn member_promote_as_leader(&self, id: MemberId) -> Result<MemberChange> {
        let _ = id;
        todo!()
    }
}

// Authentication.
impl Handle {
    /// Checks name and password, has every member learn of the new token where tokens are simple, and returns the
    /// token. The password check takes some 60 ms of processor time and runs on a few blocking threads of its own
    /// pool, so that a storm of them starves nobody.
    pub async fn authenticate(&self, request: pb::AuthenticateRequest) -> Result<pb::AuthenticateResponse> {
        let _ = request;
        todo!()
    }

    /// Finds out whose token it is, once the index that the token names has been applied here.
    pub async fn identify(&self, token: &str) -> Result<Caller> {
        let _ = token;
        todo!()
    }

    /// Hashes a password for a command (`hashed_password`), on the same threads.
    pub async fn hash_password(&self, password: String) -> Result<String> {
        let _ = password;
        todo!()
    }

    /// Refuses callers that are no known user while authentication is on.
    pub fn authorize_user(&self, caller: &Caller) -> Result<()> {
        let _ = caller;
        todo!()
    }

    /// Refuses callers without role root while authentication is on.
    pub fn authorize_root(&self, caller: &Caller) -> Result<()> {
        let _ = caller;
        todo!()
    }
}

// Maintenance.
impl Handle {
    /// Sets, clears or lists alarms.
    pub async fn alarm(&self, request: pb::AlarmRequest, caller: &Caller) -> Result<pb::AlarmResponse> {
        let _ = (request, caller);
        todo!()
    }

    /// This member's state; needs no quorum. `version` is the one given in [`Options`].
    pub fn status(&self, caller: &Caller) -> Result<pb::StatusResponse> {
        let _ = caller;
        todo!()
    }

    /// Hash of the keys up to a revision, 0 for the current one; blocks a thread of the runtime's pool meanwhile.
    pub async fn hash_kv(&self, revision: Revision, caller: &Caller) -> Result<pb::HashKvResponse> {
        let _ = (revision, caller);
        todo!()
    }

    /// Hash of the whole store.
    pub async fn hash(&self, caller: &Caller) -> Result<pb::HashResponse> {
        let _ = caller;
        todo!()
    }

    /// Gives the space of removed history back; nobody waits for it but the caller.
    pub async fn defragment(&self, caller: &Caller) -> Result<()> {
        let _ = caller;
        todo!()
    }

    /// A copy of everything at one point in time.
    pub async fn snapshot(&self, caller: &Caller) -> Result<SnapshotSource> {
        let _ = caller;
        todo!()
    }

    /// Hands leadership to a voter; returns when it leads.
    pub async fn move_leader(&self, target: MemberId, caller: &Caller) -> Result<()> {
        let _ = (target, caller);
        todo!()
    }

    /// Validates, starts or cancels a downgrade; answers the cluster version as `major.minor`.
    pub async fn downgrade(
        &self,
        request: pb::DowngradeRequest,
        caller: &Caller,
    ) -> Result<pb::DowngradeResponse> {
        let _ = (request, caller);
        todo!()
    }
}
