//! Timers of leases, in which old entries are left lying until they come up.

use model::LeaseId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Nanoseconds since the origin of the caller's clock; 584 years of them.
pub(crate) type Nanos = u64;

/// No time at all.
pub(crate) const NEVER: Nanos = u64::MAX;

pub(crate) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

pub(crate) fn seconds(seconds: i64) -> Nanos {
    (seconds.max(0) as u64).saturating_mul(1_000_000_000)
}

/// A deadline; below [`NEVER`], which has another meaning.
pub(crate) fn later(start: Nanos, by: Nanos) -> Nanos {
    start.saturating_add(by).min(NEVER - 1)
}

/// Which lease is to be looked at when. Setting a lease's timer anew leaves the old entry in place: whoever owns the
/// leases knows which entry of a lease counts.
///
/// Only what is due soon is kept in order, in a heap that fits a cache; the rest lies in buckets of an eighth of a
/// second. One heap for a million leases costs several times as much.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Entries of all buckets up to `opened`.
    soon: BinaryHeap<Reverse<Timer>>,
    later: BTreeMap<Bucket, Vec<Timer>>,
    opened: Bucket,
    len: usize,
}

type Timer = (Nanos, LeaseId);
type Bucket = u64;

fn bucket(at: Nanos) -> Bucket {
    at >> 27
}

impl Timers {
    pub fn set(&mut self, at: Nanos, id: LeaseId) {
        self.len += 1;
        if bucket(at) <= self.opened {
            self.soon.push(Reverse((at, id)));
        } else {
            self.later.entry(bucket(at)).or_default().push((at, id));
        }
    }

    /// Takes the earliest entry out if it is due.
    pub fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, LeaseId)> {
        while let Some(next) = self.later.first_entry().filter(|next| *next.key() <= bucket(now)) {
            self.soon.extend(next.remove().into_iter().map(Reverse));
        }
        self.opened = self.opened.max(bucket(now));
        self.soon.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.len -= 1;
        self.soon.pop().map(|Reverse(timer)| timer)
    }

    /// Before when nothing is due; an eighth of a second too early at most, where no old entry lies before.
    pub fn next(&self) -> Option<Nanos> {
        let soon = self.soon.peek().map(|Reverse((at, _))| *at);
        soon.or_else(|| self.later.first_key_value().map(|(bucket, _)| bucket << 27))
    }

    /// Drops old entries if they outnumber the leases; O(1) per lease over time.
    pub fn tidy(&mut self, leases: usize, live: impl Fn(Nanos, LeaseId) -> bool) {
        if self.len <= 2 * leases + 1024 {
            return;
        }
        self.soon.retain(|Reverse((at, id))| live(*at, *id));
        self.later.retain(|_, timers| {
            timers.retain(|(at, id)| live(*at, *id));
            !timers.is_empty()
        });
        self.len = self.soon.len() + self.later.values().map(Vec::len).sum::<usize>();
    }

    /// Entries, old ones too.
    pub fn len(&self) -> usize {
        self.len
    }
}
