//! The log that is written to.
#![expect(unused_variables, reason = "skeleton")]
#![expect(clippy::todo, reason = "skeleton")]

use crate::{Dir, Entry, Marker, Record, Recovered, Result};
use std::path::Path;
use std::sync::Arc;

/// What may be tuned.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a full segment. The first segments of a log are smaller, so that a new log costs little.
    pub segment_bytes: u64,
    /// Prepare and recycle segments on a thread of its own; otherwise within the calls, in an order that tests can rely on.
    pub background: bool,
    /// `false` skips every fsync: survives a crash of the process, not of the machine.
    pub fsync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64_000_000,
            background: true,
            fsync: true,
        }
    }
}

/// Counters since opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Bytes of frames written.
    pub written_bytes: u64,
    /// fdatasync calls on segments.
    pub syncs: u64,
    /// Segments begun.
    pub rotations: u64,
    /// Segments begun in a file that an earlier segment had left.
    pub recycled: u64,
    /// Segments in the log now.
    pub segments: u64,
}

/// A log open for writing; the directory is locked against other processes as long as it lives.
///
/// One group commit is one [`Wal::append`] and one [`Wal::sync`]. After any error other than
/// [`crate::Error::OutOfOrder`] the log is poisoned and refuses everything.
pub struct Wal {}

impl Wal {
    /// Whether the directory holds a log. A creation that a crash cut short leaves none.
    pub fn exists(path: &Path) -> Result<bool> {
        todo!()
    }

    /// Makes a new log on disk. `metadata` is kept in every segment.
    pub fn create(path: &Path, metadata: &[u8], options: Options) -> Result<Wal> {
        todo!()
    }

    /// Opens a log on disk and reads it back. A torn tail is cut (and reported), damage before it is an error.
    pub fn open(path: &Path, options: Options) -> Result<(Wal, Recovered)> {
        todo!()
    }

    /// [`Wal::create`] on any directory.
    pub fn create_in(dir: Arc<dyn Dir>, metadata: &[u8], options: Options) -> Result<Wal> {
        todo!()
    }

    /// [`Wal::open`] on any directory.
    pub fn open_in(dir: Arc<dyn Dir>, options: Options) -> Result<(Wal, Recovered)> {
        todo!()
    }

    /// Writes a group with one write; durable after the next [`Wal::sync`]. Begins a new segment where the group does
    /// not fit into this one.
    pub fn append(&mut self, group: &[Record<'_>]) -> Result<()> {
        todo!()
    }

    /// Makes all appended durable: one fdatasync, none if nothing was appended since the last.
    pub fn sync(&mut self) -> Result<()> {
        todo!()
    }

    /// Notes that the state up to `marker.index` is durable elsewhere, durably (appends and syncs). Recovery then
    /// returns the entries after it. Not below an earlier marker, nor above the newest entry.
    pub fn save_snapshot_marker(&mut self, marker: Marker) -> Result<()> {
        todo!()
    }

    /// Replaces the whole log by an installed snapshot, atomically and durably: marker and hard state begin a new
    /// segment, all entries before are gone. The snapshot itself must be durable before.
    pub fn reset_to_snapshot(&mut self, marker: Marker, hard_state: &[u8]) -> Result<()> {
        todo!()
    }

    /// Allows segments that hold only entries up to `index` to be given back; those above the newest marker stay.
    pub fn release(&mut self, index: u64) -> Result<()> {
        todo!()
    }

    /// Index of the oldest entry that a [`Reader`] can still read; one past the newest if there is none.
    pub fn first_index(&self) -> u64 {
        todo!()
    }

    /// Index of the newest entry, or of the marker if there is none after it.
    pub fn last_index(&self) -> u64 {
        todo!()
    }

    /// The newest marker.
    pub fn marker(&self) -> &Marker {
        todo!()
    }

    /// Counters since opening.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Reads entries back from other threads, e.g. for a follower that is behind what is held in memory.
    pub fn reader(&self) -> Reader {
        todo!()
    }
}

/// Reads appended entries back from disk. Cheap to clone.
#[derive(Clone)]
pub struct Reader {}

impl Reader {
    /// Entries `from..to`, at least one and then at most `bytes_max` bytes of data.
    ///
    /// [`crate::Error::Released`] if `from` is no longer there.
    pub fn entries(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>> {
        todo!()
    }
}
