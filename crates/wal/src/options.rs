//! What may be tuned, and what is counted.

use crate::head::PAGE;

/// What may be tuned.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a full segment, from 4 KiB to 2 GiB. The first segments of a log are smaller.
    pub segment_bytes: u64,
    /// Prepare and recycle segments on a thread of its own; otherwise within the calls, in an order that tests can
    /// rely on.
    pub background: bool,
    /// `false` skips every fsync: the log then survives a crash of the process, but not one of the machine.
    pub fsync: bool,
}

impl Default for Options {
    fn default() -> Self {
        // etcd's segments have this length too.
        Self {
            segment_bytes: 64_000_000,
            background: true,
            fsync: true,
        }
    }
}

impl Options {
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.clamp(PAGE, 1 << 31)
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
