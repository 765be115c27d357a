//! What a gateway sees of a replica.

mod authentication;
mod keys;
mod leases;
mod maintenance;
mod members;

pub use maintenance::SnapshotSource;
pub use members::MemberChange;

use crate::core::Core;
use crate::{Caller, Error, Options, Result};
use ::watch::Hub;
use apply::Alarms;
use auth::{Rules, Tokens};
use lease::Lessor;
use membership::Cluster;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, LogIndex, MemberId, Term};
use mvcc::{Read, View};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// A running replica. Cheap to clone; all clones are the same replica, and the last one to go does not stop it:
/// [`Handle::stop`] does.
///
/// Replies are complete but for their headers, of which only `revision` is set, where the request has one;
/// [`Handle::header`] gives the rest. Requests are expected to have passed [`apply::validate`].
///
/// Who may do what is checked inside: commands are judged when they are applied, reads and local services by the
/// method that serves them. A gateway only has to find out who the caller is. What a learner does not serve is
/// refused inside as well.
#[derive(Clone)]
pub struct Handle {
    pub(crate) core: Arc<Core>,
}

// Start, stop, and who we are.
impl Handle {
    /// Opens the data directory or creates it, starts all threads and returns at once: there may be no leader yet.
    /// Reads from disk, and must be called within a tokio runtime (with time enabled), which then runs the member's
    /// own tasks; it must outlive the node.
    pub fn start(options: Options) -> Result<Handle> {
        Ok(Handle {
            core: Core::start(options)?,
        })
    }

    /// To run on a thread whose runtime runs tasks on that thread alone: while this future lives, the thread's requests
    /// are proposed and answered in bunches, with one wake-up for all. Never resolves; to be dropped at the end.
    pub async fn attend(&self) {
        crate::mailbox::attend(&self.core).await;
    }

    /// Hands leadership over where it can, ends all loops, fails what still waits with `server stopped`, flushes
    /// the store and closes the log.
    pub async fn stop(&self) {
        self.core.shut_down(true).await;
    }

    /// Resolves when the node has stopped, with the reason: `Ok` after [`Handle::stop`] or once this member was
    /// removed from the cluster, the fault otherwise. After a fault the process should end.
    pub async fn stopped(&self) -> Result<()> {
        let mut stopped = self.core.signals.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Ok(())),
            Err(_) => Ok(()),
        }
    }

    /// Whether this member was removed from the cluster.
    pub fn is_removed(&self) -> bool {
        self.core.signals.removed.load(Ordering::Acquire)
    }

    /// Resolves when this member's name and client URLs have gone through raft: the time to serve clients.
    pub async fn ready(&self) {
        // The sender lives as long as the node.
        let _ = self.core.signals.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Cluster and member id, current revision and raft term.
    pub fn header(&self) -> pb::ResponseHeader {
        pb::ResponseHeader {
            cluster_id: self.core.cluster.0,
            member_id: self.core.member.0,
            revision: self.core.shared.store.view().revision().0,
            raft_term: self.term().0,
        }
    }

    /// This member.
    pub fn member_id(&self) -> MemberId {
        self.core.member
    }

    /// This cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.core.cluster
    }

    /// Who leads, as far as this member knows.
    pub fn leader(&self) -> Option<MemberId> {
        self.core.leader()
    }

    /// Follows the leader as it changes: for streams that want to end when there is none.
    pub fn leader_watch(&self) -> watch::Receiver<Option<MemberId>> {
        self.core.roles.watch()
    }

    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        self.core.leads()
    }

    /// Whether this member is a learner: it serves only serializable ranges, status and snapshots.
    pub fn is_learner(&self) -> bool {
        self.core.is_learner()
    }

    /// Waits until a write of the log that is under way has ended. Reads go on while the log's disk does not answer, so
    /// they alone do not show that this member is in order.
    ///
    /// [`Error::DeadlineExceeded`] after the time a request may take.
    pub async fn log_answers(&self) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(20);
        let asked = self.core.clock.now();
        let deadline = asked + self.core.request_timeout();
        loop {
            let now = self.core.clock.now();
            if self.core.engine()?.writing_for() <= now - asked {
                return Ok(());
            }
            if now >= deadline {
                return Err(Error::DeadlineExceeded);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Raft term, as this member knows it.
    pub fn term(&self) -> Term {
        Term(self.core.engine().map_or(0, raft_engine::Handle::term))
    }

    /// Applied index.
    pub fn applied(&self) -> LogIndex {
        self.core.applied.applied()
    }

    /// Resolves when the index has been applied here; fails when the node stops.
    pub async fn wait_applied(&self, index: LogIndex) -> Result<()> {
        Ok(self.core.wait_applied(index.0).await?)
    }

    /// Time a request may take: 5 s and two election timeouts.
    pub fn request_timeout(&self) -> Duration {
        self.core.request_timeout()
    }

    /// Election timeout.
    pub fn election_timeout(&self) -> Duration {
        self.core.options.election_timeout
    }

    /// Cluster version such as `3.7.0`; `None` while undecided.
    pub fn cluster_version(&self) -> Option<String> {
        Some(self.core.shared.cluster().version()?.to_string())
    }

    /// Storage version such as `3.7.0`; `None` while undecided. Our files do not change with it, so it follows the
    /// cluster version at once.
    pub fn storage_version(&self) -> Option<String> {
        self.cluster_version()
    }

    /// Alarms that are set, cluster wide.
    pub fn alarms(&self) -> Arc<Alarms> {
        self.core.shared.alarms()
    }

    /// Members as this member knows them.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.core.shared.cluster()
    }

    /// Users and roles as this member knows them: a snapshot, replaced at each change.
    pub fn rules(&self) -> Arc<Rules> {
        self.core.shared.rules()
    }

    /// Tokens as this member knows them; [`Handle::identify`] is the way to judge one.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.core.options.tokens
    }

    /// The caller that may do everything, for what the server does by itself (health checks, lock service).
    pub fn root(&self) -> Caller {
        Caller::root(&self.core.shared.rules())
    }

    /// The newest published state of the keys.
    pub fn view(&self) -> Arc<View> {
        self.core.shared.store.view()
    }

    /// The watch hub of this member.
    pub fn watch_hub(&self) -> &Hub {
        &self.core.hub
    }

    /// The lessor, shared with the apply thread: hold the lock briefly.
    pub fn lessor(&self) -> &Mutex<Lessor> {
        &self.core.shared.lessor
    }

    /// The engine, for the peer service: messages and snapshots of other members go there.
    pub fn raft(&self) -> Result<&raft_engine::Handle> {
        Ok(self.core.engine()?)
    }
}
