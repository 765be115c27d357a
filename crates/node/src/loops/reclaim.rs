//! Giving the space of removed history back to the file system: when somebody asks, and once after the start where the
//! operator said from how much on it is worth it.

use crate::core::Core;
use std::sync::Arc;

/// Once after the start, beside everything else: readers and writers do not wait for it.
pub(crate) fn run(core: Arc<Core>) {
    let Some(threshold) = core.options.reclaim_at_start else {
        return;
    };
    let sizes = core.shared.store.sizes();
    let free = sizes.allocated.saturating_sub(sizes.in_use);
    if free < threshold {
        tracing::info!(
            "current-db-size-bytes" = sizes.allocated,
            "current-db-size-in-use-bytes" = sizes.in_use,
            "bootstrap-defrag-threshold-bytes" = threshold,
            "Skipping defragmentation"
        );
        return;
    }
    match reclaim(&core) {
        Ok(()) => tracing::info!(
            "freed-bytes" = free,
            "bootstrap-defrag-threshold-bytes" = threshold,
            "finished defragmentation after the start"
        ),
        Err(error) => tracing::warn!(%error, "defragmentation after the start failed"),
    }
}

/// Blocks until the engine has given back what it can.
pub(crate) fn reclaim(core: &Core) -> mvcc::Result<()> {
    let timer = core.metrics.defragment.start_timer();
    core.metrics.defragmenting.inc();
    let result = give_back(core);
    core.metrics.defragmenting.dec();
    timer.observe_duration();
    result
}

fn give_back(core: &Core) -> mvcc::Result<()> {
    failpoint::point!("defragOpenFileError" => |text| return Err(storage::Error::Engine(text).into()));
    failpoint::point!("defragBeforeCopy");
    failpoint::point!("defragdbFail" => |text| return Err(storage::Error::Engine(text).into()));
    core.backend().reclaim()?;
    failpoint::point!("defragBeforeRename");
    core.shared.store.defragmented()
}
