//! How membership is stored. Rows are written by the caller, in the batch of the change itself.

use bytes::Bytes;

/// Which family of the store a row belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowFamily {
    /// The members family.
    Members,
    /// The meta family, which others use too; our keys begin with `cluster/`.
    Meta,
}

/// A row to write; without a value, a row to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Row {
    pub family: RowFamily,
    pub key: Bytes,
    pub value: Option<Bytes>,
}
