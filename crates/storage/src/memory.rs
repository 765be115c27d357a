//! The engine without files: for tests, simulation and members whose data may go with the process.

mod file;
mod tree;

use crate::backend::{Backend, Cursor, Result, Sizes, Snapshot};
use crate::{Batch, Family, Op};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use tree::{Row, Tree, Walk};

/// A [`Backend`] in memory. A snapshot costs the same at any size, and writes go on at their speed beside it.
///
/// "Durable" is a mark: [`MemoryBackend::crash`] gives the store as the last flush left it. What is to outlive the
/// process goes through [`Backend::checkpoint`] and [`MemoryBackend::open`].
#[derive(Debug, Default)]
pub struct MemoryBackend {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Forest,
    flushed: Forest,
    /// States after each of the first batches since the flush.
    unflushed: VecDeque<Forest>,
    unflushed_max: usize,
}

/// One tree per family, in the order of their numbers.
#[derive(Clone, Debug, Default)]
struct Forest([Tree; Family::ALL.len()]);

impl MemoryBackend {
    /// An empty store.
    pub fn new() -> MemoryBackend {
        MemoryBackend::default()
    }

    /// An empty store that remembers the state after each of the first `batches` after a flush, as places where a
    /// crash can fall (see [`MemoryBackend::crash_after`]).
    pub fn with_crash_points(batches: usize) -> MemoryBackend {
        MemoryBackend::holding(Forest::default(), batches)
    }

    /// The store that [`Backend::checkpoint`] left in `dir`, or an empty one if `dir` is empty or missing.
    /// Nothing is written to `dir` afterwards.
    pub fn open(dir: &Path) -> Result<MemoryBackend> {
        Ok(MemoryBackend::holding(file::read(dir)?, 0))
    }

    /// What a restart after a crash at this moment would find: everything up to the last flush. The store itself is
    /// left as it is.
    pub fn crash(&self) -> MemoryBackend {
        self.crash_after(0)
    }

    /// As [`MemoryBackend::crash`], but `batches` written after the last flush had reached the disk by themselves, or
    /// as many of them as were remembered.
    pub fn crash_after(&self, batches: usize) -> MemoryBackend {
        let state = self.state.read();
        let kept = batches.min(state.unflushed.len());
        let forest = if kept == 0 {
            &state.flushed
        } else {
            &state.unflushed[kept - 1]
        };
        MemoryBackend::holding(forest.clone(), state.unflushed_max)
    }

    fn holding(forest: Forest, unflushed_max: usize) -> MemoryBackend {
        let state = State {
            current: forest.clone(),
            flushed: forest,
            unflushed: VecDeque::new(),
            unflushed_max,
        };
        MemoryBackend {
            state: RwLock::new(state),
        }
    }
}

impl Backend for MemoryBackend {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.state.read().current.tree(family).get(key))
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(self.state.read().current.clone()))
    }

    fn write(&self, batch: Batch) -> Result<()> {
        let mut state = self.state.write();
        for op in batch.ops() {
            state.current.apply(op);
        }
        if state.unflushed.len() < state.unflushed_max {
            let now = state.current.clone();
            state.unflushed.push_back(now);
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let mut state = self.state.write();
        state.flushed = state.current.clone();
        state.unflushed.clear();
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let forest = self.state.read().current.clone();
        file::write(dir, &forest)
    }

    fn reclaim(&self) -> Result<()> {
        Ok(())
    }

    /// Rows count as files, so that a limit on size means the same here.
    fn sizes(&self) -> Result<Sizes> {
        let bytes = self.state.read().current.0.iter().map(Tree::bytes).sum();
        Ok(Sizes {
            disk: bytes,
            in_use: bytes,
            memory: bytes,
        })
    }
}

impl Forest {
    fn tree(&self, family: Family) -> &Tree {
        &self.0[family as usize]
    }

    fn tree_mut(&mut self, family: Family) -> &mut Tree {
        &mut self.0[family as usize]
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put(family, key, value) => self.tree_mut(*family).insert(key, value),
            Op::Delete(family, key) => self.tree_mut(*family).remove(key),
            Op::DeleteRange(family, start, end) => self.tree_mut(*family).remove_range(start, end),
        }
    }
}

impl Snapshot for Forest {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.tree(family).get(key))
    }

    fn scan(&self, family: Family, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Box<dyn Cursor + '_>> {
        let (low, high) = (
            bounds.0.map(Bytes::copy_from_slice),
            bounds.1.map(Bytes::copy_from_slice),
        );
        Ok(Box::new(Range {
            walk: self.tree(family).walk(),
            low,
            high,
            started: false,
        }))
    }
}

/// A walk within bounds.
struct Range<'a> {
    walk: Walk<'a>,
    low: Bound<Bytes>,
    high: Bound<Bytes>,
    /// Whether the walk stands where the direction or a seek has put it.
    started: bool,
}

impl Cursor for Range<'_> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.started {
            self.walk.seek(as_slice(&self.low));
            self.started = true;
        }
        let row = self.walk.next().filter(|row| match &self.high {
            Bound::Unbounded => true,
            Bound::Included(high) => row.key() <= high,
            Bound::Excluded(high) => row.key() < high,
        });
        Ok(row.map(pair))
    }

    fn prev(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.started {
            self.walk.seek_back(as_slice(&self.high));
            self.started = true;
        }
        Ok(self
            .walk
            .prev()
            .filter(|row| within_low(&self.low, row.key()))
            .map(pair))
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let start = if within_low(&self.low, key) {
            Bound::Included(key)
        } else {
            as_slice(&self.low)
        };
        self.walk.seek(start);
        self.started = true;
        Ok(())
    }
}

fn within_low(low: &Bound<Bytes>, key: &[u8]) -> bool {
    match low {
        Bound::Unbounded => true,
        Bound::Included(low) => key >= &low[..],
        Bound::Excluded(low) => key > &low[..],
    }
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &key[..])
}

fn pair(row: &Row) -> (&[u8], &[u8]) {
    (row.key(), row.value())
}
