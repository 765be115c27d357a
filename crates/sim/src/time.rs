//! Time in a simulation: nanoseconds since its beginning, and what each member takes for it.

use crate::rng::Rng;
use node::Surroundings;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds since the beginning of the simulation.
pub type Nanos = u64;

/// A microsecond.
pub const MICRO: Nanos = 1_000;
/// A millisecond.
pub const MILLI: Nanos = 1_000_000;
/// A second.
pub const SECOND: Nanos = 1_000_000_000;

/// Simulations begin in 2030: what is older is from outside.
const BEGIN_UNIX: Duration = Duration::from_secs(1_893_456_000);

/// The clocks and dice of one member. Clocks go at a rate of their own, and the time of day jumps.
pub struct MemberClock {
    state: Mutex<Rate>,
    local: AtomicU64,
    day_offset_millis: AtomicI64,
    rng: Mutex<Rng>,
}

struct Rate {
    since: Nanos,
    local: Nanos,
    /// Local nanoseconds in a million of true ones.
    ppm: u64,
}

impl MemberClock {
    /// A clock that goes right.
    pub fn new(now: Nanos, rng: Rng) -> MemberClock {
        MemberClock {
            state: Mutex::new(Rate {
                since: now,
                local: now,
                ppm: 1_000_000,
            }),
            local: AtomicU64::new(now),
            day_offset_millis: AtomicI64::new(0),
            rng: Mutex::new(rng),
        }
    }

    /// From now on the clock makes so many nanoseconds of a million.
    pub fn set_rate(&self, now: Nanos, ppm: u64) {
        let local = self.set(now);
        *self.state.lock() = Rate {
            since: now,
            local,
            ppm,
        };
    }

    /// The time of day jumps.
    pub fn jump(&self, millis: i64) {
        self.day_offset_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Sets the clock by true time; gives what it shows.
    pub fn set(&self, now: Nanos) -> Nanos {
        let rate = self.state.lock();
        let passed = u128::from(now.saturating_sub(rate.since)) * u128::from(rate.ppm) / 1_000_000;
        let local = rate.local + passed as u64;
        self.local.store(local, Ordering::Relaxed);
        local
    }
}

impl Surroundings for MemberClock {
    fn now(&self) -> Instant {
        origin() + Duration::from_nanos(self.local.load(Ordering::Relaxed))
    }

    fn time_of_day(&self) -> Duration {
        let local = Duration::from_nanos(self.local.load(Ordering::Relaxed));
        let offset = self.day_offset_millis.load(Ordering::Relaxed);
        let shift = Duration::from_millis(offset.unsigned_abs());
        match offset < 0 {
            true => BEGIN_UNIX + local - shift,
            false => BEGIN_UNIX + local + shift,
        }
    }

    fn random(&self) -> u128 {
        let mut rng = self.rng.lock();
        u128::from(rng.next()) << 64 | u128::from(rng.next())
    }
}

/// Some instant: only differences to it count.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made from nothing; which one it is has no influence"
)]
pub fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// As people read it.
pub fn show(at: Nanos) -> String {
    format!("{:>4}.{:06}", at / SECOND, at % SECOND / MICRO)
}
