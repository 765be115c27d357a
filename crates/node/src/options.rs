//! What a node is told at its start.

use crate::{Peers, Surroundings};
use model::{ClusterId, MemberId, pb};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store in a directory, creating it where there is none.
pub type StoreOpener = Arc<dyn Fn(&Path) -> storage::Result<Arc<dyn storage::Backend>> + Send + Sync>;

/// Settings of one replica. Plain data but for the ways to the outside.
#[derive(Clone)]
pub struct Options {
    /// `<data-dir>`: `member` and all below it are made where they are missing. Must exist.
    pub data_dir: PathBuf,
    /// Directory of the raft log where it is not `<data-dir>/member/wal`, say on a disk of its own.
    pub wal_dir: Option<PathBuf>,
    /// Where the raft log is kept if not in a directory of the file system.
    pub wal_files: Option<Arc<dyn wal::Dir>>,
    /// This member's name, published through raft.
    pub name: String,
    /// Client URLs, published through raft.
    pub client_urls: Vec<String>,
    /// What to do where the data directory holds no member yet; ignored otherwise.
    pub bootstrap: Bootstrap,
    /// Start as the only member, with the data at hand and all other members removed.
    pub force_new_cluster: bool,

    /// Length of a raft tick: the heartbeat interval.
    pub heartbeat: Duration,
    /// Silence after which followers elect.
    pub election_timeout: Duration,
    /// Elect at once after a restart instead of waiting out most of the first election timeout.
    pub initial_election_tick_advance: bool,
    /// PreVote: a member that comes back does not depose a leader.
    pub pre_vote: bool,

    /// Applied entries between two releases of the log.
    pub snapshot_count: u64,
    /// What was applied is made durable in the store after this time at the latest; the log before may go then.
    pub flush_age: Duration,
    /// Entries kept behind a release for followers that lag.
    pub snapshot_catchup_entries: u64,
    /// Bytes of an encoded request above which it is refused.
    pub request_bytes_max: usize,
    /// Logical bytes of the store above which writes are refused; `None` for no quota.
    pub quota_bytes: Option<u64>,
    /// Learners that may be in the cluster at once.
    pub learners_max: usize,
    /// Refuse membership changes that endanger the quorum.
    pub strict_reconfig_check: bool,
    /// Compaction that nobody has to ask for.
    pub auto_compaction: AutoCompaction,
    /// Revisions removed in one step of a physical compaction.
    pub compaction_batch: usize,
    /// Pause between two such steps.
    pub compaction_pause: Duration,
    /// After the start, give space of removed history back where there are at least so many logical bytes of it.
    pub reclaim_at_start: Option<u64>,
    /// Compute etcd's hash at each compaction, so that members can be compared.
    pub compaction_hash: bool,
    /// Values of this many bytes and more are kept in the log of versions alone; `None` is what suits most.
    pub large_value_bytes: Option<u32>,
    /// Settings of the watch hub.
    pub watch: watch::Options,
    /// Replicate how much time long leases have left, so that a new leader does not start them anew.
    pub lease_checkpoints: bool,
    /// Server version of this program in etcd's numbering, such as `3.7.1`.
    pub version: String,

    /// Tokens that this member knows.
    pub tokens: Arc<auth::Tokens>,
    /// Cost of new password hashes.
    pub bcrypt_cost: u32,
    /// Settings of the raft log's files.
    pub wal: wal::Options,

    /// Opens stores.
    pub open_store: StoreOpener,
    /// Ways to the others.
    pub peers: Arc<dyn Peers>,
    /// Carries raft messages.
    pub transport: Arc<dyn raft_engine::Transport>,
    /// Clocks and dice.
    pub surroundings: Arc<dyn Surroundings>,
    /// Where the node's metrics are registered.
    pub registry: prometheus::Registry,
}

/// How a member comes into being.
#[derive(Clone, PartialEq, Debug)]
pub enum Bootstrap {
    /// A new cluster of these members, the same list on each of them; this member is the one with the id.
    New {
        /// This member.
        member: MemberId,
        /// The cluster.
        cluster: ClusterId,
        /// All first members, with peer URLs and ids.
        members: Vec<pb::etcdserverpb::Member>,
    },
    /// Joins a cluster that knows of this member already and will send it log or snapshot.
    Join {
        /// This member, as the cluster has named it.
        member: MemberId,
        /// The cluster.
        cluster: ClusterId,
        /// The members that the cluster named, this one among them.
        members: Vec<pb::etcdserverpb::Member>,
    },
}

/// Who compacts when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AutoCompaction {
    /// Nobody but clients.
    #[default]
    Off,
    /// History older than this goes.
    Periodic(Duration),
    /// All but the newest so many revisions go.
    Revisions(i64),
}

impl Bootstrap {
    /// This member.
    pub fn member(&self) -> MemberId {
        match self {
            Bootstrap::New { member, .. } | Bootstrap::Join { member, .. } => *member,
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        match self {
            Bootstrap::New { cluster, .. } | Bootstrap::Join { cluster, .. } => *cluster,
        }
    }

    /// The members that are known beforehand.
    pub fn members(&self) -> &[pb::etcdserverpb::Member] {
        match self {
            Bootstrap::New { members, .. } | Bootstrap::Join { members, .. } => members,
        }
    }
}
