//! What can be wrong with stored leases.

use thiserror::Error;

/// Rows that no lessor wrote: the store is damaged.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// A row of the lease family cannot be read.
    #[error("stored lease {id:x} is damaged")]
    DamagedLease {
        /// The id in the row's key; 0 where even that cannot be read.
        id: i64,
    },
    /// A row of the lease keys family cannot be read.
    #[error("stored attachment of a key to a lease is damaged")]
    DamagedAttachment,
    /// A key hangs on a lease that is not stored, though both are written and removed together.
    #[error("a key hangs on lease {id:x}, which does not exist")]
    Orphan {
        /// The lease that is missing.
        id: i64,
    },
}
