//! Reading a log back.

use crate::{Entry, Marker};
use bytes::Bytes;

/// What a log held when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// What [`crate::Wal::create`] was given.
    pub metadata: Bytes,
    /// The newest marker; index 0 for a log that never had one.
    pub marker: Marker,
    /// The entries after `marker`, without gaps, with overwritten ones gone.
    pub entries: Vec<Entry>,
    /// The newest hard state; empty if none was ever written.
    pub hard_state: Bytes,
    /// Set if a write that had not been synced was cut off the end.
    pub repaired: Option<Repair>,
}

/// An incomplete write at the end that was cut. Nothing in it had been acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// File name within the directory of the log.
    pub file: String,
    /// Where the log now ends.
    pub offset: u64,
    /// What was found there.
    pub what: String,
}
