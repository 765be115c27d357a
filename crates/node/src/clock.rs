//! Where a node gets time and chance from: nothing else in it reads a clock or throws dice.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clocks and dice. The real ones are the system's; a simulation has its own.
pub trait Surroundings: Send + Sync + 'static {
    /// The monotonic clock: ticks of raft, leases, the watch hub and measurements count in it. Timeouts of requests are
    /// tokio's.
    fn now(&self) -> Instant;

    /// Time of day since 1970: for ids that must not repeat over restarts, and for JWTs.
    fn time_of_day(&self) -> Duration;

    /// Bits that nobody can foresee.
    fn random(&self) -> u128;
}

/// The system's clocks and random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Surroundings for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "time enters the replica here, everything below takes it as an argument"
    )]
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Before 1970 counts as 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "time enters the replica here, everything below takes it as an argument"
    )]
    fn time_of_day(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn random(&self) -> u128 {
        rand::random()
    }
}

/// Monotonic time since the node started.
#[derive(Clone)]
pub(crate) struct Clock {
    surroundings: Arc<dyn Surroundings>,
    origin: Instant,
}

impl Clock {
    pub fn start(surroundings: Arc<dyn Surroundings>) -> Clock {
        Clock {
            origin: surroundings.now(),
            surroundings,
        }
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.surroundings.now().saturating_duration_since(self.origin)
    }

    /// Time since 1970.
    pub fn time_of_day(&self) -> Duration {
        self.surroundings.time_of_day()
    }
}
