//! What an engine reports to metrics and to the node.

use std::time::Duration;

use crate::Role;

/// Told of events as they happen, on engine threads: must return at once. Every method defaults to nothing.
pub trait Observer: Send + Sync + 'static {
    /// Role, term or known leader changed. Called in order, by the raft thread, before any message of the new role is
    /// sent: a leader that steps down has stopped being one here first.
    fn leader_changed(&self, _change: &LeaderChange) {}
    /// Proposals were put into the log or forwarded to the leader.
    fn proposed(&self, _count: usize) {}
    /// Proposals were dropped: no leader in time, or the log was full.
    fn proposals_failed(&self, _count: usize) {}
    /// Proposals waiting before the log now.
    fn proposals_waiting(&self, _count: usize) {}
    /// The commit index rose.
    fn committed(&self, _index: u64) {}
    /// A group was applied.
    fn applied(&self, _index: u64, _entries: usize, _took: Duration) {}
    /// A group of log records was written and, if `synced`, made durable.
    fn log_written(&self, _bytes: usize, _write: Duration, _sync: Option<Duration>) {}
    /// The log's disk has not answered for longer than the election timeout (`true`), or does again (`false`).
    fn disk_stalled(&self, _stalled: bool) {}
    /// A round of read index was answered, or failed.
    fn reads_confirmed(&self, _count: usize, _ok: bool) {}
    /// A heartbeat could not be sent in time.
    fn heartbeat_late(&self, _by: Duration) {}
    /// A snapshot of the leader is being installed (`true`), or done (`false`).
    fn installing_snapshot(&self, _now: bool) {}
}

impl Observer for () {}

/// The state after a change of role, term or leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// Current term.
    pub term: u64,
    /// The leader this member knows, 0 if none.
    pub leader: u64,
    /// This member's role.
    pub role: Role,
}
