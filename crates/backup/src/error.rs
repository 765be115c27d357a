//! Why a backup could not be written or read.

use std::io;
use thiserror::Error;

/// Why a backup could not be written (the file is worthless then), or read.
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
    /// A database file could not be read.
    #[error("cannot read the database: {0}")]
    Read(#[source] io::Error),
    /// The file is none, or both of its first pages are damaged.
    #[error("invalid database: neither of its first two pages is that of a bbolt database")]
    NoDatabase,
    /// The file is a database, but cannot be one that anybody wrote: restore from another copy.
    #[error("the database is damaged: {0}")]
    Database(String),
    /// A database whose bytes are not those that the snapshot was made of.
    #[error("expected sha256 {}, got {}", decimal(expected), decimal(found))]
    Hash {
        /// What stands behind the database.
        expected: [u8; 32],
        /// Hash of what is there.
        found: [u8; 32],
    },
    /// A file without the hash that ends every snapshot.
    #[error("snapshot missing hash but --skip-hash-check=false")]
    NoHash,
}

/// Result of writing or reading a backup.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// As Go prints bytes.
fn decimal(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", bytes.join(" "))
}
