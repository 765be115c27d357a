//! What can go wrong with a log.

use std::io;
use thiserror::Error;

/// Result of a log operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the log could not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// Another process uses the directory.
    #[error("the log in {path} is in use by another process")]
    Locked {
        /// Directory of the log.
        path: String,
    },
    /// [`crate::Wal::create`] was called on a directory that already holds a log.
    #[error("{path} already holds a log")]
    Exists {
        /// Directory of the log.
        path: String,
    },
    /// Bytes that had been durable are no longer what was written. Nothing was changed: the member must be rebuilt from
    /// its peers or a backup, since cutting the log here would take back what others were promised.
    #[error(
        "the log is damaged: {file} at offset {offset}: {what}. Nothing was changed. Remove this member from the cluster, \
         rebuild it as a new one with an empty data directory, and check the disk; a member without others is restored \
         from a backup"
    )]
    Corrupt {
        /// File name within the directory of the log.
        file: String,
        /// Offset of the frame in question, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The operating system refused or failed. After a write or an fsync that failed, the log is poisoned.
    #[error("the log cannot {doing} {file}")]
    Io {
        /// Verb: what was being done.
        doing: &'static str,
        /// File name within the directory of the log, or the directory.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A write or an fsync failed earlier. What reached the disk is unknown, and the kernel may have dropped the pages:
    /// only a restart, which reads the log again, can tell.
    #[error("an earlier write of the log failed; restart to find out what reached the disk")]
    Poisoned,
    /// Entries are not appended in sequence, or a marker goes back. Nothing was written.
    #[error("log records out of order: {0}")]
    OutOfOrder(String),
    /// The entry asked for was released, or overwritten.
    #[error("entry {0} is no longer in the log")]
    Released(u64),
}

impl Error {
    pub(crate) fn io(doing: &'static str, file: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing,
            file: file.into(),
            source,
        }
    }

    pub(crate) fn corrupt(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.into(),
            offset,
            what: what.into(),
        }
    }
}
