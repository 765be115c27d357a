//! What can be asked of a state of the store.

use crate::{Kv, Result};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{KeyRange, Revision};
use std::ops::ControlFlow;

/// A state of the store that does not change under the reader: a [`crate::View`], or a [`crate::Tx`] with its own
/// writes in it.
pub trait Read {
    /// Newest revision that can be read.
    fn revision(&self) -> Revision;

    /// Oldest revision that can be read; [`Revision::NEVER_COMPACTED`] before the first compaction.
    fn compacted(&self) -> Revision;

    /// Newest version of `key`, `None` if it does not exist.
    fn get(&self, key: &[u8]) -> Result<Option<Kv>>;

    /// Answers a Range request as etcd does, options and quirks included. Of the header only the revision is set.
    ///
    /// Rejects a revision that is compacted or in the future.
    fn range(&self, request: &RangeRequest) -> Result<RangeResponse>;

    /// Calls `visit` with the newest version of every key of the range, in order, until it breaks.
    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()>;

    /// Number of keys of the range at `revision`; 0 or less means the newest.
    ///
    /// Rejects a revision that is compacted or in the future.
    fn count(&self, range: &KeyRange, revision: i64) -> Result<u64>;

    /// Rejects a revision that cannot be read. As in etcd's transactions only an exact 0 stands for "newest", so that
    /// negative revisions are compacted ones.
    fn check_revision(&self, revision: i64) -> Result<()> {
        if revision == 0 {
            Ok(())
        } else if revision > self.revision().0 {
            Err(model::Rejection::FutureRevision.into())
        } else if revision < self.compacted().0 {
            Err(model::Rejection::Compacted.into())
        } else {
            Ok(())
        }
    }
}
