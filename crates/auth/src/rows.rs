//! How users and roles are stored. Rows are written by the caller, in the batch of the command itself.

use bytes::Bytes;

/// A row of the auth family to write; without a value, a row to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Row {
    pub key: Bytes,
    pub value: Option<Bytes>,
}
