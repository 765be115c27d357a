//! The store as one commit left it.

use crate::counts::Counts;
use crate::history::{self, ChangesLimit};
use crate::page_counts::PageCounts;
use crate::reader::{Arena, Order, Reader};
use crate::{Changes, Kv, Read, Result, WireRange, count};
use bytes::Bytes;
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{KeyRange, Revision};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use storage::Snapshot;

/// The store at one revision, immutable. Cheap to share; while it is held, the space of rows it still sees is not
/// given back, so a slow consumer should take a newer one from time to time and name its revision.
pub struct View {
    pub(crate) snapshot: Arc<dyn Snapshot>,
    pub(crate) counts: Counts,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    pub(crate) page_counts: Arc<PageCounts>,
}

/// A part of a range, for streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Encoded `mvccpb.KeyValue`s in order of keys.
    pub kvs: Vec<Bytes>,
    /// Where the next chunk starts, `None` if nothing is left.
    pub next: Option<Bytes>,
}

impl View {
    /// The rows beneath, of all families, as of the same commit.
    pub fn snapshot(&self) -> &Arc<dyn Snapshot> {
        &self.snapshot
    }

    /// History from revision `from` (inclusive) on, whole revisions in order. Empty where `from` lies in the future;
    /// otherwise at least one revision, even if that alone exceeds the limit.
    ///
    /// Rejects a `from` below the compacted revision.
    pub fn changes(&self, from: Revision, limit: ChangesLimit) -> Result<Vec<Arc<Changes>>> {
        history::changes(&*self.snapshot, self.compacted, from, limit)
    }

    /// Up to `limit` keys of `range` at `revision` (0 or less: newest), starting at `from` if that is given; counts
    /// nothing else. `keys_only` leaves values and leases out, as [`Read::range`] does.
    ///
    /// Rejects a revision that is compacted or in the future.
    pub fn chunk(
        &self,
        range: &KeyRange,
        from: Option<&Bytes>,
        revision: i64,
        limit: usize,
        keys_only: bool,
    ) -> Result<Chunk> {
        let reader = self.reader();
        let revision = reader.readable(revision)?;
        let mut chunk = Chunk {
            kvs: Vec::new(),
            next: None,
        };
        let (mut start, end) = range.bounds();
        if let Some(from) = from.filter(|from| from > &range.start()) {
            let beyond = match end {
                Bound::Included(end) => &from[..] > end,
                Bound::Excluded(end) => &from[..] >= end,
                Bound::Unbounded => false,
            };
            if beyond {
                return Ok(chunk);
            }
            start = Bound::Included(from);
        }
        let mut arena = Arena::default();
        let Chunk { kvs, next } = &mut chunk;
        reader.visit((start, end), Order::Ascending, revision, |key, found| {
            if kvs.len() == limit {
                *next = Some(Bytes::copy_from_slice(key));
                return Ok(ControlFlow::Break(()));
            }
            kvs.push(if keys_only {
                arena.copy(crate::kv::before_value(found.head())?)
            } else {
                found.keep(&mut arena)?
            });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(chunk)
    }

    /// [`Read::range`], encoded.
    pub fn range_wire(&self, request: &RangeRequest) -> Result<WireRange> {
        self.reader().range_wire(request)
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            snapshot: &*self.snapshot,
            overlay: None,
            counts: &self.counts,
            page_counts: Some(&self.page_counts),
            revision: self.revision,
            compacted: self.compacted,
        }
    }
}

impl Read for View {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn compacted(&self) -> Revision {
        self.compacted
    }

    fn get(&self, key: &[u8]) -> Result<Option<Kv>> {
        self.reader().get(key)
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        self.reader().range(request)
    }

    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()> {
        self.reader().scan(range, visit)
    }

    fn count(&self, range: &KeyRange, revision: i64) -> Result<u64> {
        let reader = self.reader();
        let revision = reader.readable(revision)?;
        count::count(&reader, range, revision)
    }
}
