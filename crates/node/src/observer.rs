//! What the raft engine reports: roles to whoever acts on them, measurements to metrics.

use crate::core::Core;
use raft_engine::{LeaderChange, Observer, Role};
use std::sync::{OnceLock, Weak};
use std::time::Duration;

/// Installed before the node is complete; reports from before are of no interest.
#[derive(Default)]
pub(crate) struct Reports {
    core: OnceLock<Weak<Core>>,
}

impl Reports {
    pub fn connect(&self, core: Weak<Core>) {
        let _ = self.core.set(core);
    }

    fn with(&self, report: impl FnOnce(&Core)) {
        if let Some(core) = self.core.get().and_then(Weak::upgrade) {
            report(&core);
        }
    }
}

impl Observer for Reports {
    fn leader_changed(&self, change: &LeaderChange) {
        self.with(|core| {
            if core.roles.note(change) {
                core.metrics.leader_changes.inc();
                tracing::info!(
                    leader = %model::MemberId(change.leader),
                    term = change.term,
                    "the leader changed"
                );
            }
            if change.role == Role::Leader {
                core.signals.versions.notify_one();
            }
        });
    }

    fn log_written(&self, bytes: usize, write: Duration, sync: Option<Duration>) {
        self.with(|core| {
            core.metrics.wal_bytes.add(bytes as i64);
            core.metrics.wal_write.observe(write.as_secs_f64());
            if let Some(sync) = sync {
                core.metrics.wal_fsync.observe(sync.as_secs_f64());
            }
        });
    }

    fn disk_stalled(&self, stalled: bool) {
        match stalled {
            true => tracing::warn!("the disk of the raft log does not answer"),
            false => tracing::info!("the disk of the raft log answers again"),
        }
    }

    fn reads_confirmed(&self, count: usize, ok: bool) {
        if !ok {
            self.with(|core| core.metrics.reads_failed.inc_by(count as u64));
        }
    }

    fn heartbeat_late(&self, _by: Duration) {
        self.with(|core| core.metrics.heartbeats_failed.inc());
    }

    fn installing_snapshot(&self, now: bool) {
        self.with(|core| core.metrics.installing_snapshot.set(i64::from(now)));
    }
}
