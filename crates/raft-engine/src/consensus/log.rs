//! The raft log in memory, as the `raft` crate reads it.
//!
//! Everything since the last compaction is here, durable or not: raft may read an entry as soon as it has handed it
//! out, the log writer makes it durable beside that. Memory is bounded by what is not yet applied (the guard refuses
//! more beyond [`super::UNAPPLIED_BYTES_MAX`]) plus what is retained for followers (entries and bytes, options).
//! Followers further behind get a snapshot, so nothing is ever read back from disk while running.

use std::cell::RefCell;
use std::collections::VecDeque;

use raft::eraftpb::{self, EntryType};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use wal::Entry;

use crate::Applied;
use crate::configuration;

pub(super) struct Log {
    /// The entry before the first one held: applied, and compacted away or covered by a snapshot.
    base: (u64, u64),
    /// Position of the first entry's first byte in an endless log, for measuring ranges in O(1).
    base_offset: u64,
    entries: VecDeque<Slot>,
    initial: RaftState,
    snapshot: Option<Made>,
    /// Peers that asked for a snapshot while there was none. Raft asks through a shared reference.
    wanted_by: RefCell<Vec<u64>>,
}

struct Slot {
    entry: Entry,
    end_offset: u64,
}

/// A checkpoint the shell holds under `token`.
pub(super) struct Made {
    pub token: u64,
    pub applied: Applied,
    /// Tick of its making.
    pub since: u64,
}

impl Log {
    pub fn new(base: (u64, u64), entries: Vec<Entry>, initial: RaftState) -> Self {
        let mut log = Self {
            base,
            base_offset: 0,
            entries: VecDeque::with_capacity(entries.len()),
            initial,
            snapshot: None,
            wanted_by: RefCell::default(),
        };
        log.append(&entries);
        log
    }

    pub fn first(&self) -> u64 {
        self.base.0 + 1
    }

    pub fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    /// Appends, replacing what is there from the first entry's index on.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        self.entries.truncate((first.index - self.first()) as usize);
        let mut offset = self.offset(self.last());
        for entry in entries {
            offset += cost(entry);
            self.entries.push_back(Slot {
                entry: entry.clone(),
                end_offset: offset,
            });
        }
    }

    /// Starts anew behind a snapshot.
    pub fn reset(&mut self, index: u64, term: u64) {
        self.base_offset = self.offset(self.last());
        self.base = (index, term);
        self.entries.clear();
    }

    /// Forgets entries up to `index`, which must be applied.
    pub fn compact(&mut self, index: u64) {
        while self.base.0 < index
            && let Some(slot) = self.entries.pop_front()
        {
            self.base = (slot.entry.index, slot.entry.term);
            self.base_offset = slot.end_offset;
        }
    }

    /// Bytes held by entries in `(after, to]`.
    pub fn bytes(&self, after: u64, to: u64) -> u64 {
        self.offset(to).saturating_sub(self.offset(after))
    }

    /// The smallest index such that entries after it, up to `to`, take at most `bytes`.
    pub fn retained_from(&self, to: u64, bytes: u64) -> u64 {
        let floor = self.offset(to).saturating_sub(bytes);
        if floor <= self.base_offset {
            return self.base.0;
        }
        self.first() + self.entries.partition_point(|slot| slot.end_offset < floor) as u64
    }

    fn offset(&self, index: u64) -> u64 {
        match index.checked_sub(self.first()) {
            None => self.base_offset,
            Some(_) if self.entries.is_empty() => self.base_offset,
            Some(at) => self.entries[(at as usize).min(self.entries.len() - 1)].end_offset,
        }
    }

    /// Term of `index` if it is held or the base.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        let at = index.checked_sub(self.first())?;
        self.entries.get(at as usize).map(|slot| slot.entry.term)
    }

    pub fn offer_snapshot(&mut self, made: Made) -> Option<Made> {
        self.snapshot.replace(made)
    }

    /// Takes back a snapshot that no follower could continue from, or that is older than `oldest`.
    pub fn take_useless_snapshot(&mut self, oldest: u64) -> Option<Made> {
        let base = self.base.0;
        self.snapshot
            .take_if(|made| made.applied.index < base || made.since < oldest)
    }

    pub fn take_wanted_by(&mut self) -> Vec<u64> {
        std::mem::take(self.wanted_by.get_mut())
    }
}

