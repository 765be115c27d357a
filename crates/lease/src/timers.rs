//! Timers of leases: a heap in which old entries are left lying until they come up.

use model::LeaseId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Nanoseconds since the origin of the caller's clock; 584 years of them.
pub(crate) type Nanos = u64;

/// No time at all.
pub(crate) const NEVER: Nanos = u64::MAX;

pub(crate) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

/// Which lease is to be looked at when. Setting a lease's timer anew leaves the old entry in place: whoever owns the
/// leases knows which entry of a lease counts.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Nanos, LeaseId)>>,
}

impl Timers {
    /// Sorted or not, but cheapest if sorted.
    pub fn from_sorted(timers: Vec<(Nanos, LeaseId)>) -> Timers {
        let heap = timers.into_iter().map(Reverse).collect::<Vec<_>>().into();
        Timers { heap }
    }

    pub fn set(&mut self, at: Nanos, id: LeaseId) {
        self.heap.push(Reverse((at, id)));
    }

    /// Takes the earliest entry out if it is due.
    pub fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, LeaseId)> {
        self.heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.heap.pop().map(|Reverse(timer)| timer)
    }

    /// When the earliest entry is due, be it old or not.
    pub fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops old entries if they outnumber the leases; O(1) per lease over time.
    pub fn tidy(&mut self, leases: usize, live: impl Fn(Nanos, LeaseId) -> bool) {
        if self.heap.len() > 2 * leases + 1024 {
            self.heap.retain(|Reverse((at, id))| live(*at, *id));
        }
    }

    /// Entries, old ones too.
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}
