//! What an engine is told when it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Fault, Observer};

/// Settings of one engine. [`Options::new`] gives etcd's defaults.
#[derive(Clone)]
pub struct Options {
    /// Id of this member, not 0.
    pub id: u64,
    /// Length of a tick, and of the leader's heartbeat interval.
    pub heartbeat_interval: Duration,
    /// Ticks without a leader before a member campaigns: between this many and twice as many.
    pub election_ticks: usize,
    /// Ask around before raising the term, so that a member coming back does not depose a leader.
    pub pre_vote: bool,
    /// Start with the election timer advanced, so that the first election of a cluster takes one tick.
    pub initial_election_tick_advance: bool,
    /// Applied entries after which the log is marked and released anew (etcd's `--snapshot-count`).
    pub snapshot_count: u64,
    /// Applied entries kept for followers that lag (etcd's `--snapshot-catchup-entries`). Further behind, a follower
    /// gets a snapshot.
    pub log_retain_entries: u64,
    /// Bytes of applied entries kept in memory at most, whatever `log_retain_entries` says.
    pub log_retain_bytes: u64,
    /// Proposals waiting before the log at most, in number; more are refused.
    pub proposals_waiting_max: usize,
    /// Proposals waiting before the log at most, in bytes; more are refused.
    pub proposals_waiting_bytes_max: usize,
    /// Reads waiting at most; more are refused.
    pub reads_waiting_max: usize,
    /// How long proposals and reads wait for a leader before they are dropped.
    pub request_timeout: Duration,
    /// Directory of the engine's own for checkpoints being sent and snapshots being installed; on the file system of
    /// the store, so that hard links and renames work. Created if missing.
    pub snapshot_dir: PathBuf,
    /// Random seed of election timeouts and of the read contexts' boot id. Must differ between boots.
    pub seed: u64,
    /// The monotonic clock of ticks and measurements. Nothing that is replicated depends on it.
    pub clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// Told of role changes and measurements.
    pub observer: Arc<dyn Observer>,
    /// Called once, from an engine thread, when the engine can no longer go on. Nothing is acknowledged afterwards;
    /// the process should log the fault and exit.
    pub on_fault: Arc<dyn Fn(Fault) + Send + Sync>,
}

impl Options {
    /// etcd's defaults for a member, with a silent observer and a fault handler that only logs.
    pub fn new(id: u64, seed: u64, snapshot_dir: PathBuf) -> Self {
        Self {
            id,
            heartbeat_interval: Duration::from_millis(100),
            election_ticks: 10,
            pre_vote: true,
            initial_election_tick_advance: true,
            snapshot_count: 10_000,
            log_retain_entries: 5_000,
            log_retain_bytes: 64 << 20,
            proposals_waiting_max: 100_000,
            proposals_waiting_bytes_max: 128 << 20,
            reads_waiting_max: 100_000,
            request_timeout: Duration::from_secs(7),
            snapshot_dir,
            seed,
            clock: Arc::new(system_clock),
            observer: Arc::new(()),
            on_fault: Arc::new(|fault| tracing::error!(%fault, "raft engine stopped")),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where ticks and measurements come from"
)]
fn system_clock() -> Instant {
    Instant::now()
}

/// How a member comes into its cluster.
#[derive(Clone, Debug)]
pub enum Bootstrap {
    /// A new cluster: the log begins with one configuration change per member, in this order, at term 1, exactly as
    /// etcd's does. All members of the new cluster must be given the same list.
    New(Vec<Member>),
    /// A new member of a cluster that exists: starts empty and learns everything from the leader.
    Join,
    /// The log is there already.
    Restart,
}

/// A member of a new cluster.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id, not 0.
    pub id: u64,
    /// Context of its configuration change, for example the encoded member.
    pub context: Bytes,
}
