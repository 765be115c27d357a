//! Counters behind etcd's `etcd_debugging_mvcc_*` watch metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// The hub in numbers, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Open streams (`watch_stream_total`).
    pub streams: u64,
    /// Watchers (`watcher_total`).
    pub watchers: u64,
    /// Watchers that are behind (`slow_watcher_total`).
    pub slow_watchers: u64,
    /// Events that streams have taken so far (`events_total`).
    pub events: u64,
    /// Events that wait on streams (`pending_events_total`).
    pub pending_events: u64,
}

/// Counts that change outside the hub's lock.
#[derive(Default)]
pub(crate) struct EventCounters {
    taken: AtomicU64,
    queued: AtomicU64,
}

impl EventCounters {
    pub fn queued(&self, events: usize) {
        self.queued.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub fn taken(&self, events: usize) {
        self.taken.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Of a closed stream: neither waiting nor taken.
    pub fn dropped(&self, events: usize) {
        self.queued.fetch_sub(events as u64, Ordering::Relaxed);
    }

    pub fn taken_total(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub fn pending(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.queued.load(Ordering::Relaxed).saturating_sub(taken)
    }
}
