//! When operations are to be sent.

use crate::clock::{Nanos, SECOND};

/// Closed loop: each client sends when its last answer has come. Open loop: at fixed times, whatever the server does; an
/// operation that no client was free for is late before it is sent, and its latency says so.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As fast as the answers come.
    Closed,
    /// By the clock.
    Open(Schedule),
}

/// Evenly spaced moments.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Nanos,
    per_second: f64,
    taken: u64,
}

impl Pace {
    /// `rate` operations a second, or a closed loop. Threads share the rate and are shifted against each other.
    pub fn new(rate: Option<f64>, thread: usize, threads: usize, start: Nanos) -> Pace {
        match rate {
            None => Pace::Closed,
            Some(rate) => Pace::Open(Schedule {
                start: start + (thread as f64 / rate * SECOND as f64) as Nanos,
                per_second: rate / threads as f64,
                taken: 0,
            }),
        }
    }
}

impl Schedule {
    /// When the next operation is due.
    pub fn next(&self) -> Nanos {
        self.start + (self.taken as f64 / self.per_second * SECOND as f64) as Nanos
    }

    /// Takes the next operation, if it is due.
    pub fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let due = self.next();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, thread: usize, threads: usize) -> Schedule {
        match Pace::new(Some(rate), thread, threads, 0) {
            Pace::Open(schedule) => schedule,
            Pace::Closed => unreachable!("a rate was given"),
        }
    }

    #[test]
    fn a_stalled_server_does_not_slow_the_schedule() {
        let mut schedule = schedule(1000.0, 0, 1);
        assert_eq!(schedule.take(0), Some(0));
        assert_eq!(schedule.take(999_999), None);
        // Nothing could be sent for 10 ms: ten are due, each since its own moment.
        let due: Vec<_> = std::iter::from_fn(|| schedule.take(10_000_000)).collect();
        assert_eq!(due, (1..=10).map(|at| at * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn threads_share_a_rate_evenly_in_time() {
        let mut all: Vec<Nanos> = (0..4)
            .flat_map(|thread| {
                let mut schedule = schedule(1000.0, thread, 4);
                std::iter::from_fn(move || schedule.take(SECOND - 1))
            })
            .collect();
        all.sort_unstable();
        assert_eq!(all.len(), 1000);
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
    }

    #[test]
    fn long_schedules_do_not_drift() {
        let mut schedule = schedule(3.0, 0, 1);
        for _ in 0..3_000_000 {
            schedule.take(Nanos::MAX);
        }
        assert_eq!(schedule.next(), 1_000_000 * SECOND);
    }
}
