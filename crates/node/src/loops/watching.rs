//! The thread that drives the watch hub: watchers that are behind, and progress reports.

use crate::core::Core;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// After a failed read of the history, and at the latest for a look at whether the node stops.
const PAUSE: Duration = Duration::from_millis(100);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn run(core: Arc<Core>) {
    core.hub
        .set_driver(Waker::from(Arc::new(Unpark(thread::current()))));
    while !core.is_stopping() {
        let wait = turn(&core);
        if !wait.is_zero() {
            thread::park_timeout(wait);
        }
    }
    core.hub.close();
}

/// One step; answers how long to wait for the next, unless the hub wakes its driver before.
pub(crate) fn turn(core: &Core) -> Duration {
    let now = core.clock.now();
    match core.hub.tick(now) {
        Ok(Some(next)) => next.saturating_sub(now).min(PAUSE),
        Ok(None) => PAUSE,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "watchers that are behind must wait"
            );
            PAUSE
        }
    }
}
