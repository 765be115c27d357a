//! One version of a key.

use bytes::Bytes;

/// A version of a key, taken apart; `encoded` is the `mvccpb.KeyValue` it came from, and all bytes share its memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kv {
    /// The key.
    pub key: Bytes,
    /// Revision that created the key.
    pub create: i64,
    /// Revision that wrote this version.
    pub modified: i64,
    /// 1 for the version that created the key.
    pub version: i64,
    /// The value.
    pub value: Bytes,
    /// Lease that the key is attached to, 0 for none.
    pub lease: i64,
    /// Wire form.
    pub encoded: Bytes,
}
