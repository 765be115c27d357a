//! The handle that readers and background work share.

use crate::{Result, View, Writer};
use model::Revision;
use std::sync::Arc;
use storage::Backend;

/// Numbers a user may tune.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Keys in a full chunk of the counted index. Counting reads up to two chunks; smaller ones make more rows.
    pub chunk_keys: u32,
    /// Whether each compaction computes etcd's compaction hash, which costs a pass over all living keys.
    pub compaction_hash: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            chunk_keys: 256,
            compaction_hash: false,
        }
    }
}

/// The store: newest view, compaction, hashes, sizes. Every clone is the same store.
#[derive(Clone)]
pub struct Store {}

/// etcd's hash of the history, see [`Store::hash_kv`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashKv {
    /// CRC-32C.
    pub hash: u32,
    /// Compacted revision that it was computed with.
    pub compact_revision: Revision,
    /// Revision up to which history is in it.
    pub hash_revision: Revision,
}

/// Sizes in bytes as etcd's database file would show them; see [`Store::sizes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// What the quota is compared with: grows with every revision, shrinks by [`Store::defragmented`].
    pub allocated: u64,
    /// The part of it that holds data; shrinks when compaction removes versions.
    pub in_use: u64,
}

/// What a step of compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There was nothing to do.
    Idle,
    /// There is more to do.
    More,
    /// A compaction ended.
    Finished(Swept),
}

/// A compaction whose versions are all removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Revision compacted to.
    pub revision: Revision,
    /// Versions removed since this process began with it.
    pub removed: u64,
    /// etcd's hash of what was there before, where [`Options::compaction_hash`] asks for it and nothing interrupted
    /// the compaction.
    pub hash: Option<HashKv>,
}

impl Store {
    /// Opens the store in `backend`, an empty one too. Reads a few rows and the counts, not the keys.
    ///
    /// Fails if the rows are damaged or of a newer format.
    pub fn open(_backend: Arc<dyn Backend>, _options: Options) -> Result<(Store, Writer)> {
        todo!()
    }

    /// The newest committed state.
    pub fn view(&self) -> Arc<View> {
        todo!()
    }

    /// Removes up to `max` log records' worth of what the last compaction made obsolete. Called again and again by
    /// one housekeeping thread, which sets the pace; after a crash it goes on where the backend's rows stand.
    pub fn compaction_step(&self, _max: usize) -> Result<Progress> {
        todo!()
    }

    /// Whether there is something for [`Store::compaction_step`] to do.
    pub fn compaction_pending(&self) -> bool {
        todo!()
    }

    /// Up to which revision the versions that a compaction made obsolete are removed.
    pub fn swept(&self) -> Revision {
        todo!()
    }

    /// Calls `then` once everything that a compaction to `revision` made obsolete is removed; at once if it is. Called
    /// on the thread that runs the compaction, so it must not block. Dropped uncalled with the store.
    pub fn when_swept(&self, _revision: Revision, _then: Box<dyn FnOnce() + Send>) {
        todo!()
    }

    /// etcd's HashKV at `revision` (0: newest): equal to that of an etcd with the same history. Reads all living keys.
    ///
    /// Rejects a revision that is compacted or in the future.
    pub fn hash_kv(&self, _revision: Revision) -> Result<HashKv> {
        todo!()
    }

    /// Checksum of the replicated state (keys at the newest revision, leases, users, members), and that revision:
    /// equal on members that applied the same log, whatever each has compacted physically.
    pub fn hash(&self) -> Result<(u32, Revision)> {
        todo!()
    }

    /// Logical sizes, not those of files: they start small, and every revision counts.
    pub fn sizes(&self) -> Sizes {
        todo!()
    }

    /// Space was given back: what is allocated shrinks to what is in use.
    pub fn defragmented(&self) -> Result<()> {
        todo!()
    }

    /// Reads everything and compares the families with each other; an error names the first contradiction.
    pub fn verify(&self) -> Result<()> {
        todo!()
    }
}
