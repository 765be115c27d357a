//! Changes that become visible together.

use crate::Family;
use bytes::Bytes;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sets a key.
    Put(Family, Bytes, Bytes),
    /// Removes a key; a missing one is no error.
    Delete(Family, Bytes),
    /// Removes every key in `[start, end)`.
    DeleteRange(Family, Bytes, Bytes),
}

/// Changes in order; later ones win.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    ops: Vec<Op>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put(family, key, value));
    }

    /// Removes `key`.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        let key = key.into();
        self.bytes += key.len();
        self.ops.push(Op::Delete(family, key));
    }

    /// Removes `[start, end)`.
    pub fn delete_range(&mut self, family: Family, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        let (start, end) = (start.into(), end.into());
        self.bytes += start.len() + end.len();
        self.ops.push(Op::DeleteRange(family, start, end));
    }

    /// The changes, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Takes the changes out.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
