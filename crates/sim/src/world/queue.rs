//! What is to happen, in the order of its time; at one time, in the order in which it was asked for.

use super::Event;
use crate::time::Nanos;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Everything that will happen.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    /// Events ever put in.
    count: u64,
}

struct Entry {
    at: Nanos,
    number: u64,
    event: Event,
}

impl Queue {
    /// Has something happen.
    pub fn put(&mut self, at: Nanos, event: Event) {
        self.count += 1;
        let number = self.count;
        self.heap.push(Entry { at, number, event });
    }

    /// What happens next, if it does so by a time.
    pub fn take_until(&mut self, until: Nanos) -> Option<(Nanos, Event)> {
        let next = self.heap.peek().filter(|next| next.at <= until)?.at;
        Some((next, self.heap.pop()?.event))
    }

    /// Has what is asked for happen at `soon` at the latest.
    pub fn hurry(&mut self, soon: Nanos, which: impl Fn(&Event) -> bool) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        for entry in entries.iter_mut().filter(|entry| which(&entry.event)) {
            entry.at = entry.at.min(soon);
        }
        self.heap = entries.into();
    }
}

impl Entry {
    fn place(&self) -> (Nanos, u64) {
        (self.at, self.number)
    }
}

impl Ord for Entry {
    /// The first is the greatest, which a heap gives out first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.place().cmp(&self.place())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Entry {}
