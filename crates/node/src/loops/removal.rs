//! The end of a member that was removed from the cluster.

use crate::core::Core;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A removed member lives on this long, so that its answer reaches the client that asked for it.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) async fn run(core: Arc<Core>) {
    loop {
        if core.signals.removed.load(Ordering::Acquire) {
            break;
        }
        tokio::select! {
            biased;
            () = core.signals.removal.notified() => {}
            () = core.stopping() => return,
        }
    }
    tracing::warn!(
        "this member has been permanently removed from the cluster; it stops, and its data must be removed"
    );
    tokio::select! {
        biased;
        () = tokio::time::sleep(LINGER) => {}
        () = core.stopping() => return,
    }
    core.shut_down(false).await;
}
