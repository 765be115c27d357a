//! Counts that the next page of a list will ask for.

use bytes::Bytes;
use model::Revision;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Lists are read in pages: the next request continues after the last key of this one, at the same revision, and wants
/// the count of all that remains. That is this page's count less the keys in it. How many keys a range had at a past
/// revision never changes, so the numbers stay right for as long as they are kept.
#[derive(Default)]
pub(crate) struct PageCounts {
    /// Newest last.
    counts: Mutex<VecDeque<PageCount>>,
}

/// `count` keys from `start` to `end` (as on the wire) at `revision`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PageCount {
    pub revision: Revision,
    pub start: Bytes,
    pub end: Bytes,
    pub count: u64,
}

impl PageCounts {
    /// As many lists can be under way at once without counting again.
    const LEN_MAX: usize = 64;
    /// Longer keys are not kept: the bound on memory.
    const KEY_BYTES_MAX: usize = 1024;

    pub fn get(&self, revision: Revision, start: &[u8], end: &[u8]) -> Option<u64> {
        let counts = self.counts.lock();
        let found = counts
            .iter()
            .rev()
            .find(|kept| kept.revision == revision && kept.start == start && kept.end == end);
        found.map(|kept| kept.count)
    }

    pub fn put(&self, count: PageCount) {
        if count.start.len().max(count.end.len()) > Self::KEY_BYTES_MAX {
            return;
        }
        // A copy: a request's bytes may be a small window of a large network buffer.
        let end = Bytes::copy_from_slice(&count.end);
        let count = PageCount { end, ..count };
        let mut counts = self.counts.lock();
        if counts.len() == Self::LEN_MAX {
            counts.pop_front();
        }
        counts.push_back(count);
    }
}
