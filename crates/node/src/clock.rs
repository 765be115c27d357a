//! The one place where the node reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the node started: what leases, the watch hub and timeouts count in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "time enters the replica here, everything below takes it as an argument"
    )]
    pub fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Time of day: for ids that must not repeat over restarts, and for JWTs. Before 1970 counts as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "time enters the replica here, everything below takes it as an argument"
)]
pub(crate) fn time_of_day() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
