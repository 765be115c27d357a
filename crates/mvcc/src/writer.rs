//! The one writer: collects requests into groups.

use crate::{Changes, Result, Tx, View};
use model::Revision;
use std::sync::Arc;
use storage::{Backend, Batch};

/// Collects the changes of many requests and commits them together. There is one per store; the apply thread owns it.
/// After an error other than a rejection it refuses everything: the store must be opened anew.
pub struct Writer {}

impl Writer {
    /// Begins a request. Its reads see all requests of the group before it.
    pub fn begin(&mut self) -> Tx<'_> {
        todo!()
    }

    /// Rows of other owners (leases, users, members, applied index) that go into the same group.
    pub fn batch(&mut self) -> &mut Batch {
        todo!()
    }

    /// Newest revision, with the requests of the group that are finished.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    /// Oldest readable revision, with the compactions of the group.
    pub fn compacted(&self) -> Revision {
        todo!()
    }

    /// The last committed state, without the group.
    pub fn view(&self) -> &Arc<View> {
        todo!()
    }

    /// Makes `revision` the oldest readable one. Versions that nothing needs any more are removed later, by
    /// [`crate::Store::compaction_step`].
    ///
    /// Rejects a revision at or below the compacted one, and one in the future.
    pub fn compact(&mut self, _revision: Revision) -> Result<()> {
        todo!()
    }

    /// Writes the group as one backend batch and publishes the new view. Returns what changed, in order of
    /// revisions. Does nothing for an empty group.
    pub fn commit(&mut self) -> Result<Vec<Arc<Changes>>> {
        todo!()
    }

    /// Puts another backend (an installed snapshot) under the store; the group is dropped. Handles and hubs stay
    /// valid and see the new state from their next view on; views taken before still show the old one.
    pub fn restore(&mut self, _backend: Arc<dyn Backend>) -> Result<()> {
        todo!()
    }
}
