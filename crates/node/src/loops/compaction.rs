//! The thread that removes what compactions made obsolete, in small steps with pauses between them.

use crate::core::Core;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use mvcc::Progress;
use std::sync::Arc;
use std::time::Duration;

/// A look at whether the node stops.
const IDLE: Duration = Duration::from_millis(500);

pub(crate) fn run(core: Arc<Core>, wanted: Receiver<()>) {
    let mut sweep = Sweep::new(core.clone());
    let mut wait = Duration::ZERO;
    while !core.is_stopping() {
        match wanted.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        wait = sweep.turn();
    }
}

/// The removal under way, if there is one.
pub(crate) struct Sweep {
    core: Arc<Core>,
    began: Option<Duration>,
}

impl Sweep {
    pub fn new(core: Arc<Core>) -> Sweep {
        Sweep { core, began: None }
    }

    /// One step; answers how long to wait for the next, unless something is compacted meanwhile.
    pub fn turn(&mut self) -> Duration {
        let core = &self.core;
        let started = core.clock.now();
        let step = core.shared.store.compaction_step(core.options.compaction_batch);
        let took = core.clock.now().saturating_sub(started);
        match step {
            Ok(Progress::Idle) => return IDLE,
            Ok(Progress::More { .. }) => {
                self.began.get_or_insert(started);
                core.metrics.compaction_pause.observe(took.as_secs_f64() * 1e3);
            }
            Ok(Progress::Finished(swept)) => {
                let took = core
                    .clock
                    .now()
                    .saturating_sub(self.began.take().unwrap_or(started));
                core.metrics.compaction_total.observe(took.as_secs_f64() * 1e3);
                core.metrics.compacted_keys.inc_by(swept.removed);
                core.metrics
                    .compaction_last
                    .set(core.clock.time_of_day().as_secs() as i64);
                let sizes = core.shared.store.sizes();
                // Text and names of the fields are etcd's: its users' tools look for them.
                tracing::info!(
                    "compact-revision" = swept.revision.0,
                    took = ?took,
                    "number-of-keys-compacted" = swept.removed,
                    hash = swept.hash.map_or(0, |hash| hash.hash),
                    "current-db-size-bytes" = sizes.allocated,
                    "current-db-size-in-use-bytes" = sizes.in_use,
                    "finished scheduled compaction"
                );
            }
            Err(mvcc::Error::Rejected(_)) => return IDLE,
            Err(error) => core.fail(format!("compaction: {error}")),
        }
        core.options.compaction_pause
    }
}
