//! The only clock: nanoseconds since the generator started, the same for all its threads.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since the start.
pub type Nanos = u64;

/// A second.
pub const SECOND: Nanos = 1_000_000_000;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a load generator measures time")]
pub fn now() -> Nanos {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as Nanos
}

/// Seconds as nanoseconds.
pub fn seconds(seconds: f64) -> Nanos {
    (seconds * SECOND as f64) as Nanos
}