/// What an entry costs in memory, roughly.
fn cost(entry: &Entry) -> u64 {
    entry.data.len() as u64 + std::mem::size_of::<Slot>() as u64
}

pub(super) fn to_raft(entry: &Entry) -> eraftpb::Entry {
    let mut out = eraftpb::Entry::default();
    out.set_entry_type(match entry.kind {
        crate::change::CONF_CHANGE => EntryType::EntryConfChange,
        crate::change::CONF_CHANGE_V2 => EntryType::EntryConfChangeV2,
        _ => EntryType::EntryNormal,
    });
    out.index = entry.index;
    out.term = entry.term;
    out.data = entry.data.clone();
    out
}

pub(super) fn from_raft(entry: eraftpb::Entry) -> Entry {
    Entry {
        kind: entry.get_entry_type() as u8,
        index: entry.index,
        term: entry.term,
        data: entry.data,
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low < self.first() {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let from = (low - self.first()) as usize;
        let to = (high - self.first()) as usize;
        let room = max_size
            .into()
            .unwrap_or(u64::MAX)
            .saturating_add(self.offset(low - 1));
        let taken = self
            .entries
            .range(from..to)
            .enumerate()
            .take_while(|(at, slot)| *at == 0 || slot.end_offset <= room)
            .map(|(_, slot)| to_raft(&slot.entry));
        Ok(taken.collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.term_of(index).ok_or_else(|| {
            if index < self.base.0 {
                StorageError::Compacted
            } else {
                StorageError::Unavailable
            }
            .into()
        })
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        // A member refuses a snapshot from before it was added: one that was made for another follower may be too old.
        let usable = |made: &&Made| {
            made.applied.index >= request_index.max(self.base.0).max(1)
                && made.applied.configuration.contains(to)
        };
        let Some(made) = self.snapshot.as_ref().filter(usable) else {
            self.wanted_by.borrow_mut().push(to);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        };
        let data = made.token.to_be_bytes().to_vec().into();
        let mut snapshot = eraftpb::Snapshot {
            data,
            ..eraftpb::Snapshot::default()
        };
        let metadata = snapshot.mut_metadata();
        metadata.index = made.applied.index;
        metadata.term = made.applied.term;
        metadata.set_conf_state(configuration::to_raft(&made.applied.configuration));
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64) -> Entry {
        Entry {
            kind: 0,
            index,
            term,
            data: vec![0; 100].into(),
        }
    }

    fn log(entries: std::ops::RangeInclusive<u64>) -> Log {
        let entries: Vec<Entry> = entries.map(|index| entry(index, 1)).collect();
        Log::new((entries[0].index - 1, 1), entries, RaftState::default())
    }

    #[test]
    fn appending_replaces_a_conflicting_tail() {
        let mut log = log(1..=5);
        log.append(&[entry(3, 2), entry(4, 2)]);
        assert_eq!((log.first(), log.last()), (1, 4));
        assert_eq!(
            [log.term_of(2), log.term_of(3), log.term_of(5)],
            [Some(1), Some(2), None]
        );
    }

    #[test]
    fn compaction_keeps_the_term_before_the_first_entry() {
        let mut log = log(1..=5);
        log.compact(3);
        assert_eq!((log.first(), log.last()), (4, 5));
        assert_eq!([log.term_of(2), log.term_of(3)], [None, Some(1)]);
        log.compact(9);
        assert_eq!((log.first(), log.last()), (6, 5));
    }

    #[test]
    fn bytes_are_measured_across_compaction_and_reset() {
        let mut log = log(1..=10);
        let one = log.bytes(0, 1);
        assert_eq!(log.bytes(2, 7), 5 * one);
        log.compact(4);
        assert_eq!(log.bytes(0, 10), 6 * one);
        assert_eq!(log.retained_from(10, 2 * one), 8);
        assert_eq!(log.retained_from(10, 100 * one), 4);
        log.reset(20, 3);
        assert_eq!((log.bytes(0, 30), log.last()), (0, 20));
        log.append(&[entry(21, 3)]);
        assert_eq!(log.bytes(20, 21), one);
    }

    #[test]
    fn reads_stop_at_the_size_but_give_at_least_one_entry() {
        let log = log(1..=5);
        let read = |max: u64| {
            log.entries(2, 6, max, GetEntriesContext::empty(false))
                .unwrap()
                .len()
        };
        assert_eq!([read(0), read(400), read(u64::MAX)], [1, 2, 4]);
    }
}
