//! The handle that readers and background work share.

use crate::compaction::Waiters;
use crate::counts::Counts;
use crate::hash::Hashes;
use crate::meta::{HEAD, Head, SWEEP, Sweep};
use crate::page_counts::PageCounts;
use crate::{Error, Result, View, Writer, count_rows};
use arc_swap::ArcSwap;
use model::Revision;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use storage::{Backend, Batch, Family};

/// Numbers a user may tune.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Keys in a chunk of the counted index, which is in memory: counting reads a chunk or two, smaller ones take more
    /// memory. `None` lets it grow with the store, from 32 to 512: 128 at a million keys.
    pub chunk_keys: Option<u32>,
    /// Values of this many bytes and more are kept in the log alone, and each key in an answer is a lookup there.
    /// `None`: 2 KiB. May change from one opening to the next.
    pub large_value_bytes: Option<u32>,
    /// Whether each compaction computes etcd's compaction hash, which costs a pass over all living keys.
    pub compaction_hash: bool,
}

/// The store: newest view, compaction, hashes, sizes. Every clone is the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub options: Options,
    pub view: ArcSwap<View>,
    pub ground: Mutex<Ground>,
    pub hashes: Hashes,
    pub waiters: Waiters,
    allocated: AtomicU64,
    in_use: AtomicU64,
    swept: AtomicI64,
}

/// What is written to, and how far. Whoever writes rows of this crate holds its lock from the decision what to write
/// until the batch is in the backend and what follows from it is published: so the writer's groups and the steps of
/// the compaction follow each other as wholes.
pub(crate) struct Ground {
    pub backend: Arc<dyn Backend>,
    pub head: Head,
    pub sweep: Sweep,
    /// Changes with the backend, so that work begun on another one is not finished on this.
    pub epoch: u64,
    /// Versions that the compaction under way has removed in this process.
    pub removed: u64,
}

/// Sizes in bytes as etcd's database file would show them; see [`Store::sizes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// What the quota is compared with: grows with every revision, shrinks by [`Store::defragmented`].
    pub allocated: u64,
    /// The part of it that holds data; shrinks when compaction removes versions.
    pub in_use: u64,
}

impl Sizes {
    /// An etcd without keys shows these sizes: pages of a fresh bbolt file.
    const EMPTY: Sizes = Sizes {
        allocated: 20 << 10,
        in_use: 16 << 10,
    };
    /// Added to the bytes of each version: its key in bbolt (17), the element's header (16), unfilled pages.
    const VERSION_BYTES: u64 = 48;

    /// What a version with a KeyValue of this length counts for.
    pub(crate) fn of_version(kv_len: u64) -> u64 {
        kv_len + Sizes::VERSION_BYTES
    }

    pub(crate) fn new(allocated: u64, in_use: u64) -> Sizes {
        Sizes {
            allocated: Sizes::EMPTY.allocated + allocated.max(in_use),
            in_use: Sizes::EMPTY.in_use + in_use,
        }
    }
}

impl Store {
    /// Opens the store in `backend`, an empty one too. Reads a few rows and the counts, not the keys.
    ///
    /// Fails if the rows are damaged or of a newer format.
    pub fn open(backend: Arc<dyn Backend>, options: Options) -> Result<(Store, Writer)> {
        let (ground, view) = Ground::load(backend)?;
        let shared = Arc::new(Shared {
            options,
            view: ArcSwap::from_pointee(view),
            hashes: Hashes::default(),
            waiters: Waiters::default(),
            allocated: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            swept: AtomicI64::new(0),
            ground: Mutex::new(ground),
        });
        shared.publish(&shared.ground.lock());
        let writer = Writer::new(shared.clone());
        Ok((Store { shared }, writer))
    }

    /// The newest committed state.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Logical sizes, not those of files: they start small, every revision counts, and they are the same for every
    /// engine. Of the last commit.
    pub fn sizes(&self) -> Sizes {
        Sizes::new(
            self.shared.allocated.load(Ordering::Relaxed),
            self.shared.in_use.load(Ordering::Relaxed),
        )
    }

    /// Space was given back: what is allocated shrinks to what is in use.
    pub fn defragmented(&self) -> Result<()> {
        let mut ground = self.shared.ground.lock();
        let head = Head {
            allocated: ground.in_use(),
            ..ground.head
        };
        if head != ground.head {
            let mut batch = Batch::new();
            batch.put(Family::Meta, HEAD, head.encode());
            ground.backend.write(batch)?;
            ground.head = head;
            self.shared.publish(&ground);
        }
        Ok(())
    }
}

impl Shared {
    /// Lets readers see how far the rows are, without a lock that a slow disk may hold.
    pub fn publish(&self, ground: &Ground) {
        self.allocated.store(ground.head.allocated, Ordering::Relaxed);
        self.in_use.store(ground.in_use(), Ordering::Relaxed);
        self.swept.store(ground.sweep.finished.0, Ordering::Release);
    }

    pub fn swept(&self) -> Revision {
        Revision(self.swept.load(Ordering::Acquire))
    }
}

impl Ground {
    pub fn load(backend: Arc<dyn Backend>) -> Result<(Ground, View)> {
        let snapshot = backend.snapshot()?;
        let head = match snapshot.get(Family::Meta, HEAD)? {
            Some(row) => Head::decode(&row)?,
            None => Head::default(),
        };
        let sweep = match snapshot.get(Family::Meta, SWEEP)? {
            Some(row) => Sweep::decode(&row)?,
            None => Sweep::default(),
        };
        if sweep.finished > head.compacted {
            return Err(Error::Damaged("more was removed than compacted".into()));
        }
        let view = View {
            counts: Counts::new(count_rows::load(&*snapshot)?),
            snapshot,
            revision: head.revision,
            compacted: head.compacted,
            page_counts: Arc::new(PageCounts::default()),
        };
        let ground = Ground {
            backend,
            head,
            sweep,
            epoch: 0,
            removed: 0,
        };
        Ok((ground, view))
    }

    /// Bytes of all versions that are still there.
    pub fn in_use(&self) -> u64 {
        self.head.written.saturating_sub(self.sweep.reclaimed)
    }
}
