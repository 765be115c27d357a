//! The store as one commit left it.

use crate::{Changes, Kv, Read, Result};
use bytes::Bytes;
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{KeyRange, Revision};
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::Snapshot;

/// The store at one revision, immutable. Cheap to share; while it is held, the space of rows it still sees is not
/// given back, so a slow consumer should take a newer one from time to time and name its revision.
pub struct View {}

/// How much history one call may return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangesLimit {
    /// Most revisions.
    pub revisions: usize,
    /// Stop after the revision with which this many bytes are reached.
    pub bytes: usize,
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
        todo!()
    }

    /// History from revision `from` (inclusive) on, whole revisions in order. Empty where `from` lies in the future;
    /// otherwise at least one revision, even if that alone exceeds the limit.
    ///
    /// Rejects a `from` below the compacted revision.
    pub fn changes(&self, _from: Revision, _limit: ChangesLimit) -> Result<Vec<Arc<Changes>>> {
        todo!()
    }

    /// Up to `limit` keys of `range` at `revision` (0 or less: newest), starting at `from` if that is given; counts
    /// nothing else. `keys_only` leaves values and leases out, as [`Read::range`] does.
    ///
    /// Rejects a revision that is compacted or in the future.
    pub fn chunk(
        &self,
        _range: &KeyRange,
        _from: Option<&Bytes>,
        _revision: i64,
        _limit: usize,
        _keys_only: bool,
    ) -> Result<Chunk> {
        todo!()
    }
}

impl Read for View {
    fn revision(&self) -> Revision {
        todo!()
    }

    fn compacted(&self) -> Revision {
        todo!()
    }

    fn get(&self, _key: &[u8]) -> Result<Option<Kv>> {
        todo!()
    }

    fn range(&self, _request: &RangeRequest) -> Result<RangeResponse> {
        todo!()
    }

    fn scan(&self, _range: &KeyRange, _visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()> {
        todo!()
    }

    fn count(&self, _range: &KeyRange, _revision: i64) -> Result<u64> {
        todo!()
    }
}
