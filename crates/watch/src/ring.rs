//! The newest revisions in memory, for watchers that are a little behind.

use bytes::Bytes;
use model::Revision;
use mvcc::Changes;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// The changes of one revision, with the wire form of their events, each made once for all watchers.
pub(crate) struct Record {
    pub changes: Arc<Changes>,
    with_prev: OnceLock<Box<[OnceLock<Bytes>]>>,
}

impl Record {
    pub fn new(changes: Arc<Changes>) -> Record {
        Record {
            changes,
            with_prev: OnceLock::new(),
        }
    }

    pub fn revision(&self) -> Revision {
        self.changes.revision
    }

    /// The encoded event of a change, with the version it replaced if asked for and if there was one.
    pub fn event(&self, change: usize, prev_kv: bool) -> Bytes {
        let found = &self.changes.changes[change];
        if !prev_kv || found.prev_kv.is_empty() {
            return found.event.clone();
        }
        let with_prev = self
            .with_prev
            .get_or_init(|| self.changes.changes.iter().map(|_| OnceLock::new()).collect());
        with_prev[change].get_or_init(|| found.event_with_prev()).clone()
    }

    /// Memory it takes or may come to take, about.
    fn bytes(&self) -> usize {
        let change_bytes = |change: &mvcc::Change| {
            let with_prev = match change.prev_kv.len() {
                0 => 0,
                prev => change.event.len() + prev,
            };
            change.bytes() + with_prev + size_of::<OnceLock<Bytes>>()
        };
        size_of::<Record>() + self.changes.changes.iter().map(change_bytes).sum::<usize>()
    }
}

/// Every revision after `floor` up to the newest, without gaps.
pub(crate) struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    floor: Revision,
    revisions_max: usize,
    bytes_max: usize,
}

impl Ring {
    pub fn new(floor: Revision, revisions_max: usize, bytes_max: usize) -> Ring {
        Ring {
            records: VecDeque::new(),
            bytes: 0,
            floor,
            revisions_max,
            bytes_max,
        }
    }

    /// The newest revision that is not in memory any more: what comes after it can be read here.
    pub fn floor(&self) -> Revision {
        self.floor
    }

    pub fn push(&mut self, record: Arc<Record>) {
        self.bytes += record.bytes();
        self.records.push_back(record);
        while self.records.len() > self.revisions_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            self.floor = oldest.revision();
        }
    }

    /// Forgets everything; the next record comes after `floor`.
    pub fn reset(&mut self, floor: Revision) {
        self.records.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// Records from `from` on, which must be above the floor: at most `revisions_max` of them, and none after the
    /// one that brings their size to `bytes_max`.
    pub fn read(&self, from: Revision, revisions_max: usize, bytes_max: usize) -> Vec<Arc<Record>> {
        let first = self.records.partition_point(|record| record.revision() < from);
        let mut bytes = 0;
        self.records
            .range(first..)
            .take(revisions_max)
            .take_while(|record| {
                let room = bytes < bytes_max;
                bytes += record.bytes();
                room
            })
            .cloned()
            .collect()
    }
}
