//! What can go wrong.

use model::Rejection;
use thiserror::Error;

/// Why an operation did not succeed.
#[derive(Debug, Error)]
pub enum Error {
    /// The request cannot be carried out at this revision; the store is unchanged and the same on every member.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The engine failed; after a failed write the store must be opened anew.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// Stored rows contradict each other or their format: rebuild this member from its peers or a backup.
    #[error("the key-value store is damaged: {0}")]
    Damaged(String),
    /// What was to be taken over does not fit.
    #[error("import: {0}")]
    Import(String),
    /// The store was written by a newer version of this program.
    #[error("the store has format version {found}, this program knows up to {known}")]
    Format {
        /// Version of the stored rows.
        found: u64,
        /// Newest version that this program reads.
        known: u64,
    },
    /// An earlier write failed, so that nobody knows what is on disk: nothing more is accepted until a restart.
    #[error("the store refuses writes after a failed one")]
    Failed,
}

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
