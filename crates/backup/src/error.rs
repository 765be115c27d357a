//! Why a backup could not be written.

use std::io;
use thiserror::Error;

/// Why a backup could not be written. The file is worthless then.
#[derive(Debug, Error)]
pub enum Error {
    /// The file could not be written.
    #[error("cannot write the backup: {0}")]
    Io(#[from] io::Error),
    /// Keys and their history could not be read.
    #[error("cannot read the keys: {0}")]
    Keys(#[from] mvcc::Error),
    /// Other rows could not be read.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The store, or raft's configuration, holds what it never should.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// Result of writing a backup.
pub type Result<T, E = Error> = std::result::Result<T, E>;
