//! What a log consists of.

use bytes::Bytes;

/// One thing to append. Entries and hard states of one group become durable together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A raft entry. Its index is at most one past the newest; a smaller one replaces the entry there and all after it.
    Entry {
        /// raft's number for normal (0) and configuration change entries (1, 2).
        kind: u8,
        /// Position in the raft log.
        index: u64,
        /// Term of the leader that made it.
        term: u64,
        /// Opaque.
        data: &'a [u8],
    },
    /// raft's hard state, encoded; replaces the one before.
    State(&'a [u8]),
}

/// A raft entry read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// raft's number for normal (0) and configuration change entries (1, 2).
    pub kind: u8,
    /// Position in the raft log.
    pub index: u64,
    /// Term of the leader that made it.
    pub term: u64,
    /// Opaque.
    pub data: Bytes,
}

/// A place of the log up to which the state is durable elsewhere. Recovery returns the entries after the newest one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marker {
    /// Entries up to and including this index are contained in the state.
    pub index: u64,
    /// Term of the entry at `index`.
    pub term: u64,
    /// raft's ConfState at `index`, encoded; may be empty.
    pub conf_state: Bytes,
}
