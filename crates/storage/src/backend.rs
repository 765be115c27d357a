//! What is asked of a storage engine.

use crate::{Batch, Family};
use bytes::Bytes;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// A durable, ordered byte store with atomic batches and snapshots. One writer at a time, any number of readers.
///
/// Durability is not per batch: a batch is visible at once, and durable after the next [`Backend::flush`] (or sooner).
/// After a crash the store holds a prefix of the batches, each whole: what is missing is replayed from the raft log.
///
/// Keys and values are any bytes, keys up to [`Backend::key_bytes_max`] long.
pub trait Backend: Send + Sync + 'static {
    /// Newest value of `key`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>>;

    /// The store as it is now; later writes do not show in it.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>>;

    /// Applies a batch atomically across families.
    fn write(&self, batch: Batch) -> Result<()>;

    /// Returns when everything written before the call is durable. Blocks; writers and readers go on meanwhile.
    fn flush(&self) -> Result<()>;

    /// Writes a durable copy of the store into `dir`, which must not exist and be on the same file system, by hard
    /// links where the engine can. The copy holds at least everything written before the call.
    fn checkpoint(&self, dir: &Path) -> Result<()>;

    /// Gives space of removed keys back, in the background of readers and writers; returns when done.
    fn reclaim(&self) -> Result<()>;

    /// Bytes on disk and in memory.
    fn sizes(&self) -> Result<Sizes>;

    /// Longest key that can be written, in bytes. A longer one fails the write as any fault does, so it has to be
    /// refused before it gets here.
    fn key_bytes_max(&self) -> usize {
        u32::MAX as usize
    }
}

/// A point in time of the store. Cheap to hold, but space that it still sees is not given back.
pub trait Snapshot: Send + Sync {
    /// Value of `key` at that time.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>>;

    /// A cursor over the keys within the bounds, standing before the first.
    fn scan(&self, family: Family, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Box<dyn Cursor + '_>>;
}

/// Walks a range in order of keys, forward from its start or backward from its end, never both.
pub trait Cursor {
    /// Steps forward and shows where it stands; `None` at the end. The slices live until the next call.
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>>;

    /// Steps backward, from the end of the range on the first call; `None` at the start.
    fn prev(&mut self) -> Result<Option<(&[u8], &[u8])>>;

    /// Moves so that the following [`Cursor::next`] shows the first key at or after `key` within the range, be it ahead
    /// or behind. Not for a cursor that steps backward.
    fn seek(&mut self, key: &[u8]) -> Result<()>;
}

/// Sizes in bytes, as good as the engine knows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// Files on disk.
    pub disk: u64,
    /// The part of `disk` that holds living data.
    pub in_use: u64,
    /// Memory for caches and unflushed writes.
    pub memory: u64,
}

/// A fault of the engine. After a failed write or flush the store must not be written again before a restart:
/// what reached the disk is unknown.
#[derive(Debug, Error)]
pub enum Error {
    /// The files could not be opened; nothing was changed.
    #[error("cannot open the store at {path}: {reason}")]
    Open {
        /// Directory of the store.
        path: String,
        /// What the engine said, and what to do where that is known.
        reason: String,
    },
    /// Another process has the store open.
    #[error("the store at {path} is in use by another process")]
    Locked {
        /// Directory of the store.
        path: String,
    },
    /// Files contradict their checksums or each other: what they held cannot be told any more.
    #[error(
        "the store is damaged: {0}. Remove this member from the cluster, rebuild it as a new one with an empty data \
         directory, and check the disk; a member without others is restored from a backup"
    )]
    Corrupt(String),
    /// Reading or writing failed, the disk may be full.
    #[error("storage engine: {0}")]
    Engine(String),
}

/// Result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
