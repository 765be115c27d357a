//! Proposals on their way into the log.
//!
//! Raft drops a proposal without a trace when there is no leader, when leadership is being handed over, or when too
//! much is uncommitted. So they wait here until it would take them. How many wait is bounded by the shell, which counts
//! a proposal until it leaves here.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::Entry;

use super::event::Count;

/// Entries in one message at most, and bytes: what fits one append message.
const BATCH_ENTRIES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Configuration changes waiting at most; raft takes one at a time.
const CHANGES_MAX: usize = 64;

/// Proposals of other members waiting at most, and their bytes. This member's own are bounded where they come in.
const FORWARDED_MAX: usize = 100_000;
const FORWARDED_BYTES_MAX: usize = 64 << 20;

pub(super) struct Proposals {
    waiting: VecDeque<Waiting>,
    changes: VecDeque<(Entry, u64)>,
    forwarded: Count,
    timeout_ticks: u64,
    /// Of this member's own: gone into the log or to the leader.
    pub taken: Count,
    /// Of this member's own: dropped.
    pub failed: Count,
}

struct Waiting {
    data: Bytes,
    since: u64,
    own: bool,
}

impl Proposals {
    pub fn new(timeout_ticks: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            changes: VecDeque::new(),
            forwarded: Count::default(),
            timeout_ticks,
            taken: Count::default(),
            failed: Count::default(),
        }
    }

    pub fn add(&mut self, proposals: Vec<Bytes>, now: u64) {
        self.waiting.extend(proposals.into_iter().map(|data| Waiting {
            data,
            since: now,
            own: true,
        }));
    }

    /// Another member's; dropped if too many of those wait already.
    pub fn add_forwarded(&mut self, data: Bytes, now: u64) {
        let Count { proposals, bytes } = self.forwarded;
        if proposals < FORWARDED_MAX && bytes + data.len() <= FORWARDED_BYTES_MAX {
            self.forwarded.add(data.len());
            self.waiting.push_back(Waiting {
                data,
                since: now,
                own: false,
            });
        }
    }

    pub fn add_change(&mut self, entry: Entry, now: u64) {
        if self.changes.len() < CHANGES_MAX {
            self.changes.push_back((entry, now));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn has_change(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Everything waiting, up to the size of one message and to `room` bytes (but at least one).
    pub fn next_batch(&mut self, room: usize) -> Vec<Entry> {
        let room = room.min(BATCH_BYTES_MAX);
        let mut batch = Vec::with_capacity(self.waiting.len().min(BATCH_ENTRIES_MAX));
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            let fits = batch.len() < BATCH_ENTRIES_MAX && bytes + next.data.len() <= room;
            if !fits && !batch.is_empty() {
                break;
            }
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            bytes += next.data.len();
            if next.own {
                self.taken.add(next.data.len());
            } else {
                self.forwarded.remove(next.data.len());
            }
            batch.push(Entry {
                data: next.data,
                ..Entry::default()
            });
        }
        batch
    }

    /// Size of the next proposal.
    pub fn next_bytes(&self) -> usize {
        self.waiting.front().map_or(0, |next| next.data.len())
    }

    pub fn next_change(&mut self) -> Option<Entry> {
        self.changes.pop_front().map(|(entry, _)| entry)
    }

    /// Drops what waited too long: its proposers have given up.
    pub fn tick(&mut self, now: u64) {
        let timeout = self.timeout_ticks;
        let late = |since: u64| now - since >= timeout;
        while self.waiting.front().is_some_and(|next| late(next.since))
            && let Some(next) = self.waiting.pop_front()
        {
            if next.own {
                self.failed.add(next.data.len());
            } else {
                self.forwarded.remove(next.data.len());
            }
        }
        self.changes.retain(|(_, since)| !late(*since));
    }
}
